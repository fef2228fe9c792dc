"""Joining the tracklets of one person after the run.

Pure functions on the boxes of a whole run. A join needs an end and a start with time between them, so a chain
of joins can never hold two boxes of one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..config import LinkConfig
from ..embeddings import part_distance
from ..tracking.assignment import assign_sparse
from .appearance_stats import MeanAppearance
from .tracklets import Continuations, Ends, TrackedRows, continuations, ends_of, seen_together

# Distances of two views of one person, and of two people, before the run has shown any: median, deviation,
# and how many pairs they are worth. Near those of the tracker, whose distances are of single boxes.
_SAME_PRIOR, _OTHER_PRIOR, _PRIOR_PAIRS = (0.45, 0.10), (0.95, 0.15), 5
# The middle half of a normal distribution is so many standard deviations wide.
_QUARTILES = 1.349
# Heights a second by which a person may miss the position foreseen for them, and heights that anybody may.
_MAX_SPEED, _SLACK = 1.5, 0.5
# How long a person out of sight is taken to keep the speed of last or next, in seconds.
_COAST_SECONDS = 1.0
# Largest ratio of heights before and after.
_MAX_HEIGHT_RATIO = 1.6
# Where no part can be compared: longest gap in seconds, and heights by which the position may be missed.
_MOTION_GAP_SECONDS, _MOTION_MISS = 1.0, 0.3
# What a miss in place may cost beside the part distance at its threshold, which costs 1.
_MOTION_WEIGHT = 0.5
# Pairs of different people from which a run's threshold is learnt at most: quantiles need no more.
_EXAMPLES = 1 << 18
# Tracklets that stand for a long chain.
_MEMBERS = 32
# Tracklets of which part distances are computed together.
_BLOCK, _BLOCKS_WIDE = 64, 4096


@dataclass(frozen=True)
class Linked:
    """What linking made of a run.

    Attributes:
        rows: all boxes, those without identity included, sorted by frame.
        identity: identity after joining for each before; the earliest number of a person stays.
        joined: how many tracklets were continued in another one's name.
        threshold: part distance below which two tracklets may be one person; None without appearance.
    """

    rows: TrackedRows
    identity: dict[int, int]
    joined: int
    threshold: float | None


def link(rows: TrackedRows, means: MeanAppearance | None, config: LinkConfig) -> Linked:
    """Join tracklets of one person.

    Args:
        rows: the boxes of the run.
        means: mean appearance of the identities; None where nothing is known, then motion alone joins.
        config: settings.

    >>> row = lambda frame, id: TrackedRows(*map(np.array, (
    ...     [frame], [frame / 10], [id], [[10., 0., 50., 100.]], [0.9], [0], [False])))
    >>> run = concatenate([row(frame, 1) for frame in range(5)] + [row(frame, 2) for frame in range(7, 12)])
    >>> link(run, None, LinkConfig()).identity
    {1: 1, 2: 1}
    """
    ends = ends_of(rows)
    looks = None if means is None or not len(means.ids) else Looks(ends, means)
    threshold = None if looks is None else _threshold(rows, ends, looks, config)
    links = _decide(ends, looks, threshold, config)
    identity = _identities(ends.ids, links)
    joined = replace(rows, id=np.array([identity.get(i, -1) for i in rows.id.tolist()], np.int64))
    return Linked(joined, identity, len(links), threshold)


class Looks:
    """Part distances of tracklets, computed for the pairs that are asked for.

    Args:
        ends: the tracklets.
        means: what is known of them.
    """

    def __init__(self, ends: Ends, means: MeanAppearance) -> None:
        self._means = means
        self._row = means.rows_of(ends.ids)
        self._rank = np.argsort(np.argsort(ends.time[:, 0], kind="stable"))  # in order of their start

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """float64 [K], of tracklets ``a`` to tracklets ``b``; inf where nothing can be compared."""
        out = np.full(len(a), np.inf)
        row_a, row_b = self._row[a], self._row[b]
        known = np.flatnonzero((row_a >= 0) & (row_b >= 0))
        known = known[np.argsort(self._rank[a[known]], kind="stable")]
        # Neighbours in time are asked for again and again: a block of them costs less than all its pairs.
        for part in np.split(known, np.flatnonzero(np.diff(self._rank[a[known]] // _BLOCK)) + 1):
            ours, place_a = np.unique(row_a[part], return_inverse=True)
            theirs, place_b = np.unique(row_b[part], return_inverse=True)
            for start in range(0, len(theirs), _BLOCKS_WIDE):
                here = (place_b >= start) & (place_b < start + _BLOCKS_WIDE)
                block = part_distance(
                    self._means.whole[ours], self._means.whole[theirs[start : start + _BLOCKS_WIDE]]
                ).numpy()
                out[part[here]] = block[place_a[here], place_b[here] - start]
        return out

    def between(self, a: list[int], b: list[int]) -> np.ndarray:
        """Of each of ``a`` to each of ``b``, those of which nothing is known left out: float64 [A, B]."""
        row_a, row_b = self._row[a], self._row[b]
        whole = self._means.whole
        return part_distance(whole[row_a[row_a >= 0]], whole[row_b[row_b >= 0]]).numpy().astype(np.float64)

    def spread(self) -> np.ndarray:
        """Distances of the tracklets to themselves, early half to late half."""
        return self._means.spread[self._row[self._row >= 0]]


def distance_threshold(same: np.ndarray, other: np.ndarray, strictness: float) -> float:
    """Part distance below which two tracklets may be one person, from pairs whose truth is certain.

    The point as many deviations above one person as below two, and never nearer to two people than
    ``strictness`` deviations. Medians and quartiles, so that a person with two boxes does no harm.

    Args:
        same: distances of tracklets to themselves (early half to late half).
        other: distances of tracklets seen in one frame. inf is passed over in both.
        strictness: deviations.
    """
    (near, near_spread), (far, far_spread) = (
        _centre_and_spread(values, prior) for values, prior in ((same, _SAME_PRIOR), (other, _OTHER_PRIOR))
    )
    balance = (near * far_spread + far * near_spread) / (near_spread + far_spread)
    return float(min(balance, far - strictness * far_spread))


def _centre_and_spread(values: np.ndarray, prior: tuple[float, float]) -> tuple[float, float]:
    # The prior joins as a few values at its own quantiles: five of them, or a handful of real pairs, decide.
    steps = np.linspace(-1.28, 1.28, _PRIOR_PAIRS)
    values = np.concatenate((values[np.isfinite(values)], prior[0] + prior[1] * steps))
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(middle), max(float(high - low) / _QUARTILES, 1e-3)


def _threshold(rows: TrackedRows, ends: Ends, looks: Looks, config: LinkConfig) -> float:
    """What counts as near in this run."""
    together = seen_together(rows, ends.ids)
    if len(together) > _EXAMPLES:
        together = together[np.linspace(0, len(together) - 1, _EXAMPLES).astype(np.int64)]
    return distance_threshold(looks.spread(), looks.pairs(*together.T), config.strictness)


def _decide(
    ends: Ends, looks: Looks | None, threshold: float | None, config: LinkConfig
) -> list[tuple[int, int]]:
    """Pairs of rows (earlier, later) to join: each tracklet has one successor and one predecessor at most."""
    # Nearly all pairs within reach are of two people: of those no more is kept than their count.
    after, before = np.zeros((2, len(ends.ids)), np.int64)
    kept, costs = list[Continuations](), list[np.ndarray]()
    for pairs in continuations(ends, _COAST_SECONDS, config.max_gap_seconds):
        near = (pairs.growth <= np.log(_MAX_HEIGHT_RATIO)) & (pairs.miss <= _SLACK + _MAX_SPEED * pairs.gap)
        pairs = pairs[near]
        after += np.bincount(pairs.earlier, minlength=len(after))
        before += np.bincount(pairs.later, minlength=len(before))
        apart = np.full(len(pairs), np.inf) if looks is None else looks.pairs(pairs.earlier, pairs.later)
        cost = np.full(len(pairs), np.inf)
        comparable = np.isfinite(apart)
        if threshold is not None and threshold > 0:
            similar = comparable & (apart <= threshold)
            cost[similar] = apart[similar] / threshold
        cost[~comparable & (pairs.gap <= _MOTION_GAP_SECONDS) & (pairs.miss <= _MOTION_MISS)] = np.nan
        possible = ~np.isposinf(cost)
        kept.append(pairs[possible])
        costs.append(cost[possible])
    if not kept:
        return []
    pairs = Continuations(
        *(np.concatenate([getattr(part, field.name) for part in kept]) for field in fields(Continuations))
    )
    cost = np.concatenate(costs)
    # By motion alone only where nobody else could be meant, by the wide gate.
    blind = np.isnan(cost)
    alone = after[pairs.earlier] + before[pairs.later] == 2
    cost[blind] = np.where(alone[blind], 1.0, np.inf)
    cost += _MOTION_WEIGHT * pairs.miss / (_SLACK + _MAX_SPEED * pairs.gap)
    chosen = assign_sparse(pairs.earlier, pairs.later, cost, 1.0 + _MOTION_WEIGHT)
    chosen = chosen[np.lexsort((pairs.earlier[chosen], cost[chosen]))]
    wanted = list(zip(pairs.earlier[chosen].tolist(), pairs.later[chosen].tolist(), strict=True))
    return wanted if looks is None or threshold is None else _agreeing(wanted, looks, threshold)


def _agreeing(links: list[tuple[int, int]], looks: Looks, threshold: float) -> list[tuple[int, int]]:
    """Those of ``links``, best first, after which a chain still looks like one person on the average."""
    chain = {row: [row] for link in links for row in link}
    kept = []
    for earlier, later in links:
        between = looks.between(_some(chain[earlier]), _some(chain[later]))
        finite = between[np.isfinite(between)]
        if len(finite) and finite.mean() > threshold:
            continue
        small, large = sorted((chain[earlier], chain[later]), key=len)
        large += small
        chain.update(dict.fromkeys(small, large))
        kept.append((earlier, later))
    return kept


def _some(chain: list[int]) -> list[int]:
    """All of a chain, or as many as tell its looks, evenly spread."""
    return chain if len(chain) <= _MEMBERS else chain[:: -(-len(chain) // _MEMBERS)]


def _identities(ids: np.ndarray, links: list[tuple[int, int]]) -> dict[int, int]:
    """Identity of each of ``ids`` once ``links`` are joined: that of the first in its chain."""
    before = {later: earlier for earlier, later in links}
    head: dict[int, int] = {}
    for row in range(len(ids)):
        path, first = [row], row
        while first not in head and first in before:
            first = before[first]
            path.append(first)
        head.update(dict.fromkeys(path, head.get(first, first)))
    return {int(ids[row]): int(ids[first]) for row, first in sorted(head.items())}
