"""Who plays together: identities sorted by what they wear on the torso, into teams and others.

The evidence of a person is the mean over all clear views of its torso, as the encoder and as colours describe
it, and the measure is the mean cosine of these views to the mean of a team. Its expectation does not depend
on how many views there are: long and short tracks are held to one limit. T identities, N teams, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..config import OTHERS, TEAM_NAMES
from .torso_colours import torso_colours

# Identities that may stand for a team when the search begins: those that were seen most.
_CANDIDATES = 32
# Few rounds settle it: each moves somebody from one side of a limit to the other.
_ROUNDS = 50
# A scatter that is none.
_SAME = 1e-6


@dataclass(frozen=True)
class Teams:
    """Teams of a run.

    Attributes:
        team: int64 [T], from 0; -1 for others, who wear something else.
        cosine: float64 [T], mean cosine of each to its nearest team.
        limit: cosine from which somebody belongs to a team, halfway between ``same`` and ``different``.
        same: mean cosine of the members to their own team.
        different: mean cosine of the members to the other team that is most like their own.
    """

    team: np.ndarray
    cosine: np.ndarray
    limit: float
    same: float
    different: float


def torso_rows(part_names: Sequence[str]) -> list[int]:
    """Rows of the P axis that show the torso; the foreground for an encoder that knows no torso.

    >>> torso_rows(["foreground", "head", "torso_arms", "legs"])
    [2]
    """
    return [row for row, name in enumerate(part_names) if "torso" in name or name == "upper_body"] or [0]


class TorsoSums:
    """Sums of embeddings and of colours of the torso of every identity, and how many they are.

    Args:
        part_names: of the encoder.
    """

    def __init__(self, part_names: Sequence[str]) -> None:
        self._rows = torso_rows(part_names)
        self._sums: dict[int, np.ndarray] = {}  # the embedding's numbers, then the shares of colours
        self._dim = 0  # how many are the embedding's
        self._views: dict[int, int] = {}

    def add(
        self,
        ids: np.ndarray,
        features: np.ndarray,
        visibility: np.ndarray,
        image: np.ndarray,
        xyxy: np.ndarray,
    ) -> None:
        """Take in one clear view of each of ``ids``; one whose torso does not show tells nothing.

        Args:
            ids: int64 [N].
            features: float32 [N, P, D].
            visibility: float32 [N, P].
            image: uint8 [H, W, 3], BGR.
            xyxy: [N, 4], the boxes in it, pixels.
        """
        shown = (visibility[:, self._rows] > 0).all(axis=1)
        vectors = features[:, self._rows].reshape(len(ids), -1) / np.sqrt(len(self._rows))
        self._dim = vectors.shape[1]
        for row in np.flatnonzero(shown):
            identity, colours = int(ids[row]), torso_colours(image, xyxy[row])
            if colours is None:
                continue
            both = np.concatenate([vectors[row], colours])
            self._sums[identity] = self._sums.get(identity, 0.0) + both
            self._views[identity] = self._views.get(identity, 0) + 1

    def together(self, groups: Iterable[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """What each of G groups wears (``side_by_side``), float64 [G, D], and views int64 [G]."""
        sums, views = list[np.ndarray](), list[int]()
        blank = np.zeros_like(next(iter(self._sums.values()), np.zeros(1)))
        for group in groups:
            known = [identity for identity in group if identity in self._sums]
            count = sum(self._views[identity] for identity in known)
            sums.append(sum((self._sums[identity] for identity in known), blank) / max(1, count))
            views.append(count)
        means, count_of = np.array(sums).reshape(len(views), -1), np.array(views, np.int64)
        return side_by_side([means[:, : self._dim], means[:, self._dim :]], count_of), count_of


def side_by_side(kinds: Sequence[np.ndarray], views: np.ndarray) -> np.ndarray:
    """Kinds of evidence as one, the distances of each in units of their own spread.

    The spread is how far all people are from the mean of everybody: a kind by which all look much alike would
    otherwise have no say beside one by which they do not. One by which nobody differs is left out.

    Args:
        kinds: of each float64 [T, D_k], mean of the unit vectors of each identity.
        views: int64 [T], how many they were.

    Returns:
        float64 [T, D], mean of unit vectors again, which hold one kind beside the other.

    >>> one = np.array([[1.0, 0], [0, 1]])
    >>> side_by_side([one, one], np.array([5, 5])).round(2).tolist()
    [[0.71, 0.0, 0.71, 0.0], [0.0, 0.71, 0.0, 0.71]]
    """
    shares = views / max(1, views.sum())
    spreads = np.array([1 - np.linalg.norm(shares @ means) for means in kinds])
    weights = np.where(spreads < _SAME, 0.0, 1 / np.maximum(spreads, _SAME))
    weights = weights if weights.any() else np.ones(len(kinds))
    parts = zip(kinds, weights / weights.sum(), strict=True)
    return np.hstack([means * np.sqrt(weight) for means, weight in parts])


def names_of_teams(torsos: TorsoSums, groups: Mapping[int, Sequence[int]], count: int) -> dict[int, str]:
    """The team of every identity of which the torso was seen clearly.

    Args:
        torsos: of the tracker's identities.
        groups: those that make up each identity.
        count: N.

    Returns:
        ``A``, ``B``, ... or ``other``; empty where there are no ``count`` teams to be told.
    """
    ids = sorted(groups)
    means, views = torsos.together(groups[identity] for identity in ids)
    teams = find_teams(means, views, count)
    if teams is None:
        return {}
    names = [*TEAM_NAMES[:count], OTHERS]
    return {ids[row]: names[teams.team[row]] for row in np.flatnonzero(views).tolist()}


def teams_in_order(team_of: Mapping[int, str]) -> dict[str, list[int]]:
    """The identities of each team, the teams in order and others last.

    >>> teams_in_order({1: "B", 2: "other", 3: "A", 4: "B"})
    {'A': [3], 'B': [1, 4], 'other': [2]}
    """
    teams: dict[str, list[int]] = {}
    for identity, team in sorted(team_of.items(), key=lambda pair: (pair[1] == OTHERS, pair[1], pair[0])):
        teams.setdefault(team, []).append(identity)
    return teams


def find_teams(means: np.ndarray, views: np.ndarray, count: int) -> Teams | None:
    """Sort identities into teams.

    Members are at least as near to their team as halfway between the members of one team and of two; how many
    belong to none follows. Many ways of sorting people fulfil that. Each is found from ``count`` identities
    that stand for the teams at first, and the one is taken that is worth most (``_worth``).

    Args:
        means: float64 [T, D], mean of the unit vectors of each identity.
        views: int64 [T], how many they were, which is what an identity weighs; none: -1.
        count: N, from 2.

    Returns:
        None where fewer than ``count`` identities were seen, or no teams can be told.

    >>> kits = np.repeat([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], [4, 5, 1], axis=0)
    >>> find_teams(kits, np.full(10, 20), 2).team.tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 1, -1]
    """
    weights = views / max(1, views.sum())
    everybody = 1 - float(np.linalg.norm(weights @ means))
    seen = np.flatnonzero(views > 0)
    some = seen[np.argsort(-views[seen], kind="stable")][:_CANDIDATES].tolist()
    if len(some) < count or everybody < _SAME:
        return None
    best: tuple[float, tuple[int, ...], Teams] | None = None
    tried: Iterable[tuple[int, ...]] = combinations(some, 2)
    for size in range(2, count + 1):
        best = None
        for seeds in tried:
            found = _settled(means, weights, seeds)
            worth = 0.0 if found is None else _worth(found, weights, size, everybody)
            if found is not None and worth > (0.0 if best is None else best[0]):
                best = worth, seeds, found
        if best is None:
            return None
        tried = [(*best[1], row) for row in some if row not in best[1]]
    assert best is not None
    teams = best[2]
    # Teams are called in the order in which their members first appear.
    order = np.argsort([np.flatnonzero(teams.team == number)[0] for number in range(count)])
    return replace(teams, team=np.where(teams.team < 0, -1, np.argsort(order)[teams.team]))


def _settled(means: np.ndarray, weights: np.ndarray, seeds: Sequence[int]) -> Teams | None:
    """The teams that grow from ``seeds``, rows of ``means``; None where one of them comes to nothing."""
    numbers = range(len(seeds))
    cosine = means @ np.stack([_unit(means[row]) for row in seeds]).T
    team = np.where(weights > 0, cosine.argmax(axis=1), -1)
    limit = same = different = 0.0
    for _ in range(_ROUNDS):
        if not all((team == number).any() for number in numbers):
            return None
        cosine = means @ np.stack([_unit(weights[team == n] @ means[team == n]) for n in numbers]).T
        same, different = _within_and_between(cosine, team, weights)
        limit = (same + different) / 2
        near = (cosine.max(axis=1) > limit) & (weights > 0)
        before, team = team, np.where(near, cosine.argmax(axis=1), -1)
        if (team == before).all():
            break
    if not all((team == number).any() for number in numbers):
        return None
    return Teams(team, cosine.max(axis=1), limit, same, different)


def _worth(teams: Teams, weights: np.ndarray, count: int, everybody: float) -> float:
    """What teams explain: ``N w log(S / s)``.

    ``s`` is how far members are from their team and ``S`` how far all people are from the mean of everybody;
    of two normal densities, in any number of dimensions, the narrow one explains a member better by
    ``log(S / s)``. ``w`` is the share of the smallest team: teams are about equally many, so a few people who
    look otherwise than all players are none, nor is a handful of one team who look very much alike.

    Args:
        teams: N of them.
        weights: float64 [T], shares of the identities.
        count: N.
        everybody: S.
    """
    smallest = min(float(weights[teams.team == number].sum()) for number in range(count))
    return count * smallest * float(np.log(everybody / max(1 - teams.same, _SAME)))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _within_and_between(cosine: np.ndarray, team: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean cosine of members to their own team, and that of those to another one which is largest."""
    within, between = [0.0, 0.0], [-1.0]
    for number in range(cosine.shape[1]):
        rows = team == number
        share = weights[rows].sum()
        if not share:
            continue
        mean = weights[rows] @ cosine[rows] / share
        within = [within[0] + share * mean[number], within[1] + share]
        between += np.delete(mean, number).tolist()
    return within[0] / max(within[1], 1e-12), max(between)
