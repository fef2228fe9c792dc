"""People who do not exist, for a teacher to say what it makes of them.

Few places and few seasons of clothes are all that a data set has. A network that learns a teacher's answers
needs no names, so it can be asked about people made of the pieces of others: other clothes, other legs,
somewhere else, half seen through somebody else.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .draws import integer, uniform

_PATTERN = 0.3
_INVERTED = 0.1


def stacked(
    upper: np.ndarray, upper_parts: Tensor, lower: np.ndarray, lower_parts: Tensor, rng: Generator
) -> tuple[np.ndarray, Tensor]:
    """The upper part of one picture over the lower part of another, cut near the waist; parts likewise.

    Args:
        upper, lower: uint8 [H, W, 3] RGB, each of its own size.
        upper_parts, lower_parts: where their parts are, float [K, h, w] in [0, 1] of any resolution.
        rng: where all randomness comes from.

    Returns:
        uint8 [H, W, 3] as large as ``upper``, and float [K, h, w] of the finer of the two resolutions.
    """
    cut = uniform(rng, 0.4, 0.6)
    height, width = upper.shape[:2]
    image = upper.copy()
    row = round(cut * height)
    image[row:] = cv2.resize(lower, (width, height), interpolation=cv2.INTER_LINEAR)[row:]
    # A picture without labels has one cell of zeros: both are brought to the finer of the two.
    size = [max(sides) for sides in zip(upper_parts.shape[1:], lower_parts.shape[1:], strict=True)]
    parts, below = (F.interpolate(p[None], size, mode="nearest")[0] for p in (upper_parts, lower_parts))
    row = round(cut * size[0])
    return image, torch.cat([parts[:, :row], below[:, row:]], 1)


def redress(image: np.ndarray, parts: Tensor, rng: Generator) -> np.ndarray:
    """Half of the parts in other colours and tones, a third of these with stripes.

    Hue anywhere, saturation 0 to 2 times, gamma 0.4 to 2.5, every tenth light for dark.

    Args:
        image: uint8 [H, W, 3] RGB.
        parts: where each part is, float [K, h, w] in [0, 1] of any resolution.
        rng: where all randomness comes from.
    """
    dressed = image.astype(np.float32)
    for strength in _masks(parts, image):
        if uniform(rng) < 0.5:
            dressed += strength * (_other_colours(image, rng) - dressed)
    return np.rint(dressed).astype(np.uint8)


def set_before(image: np.ndarray, parts: Tensor, scene: np.ndarray, rng: Generator) -> np.ndarray:
    """The person before another scene: half the time ``scene``, enlarged and shifted, else made-up colours.

    Args:
        image: uint8 [H, W, 3] RGB; as it is where nobody is found in it.
        parts: where each part is, float [K, h, w] in [0, 1] of any resolution.
        scene: another picture, uint8 [*, *, 3] RGB.
        rng: where all randomness comes from.
    """
    if not parts.any():
        return image
    height, width = image.shape[:2]
    if integer(rng, 2):
        h, w = (max(1, round(side * uniform(rng, 0.4, 1.0))) for side in scene.shape[:2])
        top, left = integer(rng, scene.shape[0] - h + 1), integer(rng, scene.shape[1] - w + 1)
        scene = scene[top : top + h, left : left + w]
    else:
        cells = torch.rand(1 + integer(rng, 8), 1 + integer(rng, 4), 3, generator=rng)
        scene = (255 * torch.lerp(torch.rand(3, generator=rng), cells, uniform(rng))).byte().numpy()
    scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    # Labels are blobs around the skeleton: what is near one is the person as well.
    person = np.clip(2 * _masks(parts.amax(0, keepdim=True), image)[0], 0, 1)
    return np.rint(scene + person * (image - scene)).astype(np.uint8)


def blended(image: np.ndarray, other: np.ndarray, rng: Generator) -> np.ndarray:
    """Somebody else shining through, with up to 0.4 of the light (mixup, Zhang et al. 2018).

    Args:
        image: uint8 [H, W, 3] RGB.
        other: uint8 [*, *, 3] RGB.
        rng: where all randomness comes from.
    """
    height, width = image.shape[:2]
    other = cv2.resize(other, (width, height), interpolation=cv2.INTER_LINEAR)
    share = uniform(rng, 0.0, 0.4)
    return cv2.addWeighted(image, 1 - share, other, share, 0)


def _masks(parts: Tensor, image: np.ndarray) -> list[np.ndarray]:
    """float32 [H, W, 1] of each part."""
    height, width = image.shape[:2]
    maps = parts.float().numpy()
    return [cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)[..., None] for part in maps]


def _other_colours(image: np.ndarray, rng: Generator) -> np.ndarray:
    hue, saturation, gamma = integer(rng, 256), uniform(rng, 0, 2), uniform(rng, math.log(0.4), math.log(2.5))
    levels = np.arange(256, dtype=np.float32)
    tones = 255 * (levels / 255) ** math.exp(gamma)
    if uniform(rng) < _INVERTED:
        tones = tones[::-1]
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turned[..., 0] += np.uint8(hue)  # wraps around, as an angle does
    turned[..., 1] = cv2.LUT(turned[..., 1], np.minimum(levels * saturation, 255).astype(np.uint8))
    turned[..., 2] = cv2.LUT(turned[..., 2], tones.astype(np.uint8))
    colours = cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL).astype(np.float32)
    if uniform(rng) < _PATTERN:
        colours = np.clip(colours + _stripes(image.shape[:2], rng), 0, 255)
    return colours


def _stripes(size: tuple[int, ...], rng: Generator) -> np.ndarray:
    """Lighter and darker stripes, float32 [H, W, 3], of one colour and direction."""
    height, width = size
    count, angle = uniform(rng, 4, 30), integer(rng, 4) * math.pi / 4
    colour = np.array([uniform(rng, -90, 90) for _ in range(3)], np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) / height
    wave = np.sin(2 * math.pi * count * (math.cos(angle) * rows + math.sin(angle) * columns))
    return (wave > 0)[..., None] * colour
