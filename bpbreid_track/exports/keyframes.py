"""Which boxes of a track an annotation tool needs, where it draws straight lines between keyframes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np


def runs(frame: np.ndarray) -> Iterator[slice]:
    """The stretches of consecutive frames.

    Args:
        frame: int [N], ascending.

    >>> list(runs(np.array([3, 4, 7])))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    edges = [0, *(np.flatnonzero(np.diff(frame) > 1) + 1).tolist(), len(frame)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield slice(start, stop)


def keyframes(frame: np.ndarray, xyxy: np.ndarray, tolerance: float) -> np.ndarray:
    """Boxes from which a straight line gives the others back (Ramer, Douglas and Peucker).

    Args:
        frame: int [N], consecutive.
        xyxy: float [N, 4] corners in pixels.
        tolerance: how far an edge may be off, in pixels; 0: every box is a keyframe.

    Returns:
        bool [N], the first and the last always.

    >>> keyframes(np.arange(3), np.array([[0, 0, 9, 9], [1, 0, 10, 9], [2, 0, 11, 9]]), 0.1)
    array([ True, False,  True])
    """
    if tolerance <= 0 or len(frame) < 3:
        return np.ones(len(frame), bool)
    kept = np.zeros(len(frame), bool)
    kept[[0, -1]] = True
    open_spans = [(0, len(frame) - 1)]
    while open_spans:
        start, stop = open_spans.pop()
        if stop - start < 2:
            continue
        off = np.abs(xyxy[start + 1 : stop] - between(frame, xyxy, start, stop)).max(axis=1)
        worst = int(off.argmax())
        if off[worst] > tolerance:
            middle = start + 1 + worst
            kept[middle] = True
            open_spans += [(start, middle), (middle, stop)]
    return kept


def between(frame: np.ndarray, xyxy: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The boxes on the straight line from row ``start`` to row ``stop``, without these two: float [M, 4]."""
    share = (frame[start + 1 : stop] - frame[start])[:, None] / (frame[stop] - frame[start])
    line: np.ndarray = xyxy[start] + share * (xyxy[stop] - xyxy[start])
    return line


def as_shown(frame: np.ndarray, xyxy: np.ndarray, key: np.ndarray) -> np.ndarray:
    """The boxes as a tool shows them that knows the keyframes alone: float [N, 4]."""
    shown = xyxy.astype(np.float64)
    rows = np.flatnonzero(key)
    for start, stop in pairwise(rows.tolist()):
        shown[start + 1 : stop] = between(frame, shown, start, stop)
    return shown
