"""Kalman filter over all tracks at once, with speeds that fade.

A box is tracked as centre, width and height. Motion model, measurement and noise treat these four numbers
independently, so the usual 8 x 8 covariance is four 2 x 2 blocks (position and velocity of one number), and
prediction and update are a handful of element-wise operations on [T, 4] arrays: no matrix is ever inverted.

Time is in seconds and noise in person heights, so one setting fits any frame rate and resolution. Nobody
walks on for ever: a speed is forgotten within seconds, and where somebody is after long spreads with the
time and not with its third power (Millefiori, Braca, Bryan, Willett, "Modeling vessel kinematics using a
stochastic mean-reverting process for long-term prediction", 2016). From frame to frame this is the constant
velocity with white acceleration of Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and
Navigation", 2001, section 6.2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Rows of the state array [5, T, 4]; the last axis is centre x, centre y, width, height.
POSITION, VELOCITY, VAR_POSITION, COVARIANCE, VAR_VELOCITY = range(5)
# After so long 1 / e of a speed is left. Where people of five sequences are 4 to 8 seconds later is told best
# with 1 to 2 seconds on football and 3 to 8 on streets; 3 is nowhere more than a ninth worse than the best of
# them (``docs/decisions.md``).
SPEED_SECONDS = 3.0


@dataclass(frozen=True)
class Noise:
    """Standard deviations [4] of centre x, centre y, width and height, in heights of the tracked box.

    Attributes:
        measurement: of a detected number.
        jitter: of the position within a second, apart from smooth motion (a gait, a box that breathes).
        acceleration: of the velocity, gained within a second; [T, 4] where each of T tracks has its own.
        speed: of the unknown velocity (heights a second) of a new track.
    """

    measurement: np.ndarray
    jitter: np.ndarray
    acceleration: np.ndarray
    speed: np.ndarray


def to_cxcywh(xyxy: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] from corners to centre, width, height, as float64."""
    out = np.empty((len(xyxy), 4))
    np.subtract(xyxy[:, 2:], xyxy[:, :2], out=out[:, 2:])
    np.add(xyxy[:, :2], xyxy[:, 2:], out=out[:, :2])
    out[:, :2] *= 0.5
    return out


def to_xyxy(cxcywh: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] from centre, width, height to corners. Sizes below a pixel are taken as one pixel."""
    half = np.maximum(cxcywh[:, 2:], 1.0)
    half *= 0.5
    return np.concatenate((cxcywh[:, :2] - half, cxcywh[:, :2] + half), axis=1)


def start(boxes: np.ndarray, noise: Noise) -> np.ndarray:
    """State [5, N, 4] of new tracks from their first boxes [N, 4] (centre, width, height)."""
    state = np.zeros((5, len(boxes), 4))
    height = boxes[:, 3:]
    state[POSITION] = boxes
    state[VAR_POSITION] = (2 * noise.measurement * height) ** 2
    state[VAR_VELOCITY] = (noise.speed * height) ** 2
    # A person's size changes far more slowly than the position.
    return state


def predict(state: np.ndarray, seconds: float, noise: Noise, *, fading: bool = True) -> None:
    """Advance all tracks by ``seconds``, in place.

    With a = 1 / ``SPEED_SECONDS`` and accelerations of spectral density q, speeds follow
    ``dv = -a v dt + sqrt(q) dw`` (Ornstein-Uhlenbeck), and positions are their integral.

    Args:
        state: [5, T, 4].
        seconds: at least 0.
        noise: accelerations have the spectral density q = ``noise.acceleration ** 2``.
        fading: False: speeds last, a = 0.
    """
    position, velocity, var_position, covariance, var_velocity = state
    # A speed carries so far, so much of it is left; shares of q for variance of the position, covariance and
    # variance of the velocity.
    reach, kept, far, both, fast = seconds, 1.0, seconds**3 / 3, seconds**2 / 2, seconds
    if fading:
        reach = SPEED_SECONDS * -math.expm1(-seconds / SPEED_SECONDS)
        kept = 1 - reach / SPEED_SECONDS
        fast = SPEED_SECONDS / 2 * (1 - kept**2)
        both = reach**2 / 2
        far = SPEED_SECONDS**2 * max(0.0, seconds - 2 * reach + fast)
    square = np.square(position[:, 3:])
    position += reach * velocity
    velocity *= kept
    gained = noise.acceleration**2 * square
    var_position += reach * (2 * covariance + reach * var_velocity)
    var_position += (seconds * noise.jitter**2) * square + far * gained
    covariance += reach * var_velocity
    covariance *= kept
    covariance += both * gained
    var_velocity *= kept**2
    var_velocity += fast * gained


def update(state: np.ndarray, boxes: np.ndarray, measurement: np.ndarray) -> np.ndarray:
    """Correct tracks with their matched boxes.

    Args:
        state: [5, M, 4] of the matched tracks.
        boxes: [M, 4] centre, width, height.
        measurement: [M, 4] standard deviation of each number in pixels.

    Returns:
        The corrected state [5, M, 4].
    """
    position, velocity, var_position, covariance, var_velocity = state
    gain = 1.0 / (var_position + np.square(measurement))
    innovation = (boxes - position) * gain
    out = np.empty_like(state)
    out[POSITION] = position + var_position * innovation
    out[VELOCITY] = velocity + covariance * innovation
    gain_position = var_position * gain
    gain_velocity = covariance * gain
    out[VAR_POSITION] = var_position - gain_position * var_position
    out[COVARIANCE] = covariance - gain_position * covariance
    out[VAR_VELOCITY] = var_velocity - gain_velocity * covariance
    return out


def warp(state: np.ndarray, affine: np.ndarray) -> None:
    """Carry all tracks through a motion of the camera, in place.

    Args:
        state: [5, T, 4].
        affine: [2, 3], takes pixels of the previous frame to pixels of this one. Centres and velocities
            follow it exactly. Sizes and variances follow its scale alone: the turn of a camera between two
            frames is small, and boxes stay upright.
    """
    linear, shift = affine[:, :2], affine[:, 2]
    scale = np.sqrt(abs(np.linalg.det(linear)))
    state[POSITION, :, :2] = state[POSITION, :, :2] @ linear.T + shift
    state[VELOCITY, :, :2] = state[VELOCITY, :, :2] @ linear.T
    state[:VAR_POSITION, :, 2:] *= scale
    state[VAR_POSITION:] *= scale**2
