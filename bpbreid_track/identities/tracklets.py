"""Tracklets as linking sees them: where each begins and ends, and how well one continues another."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..tracking.kalman import to_cxcywh

# Seconds at either end of a tracklet from which its speed there is taken.
_SPEED_SECONDS = 0.6
# Boxes that a speed needs; a slope through fewer is mostly jitter.
_SPEED_BOXES = 4


@dataclass(frozen=True)
class TrackedRows:
    """Boxes of a whole run as columns, sorted by frame. R rows.

    Attributes:
        frame: int64 [R], position of the frame among those read.
        time: float64 [R], its timestamp in seconds.
        id: int64 [R], -1 for a box without identity.
        xyxy: float64 [R, 4] pixels.
        confidence: float32 [R].
        class_id: int64 [R].
        filled: bool [R], boxes that no detector gave.
    """

    frame: np.ndarray
    time: np.ndarray
    id: np.ndarray
    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    filled: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: np.ndarray) -> TrackedRows:
        """Rows by mask or index array."""
        return TrackedRows(*(getattr(self, field.name)[index] for field in fields(self)))

    def sorted(self) -> TrackedRows:
        """The same rows by frame; those of one frame keep their order."""
        return self[np.argsort(self.frame, kind="stable")]


def concatenate(parts: list[TrackedRows]) -> TrackedRows:
    """Rows of all ``parts`` one below the other."""
    return TrackedRows(
        *(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(TrackedRows))
    )


@dataclass(frozen=True)
class Ends:
    """First and last box of T tracklets.

    Attributes:
        ids: int64 [T], ascending.
        time: float64 [T, 2], seconds of first and last box.
        position: float64 [T, 2, 2], centre (x, y) of both in pixels.
        height: float64 [T, 2], pixels, medians of the boxes near either end.
        velocity: float64 [T, 2, 2], pixels a second near either end; 0 where too few boxes tell.
    """

    ids: np.ndarray
    time: np.ndarray
    position: np.ndarray
    height: np.ndarray
    velocity: np.ndarray


def ends_of(rows: TrackedRows) -> Ends:
    """Ends of all tracklets in ``rows``; boxes without identity are passed over."""
    rows = rows[rows.id >= 0]
    order = np.lexsort((rows.frame, rows.id))
    rows = rows[order]
    ids, starts = np.unique(rows.id, return_index=True)
    boxes = to_cxcywh(rows.xyxy)
    count = len(ids)
    time, height = np.zeros((count, 2)), np.zeros((count, 2))
    position, velocity = np.zeros((count, 2, 2)), np.zeros((count, 2, 2))
    for t, (start, stop) in enumerate(zip(starts, np.append(starts, len(rows))[1:], strict=True)):
        times = rows.time[start:stop]
        time[t] = times[[0, -1]]
        near_first = times <= times[0] + _SPEED_SECONDS
        near_last = times >= times[-1] - _SPEED_SECONDS
        for end, (near, row) in enumerate(((near_first, 0), (near_last, -1))):
            chosen = boxes[start:stop][near]
            position[t, end] = boxes[start:stop][row, :2]
            height[t, end] = np.median(chosen[:, 3])
            velocity[t, end] = _slope(times[near], chosen[:, :2])
    return Ends(ids, time, position, height, velocity)


def _slope(times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Least-squares velocity [2] of positions [N, 2]."""
    if len(times) < _SPEED_BOXES:
        return np.zeros(2)
    centred = times - times.mean()
    slope: np.ndarray = centred @ positions / (centred @ centred)
    return slope


@dataclass(frozen=True)
class Continuations:
    """How well tracklet b would continue tracklet a, for all pairs [T, T] (a in rows).

    Attributes:
        gap: seconds from the end of a to the start of b; not above 0 where b does not start after a.
        miss: how far the position foreseen from either end is from the other, in heights, mean of both.
        growth: absolute logarithm of the ratio of heights.
    """

    gap: np.ndarray
    miss: np.ndarray
    growth: np.ndarray


def continuations(ends: Ends, coast_seconds: float) -> Continuations:
    """All pairs of tracklets as end and start of one.

    Args:
        ends: T tracklets.
        coast_seconds: how long a person is taken to go on at the speed of the end; after that, to stand.
    """
    gap = ends.time[None, :, 0] - ends.time[:, None, 1]
    coast = np.clip(gap, 0, coast_seconds)[..., None]
    apart = ends.position[None, :, 0] - ends.position[:, None, 1]
    height = np.sqrt(ends.height[None, :, 0] * ends.height[:, None, 1])
    forwards = np.linalg.norm(apart - coast * ends.velocity[:, None, 1], axis=2)
    backwards = np.linalg.norm(apart - coast * ends.velocity[None, :, 0], axis=2)
    growth = np.abs(np.log(ends.height[None, :, 0] / ends.height[:, None, 1]))
    return Continuations(gap, (forwards + backwards) / (2 * height), growth)


def seen_together(rows: TrackedRows, ids: np.ndarray) -> np.ndarray:
    """Mask [T, T] of the identities (ascending ``ids``) with boxes in one frame: certainly two people."""
    rows = rows[rows.id >= 0]
    number = np.searchsorted(ids, rows.id)
    together = np.zeros((len(ids), len(ids)), bool)
    starts = np.flatnonzero(np.r_[True, np.diff(rows.frame) > 0]) if len(rows) else np.zeros(0, np.intp)
    for group in np.split(number, starts[1:]):
        together[np.ix_(group, group)] = True
    np.fill_diagonal(together, False)
    return together
