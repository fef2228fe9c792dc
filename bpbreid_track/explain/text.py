"""The reasons of a log in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ..tracking.rounds import HIGH, LOW, NEW
from .reader import LoggedFrame, ReasonLog
from .reasons import BIRTH, CLASS, COST, NO_PART, SCORE, TAKEN, WHOLE, MatchReason, Rival

_ROUNDS = {
    HIGH: "round one (boxes of high score)",
    LOW: "round two (boxes of low score)",
    NEW: "round three (tracks not yet confirmed)",
}
# A track counts as lost in a story from this many seconds on; a frame or two without a box is no story.
_STORY_SECONDS = 0.3


def summary(log: ReasonLog) -> Iterator[str]:
    """What happened on the whole."""
    reasons = [reason for frame in log.frames for reason in frame.reasons]
    rounds = Counter(reason.round for reason in reasons)
    matches = [reason for reason in reasons if reason.round != BIRTH]
    back = [reason for reason in matches if reason.lost > 0]
    yield f"{log.about.get('source', log.path.name)}: {len(log.frames)} frames, {len(log.lives)} identities."
    for name, words in _ROUNDS.items():
        yield f"{rounds[name]} matches in {words}."
    yield f"{rounds[BIRTH]} boxes started a track of their own."
    yield (
        f"{sum(reason.by_appearance for reason in matches)} of {len(matches)} matches were decided by "
        "appearance: motion alone would have decided otherwise."
    )
    yield (
        f"{len(back)} times a track came back after a gap, "
        f"{sum(reason.by_appearance for reason in back)} of them by appearance."
    )


def story(log: ReasonLog, identity: int) -> Iterator[str]:
    """The life of an identity: birth, gaps, and what brought it back."""
    life = log.life(identity)
    first, last = life[0], life[-1]
    confirmed = next(sighting for sighting in life if sighting.reason.identity is not None)
    text = f"Identity {identity} was born in {_when(first.frame)}"
    if confirmed.frame.number != first.frame.number:
        text += f" and confirmed in frame {confirmed.frame.number}"
    yield f"{text}; it was seen in {len(life)} frames, the last of them {_when(last.frame)}."
    for before, after in pairwise(life):
        reason = after.reason
        if reason.lost < _STORY_SECONDS:
            continue
        text = (
            f"Lost after frame {before.frame.number} for {reason.lost:.1f} s; came back in "
            f"{_when(after.frame)} {because(reason)}."
        )
        if reason.runner_up is not None:
            text += f" {runner_up(reason)}"
        yield text
    given_up = log.given_up(identity)
    if given_up is not None:
        waited = given_up.timestamp - last.frame.timestamp
        yield f"Given up in {_when(given_up)}, {waited:.1f} s after it was last seen."


def frame(log: ReasonLog, number: int) -> Iterator[str]:
    """Every box of a frame that has a track."""
    here = log.frame(number)
    yield f"{_when(here).capitalize()}: {len(here.reasons)} boxes with a track."
    for reason in here.reasons:
        who = f"identity {reason.identity}" if reason.identity else f"track {reason.track} (not confirmed)"
        if reason.round == BIRTH:
            yield f"Box {reason.row} starts {who}."
            for rival in reason.closest:
                yield f"  Not {_name(rival)}: {_ruled_out(rival)}."
            continue
        text = f"Box {reason.row} is {who}, {because(reason)}."
        yield text if reason.runner_up is None else f"{text} {runner_up(reason)}"


def why(log: ReasonLog, old: int, new: int) -> Iterator[str]:
    """Why a person who had the identity ``old`` was given ``new``."""
    past, future = log.life(old), log.life(new)
    birth = future[0].frame
    before = [sighting for sighting in past if sighting.frame.number < birth.number]
    if not before:
        yield (
            f"Identity {new} was born in {_when(birth)}, before identity {old} "
            f"(born in {_when(past[0].frame)}): it cannot have followed it."
        )
        return
    seen = before[-1].frame
    gap = birth.timestamp - seen.timestamp
    yield f"Identity {old} was last seen before that in {_when(seen)}."
    yield f"Identity {new} was born in {_when(birth)}, {gap:.1f} s later."
    given_up = log.given_up(old)
    for sighting in log.beginnings(new):
        rival = next((rival for rival in sighting.reason.closest if rival.identity == old), None)
        at_once = next((s.reason.row for s in past if s.frame.number == sighting.frame.number), None)
        where = f"In frame {sighting.frame.number}"
        if rival is not None:
            yield f"{where}: {_ruled_out(rival)}."
        elif at_once is not None:
            yield f"{where}: identity {old} took box {at_once}, and this one was out of its reach."
        elif given_up is not None and given_up.number <= sighting.frame.number:
            tracker = log.about.get("config", {}).get("tracker", {})
            wait = max(tracker.get("lost_seconds", 0), tracker.get("appearance_seconds", 0))
            yield (
                f"{where}: identity {old} was no longer waited for: it was given up in {_when(given_up)} "
                f"(lost_seconds and appearance_seconds allow {wait:g} s)."
            )
        else:
            yield f"{where}: other lost tracks were nearer in position and in appearance."


def _when(frame: LoggedFrame) -> str:
    return f"frame {frame.number} ({frame.timestamp:.2f} s)"


def because(reason: MatchReason) -> str:
    """Why a box was matched: on what ground, in which round, by which evidence."""
    ground = "by appearance" if reason.by_appearance else "by motion"
    assert reason.cost is not None
    return f"{ground} in {_ROUNDS[reason.round]}: {evidence_of(reason)}, together {-reason.cost:+.1f}"


def runner_up(reason: MatchReason) -> str:
    """The sentence on the next best track for a box, which has one."""
    rival = reason.runner_up
    assert rival is not None
    assert rival.cost is not None
    return f"Next best was {_name(rival)}: {evidence_of(rival)}, together {-rival.cost:+.1f}."


def evidence_of(pair: MatchReason | Rival) -> str:
    """Place and parts of a pair in words and logarithms."""
    text = f"place {pair.place:+.1f}"
    if pair.distance is not None:
        text += f", parts {pair.appearance:+.1f} at distance {pair.distance:.2f} ({_parts(pair.parts)})"
    return text


def _name(rival: Rival) -> str:
    return f"identity {rival.identity}" if rival.identity else f"track {rival.track} (not confirmed)"


def _parts(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {distance:.2f}" for name, distance in parts.items())


def _ruled_out(rival: Rival) -> str:
    """What kept a track from a box, as a sentence without its full stop."""
    facts = evidence_of(rival)
    if rival.distance is None:
        facts += ", no part showed in both"
    if rival.ruled_out == CLASS:
        return "the box is of another class"
    if rival.ruled_out == NO_PART:
        return f"no part showed in both, and after {rival.lost:.1f} s only parts can bring a track back"
    if rival.ruled_out == SCORE:
        return f"the box scored too low, and its parts did not say enough ({facts})"
    if rival.ruled_out == TAKEN:
        return f"the track took box {rival.box} instead ({facts})"
    if rival.ruled_out == WHOLE:
        return f"the assignment as a whole was likelier without it ({facts})"
    if rival.ruled_out != COST:
        return f"{rival.ruled_out} ({facts})"
    assert rival.cost is not None
    total = f"the evidence was {-rival.cost:+.1f}, less likely than not"
    if rival.appearance is None:
        return f"{total}: the place had to decide alone ({facts})"
    if rival.appearance < 0:
        return f"{total}: the parts looked too different ({facts})"
    if rival.place < 0:
        return f"{total}: the parts spoke for it, but the place against it ({facts})"
    wanted = f"somebody away for {rival.lost:.1f} s" if rival.lost else "a box of so low a score"
    return f"{total}: place and parts spoke for it, but too little for {wanted} ({facts})"
