"""The columns that the tracker works on: the boxes of a frame, and all living tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import kalman

if TYPE_CHECKING:
    import supervision as sv


# Sums of frame times are not exact; differences below this many seconds are none.
TICK = 1e-6


@dataclass
class Boxes:
    """The detections of one frame as columns."""

    xyxy: np.ndarray  # float64 [N, 4]
    cxcywh: np.ndarray  # float64 [N, 4]
    scores: np.ndarray  # float64 [N]
    classes: np.ndarray  # int64 [N]
    usable: np.ndarray  # bool [N]: finite, with an area


class Tracks:
    """All living tracks as columns; row t of every array is track t."""

    def __init__(self) -> None:
        self.state = np.zeros((5, 0, 4))
        self.ids = np.zeros(0, np.int64)  # 0 until confirmed
        self.seen = np.zeros(0)  # time of the last match
        self.hits = np.zeros(0, np.int64)
        self.mean_score = np.zeros(0)  # of its boxes in the last second
        self.has_position = np.zeros(0, bool)  # False from a cut to the next match: might be anywhere
        self.classes = np.zeros(0, np.int64)
        self.numbers = np.zeros(0, np.int64)  # from 0 in the order of birth, also of those never confirmed
        self._born = 0

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, rows: np.ndarray) -> None:
        """Drop all tracks outside the mask ``rows``."""
        self.state = self.state[:, rows]
        self.ids, self.seen, self.hits = self.ids[rows], self.seen[rows], self.hits[rows]
        self.mean_score = self.mean_score[rows]
        self.has_position = self.has_position[rows]
        self.classes, self.numbers = self.classes[rows], self.numbers[rows]

    def add(self, boxes: Boxes, born: np.ndarray, noise: kalman.Noise, now: float) -> None:
        """Append one track for each box row in ``born``."""
        count = len(born)
        self.state = np.concatenate((self.state, kalman.start(boxes.cxcywh[born], noise)), axis=1)
        self.ids = np.concatenate((self.ids, np.zeros(count, np.int64)))
        self.seen = np.concatenate((self.seen, np.full(count, now)))
        self.hits = np.concatenate((self.hits, np.ones(count, np.int64)))
        self.mean_score = np.concatenate((self.mean_score, boxes.scores[born]))
        self.has_position = np.concatenate((self.has_position, np.ones(count, bool)))
        self.classes = np.concatenate((self.classes, boxes.classes[born]))
        self.numbers = np.concatenate((self.numbers, self._born + np.arange(count)))
        self._born += count


def boxes_of(detections: sv.Detections) -> Boxes:
    """Columns of ``detections``; rows that are no box get score -1, so that no round takes them.

    A score is a share: one above 1 counts as 1, else its logarithm would speak for any pair.

    Raises:
        TypeError: something else than ``sv.Detections``, such as a bare array.
    """
    if not hasattr(detections, "xyxy"):
        raise TypeError(
            f"expected sv.Detections, got {type(detections).__name__}; "
            "make one of boxes and scores: sv.Detections(xyxy=boxes, confidence=scores)"
        )
    xyxy = np.asarray(detections.xyxy, np.float64).reshape(-1, 4)
    count = len(xyxy)
    scores = detections.confidence
    scores = np.ones(count) if scores is None else np.minimum(np.asarray(scores, np.float64), 1.0)
    classes = detections.class_id
    classes = np.zeros(count, np.int64) if classes is None else np.asarray(classes, np.int64)
    usable = np.isfinite(xyxy).all(axis=1) & np.isfinite(scores)
    usable &= (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    if not usable.all():
        xyxy = np.where(usable[:, None], xyxy, 0.0)
        scores = np.where(usable, scores, -1.0)
    return Boxes(xyxy, kalman.to_cxcywh(xyxy), scores, classes, usable)


@dataclass(frozen=True)
class TrackView:
    """Copies of what is known of all living tracks, for readers outside the tracker.

    Attributes:
        ids: int64 [T], identities; 0 until confirmed.
        numbers: int64 [T], from 0 in the order of birth, also of those never confirmed.
        xyxy: float64 [T, 4], pixels, at the time of the last frame: corrected by a box or predicted.
        seen: float64 [T], seconds, time of the last match.
    """

    ids: np.ndarray
    numbers: np.ndarray
    xyxy: np.ndarray
    seen: np.ndarray


def view_of(tracks: Tracks) -> TrackView:
    """A view that later frames do not change."""
    xyxy = kalman.to_xyxy(tracks.state[kalman.POSITION])
    return TrackView(tracks.ids.copy(), tracks.numbers.copy(), xyxy, tracks.seen.copy())
