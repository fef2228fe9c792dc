"""Who is who in one frame: the rounds that settle the pairs of tracks and boxes, and the trace they leave.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import TrackerConfig
from .assignment import assign
from .cost_matrices import PairCosts
from .rounds import HIGH, LOST, LOW, MIN_IOU_LOW, MIN_IOU_NEW, NEW, RECOVERY_LLR

_NOBODY = np.zeros(0, np.intp)


@dataclass(slots=True)
class Round:
    """One round: which pairs it may match, at what cost.

    Attributes:
        name: ``high``, ``low``, ``lost`` or ``new``.
        tracks: bool [T].
        boxes: bool [N].
        cost: [T, N], lower is better; inf forbids a pair. Only rows in ``tracks`` and columns in ``boxes``
            count.
        limit: highest cost that is matched.
    """

    name: str
    tracks: np.ndarray
    boxes: np.ndarray
    cost: np.ndarray
    limit: float

    def holds(self, track: int, box: int) -> bool:
        """Whether this is the round in which ``track`` may get ``box``."""
        return bool(self.tracks[track] and self.boxes[box])


@dataclass(slots=True)
class Trace:
    """What the association of a frame decided, and why.

    Attributes:
        tracks, boxes: int [M], rows of tracks and of boxes that belong together.
        by_appearance: bool [M], pairs that motion alone would not have matched: the boxes overlap too
            little, or the track overlaps another box more.
        rounds: in their order. A pair belongs to one of them at most.
    """

    tracks: np.ndarray
    boxes: np.ndarray
    by_appearance: np.ndarray
    rounds: tuple[Round, ...]

    def round_of(self, track: int, box: int) -> Round | None:
        """The round in which the pair may be matched; None where no round takes it."""
        return next((each for each in self.rounds if each.holds(track, box)), None)

    def cost(self) -> np.ndarray:
        """Cost [T, N] of every pair in its round; inf where it is forbidden or in none."""
        out = np.full((len(self.rounds[0].tracks), len(self.rounds[0].boxes)), np.inf)
        for each in self.rounds:
            pairs = np.ix_(each.tracks, each.boxes)
            out[pairs] = each.cost[pairs]
        return out


def associate(pairs: PairCosts, scores: np.ndarray, confirmed: np.ndarray, config: TrackerConfig) -> Trace:
    """Settle a frame round by round; who is matched in one takes no part in the next.

    1. high: boxes of high score meet the tracks seen in the last frame. Cost: 1 - IoU * score + appearance,
       and IoU * score must reach ``min_iou`` however alike the two are.
    2. low: boxes of low score meet those still unmatched. Cost: 1 - IoU + appearance. A person scores low
       when half hidden, and the parts that show still count.
    3. lost: boxes of high score that are left meet the lost tracks. Cost: minus the log-likelihood ratio of
       position and parts; no overlap is needed.
    4. new: what remains meets the tracks that are not confirmed yet. Cost as in round one.

    Args:
        pairs: costs [T, N].
        scores: [N] in [0, 1].
        confirmed: bool [T].
        config: thresholds.
    """
    high = scores >= config.high_score
    low = ~high & (scores >= config.low_score)
    tracked = confirmed & ~pairs.lost
    plain, scored = pairs.iou_distance, pairs.scored_iou_distance
    if pairs.appearance is not None:
        plain, scored = plain + pairs.appearance, scored + pairs.appearance
    rounds = (
        Round(HIGH, tracked, high, _within_reach(scored, pairs, config), 1 - config.min_iou),
        Round(LOW, tracked, low, plain, 1 - MIN_IOU_LOW),
        Round(LOST, confirmed & pairs.lost, high, pairs.recovery, -RECOVERY_LLR),
        Round(NEW, ~confirmed, high, scored, 1 - MIN_IOU_NEW),
    )
    free_rows, free_columns = np.ones(len(confirmed), bool), np.ones(len(scores), bool)
    found_rows, found_columns = [_NOBODY], [_NOBODY]
    for each in rounds:
        rows = np.flatnonzero(each.tracks & free_rows)
        columns = np.flatnonzero(each.boxes & free_columns)
        if not len(rows) or not len(columns):
            continue
        r, c = assign(each.cost[rows[:, None], columns], each.limit)
        rows, columns = rows[r], columns[c]
        free_rows[rows] = free_columns[columns] = False
        found_rows.append(rows)
        found_columns.append(columns)
    rows, columns = np.concatenate(found_rows), np.concatenate(found_columns)
    return Trace(rows, columns, _by_appearance(pairs, rows, columns, config), rounds)


def _within_reach(cost: np.ndarray, pairs: PairCosts, config: TrackerConfig) -> np.ndarray:
    """``cost`` with inf where the boxes overlap too little.

    The parts choose among the boxes that a person may have reached, but do not make up for overlap: whoever
    disappears beside a team mate would otherwise take the box that just touches theirs, and with it the
    identity of another who was lost there.
    """
    return np.where(pairs.scored_iou_distance > 1 - config.min_iou, np.inf, cost)


def _by_appearance(
    pairs: PairCosts, rows: np.ndarray, columns: np.ndarray, config: TrackerConfig
) -> np.ndarray:
    if pairs.appearance is None or not len(rows):
        return np.zeros(len(rows), bool)
    mine = pairs.iou_distance[rows, columns]
    return (mine > 1 - config.min_iou) | (mine > pairs.iou_distance[rows].min(axis=1))
