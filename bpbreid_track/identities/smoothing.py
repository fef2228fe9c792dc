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

from dataclasses import dataclass, replace

import numpy as np

from ..tracking.kalman import to_cxcywh, to_xyxy
from ..tracking.motion_calibration import STREET
from ..tracking.tracks import TICK
from .tracklets import TrackedRows, concatenate

# Windows, as shares of the widest.
_WINDOWS = tuple(2 ** (-step / 2) for step in range(4, -1, -1))
# Errors of a detected number that a box may be off by itself: what trembles is what is to be mended.
_OWN_ERRORS = 2.0
_ID_BITS = 32


@dataclass(frozen=True)
class Moment:
    """Boxes at one time. I identities, ascending.

    Attributes:
        ids: int64 [I].
        cxcywh: float64 [I, 4], centre, width and height in pixels.
        confidence: float64 [I].
        filled: bool [I], that nobody was found there at that time.
    """

    ids: np.ndarray
    cxcywh: np.ndarray
    confidence: np.ndarray
    filled: np.ndarray


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
        time: float64 [R], seconds; what lies further than ``lag`` from ``at`` has no say.
        ids: int64 [R], one box an identity and time.
        cxcywh: float64 [R, 4], pixels.
        confidence: float64 [R]; filled boxes have the mean of the two at either side.

    >>> walk = np.array([[0., 0, 40, 100], [30, 0, 40, 100], [40, 0, 40, 100]])
    >>> boxes_at(1, 2, np.arange(3.), np.full(3, 7), walk, np.ones(3)).cxcywh[0].round(1).tolist()
    [26.5, 0.0, 40.0, 100.0]
    """
    away = time - at
    near = np.abs(away) < lag + TICK
    away, cxcywh = away[near], cxcywh[near]
    known, person = np.unique(ids[near], return_inverse=True)
    count, rows = len(known), np.arange(len(away))
    before, after = np.full(count, -1), np.full(count, -1)
    order = np.argsort(away, kind="stable")
    past, future = order[away[order] <= TICK], order[away[order] >= -TICK][::-1]
    before[person[past]], after[person[future]] = rows[past], rows[future]
    both = (before >= 0) & (after >= 0)
    both[both] = away[after[both]] - away[before[both]] <= lag + TICK
    keep = np.flatnonzero(both)
    before, after = before[keep], after[keep]
    filled = before != after
    out = (cxcywh[before] + cxcywh[after]) / 2
    # The first window is the box itself; of who is filled in nothing is known yet.
    own = np.where(filled[:, None], np.inf, _OWN_ERRORS * STREET.measurement * out[:, 3:])
    low, high = out - own, out + own
    reach = np.maximum(-away[before], away[after])
    open_ = np.ones(len(keep), bool)
    for share in _WINDOWS:
        found, norm = _lines(away, person, cxcywh, share * lag, count)
        found, error = found[keep], STREET.measurement * out[:, 3:] * norm[keep, None]
        # Beyond its last box a line is a guess.
        told = open_ & np.isfinite(norm[keep]) & (reach < share * lag)
        low[told] = np.maximum(low, found - error)[told]
        high[told] = np.minimum(high, found + error)[told]
        agrees = told & (low <= high).all(axis=1)
        out[agrees] = found[agrees]
        open_ &= agrees | ~told
    sure = confidence[near]
    return Moment(known[keep], out, (sure[before] + sure[after]) / 2, filled)


def person_numbers(ids: np.ndarray, view: np.ndarray | int) -> np.ndarray:
    """Identity and view in one number: of where somebody stood, one view says nothing of another."""
    return np.asarray(ids, np.int64) + (np.asarray(view, np.int64) << _ID_BITS)


def smooth_run(rows: TrackedRows, times: np.ndarray, views: np.ndarray, lag: float) -> TrackedRows:
    """A whole run in hindsight.

    Args:
        rows: its boxes, sorted by frame; those without identity stay as they are.
        times: float64 [F], seconds of every frame.
        views: int64 [F], grows where the picture is cut.
        lag: as for ``boxes_at``; 0: ``rows`` as they are.

    Returns:
        The same boxes in the same order, smoothed, and in each frame those that were filled in behind them.
    """
    if not lag:
        return rows
    own = np.flatnonzero(rows.id >= 0)
    person = person_numbers(rows.id[own], views[rows.frame[own]])
    time, frame, confidence = rows.time[own], rows.frame[own], rows.confidence[own]
    cxcywh, xyxy, parts = to_cxcywh(rows.xyxy[own]), rows.xyxy.copy(), []
    frames = np.arange(len(times))
    here = np.searchsorted(frame, [frames, frames + 1]).T
    near = np.searchsorted(time, [times - lag - TICK, times + lag + TICK]).T
    for at, (first, last), (start, end) in zip(frames.tolist(), here.tolist(), near.tolist(), strict=True):
        part = slice(start, end)
        found = boxes_at(times[at], lag, time[part], person[part], cxcywh[part], confidence[part])
        corners, new = to_xyxy(found.cxcywh), found.filled
        xyxy[own[first:last]] = corners[np.searchsorted(found.ids, person[first:last])]
        before = {number: row for row, number in enumerate(person[start:first].tolist(), start)}
        like = rows[own[[before[number] for number in found.ids[new].tolist()]]]
        count = len(like)
        parts.append(
            replace(
                like,
                frame=np.full(count, at),
                time=np.full(count, times[at]),
                xyxy=corners[new],
                confidence=found.confidence[new].astype(np.float32),
                filled=np.ones(count, bool),
            )
        )
    return concatenate([replace(rows, xyxy=xyxy), *parts]).sorted()


def _lines(
    away: np.ndarray, person: np.ndarray, values: np.ndarray, width: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lines through the ``values`` [R, 4] of each of ``count`` people, at ``away`` 0.

    Returns:
        What they say [count, 4], and how much of the error of one value is in it [count]; infinite where
        there is no line.
    """
    inside = np.abs(away) < width
    u, person, values = away[inside] / width, person[inside], values[inside]
    weight = (1 - np.abs(u) ** 3) ** 3
    m0, m1, m2 = (np.bincount(person, weight * u**power, count) for power in range(3))
    spread = m0 * m2 - m1**2
    lined = spread > 1e-6 * m0**2
    scale = np.divide(1, spread, out=np.full(count, np.nan), where=lined)
    share = weight * (m2[person] - m1[person] * u) * scale[person]
    found = np.column_stack([np.bincount(person, share * column, count) for column in values.T])
    norm = np.sqrt(np.bincount(person, share**2, count))
    return found, np.where(lined, norm, np.inf)
