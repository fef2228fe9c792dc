"""Boxes cut out of frames and resized in one go, on the CPU or on the encoder's device.

Both ways give what ``cv2.resize(crop, (w, h), interpolation=cv2.INTER_LINEAR)`` gives, up to one grey level:
bilinear with half-pixel centres, the border of the *crop* repeated (pixels outside the box never leak in), no
prefilter when shrinking. It is the resize that ReID networks are trained behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from ..frames import check_image

# Images below this size are joined in memory first: one upload of many crops beats many small ones.
_SMALL_IMAGE_BYTES = 1 << 20


def check_boxes(xyxy: Any, name: str = "xyxy") -> np.ndarray:
    """``xyxy`` as float64 [N, 4]; a tensor, a list and an empty list are taken as well.

    Raises:
        ValueError: another shape, or not numbers.
    """
    if isinstance(xyxy, Tensor):
        xyxy = xyxy.detach().cpu().double().numpy()  # numpy knows no bfloat16
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


class CropSource(Protocol):
    """Images from which crops are cut."""

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
        """M crops, all resized to ``size``.

        Args:
            index: int64 [M], the image of each crop.
            boxes: int64 [M, 4], non-empty boxes inside their image (``pixel_boxes``).
            size: (h, w) in pixels.

        Returns:
            uint8 [M, h, w, 3] in RGB on the device.
        """
        ...


def crop_source(
    images: Sequence[np.ndarray], device: torch.device, through: tuple[int, int] | None = None
) -> CropSource:
    """The faster source of crops for ``device``.

    Args:
        images: uint8 BGR arrays [H, W, 3] of any sizes, C-contiguous.
        device: where the crops are wanted.
        through: (h, w) that crops are resized to on the way, ``ModelOptions.source_size``.
    """
    return HostCrops(images, through) if device.type == "cpu" else DeviceCrops(images, device, through)


class HostCrops:
    """Crops on the CPU: cv2.resize in a loop, about 20 times as fast there as torchvision's roi_align."""

    def __init__(self, images: Sequence[np.ndarray], through: tuple[int, int] | None = None) -> None:
        self._images = images
        self._through = through

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
        """See ``CropSource``."""
        height, width = size
        out = np.empty((len(index), height, width, 3), dtype=np.uint8)
        for row, (image, (x1, y1, x2, y2)) in enumerate(zip(index.tolist(), boxes.tolist(), strict=True)):
            crop = self._images[image][y1:y2, x1:x2]
            if self._through is not None:
                crop = cv2.resize(crop, self._through[::-1], interpolation=cv2.INTER_LINEAR)
            cv2.resize(crop, (width, height), dst=out[row], interpolation=cv2.INTER_LINEAR)
            cv2.cvtColor(out[row], cv2.COLOR_BGR2RGB, dst=out[row])
        return torch.from_numpy(out)


class DeviceCrops:
    """Crops on an accelerator: every image is uploaded once, here; all crops are cut in one operation."""

    def __init__(
        self, images: Sequence[np.ndarray], device: torch.device, through: tuple[int, int] | None = None
    ) -> None:
        self._device = device
        self._through = through
        sizes = [image.shape[0] * image.shape[1] for image in images]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
        self._widths = np.array([image.shape[1] for image in images], dtype=np.int64)
        flat = [image.reshape(-1, 3) for image in images]
        if len(flat) > 1 and 3 * sum(sizes) < _SMALL_IMAGE_BYTES * len(flat):
            flat = [np.concatenate(flat)]
        uploads = [torch.from_numpy(pixels).to(device) for pixels in flat]
        self._pixels = torch.cat(uploads) if len(uploads) > 1 else uploads[0]

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
        """See ``CropSource``."""
        stride = self._widths[index]
        origin = self._starts[index] + boxes[:, 1] * stride + boxes[:, 0]
        extent = boxes[:, 2:] - boxes[:, :2]
        regions = np.column_stack([origin, stride, extent[:, 1], extent[:, 0]])
        pixels, on_device = self._pixels, torch.from_numpy(regions).to(self._device)
        if self._through is not None:
            height, width = self._through
            pixels = resample(pixels, on_device, self._through).reshape(-1, 3)
            on_device = torch.tensor([[0, width, height, width]], device=self._device).repeat(len(boxes), 1)
            on_device[:, 0] = torch.arange(len(boxes), device=self._device) * (height * width)
        return resample(pixels, on_device, size).flip(-1)


def resample(pixels: Tensor, regions: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of M rectangles of a flat pixel buffer, as gathers of four neighbours.

    Output row i of h looks at ``y = clamp((i + 0.5) * height / h - 0.5, 0, height - 1)``, columns alike.

    Args:
        pixels: uint8 [Q, 3], images row by row, one after the other.
        regions: int64 [M, 4]: index of the top-left pixel, pixels from one row to the next, height, width.
        size: (h, w) of the result.

    Returns:
        uint8 [M, h, w, 3], channels in the order of ``pixels``.
    """
    origin, stride, heights, widths = regions.unbind(1)
    top, bottom, down = _neighbours(heights, size[0])  # [M, h]
    left, right, across = _neighbours(widths, size[1])  # [M, w]
    upper = (origin[:, None] + top * stride[:, None])[:, :, None]
    lower = (origin[:, None] + bottom * stride[:, None])[:, :, None]
    left, right = left[:, None], right[:, None]
    across, down = across[:, None, :, None], down[:, :, None, None]
    above = torch.lerp(pixels[upper + left].float(), pixels[upper + right].float(), across)
    below = torch.lerp(pixels[lower + left].float(), pixels[lower + right].float(), across)
    return above.lerp_(below, down.expand_as(above)).round_().to(torch.uint8)


def _neighbours(extents: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """For every output position the two source positions it lies between, and its share of the second."""
    centres = torch.arange(steps, device=extents.device, dtype=torch.float32) + 0.5
    last = (extents - 1)[:, None]
    where = centres * (extents[:, None].float() / steps) - 0.5
    where = torch.minimum(where.clamp_(min=0), last.float())
    first = where.long()
    return first, torch.minimum(first + 1, last), where - first


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(images / 255 - mean) / std`` as the network takes it.

    Args:
        images: uint8 [N, h, w, 3] in RGB.
        mean: of each channel, for values in [0, 1].
        std: likewise.

    Returns:
        float32 [N, 3, h, w] on the same device, channels last in memory.
    """
    count, height, width, _ = images.shape
    scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
    offset = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
    # A factor for every byte of a row, because a broadcast over 3 channels is not vectorised on CPUs.
    row_scale, row_offset = (
        values.to(images.device, torch.float32, non_blocking=True).repeat(width) for values in (scale, offset)
    )
    rows = images.reshape(count, height, width * 3).to(torch.float32)
    return rows.mul_(row_scale).add_(row_offset).view(count, height, width, 3).permute(0, 3, 1, 2)
