"""Which decisions of the tracker are worth a look, by the numbers of the association. Pure functions.

Doubt is counted as ``--explain`` counts evidence: a margin of 0 means that the other choice was as likely,
+3 that it was a twentieth as likely. The smallest margins come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..explain.reasons import MatchReason, Rival
from ..explain.text import because, evidence_of, runner_up

# Another choice that was less likely than this (a natural logarithm) is no doubt.
CLOSE = 2.0
# Seconds without a match after which a return is worth a look.
GAP_SECONDS = 1.0
# What a return is ranked by of which only the gap is known.
UNKNOWN = 1.0


@dataclass(frozen=True)
class Doubt:
    """A decision that may be wrong.

    Attributes:
        kind: ``close`` (another identity was nearly as likely), ``return`` (after a gap), ``start`` (a new
            identity where a lost one was nearly likely enough).
        id: the identity.
        other: the one that it may be instead, or None.
        margin: see above; below 0 where the assignment as a whole was likelier.
        gap: seconds without a match before, of ``id`` or, at a start, of ``other``.
        reason: of the box; None where only the gap is known.
        rival: at a start, the pair that was not made.
    """

    kind: str
    id: int
    other: int | None
    margin: float
    gap: float
    reason: MatchReason | None = None
    rival: Rival | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What is sorted by: small margins first, of the same those after long gaps."""
        return self.margin, -self.gap

    def renumbered(self, number_of: dict[int, int]) -> Doubt | None:
        """The same under the numbers that linking gave; None where it joined the two."""
        if not number_of:
            return self
        other = None if self.other is None else number_of.get(self.other, self.other)
        identity = number_of.get(self.id, self.id)
        if other == identity:
            return None
        reason = self.reason
        if reason is not None and reason.runner_up is not None:
            second = reason.runner_up.identity
            named = second and number_of.get(second, second)
            reason = replace(reason, runner_up=replace(reason.runner_up, identity=named))
        return replace(self, id=identity, other=other, reason=reason)

    def text(self) -> str:
        """In words, without the frame."""
        if self.kind == "start":
            assert self.rival is not None
            return (
                f"{self.id} began here, {self.gap:.1f} s after {self.other} was last seen: the evidence for "
                f"{self.other} was {-(self.rival.cost or 0):+.1f}, and above 0 would have continued it "
                f"({evidence_of(self.rival)})."
            )
        came = f"{self.id} came back after {self.gap:.1f} s"
        what = came if self.kind == "return" else f"{self.id} was found"
        if self.reason is None:
            return f"{what}: linking joined the two, or the tracker had waited."
        text = f"{what} {because(self.reason)}."
        return text if self.reason.runner_up is None else f"{text} {runner_up(self.reason)}"


def close_calls(reasons: Sequence[MatchReason]) -> Iterator[Doubt]:
    """Matches of a frame that another identity in sight or waited for could nearly as well have had.

    Where both were found, two boxes would have changed hands, and the margins of both count.
    """
    by_row = {reason.row: reason for reason in reasons}
    for reason in reasons:
        second = reason.runner_up
        if reason.identity is None or second is None or second.identity is None or reason.cost is None:
            continue
        if second.cost is None or second.identity == reason.identity:
            continue
        margin = second.cost - reason.cost
        its = by_row.get(second.box) if second.box is not None else None
        if its is not None:
            if its.runner_up is None or its.cost is None or its.runner_up.cost is None:
                continue  # nobody else could have had that box
            margin += its.runner_up.cost - its.cost
        if margin < CLOSE:
            yield Doubt("close", reason.identity, second.identity, margin, reason.lost, reason)


def returns(reasons: Sequence[MatchReason]) -> Iterator[Doubt]:
    """Identities of a frame that come back after ``GAP_SECONDS`` or longer."""
    for reason in reasons:
        if reason.identity is None or reason.cost is None or reason.lost < GAP_SECONDS:
            continue
        second, margin = reason.runner_up, -reason.cost
        if second is not None and second.cost is not None:
            margin = min(margin, second.cost - reason.cost)
        other = None if second is None else second.identity
        yield Doubt("return", reason.identity, other, margin, reason.lost, reason)


class Starts:
    """Finds new identities that a lost one nearly was, from their birth until they are confirmed."""

    def __init__(self) -> None:
        self._nearest: dict[int, Rival] = {}

    def look(self, reasons: Sequence[MatchReason]) -> Iterator[Doubt]:
        """Take in the reasons of a frame."""
        before, self._nearest = self._nearest, {}
        for reason in reasons:
            near = [rival for rival in reason.closest if _nearly(rival)]
            if reason.track in before:
                near.append(before[reason.track])
            if not near:
                continue
            nearest = min(near, key=lambda rival: rival.cost or 0.0)
            if reason.identity is None:
                self._nearest[reason.track] = nearest
            elif nearest.identity is not None:
                cost = nearest.cost or 0.0
                yield Doubt("start", reason.identity, nearest.identity, cost, nearest.lost, reason, nearest)


def _nearly(rival: Rival) -> bool:
    return (
        rival.identity is not None
        and rival.lost > 0
        and rival.box is None
        and rival.cost is not None
        and rival.cost < CLOSE
    )
