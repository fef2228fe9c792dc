"""Reading a file of ``bpbreid-track --explain``: frames, reasons, and the life of every identity."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError, one_line
from .reasons import BIRTH, MatchReason, Rival

FORMAT = "bpbreid_track reasons"
VERSION = 2
_NUMBERS = ("track", "identity", "lost", "motion", "place", "distance", "appearance", "cost", "limit")


@dataclass(frozen=True)
class LoggedFrame:
    """One frame of a log.

    Attributes:
        number: from 1.
        timestamp: seconds.
        forgotten: identities given up in this frame.
        reasons: one for each box that has a track.
    """

    number: int
    timestamp: float
    forgotten: tuple[int, ...]
    reasons: tuple[MatchReason, ...]


@dataclass(frozen=True)
class Sighting:
    """A box of an identity: where and why."""

    frame: LoggedFrame
    reason: MatchReason


@dataclass
class ReasonLog:
    """A whole log.

    Attributes:
        path: the file.
        about: its first line: source, detector, encoder and settings.
        frames: in order.
    """

    path: Path
    about: dict[str, Any]
    frames: list[LoggedFrame] = field(default_factory=list)

    @cached_property
    def lives(self) -> dict[int, list[Sighting]]:
        """All boxes of each identity in order, those from before it was confirmed included."""
        by_track: dict[int, list[Sighting]] = {}
        identity_of: dict[int, int] = {}
        for frame in self.frames:
            for reason in frame.reasons:
                by_track.setdefault(reason.track, []).append(Sighting(frame, reason))
                if reason.identity is not None:
                    identity_of[reason.track] = reason.identity
        pairs = sorted((identity, track) for track, identity in identity_of.items())
        return {identity: by_track[track] for identity, track in pairs}

    def life(self, identity: int) -> list[Sighting]:
        """The boxes of ``identity``.

        Raises:
            UsageError: there is none.
        """
        if identity not in self.lives:
            known = f"it has 1 to {max(self.lives)}" if self.lives else "it has none"
            raise UsageError(f"{self.path}: no identity {identity}; {known}")
        return self.lives[identity]

    def frame(self, number: int) -> LoggedFrame:
        """The frame ``number``, counted from 1.

        Raises:
            UsageError: there is none.
        """
        for frame in self.frames:
            if frame.number == number:
                return frame
        known = f"; it has {self.frames[0].number} to {self.frames[-1].number}" if self.frames else ""
        raise UsageError(f"{self.path}: no frame {number}{known}")

    def beginnings(self, identity: int) -> Iterator[Sighting]:
        """The boxes of ``identity`` that could have continued another track: birth until confirmation."""
        for sighting in self.life(identity):
            if sighting.reason.round == BIRTH or sighting.reason.closest:
                yield sighting

    def given_up(self, identity: int) -> LoggedFrame | None:
        """The frame in which ``identity`` was given up; None if it was waited for to the end."""
        return next((frame for frame in self.frames if identity in frame.forgotten), None)


def read_log(path: str | os.PathLike[str]) -> ReasonLog:
    """A log written by ``ExplainSink``.

    Raises:
        InputError: no such file, another kind of file, or a broken line, which is named.
    """
    path = Path(path)
    try:
        # Not splitlines: names may hold letters that it takes for the end of a line.
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; expected one of bpbreid-track --explain") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    about = _parse(lines[0] if lines else "", path, 1)
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path}, line 1: not a file of bpbreid-track --explain; write one with --explain {path.name}"
        )
    if about.get("version") != VERSION:
        raise InputError(
            f"{path}, line 1: version {about.get('version')} of the format, this program reads {VERSION}; "
            "write the file again"
        )
    frames = [_frame(_parse(line, path, number), path, number) for number, line in enumerate(lines[1:], 2)]
    return ReasonLog(path, about, frames)


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number}: not JSON ({error}); write the file again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}, line {number}: expected a JSON object, got {line[:40]!r}")
    return value


def _frame(values: dict[str, Any], path: Path, number: int) -> LoggedFrame:
    try:
        reasons = tuple(_reason(box) for box in values["boxes"])
        return LoggedFrame(
            int(values["frame"]), float(values["timestamp"]), tuple(map(int, values["forgotten"])), reasons
        )
    except Exception as error:  # damage has no common base: missing keys, numbers too large, lists for words
        what = f"no {error}" if isinstance(error, KeyError) else one_line(error)
        raise InputError(
            f"{path}, line {number}: not a frame of reasons ({what}); write the file again"
        ) from error


def _reason(values: dict[str, Any]) -> MatchReason:
    second = values["runner_up"]
    for pair in (values, *([] if second is None else [second]), *values["closest"]):
        for key in _NUMBERS:
            if pair[key] is not None and not isinstance(pair[key], int | float):
                raise TypeError(f"{key} is no number: {str(pair[key])[:40]!r}")
    return MatchReason(
        **{
            **values,
            "visible": tuple(values["visible"]),
            "runner_up": None if second is None else Rival(**second),
            "closest": tuple(Rival(**rival) for rival in values["closest"]),
        }
    )
