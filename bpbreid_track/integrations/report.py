"""Does the ReID do anything? Which level an adapter works on, and how many matches appearance decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..tracking.assignment import assign


@dataclass
class AppearanceReport:
    """What appearance did in a host's association since the start.

    Attributes:
        host: the host's tracker.
        level: ``drop-in`` (a flat vector through the host's hook) or ``exact`` (masked part distance).
        compares: what is compared.
        matches: matches of tracks and boxes in the rounds in which the host looks at appearance.
        decided: those that motion would not have made: the boxes did not overlap enough, or overlap preferred
            another box.
    """

    host: str
    level: str
    compares: str
    matches: int = 0
    decided: int = 0

    def __str__(self) -> str:
        return (
            f"{self.host}: {self.level} ({self.compares}); "
            f"appearance decided {self.decided} of {self.matches} matches"
        )

    def count(self, motion: np.ndarray, rows: Any, columns: Any, limit: float) -> None:
        """Take in the matches of one round.

        Args:
            motion: [T, N] the cost by motion alone, lower is better.
            rows: int [M] tracks.
            columns: int [M] the boxes they got.
            limit: highest cost that motion alone would have accepted.
        """
        rows, columns = np.asarray(rows, np.intp), np.asarray(columns, np.intp)
        if not len(rows):
            return
        mine = motion[rows, columns]
        needed = (mine > limit) | (mine > motion[rows].min(axis=1) + 1e-6)
        self.matches += len(rows)
        self.decided += int(needed.sum())

    def count_assignment(self, motion: np.ndarray, cost: np.ndarray, limit: float) -> None:
        """As ``count``, for the matches that a host's solver will make of ``cost`` [T, N] up to ``limit``."""
        if cost.size:
            self.count(motion, *assign(np.asarray(cost, np.float64), limit), limit)


def appearance_report(adapter: Any) -> AppearanceReport:
    """The report of an adapter of this package, or of a ``PartTracker``.

    Raises:
        UsageError: something else; a host's own tracker must be watched first (``watch`` of its module).
    """
    from ..tracking.tracker import PartTracker

    if isinstance(adapter, PartTracker):
        stats = adapter.stats
        return AppearanceReport(
            "PartTracker",
            "exact",
            "part distance",
            stats.matches_motion + stats.matches_appearance,
            stats.matches_appearance,
        )
    found = getattr(adapter, "appearance", None)
    if isinstance(found, PartTracker):
        return appearance_report(found)
    if not isinstance(found, AppearanceReport):
        raise UsageError(
            f"appearance_report: expected an adapter of bpbreid_track.integrations, got "
            f"{type(adapter).__name__}; for a host's own tracker call watch(tracker) of its module first"
        )
    return found


def describe(vector: str) -> tuple[str, str]:
    """Level and words of a kind of vector, for a report."""
    return ("exact", "part distance") if vector == "parts" else ("drop-in", f"{vector} vector")
