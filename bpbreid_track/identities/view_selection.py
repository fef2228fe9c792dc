"""A few telling views of every identity, for a gallery."""

from __future__ import annotations

import numpy as np

from ..embeddings import PartEmbeddings, part_distance
from ..tracking.tracks import TICK

# Sums of frame times are not exact; differences below this many seconds are none.

# Least time between two views of one identity, in seconds.
VIEW_SECONDS = 0.2


class DiverseViews:
    """Keeps up to ``2 * count`` clear views of each identity, spread over time and appearance.

    Args:
        count: views that ``of`` gives of an identity.
        interval: seconds after a view in which the next ones of that identity are passed over.
    """

    def __init__(self, count: int, interval: float) -> None:
        self._count, self._interval = count, interval
        self._views: dict[int, list[PartEmbeddings]] = {}
        self._last: dict[int, float] = {}

    @property
    def ids(self) -> list[int]:
        """Identities with at least one view, ascending."""
        return sorted(self._views)

    def add(self, ids: np.ndarray, embeddings: PartEmbeddings, time: float) -> None:
        """Take in one clear view of each of ``ids`` [N] at ``time`` seconds; blank rows are passed over."""
        shown = embeddings.visibility.any(dim=1).numpy()
        for row in np.flatnonzero(shown):
            identity = int(ids[row])
            if time - self._last.get(identity, -np.inf) < self._interval - TICK:
                continue
            self._last[identity] = time
            views = self._views.setdefault(identity, [])
            # A row of its own, or it would keep those of the whole frame alive.
            views.append(embeddings[np.array([row])])
            if len(views) == 2 * self._count:
                kept = diverse_rows(PartEmbeddings.cat(views), self._count)
                views[:] = [views[n] for n in kept.tolist()]

    def of(self, ids: list[int]) -> PartEmbeddings:
        """The ``count`` most diverse views of the identities ``ids`` together.

        Raises:
            ValueError: there is no view of any of them.
        """
        views = PartEmbeddings.cat([view for identity in ids for view in self._views.get(identity, [])])
        return views[diverse_rows(views, self._count)]


def diverse_rows(embeddings: PartEmbeddings, count: int) -> np.ndarray:
    """Rows int64 [<= count], ascending, that lie far apart: the first, then always the farthest one.

    Views that share no part count as far apart, as neither tells what the other does.
    """
    if len(embeddings) <= count:
        return np.arange(len(embeddings))
    distances = part_distance(embeddings, embeddings).nan_to_num(posinf=2.0).numpy()
    chosen = [0]
    nearest = distances[0].copy()
    while len(chosen) < count:
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances[chosen[-1]])
    return np.sort(np.array(chosen))
