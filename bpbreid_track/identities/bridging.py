"""Where somebody was who was out of sight for seconds: on the straight line, if their speeds agree with it.

Pure functions. A person who is hidden walks on, most often; one who turns, stops or is not the same person
at all does not come out where the speeds before and after would have it. So there are two answers to where
they were: the straight line between the last box and the next, and the curve that keeps the speeds on either
side (cubic Hermite). Where both overlap by half in the middle of the gap there is no doubt that matters. So
how long people may be hidden follows from how they move, and a camera that pans steadily does no harm.
"""

from __future__ import annotations

import numpy as np

from ..tracking.boxes import iou
from ..tracking.kalman import to_xyxy

# Boxes that overlap less are not taken for boxes of one person, by the usual measure.
_SAME = 0.5


def bridge(
    before: np.ndarray, time_before: np.ndarray, after: np.ndarray, time_after: np.ndarray, at: np.ndarray
) -> np.ndarray | None:
    """Boxes of one person between two stretches in which they were seen.

    With speeds u before and v after a gap of T seconds, the cubic that keeps them lies ``T (u - v) / 8`` away
    from the middle of the straight line.

    Args:
        before: float64 [B, 4] centre, width and height in pixels, B > 0; the last of them begins the gap.
        time_before: float64 [B], seconds, ascending.
        after: [A, 4], likewise; the first of them ends the gap.
        time_after: [A].
        at: float64 [N], seconds between the two stretches.

    Returns:
        float64 [N, 4] on the straight line; None where line and curve do not agree.

    >>> walk = np.array([[0., 0, 40, 100], [20, 0, 40, 100]])
    >>> before, after, hidden = np.array([0., 1]), np.array([4., 5]), np.array([2., 3])
    >>> bridge(walk, before, walk + [80, 0, 0, 0], after, hidden)[:, 0].tolist()
    [40.0, 60.0]
    >>> bridge(walk, before, walk[::-1], after, hidden) is None  # turned back: after how far?
    True
    """
    gap = time_after[0] - time_before[-1]
    line = (before[-1:] + after[:1]) / 2
    curve = line.copy()
    curve[0, :2] += gap * (_speed(before, time_before) - _speed(after, time_after)) / 8
    if iou(to_xyxy(line), to_xyxy(curve))[0, 0] < _SAME:
        return None
    share = ((at - time_before[-1]) / gap)[:, None]
    return (1 - share) * before[-1] + share * after[0]


def _speed(boxes: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Of the centre [2], pixels a second: the slope of the least-squares line; 0 of a single box."""
    away = time - time.mean()
    square = np.square(away).sum()
    return (away @ boxes[:, :2]) / square if square else np.zeros(2)
