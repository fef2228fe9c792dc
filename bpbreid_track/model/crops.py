"""Boxes cut out of frames and resized in one go, on the CPU or on the encoder's device, as tensors.

Both ways give what ``host_crops`` says, up to one grey level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from . import host_crops
from .host_crops import HostCrops, scale_and_offset

# Images below this size are joined in memory first: one upload of many crops beats many small ones.
_SMALL_IMAGE_BYTES = 1 << 20


class CropSource(Protocol):
    """Images from which crops are cut."""

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
        """As ``HostCrops.cut``, as a tensor on the device."""
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
    return TensorCrops(images, through) if device.type == "cpu" else DeviceCrops(images, device, through)


class TensorCrops:
    """``HostCrops``, as tensors."""

    def __init__(self, images: Sequence[np.ndarray], through: tuple[int, int] | None = None) -> None:
        self._crops = HostCrops(images, through)

    def cut(self, index: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> Tensor:
        """See ``CropSource``."""
        return torch.from_numpy(self._crops.cut(index, boxes, size))


class DeviceCrops:
    """Crops on an accelerator: every image is uploaded once, here; all crops are cut in one operation.

    Args:
        images: uint8 BGR arrays [H, W, 3] of any sizes, C-contiguous.
        device: where the crops are wanted.
        through: (h, w) that crops are resized to on the way, ``ModelOptions.source_size``.
    """

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
    """``host_crops.normalise`` of a tensor.

    Args:
        images: uint8 [N, h, w, 3] in RGB.
        mean: of each channel, for values in [0, 1].
        std: likewise.

    Returns:
        float32 [N, 3, h, w] on the same device, channels last in memory.
    """
    if images.device.type == "cpu":
        return torch.from_numpy(host_crops.normalise(images.numpy(), mean, std))
    count, height, width, _ = images.shape
    # A factor for every byte of a row: a broadcast over 3 channels is not vectorised.
    row_scale, row_offset = (
        torch.from_numpy(values).to(images.device, non_blocking=True).repeat(width)
        for values in scale_and_offset(mean, std)
    )
    rows = images.reshape(count, height, width * 3).to(torch.float32)
    return rows.mul_(row_scale).add_(row_offset).view(count, height, width, 3).permute(0, 3, 1, 2)
