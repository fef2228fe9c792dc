"""Where the augmented image took its pixels from, so that part maps of any resolution can follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Placement:
    """How pixel (y, x) of the augmented image maps onto the resized one, and which pixels were covered.

    Attributes:
        size: height and width of both images.
        shift: rows and columns by which the picture lies further down and right in the resized image.
        mirrored: left and right were swapped after the shift.
        covered: rectangles (top, left, height, width) of the augmented image that show something else.
        window: rectangle (top, left, height, width) of the resized image, in pixels, that was cut out and
            brought to ``size`` before all else; None: all of it.
    """

    size: tuple[int, int]
    shift: tuple[int, int] = (0, 0)
    mirrored: bool = False
    covered: tuple[tuple[int, int, int, int], ...] = ()
    window: tuple[int, int, int, int] | None = None

    def cover(self, top: int, left: int, height: int, width: int) -> Placement:
        """With one more covered rectangle."""
        return replace(self, covered=(*self.covered, (top, left, height, width)))

    def sample(self, parts: Tensor, map_size: tuple[int, int], mirror: Sequence[int]) -> Tensor:
        """Part maps of the whole image, sampled at the cell centres of the augmented one's feature map.

        Args:
            parts: confidences of the image before augmentation, float [K, h, w] of any resolution.
            map_size: cells of the result.
            mirror: for each part the index of its mirror image.

        Returns:
            float [K, *map_size], bilinear; 0 outside the image and where it is covered.
        """
        height, width = self.size
        y = (torch.arange(map_size[0]) + 0.5) * (height / map_size[0])
        x = (torch.arange(map_size[1]) + 0.5) * (width / map_size[1])
        shown = torch.ones(map_size)
        for top, left, h, w in self.covered:
            rows, columns = (y >= top) & (y < top + h), (x >= left) & (x < left + w)
            shown[rows[:, None] & columns] = 0
        if self.mirrored:
            x = width - x
            parts = parts[list(mirror)]
        y, x = y + self.shift[0], x + self.shift[1]
        shown *= ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
        if self.window is not None:
            top, left, h, w = self.window
            y, x = top + y * (h / height), left + x * (w / width)
        grid = torch.stack(torch.broadcast_tensors(2 * x / width - 1, (2 * y / height - 1)[:, None]), dim=-1)
        sampled = F.grid_sample(parts[None], grid[None], padding_mode="border", align_corners=False)[0]
        return sampled * shown
