"""PartTracker: ByteTrack's rounds with the visibility-masked part distance in each of them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..config import TrackerConfig
from ..embeddings import PartEmbeddings
from . import costs, kalman
from .camera import CameraMotion
from .memory import DistanceScale, PartMemory
from .tracks import Boxes, Tracks, boxes_of

if TYPE_CHECKING:
    import supervision as sv

    from ..model.encoder import Encoder
    from .recorder import ReasonRecorder

_NOBODY = np.zeros(0, np.intp)
# Sums of frame times are not exact; differences below this many seconds are none.
_TICK = 1e-6


@dataclass
class TrackerStats:
    """Counts since the start or the last reset.

    Attributes:
        frames: frames seen.
        identities: identities given out.
        matches_motion: matches that motion alone would have made too.
        matches_appearance: matches that needed the part distance: the boxes did not overlap enough, or
            motion preferred another box.
    """

    frames: int = 0
    identities: int = 0
    matches_motion: int = 0
    matches_appearance: int = 0


@dataclass
class _Costs:
    """Costs of all pairs of tracks and boxes in one frame, [T, N]; inf forbids a pair."""

    motion: np.ndarray  # 1 - IoU
    motion_scored: np.ndarray  # 1 - IoU * score
    appearance: np.ndarray | None  # negative for a likely match, 0 where no part can be compared
    distances: np.ndarray | None  # Eq. 9
    lost: np.ndarray  # bool [T], tracks without a match in the frame before


class PartTracker:
    """Gives detections identities that last.

    Each frame goes through three rounds. First the boxes of high score meet all confirmed tracks, lost ones
    included, by overlap and part distance together; a lost track may come back without overlap if its parts
    agree, within a motion gate that widens the longer it was lost. Then the boxes of low score meet the
    tracks that are left; a person scores low when half hidden, and the parts that show still count. Last,
    tracks not yet confirmed meet what remains, and boxes that nobody claimed start new ones.

    Instances are independent of each other, and two runs over the same input give the same identities.

    Args:
        config: settings; the defaults suit street scenes.
        encoder: used by ``update`` when a frame is given without embeddings.

    >>> import supervision as sv
    >>> tracker = PartTracker()
    >>> boxes = sv.Detections(xyxy=np.array([[10., 10., 50., 120.]]), confidence=np.array([0.9]))
    >>> tracker.update(boxes).tracker_id.tolist()
    [1]
    """

    def __init__(self, config: TrackerConfig | None = None, encoder: Encoder | None = None) -> None:
        self.config = config or TrackerConfig()
        self.encoder = encoder
        self.recorder: ReasonRecorder | None = None  # notes why, if there is one
        self._noise = kalman.Noise(measurement=0.05, jitter=0.2, acceleration=1.0, speed=1.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first, and identities start from 1 again."""
        self.stats = TrackerStats()
        self._tracks = Tracks()
        self._memory: PartMemory | None = None
        self._scale = DistanceScale()
        self._camera = CameraMotion()
        self._now: float | None = None

    def update(
        self,
        detections: sv.Detections,
        frame: np.ndarray | None = None,
        *,
        embeddings: PartEmbeddings | None = None,
        timestamp: float | None = None,
    ) -> sv.Detections:
        """Take in the next frame.

        Args:
            detections: N boxes, any subset of columns; a missing confidence counts as 1. May be empty, and
                must be given for every frame: an empty set ages the tracks.
            frame: uint8 [H, W, 3] BGR. For the motion of the camera and, with an encoder, for appearance.
            embeddings: N rows for the same boxes in the same order; spares the encoder.
            timestamp: seconds, increasing; without it frames are 1 / ``config.frame_rate`` apart.

        Returns:
            A copy of ``detections``, every row in its place, with ``tracker_id`` int64 [N]; -1 for boxes
            without an identity (yet).

        Raises:
            ValueError: embeddings that do not fit the boxes or earlier embeddings, or a timestamp that does
                not increase.
        """
        now, elapsed = self._clock(timestamp)
        boxes = boxes_of(detections)
        embeddings = self._embeddings(detections, boxes, frame, embeddings)
        self._predict(elapsed, now, frame, boxes)

        pair_costs = self._costs(boxes, embeddings, now, elapsed)
        rows, columns = self._associate(boxes, pair_costs)
        self._count(rows, columns, pair_costs)
        born = self._births(boxes, columns)
        if self.recorder is not None:
            seen = self._tracks, self._memory, boxes, embeddings, pair_costs
            self.recorder.look(*seen, self._mahalanobis(boxes), now, (rows, columns), born)
        if embeddings is not None:
            self._learn_appearance(rows, columns, boxes, embeddings, pair_costs, elapsed)
        self._correct(rows, columns, boxes, now)
        identities = self._settle(rows, columns, boxes, born, embeddings, now)
        if self.recorder is not None:
            self.recorder.name(self._tracks, identities)

        self.stats.frames += 1
        out = copy.copy(detections)
        out.data = dict(detections.data)
        out.tracker_id = identities
        return out

    def _clock(self, timestamp: float | None) -> tuple[float, float]:
        """Time of this frame, and seconds since the last one (0 on the first)."""
        if timestamp is not None and not math.isfinite(timestamp):
            raise ValueError(f"timestamp: expected seconds, got {timestamp}")
        if self._now is None:
            self._now = timestamp if timestamp is not None else 0.0
            return self._now, 0.0
        now = timestamp if timestamp is not None else self._now + 1.0 / self.config.frame_rate
        elapsed = now - self._now
        if elapsed <= 0:
            raise ValueError(f"timestamp: expected more than the last one, {self._now}, got {now}")
        self._now = now
        return now, elapsed

    def _embeddings(
        self,
        detections: sv.Detections,
        boxes: Boxes,
        frame: np.ndarray | None,
        embeddings: PartEmbeddings | None,
    ) -> PartEmbeddings | None:
        if embeddings is None:
            if self.encoder is None or frame is None:
                return None
            embeddings = self.encoder.encode(frame, detections.xyxy)
        if len(embeddings) != len(boxes.scores):
            raise ValueError(
                f"embeddings: expected {len(boxes.scores)} rows, one a box, got {len(embeddings)}"
            )
        embeddings = embeddings.to("cpu")
        if self._memory is None:
            self._memory = PartMemory(embeddings.part_names, embeddings.dim)
            parts = len(embeddings.part_names)
            blank = len(self._tracks)
            self._memory.add(
                np.zeros((blank, parts, embeddings.dim), np.float32), np.zeros((blank, parts), np.float32)
            )
        known = (self._memory.part_names, self._memory.features.shape[2])
        if known != (embeddings.part_names, embeddings.dim):
            raise ValueError(
                f"embeddings: expected parts {list(known[0])} with {known[1]} features as before, got "
                f"{list(embeddings.part_names)} with {embeddings.dim}; reset() the tracker to change encoders"
            )
        return embeddings

    def _predict(self, elapsed: float, now: float, frame: np.ndarray | None, boxes: Boxes) -> None:
        affine = None
        if frame is not None and self.config.camera_motion == "flow":
            affine = self._camera.estimate(frame, boxes.xyxy[boxes.usable])
        self._expire(now)
        tracks = self._tracks
        if not len(tracks):
            return
        if affine is not None:
            kalman.warp(tracks.state, affine)
        # Nobody grows or shrinks steadily while out of sight.
        tracks.state[kalman.VELOCITY, self._lost(now, elapsed), 2:] = 0
        kalman.predict(tracks.state, elapsed, self._noise)

    def _expire(self, now: float) -> None:
        """Drop the tracks that were lost for longer than anybody is waited for."""
        config, tracks = self.config, self._tracks
        wait = config.lost_seconds
        if self._memory is not None:
            wait = max(wait, config.appearance_seconds)
        keep = now - tracks.seen <= wait + _TICK
        if not keep.all():
            tracks.keep(keep)
            if self._memory is not None:
                self._memory.keep(keep)

    def _lost(self, now: float, elapsed: float) -> np.ndarray:
        """Mask [T] of the tracks that had no match in the frame before this one."""
        return self._tracks.seen < now - elapsed - _TICK

    def _costs(self, boxes: Boxes, embeddings: PartEmbeddings | None, now: float, elapsed: float) -> _Costs:
        config, tracks = self.config, self._tracks
        distances = None
        gate: float | np.ndarray = config.gate
        if embeddings is not None:
            assert self._memory is not None
            distances = self._memory.distances(embeddings)
            gate = np.where(np.isfinite(distances), config.gate_appearance, config.gate)
        overlap = costs.iou(kalman.to_xyxy(tracks.state[kalman.POSITION]), boxes.xyxy)
        forbidden = ~(self._mahalanobis(boxes) <= gate)
        forbidden |= ~boxes.usable
        if not config.class_agnostic:
            forbidden |= tracks.classes[:, None] != boxes.classes
        lost = self._lost(now, elapsed)
        long_lost = now - tracks.seen > config.lost_seconds + _TICK
        # After so long a prediction of the place is a guess: only the parts can speak for such a track.
        overlap[long_lost] = 0
        appearance = None
        if distances is None:
            forbidden |= long_lost[:, None]
        else:
            appearance = 2 * self._scale.different(distances) - 1
            # Where motion has to guess, appearance counts for more: enough to bring a person back without any
            # overlap, too little to take the boxes of people in plain sight.
            appearance *= np.where(lost, config.appearance_weight_lost, config.appearance_weight)[:, None]
            forbidden |= long_lost[:, None] & ~np.isfinite(distances)
        # A track seen in the last frame has the better claim to a box.
        claim = 1 + config.lost_penalty * lost[:, None]
        motion, motion_scored = claim - overlap, claim - overlap * boxes.scores
        motion[forbidden] = motion_scored[forbidden] = np.inf
        return _Costs(motion, motion_scored, appearance, distances, lost)

    def _mahalanobis(self, boxes: Boxes) -> np.ndarray:
        """Squared distance [T, N] of centre and height in standard deviations of track and box together."""
        position, _, variance, _, _ = self._tracks.state
        measured = np.square(self._noise.measurement * boxes.cxcywh[:, 3])
        total = np.zeros((len(position), len(measured)))
        for number in (0, 1, 3):
            distance = position[:, number, None] - boxes.cxcywh[:, number]
            distance *= distance
            distance /= variance[:, number, None] + measured
            total += distance
        return total

    def _associate(self, boxes: Boxes, pair_costs: _Costs) -> tuple[np.ndarray, np.ndarray]:
        """Rows of tracks and of boxes that belong together."""
        config, tracks = self.config, self._tracks
        if not len(tracks) or not len(boxes.scores):
            return _NOBODY, _NOBODY
        high = boxes.scores >= config.high_score
        low = ~high & (boxes.scores >= config.low_score)
        confirmed = tracks.ids > 0
        free_rows, free_columns = np.ones(len(tracks), bool), np.ones(len(high), bool)
        found: list[tuple[np.ndarray, np.ndarray]] = []

        def match(row_mask: np.ndarray, column_mask: np.ndarray, motion: np.ndarray, min_iou: float) -> None:
            rows = np.flatnonzero(row_mask & free_rows)
            columns = np.flatnonzero(column_mask & free_columns)
            if not len(rows) or not len(columns):
                return
            block = motion[rows[:, None], columns]
            if pair_costs.appearance is not None:
                block = block + pair_costs.appearance[rows[:, None], columns]
            r, c = costs.assign(block, 1 - min_iou)
            free_rows[rows[r]] = False
            free_columns[columns[c]] = False
            found.append((rows[r], columns[c]))

        match(confirmed, high, pair_costs.motion_scored, config.min_iou)
        match(confirmed & ~pair_costs.lost, low, pair_costs.motion, config.min_iou_low)
        match(~confirmed, high, pair_costs.motion_scored, config.min_iou_new)
        if not found:
            return _NOBODY, _NOBODY
        return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])

    def _count(self, rows: np.ndarray, columns: np.ndarray, pair_costs: _Costs) -> None:
        if pair_costs.appearance is None or not len(rows):
            self.stats.matches_motion += len(rows)
            return
        motion = pair_costs.motion
        mine = motion[rows, columns]
        needed = (mine > 1 - self.config.min_iou) | (mine > motion[rows].min(axis=1))
        self.stats.matches_appearance += int(needed.sum())
        self.stats.matches_motion += int((~needed).sum())

    def _births(self, boxes: Boxes, columns: np.ndarray) -> np.ndarray:
        """Rows of the boxes that start a track."""
        free = boxes.usable & (boxes.scores >= self.config.birth_score)
        free[columns] = False
        return np.flatnonzero(free)

    def _learn_appearance(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        boxes: Boxes,
        embeddings: PartEmbeddings,
        pair_costs: _Costs,
        elapsed: float,
    ) -> None:
        assert self._memory is not None
        assert pair_costs.distances is not None
        clear = costs.covered_share(boxes.xyxy)[columns] <= self.config.max_cover
        clear &= boxes.scores[columns] >= self.config.high_score
        rows, columns = rows[clear], columns[clear]
        if not len(rows):
            return
        sure = pair_costs.motion[rows, columns] <= 0.5
        block = pair_costs.distances[rows[sure][:, None], columns[sure]]
        off_diagonal = ~np.eye(len(block), dtype=bool)
        self._scale.learn(np.diagonal(block), block[off_diagonal], elapsed)
        features, visibility = embeddings.numpy()
        self._memory.learn(
            rows,
            features[columns],
            visibility[columns],
            keep_share=math.exp(-elapsed / self.config.memory_seconds),
            fade=math.exp(-elapsed / self.config.forget_seconds),
        )

    def _correct(self, rows: np.ndarray, columns: np.ndarray, boxes: Boxes, now: float) -> None:
        if not len(rows):
            return
        tracks = self._tracks
        matched = boxes.cxcywh[columns]
        tracks.state[:, rows] = kalman.update(
            tracks.state[:, rows], matched, self._noise.measurement * matched[:, 3:]
        )
        tracks.seen[rows] = now
        tracks.hits[rows] += 1
        tracks.classes[rows] = boxes.classes[columns]

    def _settle(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        boxes: Boxes,
        born: np.ndarray,
        embeddings: PartEmbeddings | None,
        now: float,
    ) -> np.ndarray:
        """Births and confirmations, and the end of unconfirmed tracks; returns the identities int64 [N]."""
        tracks = self._tracks
        keep = (tracks.ids > 0) | (tracks.seen == now)
        row_of_box = np.full(len(boxes.scores), -1)
        row_of_box[columns] = (np.cumsum(keep) - 1)[rows]
        if not keep.all():
            tracks.keep(keep)
            if self._memory is not None:
                self._memory.keep(keep)
        if len(born):
            row_of_box[born] = len(tracks) + np.arange(len(born))
            tracks.add(boxes, born, self._noise, now)
            if self._memory is not None:
                self._memory.add(*self._first_look(born, embeddings))
        # The first frame has nothing before it that could confirm a track.
        needed = 1 if self.stats.frames == 0 else self.config.confirm_hits
        shown = np.flatnonzero(row_of_box >= 0)
        shown_rows = row_of_box[shown]
        ready = shown_rows[(tracks.ids[shown_rows] == 0) & (tracks.hits[shown_rows] >= needed)]
        tracks.ids[ready] = self.stats.identities + 1 + np.arange(len(ready))
        self.stats.identities += len(ready)
        identities = np.full(len(boxes.scores), -1, np.int64)
        identities[shown] = tracks.ids[shown_rows]
        identities[identities == 0] = -1
        return identities

    def _first_look(
        self, born: np.ndarray, embeddings: PartEmbeddings | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features and visibility of the boxes that start tracks; nothing visible where there are none."""
        assert self._memory is not None
        if embeddings is not None:
            features, visibility = embeddings.numpy()
            return features[born], visibility[born]
        shape = (len(born), *self._memory.features.shape[1:])
        return np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
