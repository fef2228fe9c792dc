"""The life of a track: which box starts one, when it gets its identity, when it counts as lost, when it ends.

Functions on the columns of ``tracks``. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..config import TrackerConfig
from . import kalman
from .boxes import iou
from .tracks import TICK, Boxes, Tracks

# A free box that overlaps that of a matched track by more starts none: who walks is often found twice.
BIRTH_IOU = 0.5
# Time constant of a track's mean score. A longer one would keep alive what scored high once.
_SCORE_SECONDS = 1.0


def births(boxes: Boxes, matched: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """The columns, in rising order, that start a track, where the columns ``matched`` belong to tracks."""
    free = boxes.usable & (boxes.scores >= config.birth_score)
    free[matched] = False
    born = np.flatnonzero(free)
    again = iou(boxes.xyxy[born], boxes.xyxy[matched]) > BIRTH_IOU
    if not config.class_agnostic:
        again &= boxes.classes[born][:, None] == boxes.classes[matched]
    return born[~again.any(axis=1)]


def correct(
    tracks: Tracks, rows: np.ndarray, boxes: Boxes, columns: np.ndarray, noise: kalman.Noise, now: float
) -> None:
    """Bring tracks ``rows`` up to date with their boxes ``columns``."""
    if not len(rows):
        return
    matched = boxes.cxcywh[columns]
    tracks.state[:, rows] = kalman.update(tracks.state[:, rows], matched, noise.measurement * matched[:, 3:])
    again = ~tracks.has_position[rows]
    tracks.state[:, rows[again]] = kalman.start(matched[again], noise)
    tracks.has_position[rows] = True
    share = -np.expm1(-(now - tracks.seen[rows]) / _SCORE_SECONDS)
    tracks.mean_score[rows] += share * (boxes.scores[columns] - tracks.mean_score[rows])
    tracks.seen[rows] = now
    tracks.hits[rows] += 1
    tracks.classes[rows] = boxes.classes[columns]


def confirm(tracks: Tracks, rows: np.ndarray, hits: int, numbers: Iterator[int]) -> int:
    """Give those of ``rows`` an identity that have none and were matched ``hits`` times; returns how many."""
    ready = rows[(tracks.ids[rows] == 0) & (tracks.hits[rows] >= hits)]
    tracks.ids[ready] = [next(numbers) for _ in ready]
    return len(ready)


def hits_needed(seconds: float, elapsed: float) -> int:
    """Boxes from the first to that ``seconds`` later, where frames are ``elapsed`` seconds apart."""
    return 1 + round(seconds / elapsed)


def lost(tracks: Tracks, now: float, elapsed: float) -> np.ndarray:
    """Tracks without a match in the frame before this one, or parted from it by a cut: bool [T]."""
    return (tracks.seen < now - elapsed - TICK) | ~tracks.has_position


def alive(tracks: Tracks, has_memory: bool, now: float, elapsed: float, config: TrackerConfig) -> np.ndarray:
    """Tracks that may still be found in this frame, bool [T]; those with a memory of parts for longer.

    Who was seen in the last frame was not lost, however long ago that frame was.
    """
    wait = max(config.lost_seconds, config.appearance_seconds) if has_memory else config.lost_seconds
    within: np.ndarray = now - tracks.seen <= max(wait, elapsed) + TICK
    # After a cut only parts can tell who it is.
    return within & (tracks.has_position | ((tracks.ids > 0) & has_memory))
