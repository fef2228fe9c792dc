"""Areas of the picture, and who stands in them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np
import supervision as sv

from ..errors import InputError
from .points import Points, in_pixels

_WHITE = 128  # of a mask, from this level on


class Area:
    """A part of the picture. A box lies in it where the middle of its lower edge does.

    Args:
        zone: supervision's, with a mask over the whole picture.
        width: of the picture.
        height: of the picture.
        outlines: for painting: polygons int [K, 2] of x, y.
    """

    def __init__(self, zone: sv.PolygonZone, width: int, height: int, outlines: Sequence[np.ndarray]) -> None:
        self._zone, self._width, self._height = zone, width, height
        self.outlines = list(outlines)

    def holds(self, xyxy: np.ndarray) -> np.ndarray:
        """Which boxes lie in it.

        Args:
            xyxy: float [N, 4] in pixels.

        Returns:
            bool [N].
        """
        # Who is cut off by the lower edge of the picture stands on its last row.
        feet = np.clip(np.rint(np.nan_to_num(feet_of(xyxy))), 0, [self._width - 1, self._height - 1])
        inside: np.ndarray = self._zone.trigger(as_boxes(feet))
        return inside


def feet_of(xyxy: np.ndarray) -> np.ndarray:
    """The middles of the lower edges of boxes [N, 4]: x, y float64 [N, 2]."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)


def as_boxes(points: np.ndarray, ids: np.ndarray | None = None) -> sv.Detections:
    """Points [N, 2] as boxes without extent, of which every anchor is that point."""
    return sv.Detections(np.hstack([points, points]), tracker_id=ids)


def polygon_area(points: Points, width: int, height: int, what: str) -> Area:
    """The area inside a polygon.

    Args:
        points: in pixels or fractions.
        width: of the picture.
        height: of the picture.
        what: begins the message of an error: ``zone 'hall'``.

    Raises:
        InputError: the polygon has no part in the picture, or no area.
    """
    corners = np.rint(in_pixels(points, width, height, what)).astype(int)
    if (corners.max(axis=0) < 0).any() or (corners.min(axis=0) >= [width, height]).any():
        raise InputError(f"{what}: the polygon lies outside the picture of {width} x {height} pixels")
    if cv2.contourArea(corners.astype(np.int32)) == 0:
        raise InputError(f"{what}: the polygon encloses nothing; give at least 3 points that are no line")
    return Area(sv.PolygonZone(corners), width, height, [corners])


def check_mask(path: str, what: str) -> None:
    """Fail where a mask that was named is not there; ``what`` begins the message of the InputError."""
    if not os.path.isfile(path):
        raise InputError(f"{what}: {path!r} is neither a polygon 'x,y x,y x,y' nor an image file")


def mask_area(path: str | os.PathLike[str], width: int, height: int, what: str) -> Area:
    """The white area of an image that is as large as the picture.

    Args:
        path: of the image; grey levels from 128 on are white.
        width: of the picture.
        height: of the picture.
        what: begins the message of an error.

    Raises:
        InputError: it cannot be read, has another size, or nothing white in it.
    """
    path = os.fspath(path)
    check_mask(path, what)
    try:
        with open(path, "rb") as file:
            image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
    except OSError as error:
        raise InputError(f"{what}: {path}: {error.strerror}") from error
    except cv2.error:  # no bytes, or more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
        image = None
    if image is None:
        raise InputError(f"{what}: {path}: could not be decoded as an image")
    if image.shape != (height, width):
        raise InputError(
            f"{what}: {path}: the mask has {image.shape[1]} x {image.shape[0]} pixels, the picture "
            f"{width} x {height}; give a mask of the picture's size"
        )
    white = image >= _WHITE
    if not white.any():
        raise InputError(f"{what}: {path}: nothing in the mask is white, which is what counts as inside")
    zone = sv.PolygonZone(np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]))
    zone.mask = np.pad(white, ((0, 1), (0, 1)))  # as large as the one of a polygon over the whole picture
    return Area(zone, width, height, sv.mask_to_polygons(white))
