"""Giving the people of a gallery their names: part distances to names, with unknown people left unknown."""

from __future__ import annotations

import logging
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..config import GalleryConfig
from ..embedding_files import MAX_MEGABYTES, maker_of
from ..embeddings import PartEmbeddings, part_distance
from ..errors import InputError
from ..io.part_file import put
from ..io.sources.images import IMAGE_SUFFIXES, natural_key, read_image
from ..tracking.assignment import assign

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder

logger = logging.getLogger(__name__)


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

    def distances(self, means: PartEmbeddings) -> np.ndarray:
        """Part distance float64 [N, M] of each of ``means`` to the nearest view of every name; inf: none."""
        to_views = part_distance(means, self.views).numpy().astype(np.float64)
        nearest = np.full((len(means), len(self.names)), np.inf)
        for name in range(len(self.names)):
            nearest[:, name] = to_views[:, self.owner == name].min(axis=1, initial=np.inf)
        return nearest


class Namer:
    """Names for the tracks of a stream, frame by frame.

    A name goes to one track of a frame at most, by the least sum of distances. A track keeps its name until
    it lies ``HYSTERESIS`` beyond ``max_distance``, or another track or name is nearer by as much.

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
                cost[row, name] -= HYSTERESIS
        names = np.full(len(ids), -1)
        rows, columns = assign(cost, self._config.max_distance)
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
        together: int64 [K, 2], pairs of identities seen in one frame.
        max_distance: above it a name is not given.

    Returns:
        int64 [I], the name of each, -1 for an unknown person. Identities never seen together may share one.
    """
    names = np.full(len(distances), -1)
    rows, columns = np.nonzero(distances <= max_distance)
    both = np.concatenate([together, together[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(len(distances) + 1))
    for n in np.argsort(distances[rows, columns], kind="stable"):
        row, column = rows[n], columns[n]
        if names[row] < 0 and not (names[both[starts[row] : starts[row + 1], 1]] == column).any():
            names[row] = column
    return names


# How much nearer another name must be than the one that a track has.
HYSTERESIS = 0.05
# Clear views of a track before it is given a name.
MIN_VIEWS = 3
# Signs that some scripts need inside words, though nothing is printed for them.
_JOINERS = "\u200c\u200d"

PathLike = str | os.PathLike[str]


def load_gallery(
    folder: PathLike, encoder: PartEncoder, max_megabytes: float = MAX_MEGABYTES, weights: str = ""
) -> Gallery:
    """Read the people of ``folder``: ``anna/*.jpg`` (crops, encoded here) or ``anna.npz`` (PartEmbeddings).

    A name may have both. Files of other kinds and hidden ones are passed over. Warns of embeddings that other
    weights made.

    Args:
        folder: the gallery.
        encoder: that of the run; gives the embeddings of crops, and says what those of a file must be.
        max_megabytes: what a file may inflate to.
        weights: fingerprint of the encoder; empty: nothing is compared.

    Raises:
        InputError: no such folder, nobody in it, an unreadable crop, or embeddings of another encoder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; a gallery is a folder of NAME/*.jpg or NAME.npz")
    views: dict[str, list[PartEmbeddings]] = {}
    foreign: list[Path] = []
    for path in sorted(root.iterdir(), key=natural_key):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found = _encode_folder(path, encoder)
        elif path.suffix.lower() == ".npz":
            found = _checked(path, encoder, max_megabytes)
            if weights and maker_of(path) not in {"", weights}:
                foreign.append(path)
        else:
            continue
        name = path.stem if path.is_file() else path.name
        if not all(letter.isprintable() or letter in _JOINERS for letter in name):
            raise InputError(f"{root}: a name with control characters, {name!r}; rename it")
        found = found[found.visibility.any(dim=1)]
        if len(found):
            views.setdefault(name, []).append(found)
    if not views:
        raise InputError(f"{root}: holds nobody; a gallery is a folder of NAME/*.jpg or NAME.npz")
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        logger.warning(
            "%s%s: made by other weights than those of this run, or another export of them; distances "
            "between the two mean little, so save the gallery anew",
            foreign[0],
            more,
        )
    rows = [PartEmbeddings.cat(parts) for parts in views.values()]
    owner = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    return Gallery(tuple(views), PartEmbeddings.cat(rows), owner)


def _encode_folder(folder: Path, encoder: PartEncoder) -> PartEmbeddings:
    paths = sorted(
        (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES), key=natural_key
    )
    crops = []
    for path in paths:
        crop = read_image(path)
        if crop is None:
            raise InputError(f"{path}: could not be decoded as an image; remove it from the gallery")
        crops.append(crop)
    return encoder.encode_crops(crops).to("cpu")


def _checked(path: Path, encoder: PartEncoder, max_megabytes: float) -> PartEmbeddings:
    embeddings = PartEmbeddings.load(path, max_megabytes=max_megabytes)
    if embeddings.part_names != encoder.part_names or embeddings.dim != encoder.dim:
        raise InputError(
            f"{path}: made by another encoder: expected parts {list(encoder.part_names)} with {encoder.dim} "
            f"features, found {list(embeddings.part_names)} with {embeddings.dim}; save it anew with the "
            "encoder of this run"
        )
    return embeddings


def save_gallery_files(
    folder: PathLike, people: dict[str, PartEmbeddings], pictures: Mapping[str, bytes], weights: str = ""
) -> None:
    """Write ``NAME.npz`` for each of ``people`` into ``folder``, which is made if it is missing.

    Args:
        folder: new or empty.
        people: views of each.
        pictures: for whom there is one, a JPEG, written beside them as ``NAME.jpg``: to see who it is.
        weights: fingerprint of the encoder, by which ``load_gallery`` knows it again.

    Raises:
        InputError: it cannot be written.
    """
    root = Path(folder)
    path = root
    try:
        root.mkdir(exist_ok=True)
        for name, views in people.items():
            path = root / f"{name}.npz"
            views.save(path, made_by=weights)
            if name in pictures:
                path = root / f"{name}.jpg"
                put(path, pictures[name])
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
