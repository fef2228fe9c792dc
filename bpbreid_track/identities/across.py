"""Joining the identities of several videos: who of one is who of another.

Pure functions on the mean appearance of each identity and on when it was seen. A join is one of whole groups,
by the mean part distance between all members of both, the nearest first; two who cannot be one person keep
their groups apart for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_array

from ..embeddings import PartEmbeddings, part_distance
from .appearance_stats import mean_embeddings

# Above any distance, also in the mean of a group with a thousand times a thousand pairs.
_NEVER = 1e9
# Part distance of two of whom no part shows in both: the largest there is.
_UNKNOWN = 2.0


@dataclass(frozen=True)
class Seen:
    """When and where I identities were seen.

    Attributes:
        camera: int64 [I], number of the camera; cameras look at different places.
        seconds: I arrays int64, the whole seconds in which each was seen, ascending, on a clock that all
            videos share; empty where that is not known.
    """

    camera: np.ndarray
    seconds: Sequence[np.ndarray]


def mean_views(views: Sequence[PartEmbeddings]) -> PartEmbeddings:
    """The mean of each of I sets of views, I rows; a part that showed more often weighs more."""
    sums, weights = [], []
    for part in views:
        features, visibility = part.numpy()
        sums.append(np.einsum("npd,np->pd", features, visibility))
        weights.append(visibility.sum(axis=0))
    return mean_embeddings(np.stack(sums), np.stack(weights), views[0].part_names)


def impossible(seen: Seen, together: np.ndarray, min_seconds: int, max_seconds: float) -> np.ndarray:
    """Which pairs cannot be one person.

    Nobody is at two places at once: not twice in one frame, and not in two cameras in one second, nor sooner
    one after the other than it takes to go there.

    Args:
        seen: I identities.
        together: int64 [K, 2], pairs seen in one frame of a video.
        min_seconds: least time from one camera to another, at least 1.
        max_seconds: longest time from the end of one to the beginning of the other.

    Returns:
        bool [I, I], symmetric, false on the diagonal.
    """
    count = len(seen.camera)
    out = np.zeros((count, count), bool)
    out[together[:, 0], together[:, 1]] = out[together[:, 1], together[:, 0]] = True
    timed = np.array([len(seconds) > 0 for seconds in seen.seconds], bool)
    if timed.any():
        elsewhere = seen.camera[:, None] != seen.camera[None, :]
        out |= elsewhere & _within(seen.seconds, min_seconds)
        first = np.array([part[0] if len(part) else np.nan for part in seen.seconds])
        last = np.array([part[-1] if len(part) else np.nan for part in seen.seconds])
        # Comparisons with NaN are false: what is not known forbids nothing.
        out |= np.maximum(first[:, None] - last[None, :], first[None, :] - last[:, None]) > max_seconds
    np.fill_diagonal(out, False)
    return out


def _within(seconds: Sequence[np.ndarray], least: int) -> np.ndarray:
    """bool [I, I]: less than ``least`` seconds lie between some moment of the one and one of the other."""
    start = min(int(part[0]) for part in seconds if len(part))
    width = max(int(part[-1]) for part in seconds if len(part)) - start + 1
    near = np.arange(-least + 1, least)
    rows, columns = [], []
    for row, part in enumerate(seconds):
        around = np.unique((part[:, None] - start + near).clip(0, width - 1))
        rows.append(np.full(len(around), row))
        columns.append(around)
    owner = np.repeat(np.arange(len(seconds)), [len(part) for part in seconds])
    exact = _marks(owner, np.concatenate(seconds) - start, len(seconds), width)
    wide = _marks(np.concatenate(rows), np.concatenate(columns), len(seconds), width)
    found: np.ndarray = (exact @ wide.T).toarray() > 0
    return found | found.T


def _marks(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> csr_array:
    return csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(height, width))


def join(looks: PartEmbeddings, forbidden: np.ndarray, max_distance: float) -> np.ndarray:
    """The group of each of I identities.

    Args:
        looks: I rows.
        forbidden: bool [I, I].
        max_distance: mean part distance of two groups above which they stay apart.

    Returns:
        int64 [I] from 0, numbered in the order in which groups appear.

    >>> looks = PartEmbeddings([[[1., 0.]], [[0., 1.]], [[1., 0.]]], [[1], [1], [1]], ["foreground"])
    >>> join(looks, np.zeros((3, 3), bool), 0.5).tolist()
    [0, 1, 0]
    """
    count = len(looks)
    if count < 2:
        return np.zeros(count, np.int64)
    distances = part_distance(looks, looks).nan_to_num(posinf=_UNKNOWN).numpy().astype(np.float64)
    distances = (distances + distances.T) / 2
    distances[forbidden] = _NEVER
    pairs = distances[np.triu_indices(count, 1)]
    groups = fcluster(linkage(pairs, "average"), max_distance, "distance")
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place].astype(np.int64)


def pair_scores(groups: np.ndarray, people: np.ndarray, asked: np.ndarray) -> tuple[float, float]:
    """Precision and recall of joining.

    Args:
        groups: int64 [I], what ``join`` found.
        people: int64 [I], the truth.
        asked: bool [I, I], the pairs that count.

    Returns:
        Of the pairs that were joined the share that is one person, and of the pairs that are one person the
        share that was joined; NaN where there are none.
    """
    upper = np.triu(asked, 1)
    joined = (groups[:, None] == groups[None, :]) & upper
    right = (people[:, None] == people[None, :]) & upper
    both = int((joined & right).sum())
    return tuple(both / total if total else float("nan") for total in (int(joined.sum()), int(right.sum())))  # type: ignore[return-value]
