"""What the tracks remember of every body part: its mean vector, and how fresh that is."""

from __future__ import annotations

import numpy as np

from ..embeddings import PartEmbeddings, masked_distance_of_arrays

# Evidence below this has faded so far that it is no longer evidence of anything.
FADED = 0.05
# Time constant of the running mean of a part's vector, in seconds.
MEAN_SECONDS = 1.5
# Time constant at which the evidence of a part that stays hidden fades, in seconds.
FORGET_SECONDS = 5.0


class AppearanceMemory:
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
        """Append tracks with their first embeddings, float32 [N, P, D] and [N, P]."""
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
        return masked_distance_of_arrays(self.features, evidence, *embeddings.numpy())
