"""Who is who in one frame: the rounds that settle the pairs of tracks and boxes, and the trace they leave.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import TrackerConfig
from .assignment import assign
from .evidence import Evidence
from .rounds import HIGH, LOW, NEW

_NOBODY = np.zeros(0, np.intp)


@dataclass(slots=True)
class Round:
    """One round: which pairs it may match, at what cost.

    Attributes:
        name: ``high``, ``low`` or ``new``.
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
        by_appearance: bool [M], pairs that motion alone would not have matched: the place speaks against
            them, or more for another box.
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


def associate(evidence: Evidence, scores: np.ndarray, confirmed: np.ndarray, config: TrackerConfig) -> Trace:
    """Settle a frame round by round; who is matched in one takes no part in the next.

    1. high: boxes of high score meet the confirmed tracks, those in sight and those lost alike.
    2. low: boxes of low score meet those still unmatched. A person scores low when half hidden, and the parts
       that show still count.
    3. new: what remains meets the tracks that are not confirmed yet.

    In each the cost of a pair is minus its evidence, and what is less likely than not is not matched.

    Args:
        evidence: of all pairs [T, N].
        scores: [N] in [0, 1].
        confirmed: bool [T].
        config: thresholds.
    """
    high = scores >= config.high_score
    low = ~high & (scores >= config.low_score)
    cost = -evidence.total
    rounds = (
        Round(HIGH, confirmed, high, cost, 0.0),
        Round(LOW, confirmed, low, cost, 0.0),
        Round(NEW, ~confirmed, high | low, cost, 0.0),
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
    return Trace(rows, columns, _by_appearance(evidence, rows, columns), rounds)


def _by_appearance(evidence: Evidence, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Which of the pairs place alone would not have matched: bool [M]."""
    if evidence.parts is None or not len(rows):
        return np.zeros(len(rows), bool)
    mine = evidence.by_place[rows, columns]
    return (mine < 0) | (mine < evidence.by_place[rows].max(axis=1))
