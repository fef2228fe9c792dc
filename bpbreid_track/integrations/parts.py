"""The part distance for trackers that keep one object a track."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..embeddings import masked_distance
from ..tracking.appearance_memory import FADED, AppearanceMemory
from .vectors import unpack

# Hosts do not tell the time, so memory counts the frames in which a track is matched: time constants of the
# mean and of a part that does not show. The first is the 0.9 of a vector that BoT-SORT and others keep.
MEAN_FRAMES, FORGET_FRAMES = -1 / math.log(0.9), 100.0


class TrackParts:
    """What one track of a host knows of each part; a detection is a track seen once.

    A part is averaged over the views in which it shows, and one that stays hidden fades instead of being
    averaged in.

    Args:
        features: float32 [P, D].
        visibility: float32 [P].
    """

    def __init__(self, features: np.ndarray, visibility: np.ndarray) -> None:
        parts, dim = features.shape
        self._memory = AppearanceMemory(tuple(map(str, range(parts))), dim)
        self._memory.add(features[None].astype(np.float32), visibility[None].astype(np.float32), 0.0)
        self._frames = 0

    @classmethod
    def unpack(cls, vector: Any) -> TrackParts:
        """From one vector of ``vectors.pack``."""
        features, visibility = unpack(np.asarray(vector)[None])
        return cls(features[0], visibility[0])

    @property
    def features(self) -> np.ndarray:
        """float32 [P, D], unit rows, zero for a part that never showed."""
        return self._memory.features[0]

    @property
    def evidence(self) -> np.ndarray:
        """float32 [P] in [0, 1]: 1 for a part just seen, less the longer it stays hidden."""
        return self._memory.evidence[0]

    def learn(self, view: TrackParts) -> None:
        """Take in the parts that show in another view of the person."""
        self._frames += 1
        self._memory.learn(
            np.zeros(1, np.intp),
            view.features[None],
            view.evidence[None],
            float(self._frames),
            mean_seconds=MEAN_FRAMES,
            forget_seconds=FORGET_FRAMES,
        )


def part_distances(tracks: Sequence[TrackParts | None], views: Sequence[TrackParts | None]) -> np.ndarray:
    """Eq. 9 between T tracks and N views: float32 [T, N] in [0, 2].

    +inf where no part is known of both, or one of the two is None.
    """
    distances = np.full((len(tracks), len(views)), np.inf, np.float32)
    rows = [index for index, track in enumerate(tracks) if track is not None]
    columns = [index for index, view in enumerate(views) if view is not None]
    if rows and columns:
        left = [track for track in tracks if track is not None]
        right = [view for view in views if view is not None]
        distances[np.ix_(rows, columns)] = masked_distance(
            *_stack(left), *_stack(right), refine=False
        ).numpy()
    return distances


def _stack(items: list[TrackParts]) -> tuple[torch.Tensor, torch.Tensor]:
    evidence = np.stack([item.evidence for item in items])
    evidence[evidence < FADED] = 0
    return torch.from_numpy(np.stack([item.features for item in items])), torch.from_numpy(evidence)


def as_cosine(distances: np.ndarray) -> np.ndarray:
    """Part distances on the scale of a cosine distance, so that a host's thresholds keep their meaning.

    That is d^2 / 2, for two unit vectors the very number; +inf (no common part) stays +inf.
    """
    return np.square(distances) / 2
