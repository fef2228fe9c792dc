"""How often somebody new comes into a stream, and so how likely a box is somebody who was lost."""

from __future__ import annotations

import math

import numpy as np

from .evidence import ABSENT
from .place import ERROR_SECONDS

# Of people out of sight for ``a`` seconds ``RETURNS / (a + _SOON)`` a second come back. Measured against the
# truth of nine sequences, absences of 0.1 to 10 s: 0.27 to 1.5, median 0.65 (``docs/decisions.md``).
RETURNS, _SOON = 0.65, 0.1
# New people a second that are assumed before the stream has shown any, and for how many seconds that counts.
_USUAL, _WEIGHT_SECONDS = 1.0, 5.0
# Who is found within this time of the start had been there, overlooked.
_START_SECONDS = 1.0
_FORGET_SECONDS = 60.0


class Arrivals:
    """Learns from the tracks that were confirmed how many people come a second.

    On a street nearly everybody who comes is new; on a pitch, after a while, nearly everybody has been there
    before. Which of the two decides what parts must say before somebody is taken for one who was lost.
    """

    def __init__(self) -> None:
        self._now = self._people = self._seconds = 0.0

    def learn(self, new: int, elapsed: float) -> None:
        """Take in a frame, ``elapsed`` seconds after the last one, that confirmed ``new`` tracks."""
        self._now += elapsed
        if self._now <= _START_SECONDS:
            return
        kept = math.exp(-elapsed / _FORGET_SECONDS)
        self._people = kept * self._people + new
        self._seconds = kept * self._seconds + elapsed

    @property
    def rate(self) -> float:
        """New people a second, above 0."""
        return (self._people + _USUAL * _WEIGHT_SECONDS) / (self._seconds + _WEIGHT_SECONDS)

    def against(self, away: np.ndarray) -> np.ndarray:
        """Log odds, 0 or more, that whoever appears is somebody new and not the lost person.

        ``log(new people a second / returns a second)``, both of them in any one frame, so that it does not
        depend on the frame rate. What hid a person a moment ago still hides a part of them, and a box of what
        shows is no return: as long as errors of a detector persist more has to speak for one.

        Args:
            away: float64 [T], seconds since each person was last seen.
        """
        odds: np.ndarray = np.log(self.rate * (away + _SOON) / RETURNS)
        return np.maximum(odds, ABSENT * np.exp(-away / ERROR_SECONDS))
