"""PartTracker: ByteTrack's rounds with the visibility-masked part distance in each of them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..config import TrackerConfig
from ..frames import check_image
from . import kalman, lifecycle
from .appearance import Appearance
from .appearance_memory import AppearanceMemory
from .association import Trace, associate
from .camera_motion import CameraMotion, CameraStep
from .encode_policy import BoxEncoder, encode_rows, in_doubt, resolve_encode
from .evidence import MotionCues, motion_cues, weigh
from .motion_calibration import MotionCalibration
from .observer import AssociatedFrame, Observer
from .place import place_spread
from .tracks import Boxes, Tracks, TrackView, boxes_of, view_of

if TYPE_CHECKING:
    import supervision as sv

    from ..embeddings import PartEmbeddings

# Predictions reach no farther than so many seconds from one frame to the next: most people who are in view
# again have not gone far.
_LONGEST_STEP = 3.0
# Boxes of a track whose speed is known.
_SPEED_HITS = 3


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
        cuts: how often the picture was seen to be cut.
    """

    frames: int = 0
    identities: int = 0
    matches_motion: int = 0
    matches_appearance: int = 0
    boxes: int = 0
    encoded: int = 0
    cuts: int = 0


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
        camera_step: what the camera did before the last frame.
        embeddings: those that the last frame was settled with, a row for each of its boxes, with nothing
            visible in boxes that were not encoded; None without appearance.
        track_numbers: int64 [N], for each box of the last frame the number of its track as in ``TrackView``,
            confirmed or not; -1 where it has none.
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
        if config is not None and not isinstance(config, TrackerConfig):
            raise TypeError(f"config: expected a TrackerConfig, got {type(config).__name__}")
        self.config = config or TrackerConfig()
        self._given_numbers = numbers
        self.encoder = encoder
        self.recorder: Observer | None = None
        self._camera = camera_motion or CameraMotion()
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first, and identities start from 1 again."""
        self.stats = TrackerStats()
        self.camera_step = CameraStep()
        self.embeddings: PartEmbeddings | None = None
        self.track_numbers = np.zeros(0, np.int64)
        self._numbers = self._given_numbers or itertools.count(1)
        self._tracks = Tracks()
        self._appearance = Appearance()
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
        return self._appearance.memory

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
            TypeError: something else than ``sv.Detections``, or a timestamp that is no number.
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
        boxes = boxes_of(detections)
        now, elapsed = self._clock(timestamp)
        lost = self._predict(elapsed, now, frame, boxes)
        spread = self._motion.noise.measurement
        if self._appearance.memory is not None:
            spread = place_spread(spread, elapsed)
        cues = motion_cues(self._tracks, boxes, lost, self.config, spread, self._picture_area(boxes))
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
        boxes, cues, now, elapsed = found._boxes, found._cues, found._now, found._elapsed
        tracks, looks = self._tracks, self._appearance
        self.embeddings = embeddings = looks.admit(embeddings, found.wanted, len(tracks), now)
        evidence = weigh(
            cues,
            boxes.scores,
            tracks.mean_score,
            now - tracks.seen,
            looks.memory,
            looks.calibration,
            embeddings,
            self.config,
        )
        trace = associate(evidence, boxes.scores, tracks.ids > 0, self.config)
        born = lifecycle.births(boxes, trace.boxes, self.config)
        if self.recorder is not None:
            seen = tracks, looks.memory, boxes, embeddings, cues, evidence, trace, born, now
            self.recorder.look(AssociatedFrame(*seen))
        if embeddings is not None:
            looks.learn(trace, boxes, embeddings, cues, evidence, self.config, now, elapsed)
        self._learn_motion(trace, boxes, cues.lost, elapsed)
        lifecycle.correct(tracks, trace.tracks, boxes, trace.boxes, self._motion.noise, now)
        identities = self._settle(trace, boxes, born, embeddings, now, elapsed)
        if self.recorder is not None:
            self.recorder.name(tracks, identities)

        self._count(trace, found, encoded=embeddings is not None)
        out = copy.copy(found.detections)
        out.data = dict(found.detections.data)
        out.tracker_id = identities
        return out

    def _count(self, trace: Trace, found: Candidates, encoded: bool) -> None:
        by_appearance = int(np.count_nonzero(trace.by_appearance))
        self.stats.frames += 1
        self.stats.boxes += len(found.wanted)
        self.stats.encoded += int(found.wanted.sum()) if encoded else 0
        self.stats.matches_appearance += by_appearance
        self.stats.matches_motion += len(trace.tracks) - by_appearance

    def _clock(self, timestamp: float | None) -> tuple[float, float]:
        """Time of this frame, and seconds since the last one (0 on the first)."""
        if timestamp is not None:
            if not isinstance(timestamp, Real):
                raise TypeError(f"timestamp: expected a number of seconds, got {type(timestamp).__name__}")
            timestamp = float(timestamp)
            if not math.isfinite(timestamp):
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

    def _in_doubt(self, boxes: Boxes, cues: MotionCues, now: float) -> np.ndarray:
        """Boxes that motion alone does not settle, bool [N]."""
        tracks = self._tracks
        wanting = self._appearance.wanting(len(tracks), now, self.config.refresh_seconds)
        return in_doubt(cues, boxes.scores, tracks.ids > 0, wanting, self.config) & boxes.usable

    def _predict(self, elapsed: float, now: float, frame: np.ndarray | None, boxes: Boxes) -> np.ndarray:
        """Move the tracks to where they should be in this frame; drop those nobody waits for any more.

        Returns:
            bool [T], which of those that stay are lost.
        """
        step = CameraStep()
        if frame is not None and self.config.camera_motion == "flow":
            step = self._camera.estimate(frame, boxes.xyxy[boxes.usable])
        self.camera_step = step
        self.stats.cuts += step.cut
        if step.cut:
            self._tracks.has_position[:] = False
        tracks = self._tracks
        remembered = self._appearance.memory is not None
        self._keep(lifecycle.alive(tracks, remembered, now, elapsed, self.config))
        lost = lifecycle.lost(tracks, now, elapsed)
        if not len(tracks):
            return lost
        if step.affine is not None:
            kalman.warp(tracks.state, step.affine)
        # Nobody grows or shrinks steadily while out of sight.
        tracks.state[kalman.VELOCITY, lost, 2:] = 0
        seconds, noise = min(elapsed, _LONGEST_STEP), self._motion.noise
        if not remembered:
            # By motion alone places are compared only with one another, and the nearest is best.
            kalman.predict(tracks.state, seconds, noise, fading=False)
            return lost
        known = ~lost & (tracks.ids > 0) & (tracks.hits > _SPEED_HITS)
        self._motion.learn_speeds(tracks.state, known, elapsed)
        kalman.predict(tracks.state, seconds, self._motion.noise_of(lost))
        return lost

    def _learn_motion(self, trace: Trace, boxes: Boxes, lost: np.ndarray, elapsed: float) -> None:
        """From tracks in sight whose speed is known.

        Lost ones would teach too little noise: found again are mostly those that strayed little.
        """
        rows, columns = trace.tracks, trace.boxes
        known = ~lost[rows] & (self._tracks.hits[rows] > 1)
        self._motion.learn(self._tracks.state[:, rows[known]], boxes.cxcywh[columns[known]], elapsed)

    def _settle(
        self,
        trace: Trace,
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
        row_of_box[trace.boxes] = (np.cumsum(keep) - 1)[trace.tracks]
        self._keep(keep)
        if len(born):
            row_of_box[born] = len(tracks) + np.arange(len(born))
            tracks.add(boxes, born, self._motion.noise, now)
            self._appearance.add(born, embeddings, now)
        shown = np.flatnonzero(row_of_box >= 0)
        rows = row_of_box[shown]
        # The first frame has nothing before it that could confirm a track.
        hits = lifecycle.hits_needed(self.config.confirm_seconds, elapsed) if self.stats.frames else 1
        self.stats.identities += lifecycle.confirm(tracks, rows, hits, self._numbers)
        identities = np.full(len(boxes.scores), -1, np.int64)
        identities[shown] = tracks.ids[rows]
        identities[identities == 0] = -1
        self.track_numbers = np.full(len(boxes.scores), -1, np.int64)
        self.track_numbers[shown] = tracks.numbers[rows]
        return identities

    def _keep(self, rows: np.ndarray) -> None:
        """Drop all tracks outside the mask ``rows``, and what is remembered of them."""
        if not rows.all():
            self._tracks.keep(rows)
            self._appearance.keep(rows)
