"""From 36 confidence fields to the K parts that a network is taught: grouping, label maps, soft maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bpbreid_track.errors import UsageError, did_you_mean
from bpbreid_track.model.part_groups import PART_GROUPS

THRESHOLD = 0.5
"""Lambda_t of the paper: cells where no part reaches it are background."""
SOFTMAX_WEIGHT = 15.0
"""How sharp the soft maps of the published program are."""
NOT_COUNTED = -100
"""Label of the cells of an image without labels: cross-entropy leaves it out."""


def channels_of(part_group: str) -> list[list[int]]:
    """The channels of each of the K parts.

    Raises:
        UsageError: no such grouping.
    """
    if part_group not in PART_GROUPS:
        raise UsageError(f"part group {part_group!r} is unknown{did_you_mean(part_group, PART_GROUPS)}")
    return [list(channels) for channels in PART_GROUPS[part_group].values()]


def group_fields(fields: Tensor, channels: Sequence[Sequence[int]]) -> Tensor:
    """E of the paper: the maximum over the channels of each part. [36, h, w] -> [K, h, w]."""
    return torch.stack([fields[list(part)].amax(0) for part in channels])


def label_map(parts: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Y of the paper: int64 [h, w], 0 where no part reaches ``threshold``, else 1 + the strongest part.

    Args:
        parts: E, float [K, h, w]. Of equal parts the first one wins.
    """
    strength, part = parts.max(0)
    return torch.where(strength < threshold, 0, part + 1)


def soft_maps(parts: Tensor, threshold: float = THRESHOLD, weight: float = SOFTMAX_WEIGHT) -> Tensor:
    """Probabilities as in the published program: softmax of ``weight * [background, parts]``.

    Args:
        parts: E, float [K, h, w] in [0, 1].
        threshold: the background is 1 where no part reaches it, else 0.

    Returns:
        float [K+1, h, w], channel 0 the background, summing to 1 in every cell.
    """
    background = (parts.amax(0, keepdim=True) < threshold).to(parts.dtype)
    return (weight * torch.cat([background, parts])).softmax(0)
