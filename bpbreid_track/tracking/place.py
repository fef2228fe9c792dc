"""What the place of a box says: the log-likelihood ratio of one person to a stranger, from the Kalman filter.

Pure functions. T tracks, N boxes; a row is a track, a column a box.
"""

from __future__ import annotations

import math

import numpy as np

# Degrees of freedom nu of Student's t distribution: people stop, turn and bend more often than normal
# errors would allow.
TAIL = 3.0
# A stranger might as well have appeared anywhere in this many pictures: most of the people in one are known.
PICTURES = 3.0
# At least so many squares of the box's height: what boxes have not reached yet may be picture all the same.
LEAST_AREA = 100.0
# Seconds that the error of a detector persists. Measured against the truth of nine sequences (two detectors,
# 7 to 30 frames a second) its autocorrelation falls to 1 / e after 0.07 to 0.86 s, median 0.13, and has an
# integral time of 0.18 to 1.45 s, median 0.36 (``docs/decisions.md``).
ERROR_SECONDS = 0.25
_LOG_T = math.lgamma((TAIL + 1) / 2) - math.lgamma(TAIL / 2) - 0.5 * math.log(TAIL * math.pi)


def place_log_ratio(
    state: np.ndarray, cxcywh: np.ndarray, measurement: np.ndarray, picture: float
) -> np.ndarray:
    """Log-likelihood ratio [T, N] of a box's place: the tracked person against a stranger.

    ``log(A * t(x) * t(top) * t(bottom))`` in units of the box's height: t is Student's density of the
    distance between box and prediction, scaled by the spread of both together, and A the area in which
    strangers appear. The spread grows with the time since the last match, so that one rule fits every frame
    rate and people out of sight: the right place is worth much after a thirtieth of a second, and little
    after ten. It is worth more where people are small in the picture. Upper and lower edge have a tail each:
    of whoever is hidden from the waist down the upper edge still speaks.

    Args:
        state: [5, T, 4] of the Kalman filter, predicted to this frame.
        cxcywh: [N, 4] centre, width and height of the boxes in pixels.
        measurement: [4] standard deviation of a detected centre, width and height, in heights.
        picture: area of the picture in square pixels.
    """
    position, _, variance, _, _ = state
    measured = np.square(measurement * cxcywh[:, 3:])
    half, box_half = 0.5 * position[:, 3], 0.5 * cxcywh[:, 3]
    across = variance[:, 0, None] + measured[:, 0]
    upright = (variance[:, 1] + 0.25 * variance[:, 3])[:, None] + (measured[:, 1] + 0.25 * measured[:, 3])
    # With s = spread squared and u = s + d^2 / nu, each density is s^-1/2 (u / s)^-(nu + 1) / 2.
    spread = across * upright
    spread *= upright
    tail = _with_distance(across, position[:, 0], cxcywh[:, 0])
    tail *= _with_distance(upright, position[:, 1] - half, cxcywh[:, 1] - box_half)
    tail *= _with_distance(upright, position[:, 1] + half, cxcywh[:, 1] + box_half)
    # Logarithms cost more than all the rest: one for both.
    out = np.log(spread**TAIL / tail ** (TAIL + 1))
    out *= 0.5
    height = np.maximum(cxcywh[:, 3], 1e-6)
    area = np.maximum(PICTURES * picture, LEAST_AREA * height**2)
    # Three densities in units of the height, and an area in squares of it: one height remains.
    out += 3 * _LOG_T + np.log(area * height)
    return out


def place_spread(measurement: np.ndarray, elapsed: float) -> np.ndarray:
    """Standard deviation [4] of detections where places are weighed against parts, in heights.

    The filter takes each detection for a new look at a person. But what hides or distorts one does so in the
    next as well: of errors that persist for T seconds 1 / T a second are independent, however many frames
    there are (Bayley and Hammersley 1946). Trusted by the frame, small steps to a neighbour would outweigh
    any difference in looks. By motion alone places are compared only with one another, and stay as they are.

    Args:
        measurement: [4] standard deviation of one detection, in heights.
        elapsed: seconds since the last frame; 0 on the first.
    """
    frames = ERROR_SECONDS / elapsed if elapsed > 0 else 1.0
    return measurement * math.sqrt(max(1.0, frames))


def _with_distance(spread: np.ndarray, expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Squared spread plus squared distance / nu, [T, N]."""
    out = expected[:, None] - found
    out *= out
    out *= 1 / TAIL
    out += spread
    return out
