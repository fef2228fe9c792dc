"""Augmentation of a training image.

Every draw comes from the generator that is handed in, so a sample is a pure function of its seed. The image
stays uint8 until the end; its part maps follow by the returned ``Placement``, at their own small resolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as F

from bpbreid_track.model.part_groups import mirrored_parts

from .conditions import degrade, recolour, relight, truncate
from .draws import integer, uniform
from .placement import Placement

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Placed = tuple[Tensor, Placement]
Occluder = Callable[[Generator], np.ndarray]


@dataclass(frozen=True)
class Augmentation:
    """Recolour, relight, resize, truncate, crop, mirror, jitter, occlude, degrade, erase; in this order.

    Attributes:
        size: height and width of the network's input in pixels.
        mirror: for each part the index of its mirror image.
        crop_padding: pixels added on each side before a random crop back to ``size``; 0: no crop.
        erase, flip, color_jitter, occlude, relight, recolour, truncate, degrade: probability of each step.
        mean, std: the image is normalised with, of R, G, B in [0, 1].
        source_size: height and width that images are resized to first, or None.
    """

    size: tuple[int, int]
    mirror: tuple[int, ...]
    crop_padding: int
    erase: float
    flip: float
    color_jitter: float
    occlude: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source_size: tuple[int, int] | None = None
    relight: float = 0.0
    truncate: float = 0.0
    degrade: float = 0.0
    recolour: float = 0.0

    def __call__(
        self, image: np.ndarray, rng: Generator, occluder: Occluder
    ) -> tuple[Tensor, Placement, np.ndarray]:
        """Augment one image.

        Args:
            image: uint8 [H, W, 3] RGB of any size.
            rng: where all randomness comes from.
            occluder: gives a picture to paste, uint8 [H, W, 3] RGB.

        Returns:
            float32 [3, *size], normalised; where its pixels came from; and uint8 [H, W, 3] RGB, the picture
            before anything of it was cut off, hidden or lost, but in the same light.
        """
        # A step that is off draws nothing: what it is absent from stays as it was.
        if self.recolour and uniform(rng) < self.recolour:
            image = recolour(image, rng)
        if self.relight and uniform(rng) < self.relight:
            image = relight(image, rng)
        clean = image
        if self.source_size is not None:
            image = cv2.resize(image, self.source_size[::-1], interpolation=cv2.INTER_LINEAR)
        picture, placement = resize(image, self.size), Placement(self.size)
        if self.truncate and uniform(rng) < self.truncate:
            picture, placement = truncate(picture, placement, rng)
        if self.crop_padding:
            picture, placement = pad_and_crop(picture, placement, self.crop_padding, rng)
        if uniform(rng) < self.flip:
            picture, placement = flip(picture, placement)
        if uniform(rng) < self.color_jitter:
            picture = jitter(picture, rng)
        if uniform(rng) < self.occlude:
            picture, placement = paste(picture, placement, occluder(rng), rng)
        if self.degrade and uniform(rng) < self.degrade:
            picture = degrade(picture, rng)
        if uniform(rng) < self.erase:
            picture, placement = erase(picture, placement, self.mean, rng)
        scaled = F.to_dtype(picture, torch.float32, scale=True)
        return F.normalize(scaled, list(self.mean), list(self.std), inplace=True), placement, clean


def resize(image: np.ndarray, size: tuple[int, int]) -> Tensor:
    """uint8 [H, W, 3] -> uint8 [3, *size], by OpenCV's bilinear resize as at inference."""
    height, width = size
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(resized).permute(2, 0, 1)


def pad_and_crop(image: Tensor, placement: Placement, padding: int, rng: Generator) -> Placed:
    """Add ``padding`` black pixels on each side, and cut the old size out somewhere."""
    height, width = placement.size
    top, left = integer(rng, 2 * padding + 1), integer(rng, 2 * padding + 1)
    cropped = F.crop(F.pad(image, [padding]), top, left, height, width)
    return cropped, replace(placement, shift=(top - padding, left - padding))


def flip(image: Tensor, placement: Placement) -> Placed:
    """Mirror; in the part maps left and right parts change places."""
    return F.horizontal_flip(image), replace(placement, mirrored=True)


def jitter(image: Tensor, rng: Generator) -> Tensor:
    """Change the brightness by up to 20 %, then the contrast by up to 15 %."""
    image = F.adjust_brightness(image, uniform(rng, 0.8, 1.2))
    return F.adjust_contrast(image, uniform(rng, 0.85, 1.15))


def erase(image: Tensor, placement: Placement, mean: Sequence[float], rng: Generator) -> Placed:
    """Random erasing (Zhong et al. 2020): a rectangle in the mean colour.

    Its area is 2 to 40 % of the image's, its aspect 0.3 to 3.33; what does not fit is drawn again.
    """
    height, width = placement.size
    for _ in range(100):
        area = uniform(rng, 0.02, 0.4) * height * width
        aspect = math.exp(uniform(rng, math.log(0.3), math.log(1 / 0.3)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < h < height and 0 < w < width):
            continue
        top, left = integer(rng, height - h + 1), integer(rng, width - w + 1)
        colour = torch.tensor([round(255 * value) for value in mean], dtype=torch.uint8)[:, None, None]
        return F.erase(image, top, left, h, w, colour), placement.cover(top, left, h, w)
    return image, placement


def paste(image: Tensor, placement: Placement, occluder: np.ndarray, rng: Generator) -> Placed:
    """Cover a part of the image with another picture, as somebody or something in front would.

    The picture covers 15 to 60 % of the image and comes in from the left, the right or below.
    """
    height, width = placement.size
    share = uniform(rng, 0.15, 0.6)
    side = integer(rng, 3)
    if side == 2:  # from below: legs and torso
        h, w, left = round(share * height), width, 0
    else:
        h = round(uniform(rng, 0.7, 1.0) * height)
        w = min(width, round(share * height * width / h))
        left = 0 if side == 0 else width - w
    top = height - h
    patch = resize(occluder, (h, w))
    return F.erase(image, top, left, h, w, patch), placement.cover(top, left, h, w)


def occluder_from(image: np.ndarray, rng: Generator) -> np.ndarray:
    """A picture to paste, cut out of somebody else's crop, uint8 [h, w, 3].

    Half the time most of the person (somebody in front), else a small patch of its border, mostly scene.
    """
    height, width = image.shape[:2]
    if uniform(rng) < 0.5:
        h, w = max(1, round(uniform(rng, 0.5, 1.0) * height)), max(1, round(uniform(rng, 0.6, 1.0) * width))
        top, left = integer(rng, height - h + 1), integer(rng, width - w + 1)
    else:
        h, w = max(1, round(uniform(rng, 0.2, 0.6) * height)), max(1, width // 4)
        top, left = integer(rng, height - h + 1), (0, width - w)[integer(rng, 2)]
    return image[top : top + h, left : left + w]


def build_transforms(
    size: tuple[int, int],
    part_names: Sequence[str],
    *,
    crop_padding: int = 10,
    erase: float = 0.5,
    flip: float = 0.0,
    color_jitter: float = 0.0,
    occlude: float = 0.0,
    relight: float = 0.0,
    truncate: float = 0.0,
    degrade: float = 0.0,
    recolour: float = 0.0,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    source_size: tuple[int, int] | None = None,
) -> Augmentation:
    """The augmentation of training; the defaults are the paper's.

    Args:
        size: height and width of the network's input.
        part_names: the K parts; left and right ones change places when an image is mirrored.
        crop_padding: pixels around the image before the random crop.
        erase: probability of random erasing.
        flip: probability of mirroring.
        color_jitter: probability of a change of brightness and contrast.
        occlude: probability that a piece of another training image is pasted over the person.
        relight: probability of another light, see ``conditions``.
        truncate: probability of a box around less than the person.
        degrade: probability of lost resolution, blur, noise and compression.
        recolour: probability of turned hues.
        mean, std: of the network's input.
        source_size: ``ModelOptions.source_size``.
    """
    mirror = mirrored_parts(part_names)
    return Augmentation(
        size=size,
        mirror=mirror,
        crop_padding=crop_padding,
        erase=erase,
        flip=flip,
        color_jitter=color_jitter,
        occlude=occlude,
        mean=mean,
        std=std,
        source_size=source_size,
        relight=relight,
        truncate=truncate,
        degrade=degrade,
        recolour=recolour,
    )
