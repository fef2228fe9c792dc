"""PartTracker: ByteTrack's rounds with the visibility-masked part distance in each of them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..config import TrackerConfig
from ..frames import check_image
from . import kalman
from .appearance_memory import FORGET_SECONDS, MEAN_SECONDS, AppearanceMemory
from .association import Trace, associate
from .boxes import clear_boxes, iou
from .camera_motion import CameraMotion, CameraStep
from .distance_calibration import DistanceCalibration
from .encode_policy import BoxEncoder, encode_rows, hide, in_doubt, resolve_encode
from .evidence import Evidence, MotionCues, motion_cues, weigh
from .motion_calibration import MotionCalibration
from .observer import AssociatedFrame, Observer
from .tracks import TICK, Boxes, Tracks, TrackView, boxes_of, view_of

if TYPE_CHECKING:
    import supervision as sv

    from ..embeddings import PartEmbeddings

# Embeddings after which a memory is more than a first impression.
_FIRST_EMBEDDINGS = 10
# Overlap with the box of a matched track from which a free box starts none: a stride is often found twice.
BIRTH_IOU = 0.5
# Nobody waits longer than this for an identity: at few frames a second fewer boxes confirm a track.
CONFIRM_SECONDS = 0.15
# A pair whose place says this much is an example of one person.
_SURE = 2.0
# Boxes of the last second say whether a track is a person. Longer would keep alive what scored high once.
_SCORE_SECONDS = 1.0
# Between frames farther apart people are expected where they would be after so many seconds: how far they
# have walked since nobody knows, and most who are still in view have not.
_LONGEST_STEP = 3.0


@dataclass
class TrackerStats:
    """Counts since the start or the last reset.

    Attributes:
        frames: frames seen.
        identities: identities given out.
        matches_motion: matches that motion alone would have made too.
        matches_appearance: matches that needed the part distance: the place spoke against them, or more for
            another box.
        boxes: boxes seen.
        encoded: boxes whose embedding was used.
    """

    frames: int = 0
    identities: int = 0
    matches_motion: int = 0
    matches_appearance: int = 0
    boxes: int = 0
    encoded: int = 0


@dataclass(slots=True)
class Candidates:
    """A frame on its way through the tracker: its boxes, and what motion says of them.

    Attributes:
        detections: as given.
        wanted: bool [N], boxes whose embeddings will be used; others need not be encoded.
    """

    detections: sv.Detections
    wanted: np.ndarray
    _boxes: Boxes
    _cues: MotionCues
    _now: float
    _elapsed: float


class PartTracker:
    """Gives detections identities that last.

    What place and parts say of a track and a box is one number, a log-likelihood ratio (``evidence``),
    whether the person was seen a frame ago or seconds ago. Each frame goes through the rounds of
    ``association.associate``: boxes of high score, boxes of low score, and tracks not yet confirmed. Boxes
    that nobody claimed start new tracks. What a distance in the picture or between parts is worth is learnt
    from the stream.

    ``update`` is ``candidates`` and ``associate`` one after the other; who encodes by other means calls the
    two and encodes in between.

    Attributes:
        config, encoder: as given.
        stats: counts since the start.
        embeddings: those that the last frame was settled with, a row for each of its boxes, with nothing
            visible in boxes that were not encoded; None without appearance.
        recorder: is shown every frame, if there is one (``explain.recorder.ReasonRecorder``).

    Instances are independent of each other, and two runs over the same input give the same identities.

    Args:
        config: settings; the defaults suit street scenes.
        encoder: used by ``update`` when a frame is given without embeddings.
        camera_motion: follows the camera where ``config.camera_motion`` is ``flow``; None: by optical flow.
        numbers: gives out identities; None: from 1 on, anew after each ``reset``.

    >>> import supervision as sv
    >>> tracker = PartTracker()
    >>> boxes = sv.Detections(xyxy=np.array([[10., 10., 50., 120.]]), confidence=np.array([0.9]))
    >>> tracker.update(boxes).tracker_id.tolist()
    [1]
    """

    def __init__(
        self,
        config: TrackerConfig | None = None,
        encoder: BoxEncoder | None = None,
        *,
        camera_motion: CameraMotion | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.config = config or TrackerConfig()
        self._given_numbers = numbers
        self.encoder = encoder
        self.recorder: Observer | None = None
        self._camera = camera_motion or CameraMotion()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first, and identities start from 1 again."""
        self.stats = TrackerStats()
        self.embeddings: PartEmbeddings | None = None
        self._numbers = self._given_numbers or itertools.count(1)
        self._tracks = Tracks()
        self._memory: AppearanceMemory | None = None
        self._calibration = DistanceCalibration()
        self._motion = MotionCalibration()
        self._extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._camera.reset()
        self._now: float | None = None

    @property
    def tracks(self) -> TrackView:
        """All living tracks as they are now, those not confirmed and those out of sight among them."""
        return view_of(self._tracks)

    @property
    def memory(self) -> AppearanceMemory | None:
        """What is remembered of the parts of ``tracks``, row by row; None before the first embeddings."""
        return self._memory

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
            ValueError: embeddings that do not fit the boxes or earlier embeddings, a timestamp that does
                not increase, or a frame of another type or shape.
        """
        asked = self.encoder if embeddings is None and frame is not None else None
        encode = resolve_encode(self.config.encode, asked)
        found = self.candidates(detections, frame, timestamp=timestamp, encode=encode)
        if asked is not None:
            assert frame is not None
            embeddings = encode_rows(asked, frame, detections.xyxy, found.wanted)
        return self.associate(found, embeddings)

    def candidates(
        self,
        detections: sv.Detections,
        frame: np.ndarray | None = None,
        *,
        timestamp: float | None = None,
        encode: Literal["all", "ambiguous"] = "all",
    ) -> Candidates:
        """First half of ``update``: predict the tracks to this frame, and say which boxes must be encoded.

        Args:
            detections: as for ``update``.
            frame: as for ``update``; serves the motion of the camera alone.
            timestamp: as for ``update``.
            encode: ``ambiguous``: only boxes that motion cannot settle are wanted.

        Raises:
            ValueError: a timestamp that does not increase, or a frame of another type or shape.
        """
        if frame is not None:
            frame = check_image(frame)
        now, elapsed = self._clock(timestamp)
        boxes = boxes_of(detections)
        self._predict(elapsed, now, frame, boxes)
        lost = self._lost(now, elapsed)
        noise, picture = self._motion.noise, self._picture_area(boxes)
        cues = motion_cues(self._tracks, boxes, lost, self.config, noise.measurement, picture)
        wanted = np.ones(len(boxes.scores), bool)
        if encode == "ambiguous":
            wanted = self._in_doubt(boxes, cues, now)
        return Candidates(detections, wanted, boxes, cues, now, elapsed)

    def associate(self, found: Candidates, embeddings: PartEmbeddings | None = None) -> sv.Detections:
        """Second half of ``update``: settle the frame.

        Args:
            found: what ``candidates`` gave for this frame.
            embeddings: N rows, one a box; rows that are not ``wanted`` are not used. None: motion alone.

        Returns:
            As ``update``.

        Raises:
            ValueError: embeddings that do not fit the boxes or earlier embeddings.
        """
        boxes, cues, now = found._boxes, found._cues, found._now
        self.embeddings = embeddings = self._used(embeddings, found.wanted, now)
        away = now - self._tracks.seen
        evidence = weigh(
            cues,
            boxes.scores,
            self._tracks.mean_score,
            away,
            self._memory,
            self._calibration,
            embeddings,
            self.config,
        )
        trace = associate(evidence, boxes.scores, self._tracks.ids > 0, self.config)
        rows, columns = trace.tracks, trace.boxes
        born = self._births(boxes, columns)
        if self.recorder is not None:
            seen = self._tracks, self._memory, boxes, embeddings, cues, evidence, trace, born, now
            self.recorder.look(AssociatedFrame(*seen))
        if embeddings is not None:
            self._learn_appearance(trace, boxes, embeddings, cues, evidence, now, found._elapsed)
        self._learn_motion(rows, columns, boxes, cues.lost, found._elapsed)
        self._correct(rows, columns, boxes, now)
        identities = self._settle(rows, columns, boxes, born, embeddings, now, found._elapsed)
        if self.recorder is not None:
            self.recorder.name(self._tracks, identities)

        self.stats.frames += 1
        self.stats.boxes += len(boxes.scores)
        by_appearance = int(np.count_nonzero(trace.by_appearance))
        self.stats.matches_appearance += by_appearance
        self.stats.matches_motion += len(rows) - by_appearance
        out = copy.copy(found.detections)
        out.data = dict(found.detections.data)
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

    def _picture_area(self, boxes: Boxes) -> float:
        """Area of the picture in square pixels, by all boxes so far: frames need not be given."""
        sound = boxes.xyxy[boxes.usable]
        if len(sound):
            np.minimum(self._extent[:2], sound[:, :2].min(axis=0), out=self._extent[:2])
            np.maximum(self._extent[2:], sound[:, 2:].max(axis=0), out=self._extent[2:])
        left, top, right, bottom = self._extent
        return float((right - left) * (bottom - top)) if right > left else 1.0

    def _used(
        self, embeddings: PartEmbeddings | None, wanted: np.ndarray, now: float
    ) -> PartEmbeddings | None:
        """The embeddings, checked, with nothing visible in boxes that are not ``wanted``."""
        if embeddings is None:
            return None
        if len(embeddings) != len(wanted):
            raise ValueError(f"embeddings: expected {len(wanted)} rows, one a box, got {len(embeddings)}")
        embeddings = hide(embeddings.to("cpu"), ~wanted)
        self.stats.encoded += int(wanted.sum())
        if self._memory is None:
            self._memory = AppearanceMemory(embeddings.part_names, embeddings.dim)
            self._memory.add(*self._unseen(len(self._tracks)), now)
        known = (self._memory.part_names, self._memory.features.shape[2])
        if known != (embeddings.part_names, embeddings.dim):
            raise ValueError(
                f"embeddings: expected parts {list(known[0])} with {known[1]} features as before, got "
                f"{list(embeddings.part_names)} with {embeddings.dim}; reset() the tracker to change encoders"
            )
        return embeddings

    def _in_doubt(self, boxes: Boxes, cues: MotionCues, now: float) -> np.ndarray:
        confirmed = self._tracks.ids > 0
        memory = self._memory
        wanting = np.ones(len(self._tracks), bool)
        if memory is not None:
            wanting = now - memory.learned > self.config.refresh_seconds - TICK
            wanting |= memory.counts.max(axis=1, initial=0) < _FIRST_EMBEDDINGS
        return in_doubt(cues, boxes.scores, confirmed, wanting, self.config) & boxes.usable

    def _predict(self, elapsed: float, now: float, frame: np.ndarray | None, boxes: Boxes) -> None:
        step = CameraStep()
        if frame is not None and self.config.camera_motion == "flow":
            step = self._camera.estimate(frame, boxes.xyxy[boxes.usable])
        if step.cut:
            self._tracks.has_position[:] = False
        self._expire(now, elapsed)
        tracks = self._tracks
        if not len(tracks):
            return
        if step.affine is not None:
            kalman.warp(tracks.state, step.affine)
        # Nobody grows or shrinks steadily while out of sight.
        tracks.state[kalman.VELOCITY, self._lost(now, elapsed), 2:] = 0
        kalman.predict(tracks.state, min(elapsed, _LONGEST_STEP), self._motion.noise)

    def _expire(self, now: float, elapsed: float) -> None:
        """Drop the tracks that were lost for longer than anybody is waited for.

        Who was seen in the last frame was not lost, however long ago that frame was.
        """
        config, tracks = self.config, self._tracks
        wait = config.lost_seconds
        if self._memory is not None:
            wait = max(wait, config.appearance_seconds)
        keep = now - tracks.seen <= max(wait, elapsed) + TICK
        # After a cut only parts can tell who it is.
        keep &= tracks.has_position | ((tracks.ids > 0) & (self._memory is not None))
        if not keep.all():
            tracks.keep(keep)
            if self._memory is not None:
                self._memory.keep(keep)

    def _lost(self, now: float, elapsed: float) -> np.ndarray:
        """Mask [T] of the tracks without a match in the frame before this one, or parted from it by a cut."""
        return (self._tracks.seen < now - elapsed - TICK) | ~self._tracks.has_position

    def _births(self, boxes: Boxes, columns: np.ndarray) -> np.ndarray:
        """Rows of the boxes that start a track."""
        free = boxes.usable & (boxes.scores >= self.config.birth_score)
        free[columns] = False
        born = np.flatnonzero(free)
        again = iou(boxes.xyxy[born], boxes.xyxy[columns]) > BIRTH_IOU
        if not self.config.class_agnostic:
            again &= boxes.classes[born][:, None] == boxes.classes[columns]
        return born[~again.any(axis=1)]

    def _learn_appearance(
        self,
        trace: Trace,
        boxes: Boxes,
        embeddings: PartEmbeddings,
        cues: MotionCues,
        evidence: Evidence,
        now: float,
        elapsed: float,
    ) -> None:
        assert self._memory is not None
        assert evidence.distances is not None
        features, visibility = embeddings.numpy()
        rows, columns = trace.tracks, trace.boxes
        clear = clear_boxes(boxes.xyxy, boxes.scores, self.config.max_cover, self.config.high_score)[columns]
        clear &= (visibility[columns] > 0).any(axis=1)
        rows, columns = rows[clear], columns[clear]
        if not len(rows):
            return
        sure = cues.place[rows, columns] > _SURE
        block = evidence.distances[rows[sure][:, None], columns[sure]]
        off_diagonal = ~np.eye(len(block), dtype=bool)
        self._calibration.learn(np.diagonal(block), block[off_diagonal], elapsed)
        self._memory.learn(
            rows,
            features[columns],
            visibility[columns],
            now,
            mean_seconds=MEAN_SECONDS,
            forget_seconds=FORGET_SECONDS,
        )

    def _learn_motion(
        self, rows: np.ndarray, columns: np.ndarray, boxes: Boxes, lost: np.ndarray, elapsed: float
    ) -> None:
        """From tracks in sight whose speed is known; of lost ones those were found that strayed little."""
        known = ~lost[rows] & (self._tracks.hits[rows] > 1)
        self._motion.learn(self._tracks.state[:, rows[known]], boxes.cxcywh[columns[known]], elapsed)

    def _correct(self, rows: np.ndarray, columns: np.ndarray, boxes: Boxes, now: float) -> None:
        if not len(rows):
            return
        tracks = self._tracks
        matched = boxes.cxcywh[columns]
        noise = self._motion.noise
        tracks.state[:, rows] = kalman.update(
            tracks.state[:, rows], matched, noise.measurement * matched[:, 3:]
        )
        again = ~tracks.has_position[rows]
        tracks.state[:, rows[again]] = kalman.start(matched[again], noise)
        tracks.has_position[rows] = True
        share = -np.expm1(-(now - tracks.seen[rows]) / _SCORE_SECONDS)
        tracks.mean_score[rows] += share * (boxes.scores[columns] - tracks.mean_score[rows])
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
        elapsed: float,
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
            tracks.add(boxes, born, self._motion.noise, now)
            if self._memory is not None:
                self._memory.add(*self._first_embeddings(born, embeddings), now)
        # The first frame has nothing before it that could confirm a track.
        needed = 1
        if self.stats.frames:
            needed = min(self.config.min_hits, max(1, round(CONFIRM_SECONDS / elapsed)))
        shown = np.flatnonzero(row_of_box >= 0)
        shown_rows = row_of_box[shown]
        ready = shown_rows[(tracks.ids[shown_rows] == 0) & (tracks.hits[shown_rows] >= needed)]
        tracks.ids[ready] = [next(self._numbers) for _ in ready]
        self.stats.identities += len(ready)
        identities = np.full(len(boxes.scores), -1, np.int64)
        identities[shown] = tracks.ids[shown_rows]
        identities[identities == 0] = -1
        return identities

    def _first_embeddings(
        self, born: np.ndarray, embeddings: PartEmbeddings | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features and visibility of the boxes that start tracks."""
        if embeddings is None:
            return self._unseen(len(born))
        features, visibility = embeddings.numpy()
        return features[born], visibility[born]

    def _unseen(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Features and visibility of ``count`` tracks of which no part was ever seen."""
        assert self._memory is not None
        shape = (count, *self._memory.features.shape[1:])
        return np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
