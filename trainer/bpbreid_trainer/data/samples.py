"""One image of a ReID data set, the data set, and reading the image."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from bpbreid_track.errors import InputError
from bpbreid_track.io.sources import images


class ReadError(InputError):
    """A file of the data set that cannot be used.

    A DataLoader re-raises what a worker raised with the worker's traceback as its message; the user is to see
    the last line alone.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().splitlines()[-1].rpartition("ReadError: ")[2])


@dataclass(frozen=True)
class Sample:
    """One crop of one person.

    Attributes:
        path: image file.
        person_id: identity as the data set numbers it, the same in query and gallery.
        camera: camera, or whatever takes its place, from 0.
        mask_path: the 36 confidence fields made for it; None where there are none.
        scene: where the protocol compares only within a scene (SoccerNet: an action), its number.
        dataset: which of several data sets that are trained on together, from 0.
    """

    path: Path
    person_id: int
    camera: int
    mask_path: Path | None = None
    scene: int | None = None
    dataset: int = 0


@dataclass(frozen=True)
class ReidDataset:
    """The three sets of a data set; a set that is not on the disk is empty.

    Attributes:
        name: which layout it was read as, for example ``market1501``.
        root: folder it was found in.
    """

    name: str
    root: Path
    train: list[Sample] = field(default_factory=list)
    query: list[Sample] = field(default_factory=list)
    gallery: list[Sample] = field(default_factory=list)


def read_image(path: Path) -> np.ndarray:
    """uint8 [H, W, 3] RGB.

    Raises:
        ReadError: no such file, or no image.
    """
    image = images.read_image(path)
    if image is None:
        reason = "not a readable image; replace or delete the file" if path.is_file() else "no such file"
        raise ReadError(f"{path}: {reason}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def is_image(path: Path) -> bool:
    """Whether the name is that of an image (and not of a hidden file)."""
    return path.suffix.lower() in images.IMAGE_SUFFIXES and not path.name.startswith(".")
