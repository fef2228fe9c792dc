"""A crowd that walks, crosses and hides one another, as a detector would see it. Seeded, without images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 1920, 1080
PARTS, DIM = 6, 256
"""Parts a box, the first of them the foreground, and features a part."""


class Frame(NamedTuple):
    """What trackers are given of one frame; N boxes."""

    xyxy: np.ndarray  # float32 [N, 4]
    scores: np.ndarray  # float32 [N]
    features: np.ndarray  # float32 [N, PARTS, DIM], unit vectors
    visibility: np.ndarray  # float32 [N, PARTS], 0 or 1
    person: np.ndarray  # int64 [N], who it is


def crowd(people: int, frames: int, seed: int) -> Iterator[Frame]:
    """``frames`` frames of ``people`` persons who cross a 1920 x 1080 picture at walking pace.

    Who stands nearer to the camera hides who stands behind: a covered strip of the body is an invisible part,
    a box covered by more than half scores low, and one covered by more than four fifths is not detected, as
    are 2 % of all others. The more people, the farther away they are: about the same share of them is hidden.
    """
    rng = np.random.default_rng(seed)
    tall = 220 * min(1.0, (20 / people) ** 0.5)
    place = rng.uniform([0, 0.35 * HEIGHT], [WIDTH, HEIGHT], (people, 2))  # of the feet
    height = tall * (0.5 + 0.5 * place[:, 1] / HEIGHT)
    speed = rng.normal(0, 1, (people, 2)) * height[:, None] * [0.02, 0.004]
    looks = _unit(rng.normal(size=(people, PARTS, DIM)))
    for _ in range(frames):
        speed += rng.normal(0, 0.0008, speed.shape) * height[:, None]
        place += speed
        for axis, (low, high) in enumerate(((0, WIDTH), (0.35 * HEIGHT, HEIGHT))):
            out = (place[:, axis] < low) | (place[:, axis] > high)
            speed[out, axis] *= -1
            place[:, axis] = place[:, axis].clip(low, high)
        height = tall * (0.5 + 0.5 * place[:, 1] / HEIGHT)
        boxes = np.stack(
            [
                place[:, 0] - 0.2 * height,
                place[:, 1] - height,
                place[:, 0] + 0.2 * height,
                place[:, 1],
            ],
            axis=1,
        )
        covered = _covered_strips(boxes)
        share = covered.mean(1)
        seen = np.flatnonzero((share < 0.8) & (rng.random(people) > 0.02))
        jitter = rng.normal(0, 0.012, (len(seen), 4)) * height[seen, None]
        scores = np.where(
            share[seen] > 0.5, rng.uniform(0.15, 0.5, len(seen)), rng.uniform(0.65, 0.95, len(seen))
        )
        features = _unit(looks[seen] + rng.normal(0, 0.4 / DIM**0.5, (len(seen), PARTS, DIM)))
        visibility = np.concatenate([np.ones((len(seen), 1)), covered[seen] < 0.5], axis=1)
        yield Frame(
            (boxes[seen] + jitter).astype(np.float32),
            scores.astype(np.float32),
            features.astype(np.float32),
            visibility.astype(np.float32),
            seen,
        )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _covered_strips(boxes: np.ndarray) -> np.ndarray:
    """Share of each horizontal strip that the box of one nearer person covers at most: [N, PARTS - 1]."""
    edges = np.linspace(0, 1, PARTS)
    size = boxes[:, 3] - boxes[:, 1]
    top = boxes[:, 1, None] + size[:, None] * edges[:-1]
    bottom = boxes[:, 1, None] + size[:, None] * edges[1:]
    wide = np.minimum(boxes[:, None, 2], boxes[None, :, 2]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    wide = wide.clip(0) / (boxes[:, 2] - boxes[:, 0])[:, None]
    high = np.minimum(bottom[:, None], boxes[None, :, 3, None]) - np.maximum(
        top[:, None], boxes[None, :, 1, None]
    )
    high = high.clip(0) / (bottom - top)[:, None]
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    return (wide[..., None] * high * nearer[..., None]).max(1, initial=0)
