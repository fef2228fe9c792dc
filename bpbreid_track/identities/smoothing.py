"""Where people were, in hindsight: boxes on straight lines through those shortly before and after.

A detector's boxes tremble from frame to frame and are missing now and then; people do neither. So each number
of a box is read off a line that is fitted to its neighbours in time, near ones counting most: local linear
regression with tricube weights (Cleveland 1979, "Robust locally weighted regression and smoothing
scatterplots"). Unlike a running mean it does not lag behind a steady motion.

How far to look is for each box to say. Who walks along a street is best seen over a second, who plays
football over a fifth of one. The window is widened from the box itself as long as what the wider ones say
agrees with what all narrower ones said, within the error of a detected number: the intersection of confidence
intervals (Goldenshluger, Nemirovski 1997; Katkovnik 1999). So no number moves by more than two such errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tracking.motion_calibration import STREET
from ..tracking.tracks import TICK

# Windows, as shares of the widest.
_WINDOWS = tuple(2 ** (-step / 2) for step in range(4, -1, -1))
# Errors of a detected number that a box may be off by itself: what trembles is what is to be mended.
_OWN_ERRORS = 2.0


@dataclass(frozen=True)
class Moment:
    """Boxes at one time. I identities, ascending.

    Attributes:
        ids: int64 [I].
        cxcywh: float64 [I, 4], centre, width and height in pixels.
        confidence: float64 [I].
        filled: bool [I], that nobody was found there at that time.
        before: int64 [I], row of the box at that time, or of the last one before it.
    """

    ids: np.ndarray
    cxcywh: np.ndarray
    confidence: np.ndarray
    filled: np.ndarray
    before: np.ndarray


def boxes_at(
    at: float, lag: float, time: np.ndarray, ids: np.ndarray, cxcywh: np.ndarray, confidence: np.ndarray
) -> Moment:
    """Boxes at a time, from those around it.

    In a window of half width ``h`` a number is the ``a`` of
    ``min_{a,b} sum_i w_i (y_i - a - b (t_i - at))^2`` with ``w_i = (1 - |t_i - at|^3 / h^3)^3``.

    Args:
        at: seconds.
        lag: half width of the widest window, seconds above 0. Who is missing at ``at`` is filled in if seen
            before and after, so much apart or less.
        time: float64 [R], seconds, ascending; what lies further than ``lag`` from ``at`` has no say.
        ids: int64 [R], one box an identity and time.
        cxcywh: float64 [R, 4], pixels.
        confidence: float64 [R]; filled boxes have the mean of the two at either side.

    >>> walk = np.array([[0., 0, 40, 100], [30, 0, 40, 100], [40, 0, 40, 100]])
    >>> boxes_at(1, 2, np.arange(3.), np.full(3, 7), walk, np.ones(3)).cxcywh[0].round(1).tolist()
    [26.5, 0.0, 40.0, 100.0]
    """
    window = np.array(_WINDOWS) * lag
    near = np.flatnonzero(np.abs(time - at) < lag + TICK)
    # One person after the other, each in the order of time.
    rows = near[np.argsort(ids[near], kind="stable")]
    away, values = time[rows] - at, cxcywh[rows]
    known, start = np.unique(ids[rows], return_index=True)
    if not len(known):
        return Moment(known, values, away, np.zeros(0, bool), rows)
    before = start - 1 + np.add.reduceat((away <= TICK).astype(np.intp), start)
    after = start + np.add.reduceat((away < -TICK).astype(np.intp), start)
    both = (before >= start) & (after < np.append(start[1:], len(rows)))
    both[both] = away[after[both]] - away[before[both]] <= lag + TICK
    before, after = before[both], after[both]
    lines, norms = (found[both] for found in _lines(away, values, start, window))
    filled = before != after
    out = (values[before] + values[after]) / 2
    # The first window is the box itself; of who is filled in nothing is known yet.
    own = np.where(filled[:, None], np.inf, _OWN_ERRORS * STREET.measurement * out[:, 3:])
    low, high = out - own, out + own
    reach = np.maximum(-away[before], away[after])
    open_ = np.ones(len(known), bool)[both]
    for column, width in enumerate(window):
        found, norm = lines[:, column], norms[:, column]
        error = STREET.measurement * out[:, 3:] * norm[:, None]
        # Beyond its last box a line is a guess.
        told = open_ & np.isfinite(norm) & (reach < width)
        low[told] = np.maximum(low, found - error)[told]
        high[told] = np.minimum(high, found + error)[told]
        agrees = told & (low <= high).all(axis=1)
        out[agrees] = found[agrees]
        open_ &= agrees | ~told
    sure = (confidence[rows[before]] + confidence[rows[after]]) / 2
    return Moment(known[both], out, sure, filled, rows[before])


def _lines(
    away: np.ndarray, values: np.ndarray, start: np.ndarray, window: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lines through the ``values`` [R, 4] of each of P people, in W windows, at ``away`` 0.

    Args:
        away: float64 [R], seconds.
        values: one person after the other.
        start: int [P], first row of each.
        window: float64 [W], half widths.

    Returns:
        What they say [P, W, 4], and how much of the error of one value is in it [P, W]; infinite where there
        is no line.
    """
    u = away[:, None] / window
    weight = np.maximum(1 - np.abs(u) ** 3, 0) ** 3
    tilted, square = weight * u, weight**2
    columns = np.stack([weight, tilted, tilted * u, square, square * u, square * u**2], axis=2)
    levels, slopes = (each[:, :, None] * values[:, None] for each in (weight, tilted))
    sums = np.add.reduceat(np.concatenate([columns, levels, slopes], axis=2), start)
    m0, m1, m2, s0, s1, s2 = np.moveaxis(sums[:, :, :6], 2, 0)
    spread = m0 * m2 - m1**2
    lined = spread > 1e-6 * m0**2
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=lined)
    # Of each value a line has the share w (m2 - m1 u) / (m0 m2 - m1^2).
    found = (m2[:, :, None] * sums[:, :, 6:10] - m1[:, :, None] * sums[:, :, 10:]) * scale[:, :, None]
    norm = np.sqrt(np.maximum(m2**2 * s0 - 2 * m1 * m2 * s1 + m1**2 * s2, 0)) * scale
    return found, np.where(lined, norm, np.inf)
