"""Who is who in one frame: the rounds that settle the pairs of tracks and boxes.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

import numpy as np

from ..config import TrackerConfig
from .assignment import assign
from .cost_matrices import PairCosts

_NOBODY = np.zeros(0, np.intp)


def cost_in_sight(pairs: PairCosts, config: TrackerConfig) -> np.ndarray:
    """Cost [T, N] of boxes of high score for tracks in sight; inf where the two overlap too little.

    The parts choose among the boxes that a person may have reached, but do not make up for overlap: whoever
    disappears beside a team mate would otherwise take the box that just touches theirs, and with it the
    place of another who has been lost there.
    """
    cost = pairs.motion_scored if pairs.appearance is None else pairs.motion_scored + pairs.appearance
    return np.where(pairs.motion_scored > 1 - config.min_iou, np.inf, cost)


def associate(
    pairs: PairCosts, scores: np.ndarray, confirmed: np.ndarray, config: TrackerConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Settle a frame round by round; who is matched in one takes no part in the next.

    1. high: boxes of high score meet the tracks seen in the last frame, by overlap and appearance; enough
       overlap is needed, however much they look alike.
    2. low: boxes of low score meet those still unmatched. A person scores low when half hidden, and the parts
       that show still count.
    3. lost: boxes of high score that are left meet the lost tracks, by the likelihood of place and parts
       together; no overlap is needed.
    4. new: what remains meets the tracks that are not confirmed yet.

    Args:
        pairs: costs [T, N].
        scores: [N] in [0, 1].
        confirmed: bool [T].
        config: thresholds.

    Returns:
        Rows of tracks and of boxes that belong together, int [M] each.
    """
    if not len(confirmed) or not len(scores):
        return _NOBODY, _NOBODY
    high = scores >= config.high_score
    low = ~high & (scores >= config.low_score)
    free_rows, free_columns = np.ones(len(confirmed), bool), np.ones(len(scores), bool)
    appearance = 0.0 if pairs.appearance is None else pairs.appearance
    tracked = confirmed & ~pairs.lost
    rounds = (
        (tracked, high, cost_in_sight(pairs, config), 1 - config.min_iou),
        (tracked, low, pairs.motion + appearance, 1 - config.min_iou_low),
        (confirmed & pairs.lost, high, pairs.recovery, -config.recovery_evidence),
        (~confirmed, high, pairs.motion_scored + appearance, 1 - config.min_iou_new),
    )
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for row_mask, column_mask, cost, limit in rounds:
        rows = np.flatnonzero(row_mask & free_rows)
        columns = np.flatnonzero(column_mask & free_columns)
        if not len(rows) or not len(columns):
            continue
        r, c = assign(cost[rows[:, None], columns], limit)
        rows, columns = rows[r], columns[c]
        free_rows[rows] = free_columns[columns] = False
        found.append((rows, columns))
    if not found:
        return _NOBODY, _NOBODY
    return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])
