"""Small JPEGs for the page."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..io.annotate import track_palette

# Pixels that a crop has at most, as tall as a card shows it, and those of a scene.
_CROP = (88, 112)
_SCENE = (360, 220)
_QUALITY = 75
# How far a scene reaches beyond its boxes, in their heights.
_AROUND = 0.6


def crop(image: np.ndarray, xyxy: np.ndarray) -> bytes | None:
    """A person cut out and made small; None where the box lies outside.

    Args:
        image: uint8 [H, W, 3] BGR.
        xyxy: [4] pixels.
    """
    part = _cut(image, xyxy)
    return None if part is None else encoded(shrunk(part, _CROP)[0])


def scene(image: np.ndarray, boxes: Sequence[np.ndarray], ids: Sequence[int]) -> bytes | None:
    """The surroundings of ``boxes`` [4], drawn in the colours that their ``ids`` have on videos."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    if not len(corners) or not np.isfinite(corners).all():
        return None
    margin = _AROUND * (corners[:, 3] - corners[:, 1]).max()
    low, high = corners[:, :2].min(axis=0) - margin, corners[:, 2:].max(axis=0) + margin
    part = _cut(image, np.concatenate([low, high]))
    if part is None:
        return None
    origin = np.maximum(np.round(low), 0)
    small, scale = shrunk(part, _SCENE)
    fills, _ = track_palette()
    for box, identity in zip(corners, ids, strict=True):
        left, top, right, bottom = np.round((box - np.tile(origin, 2)) * scale).astype(int).tolist()
        cv2.rectangle(small, (left, top), (right, bottom), fills.by_idx(identity).as_bgr(), 2)
    return encoded(small)


def _cut(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray | None:
    if not np.isfinite(xyxy).all():
        return None
    height, width = image.shape[:2]
    left, top, right, bottom = np.round(xyxy).clip(0, [width, height, width, height]).astype(int)
    return image[top:bottom, left:right] if right > left and bottom > top else None


def shrunk(picture: np.ndarray, most: tuple[int, int]) -> tuple[np.ndarray, float]:
    """A picture that fits into ``most`` pixels of width and height, and its scale; none is made larger."""
    scale = min(1.0, most[0] / picture.shape[1], most[1] / picture.shape[0])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def encoded(picture: np.ndarray) -> bytes:
    data: bytes = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return data
