"""What a part distance is worth: from distances to log-likelihood ratios, learnt from the stream."""

from __future__ import annotations

import math

import numpy as np

# What is assumed before the stream has shown any: mean distance of one person, and both deviations, as shares
# of the mean distance of two people. Three encoders of different scale agree on them within a quarter.
SAME_SHARE, DEVIATION_SHARE = 0.45, 0.13
# So many examples of each kind the assumption is worth.
_WEIGHT = 50.0
_FORGET_SECONDS = 60.0
# No view says more than this: whoever bends or turns looks like another sometimes.
_MOST = 10.0


class DistanceCalibration:
    """Turns part distances into log-likelihood ratios, with a scale learnt from the stream itself.

    Every matched pair is an example of one person seen twice, and every track against the boxes of the others
    in the same frame an example of two people. Both are taken as normal with a common variance, so that the
    log-likelihood ratio is linear in the distance: an encoder that cannot tell people apart ends at a ratio
    of one everywhere, and appearance then says nothing instead of something wrong. One that tells them apart
    well outvotes the place. Until two people were seen at once, the scale is unknown and appearance silent.
    """

    def __init__(self) -> None:
        # Weight, mean and mean square of the distances of one person, and of two.
        self._sums = np.zeros((2, 3))

    def learn(self, same: np.ndarray, other: np.ndarray, seconds: float) -> None:
        """Take in distances of pairs known to be one person, and known to be two; inf is passed over."""
        self._sums *= math.exp(-seconds / _FORGET_SECONDS)
        for sums, distances in zip(self._sums, (same, other), strict=True):
            values = distances[np.isfinite(distances)].astype(np.float64)
            if len(values):
                # A frame counts once, however many pairs it has.
                sums += np.array([1.0, values.mean(), np.square(values).mean()]) * min(len(values), 10)

    def log_ratio(self, distances: np.ndarray) -> np.ndarray:
        """Log-likelihood ratio of one person to two, float64 in [-10, 10]; 0 where no part is comparable."""
        examples, total, _ = self._sums[1]
        if not examples:
            return np.zeros(distances.shape)
        scale = float(total / examples)
        square = DEVIATION_SHARE**2
        assumed = np.array([[1, SAME_SHARE, SAME_SHARE**2 + square], [1, 1, 1 + square]])
        weight, first, second = (self._sums + _WEIGHT * assumed * [1, scale, scale**2]).T
        mean = first / weight
        variance = float(np.mean(second / weight - mean**2)) + 1e-6
        slope = max(0.0, float(mean[1] - mean[0])) / variance
        middle = float(mean.mean())
        return np.clip(slope * (middle - np.where(np.isfinite(distances), distances, middle)), -_MOST, _MOST)
