"""Giving the people of a gallery their names: part distances to names, with unknown people left unknown."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from ..config import GalleryConfig
from ..embeddings import PartEmbeddings, part_distance
from . import costs


@dataclass(frozen=True)
class Gallery:
    """Known people: G views of M names.

    Attributes:
        names: M names.
        views: G rows.
        owner: int64 [G], which name each view belongs to.
    """

    names: tuple[str, ...]
    views: PartEmbeddings
    owner: np.ndarray

    def distances(self, looks: PartEmbeddings) -> np.ndarray:
        """Part distance float64 [N, M] of each of ``looks`` to the nearest view of every name; inf: none."""
        to_views = part_distance(looks, self.views).numpy().astype(np.float64)
        nearest = np.full((len(looks), len(self.names)), np.inf)
        for name in range(len(self.names)):
            nearest[:, name] = to_views[:, self.owner == name].min(axis=1, initial=np.inf)
        return nearest


class Namer:
    """Names for the tracks of a stream, frame by frame.

    A name goes to one track of a frame at most, by the least sum of distances. A track keeps its name until
    it lies ``hysteresis`` beyond ``max_distance``, or another track or name is nearer by as much.

    Args:
        config: settings.
    """

    def __init__(self, config: GalleryConfig) -> None:
        self._config = config
        self._held: dict[int, int] = {}

    def keep(self, ids: Container[int]) -> None:
        """Forget the names of all tracks but ``ids``."""
        self._held = {identity: name for identity, name in self._held.items() if identity in ids}

    def update(self, ids: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Names of the tracks in one frame.

        Args:
            ids: int64 [N], identities.
            distances: [N, M] of their memories to the names; inf for a track that is not to be named now.

        Returns:
            int64 [N], the name of each, -1 for an unknown person.
        """
        cost = distances.astype(np.float64, copy=True)
        for row, identity in enumerate(ids.tolist()):
            name = self._held.get(identity)
            if name is not None:
                cost[row, name] -= self._config.hysteresis
        names = np.full(len(ids), -1)
        rows, columns = costs.assign(cost, self._config.max_distance)
        names[rows] = columns
        for identity, name in zip(ids.tolist(), names.tolist(), strict=True):
            if name >= 0:
                self._held[identity] = name
            else:
                self._held.pop(identity, None)
        return names


def names_of_all(distances: np.ndarray, together: np.ndarray, max_distance: float) -> np.ndarray:
    """Names of the identities of a whole run, nearest first; nobody is at two places in one frame.

    Args:
        distances: [I, M] of identities to names.
        together: bool [I, I], identities seen in one frame.
        max_distance: above it a name is not given.

    Returns:
        int64 [I], the name of each, -1 for an unknown person. Identities never seen together may share one.
    """
    names = np.full(len(distances), -1)
    rows, columns = np.nonzero(distances <= max_distance)
    for n in np.argsort(distances[rows, columns], kind="stable"):
        row, column = rows[n], columns[n]
        if names[row] < 0 and not (together[row] & (names == column)).any():
            names[row] = column
    return names
