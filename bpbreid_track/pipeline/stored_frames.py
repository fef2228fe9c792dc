"""What a finished cache holds, frame by frame, for whoever runs no pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import supervision as sv

from ..embeddings import PartEmbeddings
from ..tracking.camera_motion import CameraStep
from .cache import as_found, steps_of
from .cache_file import CacheReader


@dataclass(frozen=True)
class StoredFrame:
    """A frame of a cache, without its picture."""

    index: int
    timestamp: float
    detections: sv.Detections
    embeddings: PartEmbeddings | None


class StoredFrames(Sequence[StoredFrame]):
    """The frames of a finished cache, in the order of the video; read anew at each access.

    Args:
        path: the file.

    Raises:
        InputError: it is missing, damaged or no cache.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = CacheReader(Path(path))
        self._part_names = self._file.facts["part_names"]

    def __len__(self) -> int:
        return len(self._file.index)

    @overload
    def __getitem__(self, row: int) -> StoredFrame: ...
    @overload
    def __getitem__(self, row: slice) -> list[StoredFrame]: ...
    def __getitem__(self, row: int | slice) -> StoredFrame | list[StoredFrame]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        entry = self._file.index[row]
        boxes, embeddings = as_found(self._file.read(row), self._part_names)
        return StoredFrame(int(entry["frame"]), float(entry["seconds"]), boxes, embeddings)

    def camera(self) -> list[CameraStep]:
        """What the camera did before each frame; empty where nobody found out.

        Raises:
            InputError: the file is damaged.
        """
        return steps_of(self._file.facts.get("camera", ""), self._file.path)

    def close(self) -> None:
        self._file.close()
