"""Where people stood: a map of heat over a picture of the place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..regions.areas import feet_of
from ..tracking.other_classes import people_in
from .pictures import encoded, shrunk

if TYPE_CHECKING:
    import supervision as sv

    from ..io.sources.base import Frame

# Pixels that the map has at most.
_SIZE = (800, 600)
# Seconds between two pictures of which the mean is taken.
_STEP_SECONDS = 0.5
# How far a foot spreads (a standard deviation), as a share of the map's longer side.
_SPREAD = 0.008
# Where the mean of the pictures keeps less of their edges, the camera moved: still cameras kept 0.74 to 0.82
# of them (6 videos, crowded streets among them), moving ones 0.22 to 0.60 (6 videos).
_STILL = 0.67
# How much of the picture the hottest place hides.
_COVER = 0.85


@dataclass(frozen=True)
class HeatMap:
    """Heat over a picture.

    Attributes:
        jpeg: of both.
        width: of it in pixels.
        height: of it in pixels.
        frame: the camera moved, and the picture is this frame (from 1), the sharpest; None: it stood still,
            and the picture is the mean of all, in which who walks by fades.
    """

    jpeg: bytes
    width: int
    height: int
    frame: int | None


class Places:
    """Counts where people stand, and keeps a picture of the place. Memory does not grow with the run.

    Args:
        by_motion: numbers of the classes that are no people.

    Attributes:
        boxes: how many were counted.
        size: width and height of the frames.
    """

    def __init__(self, by_motion: Collection[int] = ()) -> None:
        self._by_motion = by_motion
        self.boxes = 0
        self.size = (0, 0)
        self._heat = np.zeros((0, 0), np.float32)
        self._sum = np.zeros((0, 0, 3), np.float32)
        self._pictures, self._edges, self._time = 0, 0.0, -np.inf
        self._sharpest: tuple[float, int, np.ndarray] | None = None

    def add(self, frame: Frame, detections: sv.Detections) -> None:
        """Take in a frame with its picture; boxes with ``tracker_id``, those that were filled in as well."""
        height, width = frame.image.shape[:2]
        if not self._pictures or frame.timestamp - self._time >= _STEP_SECONDS:
            self._look(frame)
        if detections.tracker_id is None:
            return
        known = (detections.tracker_id >= 0) & people_in(detections, self._by_motion)
        feet = feet_of(detections.xyxy[known])
        feet = feet[np.isfinite(feet).all(axis=1)]
        # Who is cut off by an edge of the picture stands on its last row or column.
        high, wide = self._heat.shape
        at = (feet * [wide / width, high / height]).clip(0, [wide - 1, high - 1]).astype(int)
        np.add.at(self._heat, (at[:, 1], at[:, 0]), 1)
        self.boxes += len(at)

    def map(self) -> HeatMap | None:
        """What it comes to; None where nobody stood anywhere."""
        if not self.boxes or self._sharpest is None:
            return None
        mean: np.ndarray = np.round(self._sum / self._pictures).astype(np.uint8)
        moved = _edges(mean) < _STILL * self._edges / self._pictures
        _, frame, picture = self._sharpest
        jpeg = encoded(painted(picture if moved else mean, self._heat))
        height, width = mean.shape[:2]
        return HeatMap(jpeg, width, height, frame if moved else None)

    def _look(self, frame: Frame) -> None:
        small = shrunk(frame.image, _SIZE)[0]
        if not self._pictures:
            self.size = frame.image.shape[1], frame.image.shape[0]
            self._heat = np.zeros(small.shape[:2], np.float32)
            self._sum = np.zeros(small.shape, np.float32)
        elif small.shape != self._sum.shape:  # a stream that changed its size
            small = cv2.resize(small, self._sum.shape[1::-1], interpolation=cv2.INTER_AREA)
        self._sum += small
        self._pictures, self._time = self._pictures + 1, frame.timestamp
        edges = _edges(small)
        self._edges += edges
        if self._sharpest is None or edges > self._sharpest[0]:
            self._sharpest = edges, frame.index + 1, small.copy()


def painted(picture: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """A picture with heat on it: from blue to red, and the less transparent the longer people stood there.

    Args:
        picture: uint8 [H, W, 3] BGR.
        counts: float32 [H, W], how many stood on each pixel.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    heat = cv2.GaussianBlur(counts, (0, 0), max(1.0, _SPREAD * max(counts.shape)))
    # Roots: who walks by is seen beside who stands for minutes.
    share = np.sqrt(heat / max(float(heat.max()), 1e-9))
    colours = cv2.applyColorMap(np.round(64 + 191 * share).astype(np.uint8), cv2.COLORMAP_TURBO)
    cover = (_COVER * np.minimum(1, 2 * share))[..., None]
    mixed: np.ndarray = np.round(picture * (1 - cover) + colours * cover).astype(np.uint8)
    return mixed


def _edges(picture: np.ndarray) -> float:
    """How much of edges is in a picture."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())
