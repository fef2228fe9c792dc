"""What a whole run remembers of each identity: running means in bounded memory, for linking and naming.

The tracker's own memory (``memory``) follows a person and forgets; this one outlives the track, weighs early
and late views alike, and can be cut in two halves in time, which tells how alike two views of one person are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

import numpy as np

from ..embeddings import PartEmbeddings, paired_distance

# Parts of a track in time that are kept apart; when all are full, neighbours are merged.
_BLOCKS = 4
# Clear views of a part after which half of the possible evidence is reached.
_HALF_EVIDENCE = 3.0
# Identities of which spreads are computed together.
_AT_ONCE = 1024


@dataclass(frozen=True)
class MeanAppearance:
    """Mean appearance of T identities; visibilities are evidence in [0, 1), 0 for a part never clearly seen.

    Attributes:
        ids: int64 [T], ascending.
        whole: T rows over all clear views of each.
        spread: float32 [T], part distance of the mean over the first half of the views to that over the
            second: how alike two views of one person are. inf for an identity with a single view.
    """

    ids: np.ndarray
    whole: PartEmbeddings
    spread: np.ndarray

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Row int64 [N] of each of ``ids``, -1 for one that is not here."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        rows = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return np.where(self.ids[rows] == ids, rows, -1)


class AppearanceSums:
    """Running sums of the part vectors of every identity, at most ``4 P D`` numbers for each, then ``P D``.

    Args:
        part_names: P names.
        dim: D.
    """

    def __init__(self, part_names: tuple[str, ...], dim: int) -> None:
        self.part_names, self.dim = part_names, dim
        self._sums: dict[int, _BlockSums] = {}

    @property
    def ids(self) -> np.ndarray:
        """Identities with at least one clear view, int64 [T], ascending."""
        return np.array(sorted(self._sums), np.int64)

    def keep(self, ids: Container[int]) -> None:
        """Forget all identities but ``ids``."""
        self._sums = {identity: sums for identity, sums in self._sums.items() if identity in ids}

    def settle(self, current: Container[int]) -> None:
        """Keep less of all identities but ``current``, of which no more views are to come."""
        ended = [i for i, sums in self._sums.items() if sums.spread is None and i not in current]
        for start in range(0, len(ended), _AT_ONCE):
            part = ended[start : start + _AT_ONCE]
            for identity, spread in zip(part, self._spreads(part).tolist(), strict=True):
                self._sums[identity].close(spread)

    def views(self, ids: np.ndarray) -> np.ndarray:
        """How many clear views there were of each of ``ids``, int64 [N]."""
        return np.array([sums.views if sums else 0 for sums in map(self._sums.get, ids.tolist())], np.int64)

    def add(self, ids: np.ndarray, features: np.ndarray, visibility: np.ndarray) -> None:
        """Take in one clear view of each of ``ids``.

        Args:
            ids: int64 [N].
            features: float32 [N, P, D].
            visibility: float32 [N, P]; a view in which nothing shows is passed over.
        """
        for row in np.flatnonzero(visibility.any(axis=1)):
            sums = self._sums.get(int(ids[row]))
            if sums is None:
                sums = self._sums[int(ids[row])] = _BlockSums(len(self.part_names), self.dim)
            sums.add(features[row] * visibility[row, :, None], visibility[row])

    def whole(self, ids: np.ndarray) -> PartEmbeddings:
        """Mean of all views of each of ``ids``, N rows; nothing visible where there is no view."""
        return self.together([[identity] for identity in ids.tolist()])

    def together(self, groups: list[list[int]]) -> PartEmbeddings:
        """Mean of all views of all identities in each of N ``groups``, N rows."""
        known = ([self._sums[i].total() for i in group if i in self._sums] for group in groups)
        return self._embeddings((_added(totals) if totals else None for totals in known), len(groups))

    def means(self) -> MeanAppearance:
        """All identities with at least one clear view."""
        ids = self.ids
        spread = np.concatenate(
            [np.zeros(0, np.float32)]
            + [
                self._spreads(ids[start : start + _AT_ONCE].tolist())
                for start in range(0, len(ids), _AT_ONCE)
            ]
        )
        return MeanAppearance(ids, self.whole(ids), spread)

    def _spreads(self, ids: list[int]) -> np.ndarray:
        """``MeanAppearance.spread`` of each of ``ids``."""
        known = [self._sums[identity].spread for identity in ids]
        halves = [
            self._sums[identity].halves()
            for identity, spread in zip(ids, known, strict=True)
            if spread is None
        ]
        early, late = (self._embeddings((half[n] for half in halves), len(halves)) for n in range(2))
        found = iter(paired_distance(early, late).tolist())
        return np.array([next(found) if spread is None else spread for spread in known], np.float32)

    def _embeddings(self, sums: Iterable[tuple[np.ndarray, np.ndarray] | None], count: int) -> PartEmbeddings:
        features = np.zeros((count, len(self.part_names), self.dim), np.float32)
        weights = np.zeros(features.shape[:2], np.float32)
        for row, item in enumerate(sums):
            if item is not None:
                features[row], weights[row] = item
        return mean_embeddings(features, weights, self.part_names)


class _BlockSums:
    """Sums over up to four stretches of one track, in order."""

    def __init__(self, parts: int, dim: int) -> None:
        self._shape = (parts, dim)
        self._features: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []
        self._views: list[int] = []
        self._size = 1  # views a block takes
        self.spread: float | None = None  # once no more views are to come

    @property
    def views(self) -> int:
        return sum(self._views)

    def close(self, spread: float) -> None:
        """Keep the total and the ``spread`` alone."""
        self.spread = spread
        features, weights = self.total()
        self._features, self._weights, self._views = [features], [weights], [self.views]

    def add(self, features: np.ndarray, weights: np.ndarray) -> None:
        self.spread = None
        if not self._views or self._views[-1] >= self._size:
            if len(self._views) == _BLOCKS:
                self._merge()
            self._features.append(np.zeros(self._shape, np.float32))
            self._weights.append(np.zeros(self._shape[0], np.float32))
            self._views.append(0)
        self._features[-1] += features
        self._weights[-1] += weights
        self._views[-1] += 1

    def _merge(self) -> None:
        self._size *= 2
        pairs = range(0, _BLOCKS, 2)
        self._features = [self._features[n] + self._features[n + 1] for n in pairs]
        self._weights = [self._weights[n] + self._weights[n + 1] for n in pairs]
        self._views = [self._views[n] + self._views[n + 1] for n in pairs]

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        return np.sum(self._features, axis=0), np.sum(self._weights, axis=0)

    def halves(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
        """Sums of the first and of the second half of the blocks; None where there is but one."""
        half = (len(self._views) + 1) // 2
        early = np.sum(self._features[:half], axis=0), np.sum(self._weights[:half], axis=0)
        if half == len(self._views):
            return early, None
        return early, (np.sum(self._features[half:], axis=0), np.sum(self._weights[half:], axis=0))


def _added(totals: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    features, weights = zip(*totals, strict=True)
    return np.sum(features, axis=0), np.sum(weights, axis=0)


def mean_embeddings(features: np.ndarray, weights: np.ndarray, part_names: tuple[str, ...]) -> PartEmbeddings:
    """Weighted sums of part vectors as unit vectors with their evidence as visibility.

    Args:
        features: float32 [T, P, D], sums of vectors times visibility; taken over, not copied.
        weights: float32 [T, P], sums of visibilities: views in which the part showed.
    """
    norm = np.sqrt(np.einsum("tpd,tpd->tp", features, features))[..., None]
    features /= np.maximum(norm, 1e-12)
    return PartEmbeddings(features, weights / (weights + np.float32(_HALF_EVIDENCE)), part_names)
