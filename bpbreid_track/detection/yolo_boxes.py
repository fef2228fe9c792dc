"""Pictures as a YOLO network takes them, and boxes out of what it gives: in numpy and OpenCV alone.

The numbers are those of Ultralytics to the last bit. A network is run this way only after it has found the
same boxes this way and Ultralytics' way (``exported_detector.remember``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

# Of the border around a picture that is not as wide and high as the network's input.
_GREY = 114
# A small part of a pixel, which sends the odd pixel of a border to the right and to the bottom.
_ODD = 0.1
# Candidates that suppression looks at, and what keeps boxes of different classes apart in it.
_MOST_CANDIDATES, _APART = 30_000, np.float32(7680)


class Letterbox(NamedTuple):
    """How pictures of one size are brought to the size of a network's input.

    Attributes:
        resized: (width, height) of the picture in the input, pixels.
        border: left, top, right, bottom: pixels around it.
    """

    resized: tuple[int, int]
    border: tuple[int, int, int, int]


def letterbox_of(height: int, width: int, longer: int, stride: int) -> Letterbox:
    """The least border around a picture of ``height`` x ``width`` whose longer side is made ``longer``.

    Args:
        height: of the picture, pixels.
        width: of the picture, pixels.
        longer: pixels, a multiple of ``stride``.
        stride: of the network; both sides of its input are multiples of it.

    >>> letterbox_of(1080, 1920, 960, 32)
    Letterbox(resized=(960, 540), border=(0, 2, 0, 2))
    """
    gain = min(longer / height, longer / width)
    resized = max(round(width * gain), 1), max(round(height * gain), 1)
    across, down = ((longer - side) % stride / 2 for side in resized)
    return Letterbox(
        resized, (round(across - _ODD), round(down - _ODD), round(across + _ODD), round(down + _ODD))
    )


def as_input(images: Sequence[np.ndarray], letterbox: Letterbox) -> np.ndarray:
    """Pictures of one size as the network takes them.

    Args:
        images: uint8 [H, W, 3] BGR.
        letterbox: for their size.

    Returns:
        float32 [N, 3, h, w] RGB from 0 to 1.
    """
    left, top, right, bottom = letterbox.border
    width, height = letterbox.resized
    out = np.empty((len(images), 3, height + top + bottom, width + left + right), np.float32)
    for planes, image in zip(out, images, strict=True):
        if image.shape[1::-1] != letterbox.resized:
            image = cv2.resize(image, letterbox.resized, interpolation=cv2.INTER_LINEAR)
        if any(letterbox.border):
            image = cv2.copyMakeBorder(
                image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(_GREY, _GREY, _GREY)
            )
        for plane, channel in zip(planes, cv2.split(image)[::-1], strict=True):
            np.divide(channel, np.float32(255), out=plane, dtype=np.float32)
    return out


def candidates(
    output: np.ndarray, classes: int, confidence: float, wanted: Sequence[int] | None, *, suppressed: bool
) -> np.ndarray:
    """Rows of a network's output that score more than ``confidence``.

    Args:
        output: of one picture, float32: ``[4 + classes + extras, A]`` with centres and sizes, or, where
            ``suppressed``, ``[A, 6 + extras]`` with corners, score and class.
        classes: the network's number of classes.
        confidence: in [0, 1].
        wanted: classes to keep; None for all.
        suppressed: the network drops overlapping boxes itself.

    Returns:
        float32 [N, 6]: corners in pixels of the input, score, class; in the order of the output.
    """
    least = np.float32(confidence)
    if suppressed:
        rows = output[output[:, 4] > least, :6]
    else:
        scores = output[4 : 4 + classes]
        found = np.flatnonzero(scores.max(axis=0) > least)
        box, scores = output[:4, found], scores[:, found]
        half = box[2:] / np.float32(2)
        rows = np.vstack(
            [box[:2] - half, box[:2] + half, scores.max(axis=0), scores.argmax(axis=0).astype(np.float32)]
        ).T
    return rows if wanted is None else rows[np.isin(rows[:, 5], np.asarray(wanted, np.float32))]


def suppress(rows: np.ndarray, iou: float) -> np.ndarray:
    """Greedy non-maximum suppression within each class.

    Args:
        rows: float32 [N, 6], see ``candidates``.
        iou: a box that overlaps a better one of its class by more is dropped.

    Returns:
        float32 [M, 6], the best first.
    """
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[:_MOST_CANDIDATES]]
    boxes = rows[:, :4] + rows[:, 5:] * _APART
    left, top, right, bottom = boxes.T
    area = (right - left) * (bottom - top)
    dropped, kept = np.zeros(len(rows), bool), []
    for row in range(len(rows)):
        if dropped[row]:
            continue
        kept.append(row)
        rest = slice(row + 1, None)
        wide = np.minimum(right[row], right[rest]) - np.maximum(left[row], left[rest])
        high = np.minimum(bottom[row], bottom[rest]) - np.maximum(top[row], top[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        with np.errstate(invalid="ignore"):  # of boxes without area
            overlap = shared / (area[row] + area[rest] - shared)
        dropped[rest] |= overlap.astype(np.float64) > iou
    return rows[kept]


def in_picture(xyxy: np.ndarray, letterbox: Letterbox, height: int, width: int) -> np.ndarray:
    """Boxes of the input, float32 [N, 4], in pixels of the picture, which is ``height`` x ``width``."""
    left, top = letterbox.border[:2]
    resized_width, resized_height = letterbox.resized
    gain = np.array([resized_width / width, resized_height / height] * 2, np.float32)
    moved: np.ndarray = (xyxy - np.array([left, top, left, top], np.float32)) / gain
    return moved
