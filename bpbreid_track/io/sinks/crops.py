"""A folder of crops for each identity."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ...errors import InputError
from ..locks import FolderClaim, writing
from ..part_file import put
from ..paths import check_new_folder
from ..sources.base import Frame

if TYPE_CHECKING:
    import supervision as sv


class CropSink:
    """A folder for each identity with the person cut out of every frame: ``00007/000123.jpg``, frames from 1.

    Boxes are clipped to the image; one that lies outside gives no crop, nor does one that was filled in: who
    is not detected is mostly hidden by somebody else.

    Args:
        folder: made if it is missing (its parent must exist).
        every: of so many crops of an identity the first is kept.

    Raises:
        InputError: it cannot be written, or another run writes it.
        UsageError: it holds something already: two numberings would be mixed.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int = 1) -> None:
        self.folder, self._every = Path(folder), every
        self._seen: Counter[int] = Counter()
        if not self.folder.parent.is_dir():
            raise InputError(f"{self.folder}: there is no folder {self.folder.parent}; create it first")
        self._claim = FolderClaim(self.folder)
        try:
            with writing(self.folder):
                check_new_folder(self.folder)
        except InputError:
            self._claim.release()
            raise

    def write(self, frame: Frame, detections: sv.Detections) -> None:
        if detections.tracker_id is None:
            return
        height, width = frame.image.shape[:2]
        corners = np.round(detections.xyxy).astype(int).clip(0, [width, height, width, height])
        filled = detections.data.get("filled", np.zeros(len(detections), bool))
        for (left, top, right, bottom), identity, guessed in zip(
            corners, detections.tracker_id, filled, strict=True
        ):
            if identity < 0 or guessed or right <= left or bottom <= top:
                continue
            self._seen[int(identity)] += 1
            if (self._seen[int(identity)] - 1) % self._every:
                continue
            path = self.folder / f"{identity:05d}" / f"{frame.index + 1:06d}.jpg"
            _, data = cv2.imencode(
                ".jpg", frame.image[top:bottom, left:right], [cv2.IMWRITE_JPEG_QUALITY, 95]
            )
            with writing(path):
                path.parent.mkdir(exist_ok=True)
                put(path, data.tobytes())

    def close(self) -> None:
        """Let others have the folder. May be called twice."""
        self._claim.release()
