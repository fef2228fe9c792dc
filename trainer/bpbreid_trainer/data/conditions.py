"""What another camera does to a picture: other light, less resolution, compression, a box around less.

A network that has seen six cameras takes their colours and their sharpness for properties of people.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from .draws import integer, uniform
from .placement import Placement

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_GREY = 0.1
_SMALLEST = 32
_FILTERS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)


def recolour(image: np.ndarray, rng: Generator) -> np.ndarray:
    """All hues turned by one angle: other clothes, and skins that nobody has.

    Args:
        image: uint8 [H, W, 3], RGB.
        rng: where all randomness comes from.
    """
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    turned[..., 0] += np.uint8(integer(rng, 256))  # wraps around, as an angle does
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL)


def relight(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Other exposure, contrast curve, white balance and saturation; every tenth picture turns grey.

    Gain 0.6 to 1.5, gamma 0.6 to 1.6, each channel 0.85 to 1.18 times, saturation 0.4 to 1.5.

    Args:
        image: uint8 [H, W, 3], RGB.
        rng: where all randomness comes from.
    """
    pixels = image.astype(np.float32) / 255
    gain, gamma = _factor(rng, 0.6, 1.5), _factor(rng, 0.6, 1.6)
    balance = np.array([_factor(rng, 0.85, 1 / 0.85) for _ in range(3)], np.float32)
    saturation = 0.0 if uniform(rng) < _GREY else uniform(rng, 0.4, 1.5)
    pixels = np.clip(pixels * (gain * balance), 0, 1) ** gamma
    luma = (pixels @ _LUMA)[..., None]
    pixels = np.clip(luma + saturation * (pixels - luma), 0, 1)
    return np.rint(pixels * 255).astype(np.uint8)


def degrade(image: Tensor, rng: Generator) -> Tensor:
    """Up to four losses, each half the time: resolution, motion or focus, noise, JPEG.

    Down to 32 pixels of height by one of four filters; a blur along one axis or both; Gaussian noise of up to
    12 grey levels; JPEG of quality 20 to 90.

    Args:
        image: uint8 [3, h, w], RGB.
        rng: where all randomness comes from.
    """
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    height, width = pixels.shape[:2]
    if uniform(rng) < 0.5:
        scale = _factor(rng, min(1.0, _SMALLEST / height), 1.0)
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=_FILTERS[integer(rng, len(_FILTERS))])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    if uniform(rng) < 0.5:
        longest = max(2, round(0.04 * height))
        pixels = cv2.blur(pixels, (1 + integer(rng, longest), 1 + integer(rng, longest)))
    if uniform(rng) < 0.5:
        noise = torch.randn(pixels.shape, generator=rng).numpy() * uniform(rng, 0, 12)
        pixels = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
    if uniform(rng) < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, 20 + integer(rng, 71)]
        stored = cv2.imencode(".jpg", pixels[..., ::-1], quality)[1]
        found = cv2.imdecode(stored, cv2.IMREAD_COLOR)
        assert found is not None
        pixels = found[..., ::-1]
    return _tensor(pixels)


def truncate(image: Tensor, placement: Placement, rng: Generator) -> tuple[Tensor, Placement]:
    """A box around the part of the person that something leaves to see, brought to full size.

    A detector boxes what it sees: of somebody behind a car the upper half, beside a pillar one side.
    0.4 to 0.9 of the height is kept, from the top on; else, a third of the time, 0.5 to 0.9 of the width.

    Args:
        image: uint8 [3, h, w], RGB, as large as ``placement.size``.
        placement: of an image that nothing was done to yet.
        rng: where all randomness comes from.
    """
    height, width = placement.size
    top, left, h, w = 0, 0, height, width
    if integer(rng, 3):
        h = round(uniform(rng, 0.4, 0.9) * height)
    else:
        w = round(uniform(rng, 0.5, 0.9) * width)
        left = (0, width - w)[integer(rng, 2)]
    pixels = image[:, top : top + h, left : left + w].permute(1, 2, 0).contiguous().numpy()
    whole = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    return _tensor(whole), Placement(placement.size, window=(top, left, h, w))


def _factor(rng: Generator, low: float, high: float) -> float:
    """One draw from [low, high), as often below as above their geometric mean."""
    return math.exp(uniform(rng, math.log(low), math.log(high))) if low < high else low


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
