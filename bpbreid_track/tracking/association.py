"""Who is who in one frame: costs of all pairs of tracks and boxes, and the rounds that settle them.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..config import TrackerConfig
from . import costs

_NOBODY = np.zeros(0, np.intp)


@dataclass
class Place:
    """What motion says about all pairs, [T, N].

    Attributes:
        overlap: IoU of prediction and box.
        ratio: for lost tracks the log-likelihood ratio of the box's place, see ``motion_log_ratio``.
        distance: squared Mahalanobis distance of centre and height.
        allowed: bool, a sound box of the track's class.
        lost: bool [T], tracks without a match in the frame before.
    """

    overlap: np.ndarray
    ratio: np.ndarray
    distance: np.ndarray
    allowed: np.ndarray
    lost: np.ndarray


@dataclass
class PairCosts:
    """Costs of all pairs in one frame, [T, N]; inf forbids a pair.

    Attributes:
        motion: 1 - IoU.
        motion_scored: 1 - IoU * score.
        recovery: for lost tracks, minus the log-likelihood ratio of "the lost person" to "somebody else".
        appearance: what the part distance adds to the cost of overlap, 0 where no part can be compared or
            nothing overlaps; None without embeddings.
        distances: the part distance, Eq. 9; None without embeddings.
        lost: bool [T], tracks without a match in the frame before.
    """

    motion: np.ndarray
    motion_scored: np.ndarray
    recovery: np.ndarray
    appearance: np.ndarray | None
    distances: np.ndarray | None
    lost: np.ndarray


def mahalanobis(state: np.ndarray, cxcywh: np.ndarray, measurement: float) -> np.ndarray:
    """Squared Mahalanobis distance [T, N] of centre and height, by the spread of track and box together.

    Args:
        state: [5, T, 4] of the Kalman filter.
        cxcywh: [N, 4] centre, width and height of the boxes in pixels.
        measurement: standard deviation of a detected centre or height, in heights.
    """
    position, _, variance, _, _ = state
    measured = np.square(measurement * cxcywh[:, 3])
    out = np.zeros((len(position), len(measured)))
    for number in (0, 1, 3):
        distance = position[:, number, None] - cxcywh[:, number]
        distance *= distance
        distance /= variance[:, number, None] + measured
        out += distance
    return out


def motion_log_ratio(
    state: np.ndarray,
    cxcywh: np.ndarray,
    distance: np.ndarray,
    measurement: float,
    territory: float,
    elsewhere: np.ndarray,
) -> np.ndarray:
    """How much the place of a box speaks for a track, as a log-likelihood ratio.

    A person who was lost is expected around the predicted place, more loosely the longer ago that was: a
    normal density with the Kalman filter's variance. Anybody else may appear anywhere in a territory of so
    many square heights. Their ratio says by itself what hand-set limits say badly: that a box in the right
    place is worth much after a tenth of a second and little after ten. A wrong height speaks against a pair,
    a right one not for it. Some people do what nobody foresees, and may then be as far as a stranger: the
    density of the lost person is a mixture of both, so that a wrong place never counts for more than that.

    Args:
        state, cxcywh, measurement: as for ``mahalanobis``.
        distance: what that gives [T, N].
        territory: area in which strangers appear, in squares of the box's height.
        elsewhere: [T] probability in [0, 1) that the track comes back just anywhere.

    Returns:
        The log ratio [T, N], at least ``log(elsewhere)``.
    """
    variance = state[2, :, None, :2] + np.square(measurement * cxcywh[:, 3])[:, None]
    spread = variance.prod(axis=2) / np.maximum(cxcywh[:, 3], 1e-6) ** 4
    foreseen = math.log(territory / (2 * math.pi)) - 0.5 * (np.log(spread) + distance)
    with np.errstate(divide="ignore"):
        unforeseen = np.log(elsewhere)[:, None]
    return np.logaddexp(foreseen + np.log1p(-elsewhere)[:, None], unforeseen)


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
        r, c = costs.assign(cost[rows[:, None], columns], limit)
        rows, columns = rows[r], columns[c]
        free_rows[rows] = free_columns[columns] = False
        found.append((rows, columns))
    if not found:
        return _NOBODY, _NOBODY
    return np.concatenate([r for r, _ in found]), np.concatenate([c for _, c in found])
