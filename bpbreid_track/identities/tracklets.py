"""Tracklets as linking sees them: where each begins and ends, and how well one continues another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ..tracking.kalman import to_cxcywh
from ..tracking.tracks import TICK

# Seconds at either end of a tracklet from which its speed there is taken.
_SPEED_SECONDS = 0.6
# Boxes that a speed needs; a slope through fewer is mostly jitter.
_SPEED_BOXES = 4
# Pairs that are looked at together: what bounds the memory of long runs.
_PAIRS_AT_ONCE = 1 << 19


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
    """K pairs of tracklets, and how well the later one would continue the earlier.

    Attributes:
        earlier, later: int64 [K], rows of ``Ends``.
        gap: seconds from the end of the one to the start of the other, above 0.
        miss: how far the position foreseen from either end is from the other, in heights, mean of both.
        growth: absolute logarithm of the ratio of heights.
    """

    earlier: np.ndarray
    later: np.ndarray
    gap: np.ndarray
    miss: np.ndarray
    growth: np.ndarray

    def __len__(self) -> int:
        return len(self.earlier)

    def __getitem__(self, index: np.ndarray) -> Continuations:
        """Pairs by mask or index array."""
        return Continuations(*(getattr(self, field.name)[index] for field in fields(self)))


def continuations(ends: Ends, coast_seconds: float, longest: float) -> Iterator[Continuations]:
    """The pairs of tracklets as end and start of one, some at a time.

    Args:
        ends: T tracklets.
        coast_seconds: how long a person is taken to go on at the speed of the end; after that, to stand.
        longest: seconds between the two at most. Other pairs are not looked at.
    """
    by_start = np.argsort(ends.time[:, 0], kind="stable")
    starts = ends.time[by_start, 0]
    first = np.searchsorted(starts, ends.time[:, 1], "left")
    after = np.searchsorted(starts, ends.time[:, 1] + (longest + TICK), "right")
    for rows in _spans(after - first):
        earlier, place = expand(rows, first[rows], after[rows])
        later = by_start[place]
        gap = ends.time[later, 0] - ends.time[earlier, 1]
        close = (gap > 0) & (gap <= longest)
        yield _continuation(ends, earlier[close], later[close], gap[close], coast_seconds)


def _continuation(
    ends: Ends, earlier: np.ndarray, later: np.ndarray, gap: np.ndarray, coast_seconds: float
) -> Continuations:
    coast = np.clip(gap, 0, coast_seconds)[:, None]
    apart = ends.position[later, 0] - ends.position[earlier, 1]
    height = np.sqrt(ends.height[later, 0] * ends.height[earlier, 1])
    forwards = np.linalg.norm(apart - coast * ends.velocity[earlier, 1], axis=1)
    backwards = np.linalg.norm(apart - coast * ends.velocity[later, 0], axis=1)
    growth = np.abs(np.log(ends.height[later, 0] / ends.height[earlier, 1]))
    return Continuations(earlier, later, gap, (forwards + backwards) / (2 * height), growth)


def seen_together(rows: TrackedRows, ids: np.ndarray) -> np.ndarray:
    """Pairs of identities with boxes in one frame: certainly two people.

    Args:
        rows: boxes of a run, sorted by frame.
        ids: identities of which pairs are asked for, ascending.

    Returns:
        int64 [K, 2], rows of ``ids``, the smaller first; each pair once, in ascending order.
    """
    rows = rows[rows.id >= 0]
    number = np.searchsorted(ids, rows.id)
    frame = np.unique(rows.frame, return_inverse=True)[1]
    # Two people in one frame were together before unless one of them has just come: look at those who come.
    order = np.lexsort((frame, number))
    came = np.ones(len(rows), bool)
    came[order[1:]] = (np.diff(number[order]) > 0) | (np.diff(frame[order]) > 1)
    first = np.searchsorted(frame, frame, "left")
    after = np.searchsorted(frame, frame, "right")
    codes = [np.zeros(0, np.int64)]
    newcomers = np.flatnonzero(came)
    for span in _spans((after - first)[newcomers]):
        chosen = newcomers[span]
        one, other = expand(chosen, first[chosen], after[chosen])
        low, high = np.minimum(number[one], number[other]), np.maximum(number[one], number[other])
        codes.append(np.unique(low[low < high] * len(ids) + high[low < high]))
    pairs = np.unique(np.concatenate(codes))
    return np.stack(np.divmod(pairs, max(1, len(ids))), axis=1)


def _spans(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Indices of ``sizes`` in runs that sum to about ``_PAIRS_AT_ONCE``."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        reached = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, reached + _PAIRS_AT_ONCE, "right")))
        yield np.arange(start, stop)
        start = stop


def expand(rows: np.ndarray, first: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each of ``rows`` with every whole number from its ``first`` up to before its ``after``."""
    sizes = np.maximum(after - first, 0)
    starts = np.cumsum(sizes) - sizes
    return np.repeat(rows, sizes), np.arange(sizes.sum()) + np.repeat(first - starts, sizes)
