"""Track files: MOTChallenge text, tables and JSON lines."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ...errors import UsageError
from ..names import escaped_utf8
from ..part_file import PartFile, check_free
from ..sources.base import Frame

if TYPE_CHECKING:
    import supervision as sv


class Sink(Protocol):
    """Takes the tracked boxes of every frame, in order; rows of ``tracker_id`` -1 are left out."""

    def write(self, frame: Frame, detections: sv.Detections) -> None:
        """Take one frame.

        Args:
            frame: the frame.
            detections: its boxes with ``tracker_id``.
        """

    def close(self) -> None:
        """Finish what was written. May be called twice."""


class TrackRow(NamedTuple):
    """One identity in one frame, rounded as all track files state it: pixels to 1/100, scores to 1e-5."""

    id: int
    left: float
    top: float
    width: float
    height: float
    class_name: str | None
    confidence: float
    name: str = ""  # of the person, where a gallery knows it
    team: str = ""  # where people are sorted into teams
    filled: bool = False  # interpolated: no detector gave this box
    class_id: int | None = None  # as the detector numbers its classes


# Columns that only some runs have, in the order in which they are written.
EXTRA_COLUMNS = ("name", "team", "filled")
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9.]+").fullmatch
_BASE = TrackRow._fields.index("name")
# What detectors call class 0 where they state no names.
_PERSON = "person"


def track_rows(detections: sv.Detections) -> Iterator[TrackRow]:
    """The boxes with an identity, in the order given; a missing confidence counts as 1."""
    if detections.tracker_id is None:
        return
    classes = detections.data.get("class_name", detections.class_id)
    names, teams, filled = (detections.data.get(column) for column in EXTRA_COLUMNS)
    for row in np.flatnonzero(detections.tracker_id >= 0):
        left, top, right, bottom = detections.xyxy[row].tolist()
        class_name = None if classes is None else str(classes[row])
        confidence = 1.0 if detections.confidence is None else float(detections.confidence[row])
        yield TrackRow(
            id=int(detections.tracker_id[row]),
            left=_rounded(left, 2),
            top=_rounded(top, 2),
            width=_rounded(right - left, 2),
            height=_rounded(bottom - top, 2),
            class_name=class_name,
            confidence=_rounded(confidence, 5),
            name="" if names is None else str(names[row]),
            team="" if teams is None else str(teams[row]),
            filled=filled is not None and bool(filled[row]),
            class_id=None if detections.class_id is None else int(detections.class_id[row]),
        )


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # never -0.0


class TextSink:
    """A text file that is complete after every frame, also when the run is cut short.

    It has its name from the first frame on, unless there is an earlier file: that stays until ``close``, and
    the new one has the name that ``part_name`` gives.

    Args:
        path: the file; it is replaced.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = PartFile(self.path)
        self._frames = 0

    def _head(self, text: str) -> None:
        """Begin the file with what belongs to no frame."""
        self._file.write(escaped_utf8(text))

    def _append(self, text: str) -> None:
        """Add all of one frame."""
        self._file.write(escaped_utf8(text))
        if not self._frames:
            self._file.appear()
        self._frames += 1

    @property
    def failed(self) -> bool:
        """Whether a frame could not be written."""
        return self._file.failed

    def close(self) -> None:
        """Give the file its name; without a frame there is none. May be called twice."""
        self._file.finish() if self._frames else self._file.discard()

    def discard(self) -> None:
        """Leave what was there before."""
        self._file.discard()


class MotSink(TextSink):
    """MOTChallenge text: ``frame,id,left,top,width,height,confidence,-1,-1,-1``, frames from 1.

    Args:
        path: the file; it is replaced.

    Raises:
        InputError: it cannot be written.
    """

    def write(self, frame: Frame, detections: sv.Detections) -> None:
        self._append(
            "".join(
                f"{frame.index + 1},{row.id},{row.left:.2f},{row.top:.2f},{row.width:.2f},{row.height:.2f},"
                f"{row.confidence:.5f},-1,-1,-1\n"
                for row in track_rows(detections)
            )
        )


class CsvSink(TextSink):
    """A table with a header line and one row for each identity in a frame; frames from 1, times in seconds.

    Before a name that a spreadsheet would take for a formula stands an apostrophe.

    Args:
        path: the file; it is replaced.
        extra: which of ``EXTRA_COLUMNS`` to add: ``name`` (empty for an unknown person), ``team`` (``A``,
            ``B``, ..., ``other``; empty for one never seen clearly), ``filled`` (1 or 0).

    Raises:
        InputError: it cannot be written.
    """

    columns = ("frame", "timestamp", "id", "left", "top", "width", "height", "class", "confidence")

    def __init__(self, path: str | os.PathLike[str], extra: Sequence[str] = ()) -> None:
        super().__init__(path)
        self._extra = tuple(extra)
        self._head(",".join(self.columns + self._extra) + "\n")

    def write(self, frame: Frame, detections: sv.Detections) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            map(plain_text, (frame.index + 1, f"{frame.timestamp:.6f}", *row[:_BASE], *self._extras(row)))
            for row in track_rows(detections)
        )
        self._append(text.getvalue())

    def _extras(self, row: TrackRow) -> list[str | int]:
        values = (getattr(row, column) for column in self._extra)
        return [int(value) if isinstance(value, bool) else value for value in values]


def plain_text(cell: Any) -> Any:
    """Names that a spreadsheet would take for a formula, with the apostrophe that makes them text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA_SIGNS and not _NUMBER(cell) else cell


def named_last(track: dict[str, Any], name: str) -> dict[str, Any]:
    """A track of ``JsonlSink`` with this name, where such a track has it; an empty one is left out."""
    extras = {column: track[column] for column in EXTRA_COLUMNS if column in track} | {"name": name}
    base = {key: value for key, value in track.items() if key not in EXTRA_COLUMNS}
    kept = (column for column in EXTRA_COLUMNS if column in extras and (column != "name" or name))
    return base | {column: extras[column] for column in kept}


def _class_name(row: TrackRow) -> str | None:
    """What the class of a row is called; None where only its number is known."""
    if row.class_name is not None and row.class_name != str(row.class_id):
        return row.class_name
    return _PERSON if not row.class_id else None


class JsonlSink(TextSink):
    """One JSON object a line and frame, also where nobody is seen.

    ``{"frame": 1, "timestamp": 0.0, "tracks": [{"id": 7, "left": 1.5, ...}]}``, named as in ``CsvSink``, and
    besides of each track

    - ``class_id``: its class as an integer, as the detector numbers it (0: person); null where none is known;
    - ``class_name``: its name, null where only the number is known. ``class`` is the name where the detector
      states names and else the number in quotes, as the table has it;
    - ``name``: for people of a gallery only; ``team``: with teams;
    - ``filled``: true for interpolated boxes, which no detector gave.

    Args:
        path: the file; it is replaced.

    Raises:
        InputError: it cannot be written.
    """

    def write(self, frame: Frame, detections: sv.Detections) -> None:
        tracks = []
        for row in track_rows(detections):
            track: dict[str, Any] = dict(zip(CsvSink.columns[2:], row[:_BASE], strict=True))
            track |= {"class_id": row.class_id, "class_name": _class_name(row)}
            track |= {key: value for key, value in (("name", row.name), ("team", row.team)) if value}
            tracks.append(track | {"filled": row.filled})
        record = {"frame": frame.index + 1, "timestamp": round(frame.timestamp, 6), "tracks": tracks}
        self._append(json.dumps(record, ensure_ascii=False) + "\n")


_TRACK_SINKS: dict[str, Any] = {".txt": MotSink, ".csv": CsvSink, ".jsonl": JsonlSink}


def check_track_path(path: str | os.PathLike[str]) -> None:
    """Fail early where ``open_track_sink`` would.

    Raises:
        UsageError: a suffix that is not supported.
        InputError: the folder is missing or not writable, or another run writes the file.
    """
    if Path(path).suffix.lower() not in _TRACK_SINKS:
        raise UsageError(f"{path}: tracks are written as {', '.join(_TRACK_SINKS)}")
    check_free(path)


def open_track_sink(path: str | os.PathLike[str], extra: Sequence[str] = ()) -> Sink:
    """The sink for a track file, by its suffix: .txt (MOTChallenge), .csv or .jsonl.

    Args:
        path: the file.
        extra: columns that a table has in this run besides the usual ones, see ``CsvSink``.

    Raises:
        UsageError: another suffix.
        InputError: it cannot be written.
    """
    check_track_path(path)
    kind = _TRACK_SINKS[Path(path).suffix.lower()]
    sink: Sink = kind(path, extra) if kind is CsvSink else kind(path)
    return sink
