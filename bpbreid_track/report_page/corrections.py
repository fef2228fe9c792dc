"""Corrections of identities: the file that the page saves, and what it does to the rows of a run.

They count one after the other: each goes by the numbers that those before it have left. ``corrections.js``
says the same in the browser. R rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from ..errors import InputError, printable

FORMAT, VERSION = "bpbreid_track corrections", 1
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Merge:
    """Identities that are one person; the first number stays, and the first name that there is."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """An identity that is two people: from ``frame`` (counted from 1) on it has the next free number."""

    id: int
    frame: int


@dataclass(frozen=True)
class Rename:
    """A name for an identity; an empty one takes it away."""

    id: int
    name: str


@dataclass(frozen=True)
class Delete:
    """An identity that is nobody."""

    id: int


Correction = Merge | Split | Rename | Delete


@dataclass(frozen=True)
class Corrections:
    """A file of corrections.

    Attributes:
        steps: in the order in which they count.
        tracks: fingerprint of the tracks they were made for (``lives.Fingerprint``); empty: any.
        source: name of the video, for people to read.
    """

    steps: tuple[Correction, ...]
    tracks: str = ""
    source: str = ""


@dataclass(frozen=True)
class Corrected:
    """What corrections make of the rows.

    Attributes:
        id: int64 [R], the identity of each row.
        kept: bool [R], rows of nobody that was deleted.
        names: what renamed identities are called; empty: their name was taken away.
    """

    id: np.ndarray
    kept: np.ndarray
    names: dict[int, str]


def read_corrections(path: str | os.PathLike[str]) -> Corrections:
    """A file that the page has saved, or that was written by hand.

    Raises:
        InputError: no such file, or another kind of file; a correction that is none is named by its place.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=partial(_object, path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not JSON; save the corrections again on the page of bpbreid-track --report"
        ) from error
    if not isinstance(values, dict) or not isinstance(values.get("corrections"), list):
        raise InputError(f'{path}: expected an object with a list "corrections"; see docs/report.md')
    if values.get("format", FORMAT) != FORMAT or values.get("version", VERSION) != VERSION:
        raise InputError(
            f"{path}: format {values.get('format')!r}, version {values.get('version')!r}; "
            f"this program reads {FORMAT!r}, version {VERSION}"
        )
    steps = tuple(_step(value, f"{path}: correction {n}") for n, value in enumerate(values["corrections"], 1))
    tracks, source = values.get("tracks") or "", values.get("source") or ""
    if not isinstance(tracks, str):
        raise InputError(f'{path}: "tracks" is the fingerprint of a track file in letters, or left out')
    return Corrections(steps, tracks, str(source))


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file. Of a key that stands there twice JSON would silently take the last."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:at]))
        raise InputError(f"{path}: {printable(twice)!r} stands twice in one object; write an object for each")
    return values


def _step(value: Any, where: str) -> Correction:
    if not isinstance(value, dict) or len(value) != 1:
        raise InputError(f"{where}: expected one of merge, split, rename and delete, got {_short(value)}")
    ((kind, what),) = value.items()
    if kind == "merge" and isinstance(what, list) and len(what) > 1 and all(map(_is_id, what)):
        if len(set(what)) < len(what):
            raise InputError(f"{where} (merge): names an identity twice: {_short(what)}")
        return Merge(tuple(what))
    if kind == "delete" and _is_id(what):
        return Delete(what)
    if isinstance(what, dict) and _is_id(what.get("id")):
        frame, name = what.get("frame"), what.get("name")
        if kind == "split" and what.keys() == {"id", "frame"} and _is_id(frame):
            return Split(what["id"], frame)
        if kind == "rename" and what.keys() == {"id", "name"} and isinstance(name, str):
            # One line, and nothing that shows nothing: names go into tables and onto pictures.
            plain = "".join(letter if letter.isprintable() else " " for letter in name).strip()
            return Rename(what["id"], plain[:_LONGEST_NAME])
    shapes = {
        "merge": '{"merge": [3, 7]}',
        "split": '{"split": {"id": 4, "frame": 120}}',
        "rename": '{"rename": {"id": 3, "name": "Ann"}}',
        "delete": '{"delete": 9}',
    }
    if kind not in shapes:
        raise InputError(f"{where}: unknown {kind!r}; known: {', '.join(shapes)}")
    raise InputError(f"{where}: expected {shapes[kind]} with whole numbers above 0, got {_short(value)}")


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def apply(frame: np.ndarray, ids: np.ndarray, steps: Sequence[Correction], where: str = "") -> Corrected:
    """What ``steps`` make of the rows of a run.

    Args:
        frame: int64 [R], from 1.
        ids: int64 [R]; rows below 0 belong to nobody and stay as they are.
        steps: in order.
        where: stands before the message of an error.

    Raises:
        InputError: an identity that is not there (any more), a split that leaves nothing on one of its sides,
            or two identities merged that have boxes in one frame.

    >>> apply(np.array([1, 1, 2]), np.array([3, 4, 7]), [Merge((3, 7)), Rename(3, "Ann")])
    Corrected(id=array([3, 4, 3]), kept=array([ True,  True,  True]), names={3: 'Ann'})
    """
    work = _Work(frame, ids)
    for number, step in enumerate(steps, start=1):
        kind = type(step).__name__.lower()
        try:
            getattr(work, kind)(step, number)
        except _WrongError as error:
            raise InputError(f"{where}correction {number} ({kind}): {error}") from None
    return Corrected(work.id, work.kept, work.names)


class _WrongError(Exception):
    """What is wrong with one correction."""


class _Work:
    """Rows while they are corrected: a method for each kind of correction."""

    def __init__(self, frame: np.ndarray, ids: np.ndarray) -> None:
        self._frame = frame
        self.id, self.kept = ids.astype(np.int64), np.ones(len(ids), bool)
        self.names: dict[int, str] = {}
        self._gone: dict[int, str] = {}
        self._last = int(ids.max(initial=0))

    def merge(self, step: Merge, number: int) -> None:
        """The later ones become the first, where no two are at two places at once."""
        rows = {identity: self._rows(identity) for identity in step.ids}
        frames = np.concatenate([self._frame[of] for of in rows.values()])
        owners = np.concatenate([np.full(len(of), identity) for identity, of in rows.items()])
        order = np.argsort(frames, kind="stable")
        frames, owners = frames[order], owners[order]
        twice = np.flatnonzero((frames[1:] == frames[:-1]) & (owners[1:] != owners[:-1]))
        if len(twice):
            at = int(twice[0])
            one, other = sorted(owners[at : at + 2].tolist())
            raise _WrongError(
                f"identities {one} and {other} are at two places at once in frame {frames[at]}; split one of "
                "them first"
            )
        given = [self.names.pop(identity) for identity in step.ids if identity in self.names]
        if given:
            self.names[step.ids[0]] = next(filter(None, given), "")
        for identity in step.ids[1:]:
            self.id[rows[identity]] = step.ids[0]
            self._gone[identity] = f"correction {number} merged it into {step.ids[0]}"

    def split(self, step: Split, _number: int) -> None:
        """The rows from a frame on get the number after the highest that there is or was."""
        rows = self._rows(step.id)
        later = rows[self._frame[rows] >= step.frame]
        if len(later) in {0, len(rows)}:
            first, last = self._frame[rows].min(), self._frame[rows].max()
            raise _WrongError(
                f"identity {step.id} lives from frame {first} to {last}; frame {step.frame} leaves nothing "
                "on one side"
            )
        self._last += 1
        self.id[later] = self._last
        if step.id in self.names:  # a name given by hand is of one person: it stays with the first part
            self.names[self._last] = ""

    def rename(self, step: Rename, _number: int) -> None:
        """A name, for all rows."""
        self._rows(step.id)
        self.names[step.id] = step.name

    def delete(self, step: Delete, number: int) -> None:
        """No rows."""
        self.kept[self._rows(step.id)] = False
        self.names.pop(step.id, None)
        self._gone[step.id] = f"correction {number} deleted it"

    def _rows(self, identity: int) -> np.ndarray:
        rows = np.flatnonzero((self.id == identity) & self.kept)
        if not len(rows):
            why = self._gone.get(identity, "the tracks have none of this number")
            raise _WrongError(f"no identity {identity}: {why}")
        return rows
