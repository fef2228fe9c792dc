"""Boxes cut out of frames and resized by OpenCV, on the CPU.

Bilinear with half-pixel centres, the border of the *crop* repeated (pixels outside the box never leak in), no
prefilter when shrinking. It is the resize that ReID networks are trained behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..embeddings import PartEmbeddings
from ..frames import check_image


def check_boxes(xyxy: Any, name: str = "xyxy") -> np.ndarray:
    """``xyxy`` as float64 [N, 4]; a tensor, a list and an empty list are taken as well.

    Raises:
        ValueError: another shape, or not numbers.
    """
    if hasattr(xyxy, "detach"):  # a tensor; numpy knows no bfloat16
        xyxy = xyxy.detach().cpu().double().numpy()
    try:
        boxes = np.asarray(xyxy, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers [N, 4], got {type(xyxy).__name__} ({error})") from None
    if boxes.size == 0 and boxes.ndim <= 2:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name}: expected shape [N, 4] (x1, y1, x2, y2 in pixels), got {list(boxes.shape)}")
    return boxes


def pixel_boxes(xyxy: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes rounded to whole pixels and clipped to an image.

    Args:
        xyxy: float [N, 4], pixels; any number, also NaN and infinity.
        height: H of the image.
        width: W of the image.

    Returns:
        int64 [N, 4], rows ``x1, y1, x2, y2`` with 0 <= x1 <= x2 <= W and 0 <= y1 <= y2 <= H, and bool [N]:
        whether at least one pixel is left; a box with a NaN, an infinity or no area in the image has none.
    """
    finite = np.isfinite(xyxy).all(axis=1)
    limits = np.array([width, height, width, height], dtype=np.float64)
    boxes = np.rint(np.where(finite[:, None], xyxy, 0.0)).clip(0, limits).astype(np.int64)
    usable = finite & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes[~usable] = 0
    return boxes, usable


class Regions:
    """Checked images, and those of their boxes that hold pixels.

    Attributes:
        images: uint8 BGR, C-contiguous.
        counts: boxes of each image, usable or not; ``total`` of all.
        rows: int64 [M], the usable boxes' places among all.
        index: int64 [M], the image of each.
        boxes: int64 [M, 4], whole pixels inside the image.
    """

    def __init__(self, images: Sequence[Any], boxes: Sequence[Any], names: Sequence[str]) -> None:
        self.images = [
            check_image(image, name, may_be_empty=True) for image, name in zip(images, names, strict=True)
        ]
        pixels, usable = [np.zeros((0, 4), dtype=np.int64)], [np.zeros(0, dtype=bool)]
        for image, xyxy, name in zip(self.images, boxes, names, strict=True):
            found, good = pixel_boxes(check_boxes(xyxy, f"boxes of {name}"), *image.shape[:2])
            pixels.append(found)
            usable.append(good)
        self.counts = [len(good) for good in usable[1:]]
        self.total = sum(self.counts)
        self.rows = np.flatnonzero(np.concatenate(usable))
        self.index = np.repeat(np.arange(len(self.images)), self.counts)[self.rows]
        self.boxes = np.concatenate(pixels)[self.rows]

    def split(self, rows: PartEmbeddings) -> list[PartEmbeddings]:
        """The embeddings of all boxes, image by image."""
        ends = np.cumsum(self.counts).tolist()
        return [rows[end - count : end] for end, count in zip(ends, self.counts, strict=True)]


class HostCrops:
    """Crops on the CPU: cv2.resize in a loop, about 20 times as fast there as torchvision's roi_align.

    Args:
        images: uint8 BGR arrays [H, W, 3] of any sizes, C-contiguous.
        through: (h, w) that crops are resized to on the way, ``ModelOptions.source_size``.
    """

    def __init__(self, images: Sequence[np.ndarray], through: tuple[int, int] | None = None) -> None:
        self._images = images
        self._through = through

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """M crops, all resized to ``size``.

        Args:
            index: int64 [M], the image of each crop.
            boxes: int64 [M, 4], non-empty boxes inside their image (``pixel_boxes``).
            size: (h, w) in pixels.

        Returns:
            uint8 [M, h, w, 3] in RGB.
        """
        height, width = size
        out = np.empty((len(index), height, width, 3), dtype=np.uint8)
        for row, (image, (x1, y1, x2, y2)) in enumerate(zip(index.tolist(), boxes.tolist(), strict=True)):
            crop = self._images[image][y1:y2, x1:x2]
            if self._through is not None:
                crop = cv2.resize(crop, self._through[::-1], interpolation=cv2.INTER_LINEAR)
            cv2.resize(crop, (width, height), dst=out[row], interpolation=cv2.INTER_LINEAR)
            cv2.cvtColor(out[row], cv2.COLOR_BGR2RGB, dst=out[row])
        return out


def normalise(crops: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """``(crops / 255 - mean) / std`` as the network takes it.

    Args:
        crops: uint8 [N, h, w, 3] in RGB.
        mean: of each channel, for values in [0, 1].
        std: likewise.

    Returns:
        float32 [N, 3, h, w], channels last in memory.
    """
    count, height, width, _ = crops.shape
    scale, offset = (np.tile(each, width) for each in scale_and_offset(mean, std))
    # Row by row, since a broadcast over three channels is slow.
    rows = crops.reshape(count, height, width * 3) * scale
    rows += offset
    return rows.reshape(count, height, width, 3).transpose(0, 3, 1, 2)


def scale_and_offset(mean: Sequence[float], std: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """What a byte of each channel is multiplied by, and what is added then: float32 [3] each."""
    deviation = np.array(std, np.float64)
    return (1 / (255 * deviation)).astype(np.float32), (-np.array(mean) / deviation).astype(np.float32)
