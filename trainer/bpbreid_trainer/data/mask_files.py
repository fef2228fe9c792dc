"""Label files: where they lie beside a data set, reading them, writing them.

A label file holds the 36 confidence fields of one image, float [36, h, w] in [0, 1]: 17 keypoints, then 19
connections (``bpbreid_track.model.part_groups.CHANNELS``). It lies in
``masks/<name of the set of labels>/<folder of the image>/<stem>.npy``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bpbreid_track.errors import InputError
from bpbreid_track.model.part_groups import CHANNELS

from .samples import ReadError

# {stem} and {name} (stem and suffix) of the image: ours and the published files', PifPaf's raw fields, and
# what the published script for making labels writes.
_FILE_NAMES = ("{stem}.npy", "{name}.confidence_fields.npy", "{stem}.confidence_fields.npy", "{name}.npy")


class MaskFiles:
    """Label files below one folder.

    Args:
        folder: for example ``<data set>/masks/yolo-pose``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listed: dict[Path, set[str]] = {}

    def find(self, image: Path) -> Path | None:
        """The label file of an image given relative to the data set, or None.

        Data sets with a folder for each identity were published with labels in which it is left out.
        """
        folder = self.folder / image.parent
        for candidate in (folder, folder.parent):
            names = self._names(candidate)
            for pattern in _FILE_NAMES:
                name = pattern.format(stem=image.stem, name=image.name)
                if name in names:
                    return candidate / name
        return None

    def _names(self, folder: Path) -> set[str]:
        if folder not in self._listed:
            self._listed[folder] = set(os.listdir(folder)) if folder.is_dir() else set()
        return self._listed[folder]


def default_masks(root: Path) -> Path | None:
    """The one folder in ``<root>/masks``; None where there is none.

    Raises:
        InputError: there are several.
    """
    folder = root / "masks"
    sets = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if len(sets) > 1:
        names = ", ".join(path.name for path in sets)
        raise InputError(f"{folder}: several sets of labels ({names}); name the one to use")
    return sets[0] if sets else None


def read_fields(path: Path) -> np.ndarray:
    """float32 [36, h, w] in [0, 1], channels as in ``part_groups.CHANNELS``.

    Raises:
        ReadError: no readable array, or one of another shape or range.
    """
    try:
        fields = np.load(path)
    except Exception as error:  # numpy raises whatever a damaged header leads it to
        raise ReadError(f"{path}: not a readable label file ({' '.join(str(error).split())})") from error
    if not isinstance(fields, np.ndarray) or fields.ndim != 3 or fields.shape[0] != len(CHANNELS):
        shape = list(fields.shape) if isinstance(fields, np.ndarray) else type(fields).__name__
        raise ReadError(f"{path}: expected confidence fields [{len(CHANNELS)}, h, w], got {shape}")
    if fields.dtype.kind != "f" or 0 in fields.shape:
        raise ReadError(f"{path}: expected floats in [0, 1], got {fields.dtype} {list(fields.shape)}")
    return np.nan_to_num(fields.astype(np.float32)).clip(0, 1)


def write_fields(path: Path, fields: np.ndarray) -> None:
    """Write fields [36, h, w] as float16, whole or not at all.

    Half precision keeps three digits of a confidence at half the space.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.save(file, fields.astype(np.float16))
    part.replace(path)
