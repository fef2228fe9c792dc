"""What the tracks remember of every body part, and what a part distance is worth.

Appearance enters the association as one number for each pair of track and box: how much likelier their part
distance is for one person than for two. Distances alone do not say that: 0.7 may be far apart for one encoder
and close for another. ``DistanceScale`` learns the scale while it tracks.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ..embeddings import PartEmbeddings, masked_distance

# Evidence below this has faded so far that it is no longer evidence of anything.
FADED = 0.05
# Overlap from which a box is taken for that of a person in sight.
_OWN_OVERLAP = 0.5
# Distances to this many other people say as much of a view as having been seen at all.
_OTHERS = 8.0


class PartMemory:
    """Running mean and evidence of every part of T tracks.

    Attributes:
        features: float32 [T, P, D], unit rows (zero where a part was never seen).
        evidence: float32 [T, P] in [0, 1]; 1 for a part just seen, fading while it stays hidden.
        counts: float32 [T, P], how many observations the running mean has taken in.
        learned: float64 [T], time of the last observation; -inf before the first.
    """

    def __init__(self, part_names: tuple[str, ...], dim: int) -> None:
        self.part_names = part_names
        parts = len(part_names)
        self.features = np.zeros((0, parts, dim), np.float32)
        self.evidence = np.zeros((0, parts), np.float32)
        self.counts = np.zeros((0, parts), np.float32)
        self.learned = np.zeros(0)

    def keep(self, rows: np.ndarray) -> None:
        """Drop all tracks outside the mask ``rows``."""
        self.features, self.evidence = self.features[rows], self.evidence[rows]
        self.counts, self.learned = self.counts[rows], self.learned[rows]

    def add(self, features: np.ndarray, visibility: np.ndarray, now: float) -> None:
        """Append tracks with the first look at each, float32 [N, P, D] and [N, P]."""
        shown = visibility > 0
        self.features = np.concatenate((self.features, features * shown[..., None]))
        self.evidence = np.concatenate((self.evidence, visibility))
        self.counts = np.concatenate((self.counts, shown.astype(np.float32)))
        self.learned = np.concatenate((self.learned, np.where(shown.any(axis=1), now, -np.inf)))

    def learn(
        self,
        tracks: np.ndarray,
        features: np.ndarray,
        visibility: np.ndarray,
        now: float,
        mean_seconds: float,
        forget_seconds: float,
    ) -> None:
        """Take in one observation of each of ``tracks``; parts that do not show only fade.

        Args:
            tracks: int [M] rows of this memory.
            features: float32 [M, P, D] of the matched boxes.
            visibility: float32 [M, P].
            now: time in seconds.
            mean_seconds: time constant of the running mean once enough was seen. The first observations are
                averaged evenly, so that a first bad view is soon outvoted.
            forget_seconds: time constant at which the evidence of a part that does not show fades.
        """
        shown = visibility > 0
        counts = self.counts[tracks]
        elapsed = (now - self.learned[tracks])[:, None].astype(np.float32)
        old = np.minimum(np.exp(-elapsed / mean_seconds), counts / (counts + 1))
        # A half-visible part teaches half as much.
        new = (1 - old) * np.where(counts > 0, visibility, 1)
        new[~shown] = 0
        mean = (1 - new)[..., None] * self.features[tracks]
        mean += new[..., None] * features
        norm = np.sqrt(np.einsum("mpd,mpd->mp", mean, mean))
        mean /= np.maximum(norm, 1e-12)[..., None]
        self.features[tracks] = mean
        self.counts[tracks] = counts + shown
        faded = self.evidence[tracks] * np.exp(-elapsed / forget_seconds)
        self.learned[tracks] = now
        self.evidence[tracks] = np.where(shown, np.maximum(visibility, faded), faded)

    def distances(self, embeddings: PartEmbeddings) -> np.ndarray:
        """Eq. 9 between all T tracks and N boxes, float32 [T, N]; +inf where no part is known of both."""
        evidence = np.where(self.evidence < FADED, np.float32(0), self.evidence)
        return masked_distance(
            torch.from_numpy(self.features),
            torch.from_numpy(evidence),
            embeddings.features,
            embeddings.visibility,
            refine=False,
        ).numpy()


class DistanceScale:
    """Turns part distances into probabilities, with a scale learnt from the stream itself.

    Every matched pair is an example of one person seen twice, and every track against the boxes of the others
    in the same frame an example of two people. Both are taken as normal with a common variance, so that the
    log-likelihood ratio is linear in the distance: an encoder that cannot tell people apart ends at a ratio
    of one everywhere, and appearance then says nothing instead of something wrong.
    """

    # Where the scale starts, worth as much as this many examples of each kind.
    _SAME, _OTHER, _DEVIATION, _WEIGHT = 0.45, 0.95, 0.15, 50.0
    _FORGET_SECONDS = 60.0

    def __init__(self) -> None:
        # Weight, mean and mean square of the distances of one person, and of two.
        square = self._DEVIATION**2
        self._sums = np.array(
            [[1, self._SAME, self._SAME**2 + square], [1, self._OTHER, self._OTHER**2 + square]]
        )
        self._sums *= self._WEIGHT

    def learn(self, same: np.ndarray, other: np.ndarray, seconds: float) -> None:
        """Take in distances of pairs known to be one person, and known to be two; inf is passed over."""
        self._sums *= math.exp(-seconds / self._FORGET_SECONDS)
        for sums, distances in zip(self._sums, (same, other), strict=True):
            values = distances[np.isfinite(distances)].astype(np.float64)
            if len(values):
                # A frame counts once, however many pairs it has.
                sums += np.array([1.0, values.mean(), np.square(values).mean()]) * min(len(values), 10)

    @property
    def between_people(self) -> float:
        """Mean distance of two people."""
        return float(self._sums[1, 1] / self._sums[1, 0])

    def log_ratio(self, distances: np.ndarray) -> np.ndarray:
        """Log-likelihood ratio [T, N] of one person to two, in [-10, 10]; 0 where no part was comparable."""
        weight, first, second = self._sums.T
        mean = first / weight
        variance = float(np.mean(second / weight - mean**2)) + 1e-6
        slope = max(0.0, float(mean[1] - mean[0])) / variance
        middle = float(mean.mean())
        return np.clip(slope * (middle - np.where(np.isfinite(distances), distances, middle)), -10, 10)


def common_excess(
    distances: np.ndarray, overlap: np.ndarray, in_sight: np.ndarray, expected: float
) -> np.ndarray:
    """How much too far from everybody a box or a track is, and so from the same person too.

    A person who shows from the waist up only, or blurred, lies far from all others. As in the score
    normalisation of speaker verification, pairs known to be two people tell by how much: here people in sight
    and each other's boxes. Means over few pairs are shrunk towards 0. Of box and track the one farther off
    counts.

    Args:
        distances: [T, N] part distances, inf where no part can be compared.
        overlap: [T, N] in [0, 1], of predicted and detected boxes.
        in_sight: bool [T], tracks seen in the last frame.
        expected: mean distance of two people.

    Returns:
        What to take off the distances, [T, N].
    """
    own = overlap == overlap.max(axis=1, keepdims=True, initial=_OWN_OVERLAP)
    own &= in_sight[:, None]
    known = np.isfinite(distances) & ~own
    excess = np.where(known, distances - expected, 0)
    owners, owned = own.any(axis=1), own.any(axis=0)
    of_box = excess[owners].sum(axis=0) / (known[owners].sum(axis=0) + _OTHERS)
    of_track = excess[:, owned].sum(axis=1) / (known[:, owned].sum(axis=1) + _OTHERS)
    return np.maximum(of_box[None], of_track[:, None])
