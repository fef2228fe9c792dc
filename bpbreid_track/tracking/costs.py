"""Pure functions from boxes to similarities and costs. T tracks, N detections; all arrays float64."""

from __future__ import annotations

import lap
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


def grow(xyxy: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """Boxes [N, 4] grown on every side by ``share`` (a number or [N]) of their width and height."""
    margin = (xyxy[:, 2:] - xyxy[:, :2]) * np.asarray(share)[..., None]
    return np.concatenate((xyxy[:, :2] - margin, xyxy[:, 2:] + margin), axis=1)


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


def assign(cost: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Minimum-cost one-to-one assignment in which no pair costs more than ``limit``.

    Maximises the number of pairs times ``limit`` minus their cost, as ``lap.lapjv(..., cost_limit=limit)``.
    Pairs that compete with no other admissible pair are settled without the solver: the result is the same
    optimum, and in most frames little or nothing is left to solve.

    Args:
        cost: [T, N], lower is better; inf or nan forbids a pair.
        limit: highest admissible cost.

    Returns:
        Row and column indices [M] of the matched pairs, in row order.
    """
    admissible = cost <= limit
    in_row = admissible.sum(axis=1)
    in_column = admissible.sum(axis=0)
    rows, columns = np.nonzero(admissible)
    lone = (in_row[rows] == 1) & (in_column[columns] == 1)
    matched_rows, matched_columns = rows[lone], columns[lone]
    if len(matched_rows) < len(rows):
        contested_rows = np.unique(rows[~lone])
        contested_columns = np.unique(columns[~lone])
        block = cost[contested_rows[:, None], contested_columns]
        # lapjv wants finite numbers; anything above the limit is as good as forbidden.
        block = np.where(admissible[contested_rows[:, None], contested_columns], block, limit + 1.0)
        _, column_of_row, _ = lap.lapjv(block, extend_cost=True, cost_limit=limit)
        found = np.flatnonzero(column_of_row >= 0)
        found = found[block[found, column_of_row[found]] <= limit]
        matched_rows = np.concatenate((matched_rows, contested_rows[found]))
        matched_columns = np.concatenate((matched_columns, contested_columns[column_of_row[found]]))
        order = np.argsort(matched_rows)
        matched_rows, matched_columns = matched_rows[order], matched_columns[order]
    return matched_rows, matched_columns
