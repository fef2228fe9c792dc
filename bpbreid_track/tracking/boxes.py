"""Pure functions from boxes to similarities and costs. T tracks, N detections; all arrays float64."""

from __future__ import annotations

import numpy as np

_EPSILON = 1e-9


def areas(xyxy: np.ndarray) -> np.ndarray:
    """Areas [N] of boxes [N, 4]."""
    return (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Common area [T, N] of boxes ``a`` [T, 4] and ``b`` [N, 4]."""
    width = np.minimum(a[:, 2, None], b[None, :, 2])
    width -= np.maximum(a[:, 0, None], b[None, :, 0])
    np.maximum(width, 0, out=width)
    height = np.minimum(a[:, 3, None], b[None, :, 3])
    height -= np.maximum(a[:, 1, None], b[None, :, 1])
    np.maximum(height, 0, out=height)
    width *= height
    return width


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union [T, N] in [0, 1] of boxes ``a`` [T, 4] and ``b`` [N, 4]."""
    common = intersections(a, b)
    union = areas(a)[:, None] + areas(b)[None, :]
    union -= common
    union += _EPSILON
    common /= union
    return common


def covered_share(xyxy: np.ndarray) -> np.ndarray:
    """How much of each box the worst of the others hides: [N] in [0, 1].

    Of two overlapping people the one whose feet stand lower in the image is nearer to the camera and hides
    the other; a box is not covered by those behind it.
    """
    if len(xyxy) < 2:
        return np.zeros(len(xyxy))
    common = intersections(xyxy, xyxy)
    common *= xyxy[None, :, 3] > xyxy[:, 3, None]
    return common.max(axis=1) / (areas(xyxy) + _EPSILON)


def clear_boxes(
    xyxy: np.ndarray, scores: np.ndarray | None, max_cover: float, min_score: float
) -> np.ndarray:
    """Mask [N] of the boxes that show a person well enough to be remembered.

    Args:
        xyxy: [N, 4] pixels.
        scores: [N]; None counts as 1.
        max_cover: largest share of a box that another may hide.
        min_score: lowest score.
    """
    clear = covered_share(np.asarray(xyxy, np.float64)) <= max_cover
    return clear if scores is None else clear & (np.asarray(scores) >= min_score)
