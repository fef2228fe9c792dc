"""How far the people of a stream stray from where the filter expects them, learnt while it tracks.

From frame to frame, and over the seconds that somebody is out of sight: two different things. What a frame
shows is mostly the error of the detector; where somebody is after seconds is a matter of how fast people go.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .kalman import POSITION, SPEED_SECONDS, VELOCITY, Noise
from .place import TAIL

# Motion of people on streets in heights, for centre x, centre y, width and height: fitted to annotated
# pedestrians at 1 to 30 frames a second, but for the measurement, three times that of the steady detector
# with which they were fitted. Who plays, or is filmed by a camera that turns, moves otherwise.
STREET = Noise(
    measurement=np.array([0.036, 0.036, 0.06, 0.05]),
    jitter=np.array([0.065, 0.055, 0.1, 0.06]),
    acceleration=np.array([0.3, 0.12, 0.1, 0.1]),
    speed=np.array([0.6, 0.45, 0.1, 0.1]),
)
# Matches that the motion of streets is worth before the stream has shown its own.
_PRIOR = 30.0
_FORGET_SECONDS = 30.0
# A frame says no more than so many matches, however many people it shows: they share the camera.
_MOST = 10


class _Mean:
    """Mean over matches of late; before there are any, ``prior``."""

    def __init__(self, prior: np.ndarray) -> None:
        self._weight, self._sum = _PRIOR, _PRIOR * prior

    @property
    def value(self) -> np.ndarray:
        return self._sum / self._weight

    def add(self, found: np.ndarray, matches: int, seconds: float) -> None:
        """Take in a frame: the mean over so many matches, seconds since the last one."""
        count, keep = min(matches, _MOST), math.exp(-seconds / _FORGET_SECONDS)
        self._sum = keep * self._sum + count * found
        self._weight = keep * self._weight + count


class MotionCalibration:
    """Scales the noise of the filter by what the stream shows.

    Each match in sight gives a squared normalised innovation z^2 in every coordinate. The scale s is that of
    Student's t distribution, by the usual fixed point ``s^2 = mean((nu + 1) e^2 / (nu + e^2 / s^2))`` (Lange,
    Little, Taylor 1989), so that a few wrong matches hardly count. Width and height share one.

    Speeds that fade stay as large as they are only if accelerations make up for it, so those of people out of
    sight have the spectral density ``q = 2 u^2 / SPEED_SECONDS``, with u the root mean square of the speeds
    of those in sight, in heights a second (the stationary Ornstein-Uhlenbeck process).

    Attributes:
        noise: as the filter is to use it now.
    """

    def __init__(self, noise: Noise = STREET) -> None:
        self._street = noise
        self._squares = _Mean(np.ones(4))
        self._speeds = _Mean(np.square(noise.speed[:2]))
        self.noise = noise

    @property
    def spread(self) -> np.ndarray:
        """The scale s [4] of centre x, centre y, width and height: 1 where people move as on a street."""
        return np.sqrt(self._squares.value)

    def learn(self, state: np.ndarray, cxcywh: np.ndarray, seconds: float) -> None:
        """Take in the matches of a frame.

        Args:
            state: [5, M, 4] of the matched tracks, predicted and not yet corrected.
            cxcywh: [M, 4] their boxes.
            seconds: since the last frame.
        """
        if not len(cxcywh):
            return
        position, _, variance, _, _ = state
        expected = variance + np.square(self.noise.measurement * cxcywh[:, 3:])
        square = np.square(cxcywh - position) / expected
        found = ((TAIL + 1) * square / (TAIL + square)).mean(axis=0)
        found[2:] = found[2:].mean()
        self._squares.add(found * self._squares.value, len(cxcywh), seconds)
        spread, street = self.spread, self._street
        self.noise = Noise(
            measurement=spread * street.measurement,
            jitter=spread * street.jitter,
            acceleration=spread * street.acceleration,
            speed=spread * street.speed,
        )

    def noise_of(self, lost: np.ndarray) -> Noise:
        """``noise``, but people out of sight accelerate by how fast people go here, where that is more.

        Args:
            lost: bool [T], tracks of people out of sight.

        Returns:
            Noise with ``acceleration`` [T, 4].
        """
        going = np.sqrt(2 * self._speeds.value / SPEED_SECONDS)
        unseen = self.noise.acceleration.copy()
        np.maximum(unseen[:2], going, out=unseen[:2])
        return replace(self.noise, acceleration=np.where(lost[:, None], unseen, self.noise.acceleration))

    def learn_speeds(self, state: np.ndarray, known: np.ndarray, seconds: float) -> None:
        """Take in how fast people in sight go.

        Args:
            state: [5, T, 4] of the tracks.
            known: bool [T], those in sight whose speed is known.
            seconds: since the last frame.
        """
        if not known.any():
            return
        heights = np.maximum(state[POSITION, known, 3:], 1.0)
        found = np.square(state[VELOCITY, known, :2] / heights).mean(axis=0)
        self._speeds.add(found, int(known.sum()), seconds)
