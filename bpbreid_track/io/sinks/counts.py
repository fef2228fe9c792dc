"""``--counts``: who crossed which line, how many were in which zone, and who stayed there how long."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...regions.counter import Crossing, Crowd, Event
from ..part_file import check_free
from .tracks import TextSink, plain_text


class CountSink(TextSink):
    """A table with a header line and a row for each event; frames from 1, times in seconds of the video.

    ``kind`` says which columns a row fills, the others are empty: ``crossing`` (line, id, direction, frame,
    timestamp), ``people`` (zone, frame, timestamp, people: so many from this frame on) and ``stay`` (zone,
    id, entered, left, seconds), which is written when it has ended.

    Args:
        path: the file; it is replaced.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """

    columns = (
        "kind",
        "line",
        "zone",
        "id",
        "direction",
        "frame",
        "timestamp",
        "people",
        "entered",
        "left",
        "seconds",
    )

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._head(",".join(self.columns) + "\n")

    def write(self, events: Sequence[Event]) -> None:
        """Append what happened in one frame."""
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns, lineterminator="\n")
        table.writerows({key: plain_text(cell) for key, cell in _row(event).items()} for event in events)
        self._append(text.getvalue())


def _row(event: Event) -> dict[str, Any]:
    if isinstance(event, Crossing):
        kind: dict[str, Any] = {"kind": "crossing", "line": event.line, "id": event.id}
        return kind | {
            "direction": event.direction,
            "frame": event.frame,
            "timestamp": f"{event.timestamp:.6f}",
        }
    if isinstance(event, Crowd):
        kind = {"kind": "people", "zone": event.zone, "people": event.people}
        return kind | {"frame": event.frame, "timestamp": f"{event.timestamp:.6f}"}
    times = {"entered": event.entered, "left": event.left, "seconds": event.left - event.entered}
    stay: dict[str, Any] = {"kind": "stay", "zone": event.zone, "id": event.id}
    return stay | {key: f"{value:.6f}" for key, value in times.items()}


def check_count_path(path: str | os.PathLike[str]) -> None:
    """Fail early where ``CountSink`` would.

    Raises:
        UsageError: a name that does not end in .csv.
        InputError: the folder is missing or not writable, or another run writes the file.
    """
    if Path(path).suffix.lower() != ".csv":
        raise UsageError(f"{path}: counts are written as .csv")
    check_free(path)
