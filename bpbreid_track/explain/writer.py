"""Writing ``--explain``: why every box has the track it has, one JSON object a frame."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..io.part_file import check_free
from ..io.sinks.tracks import TextSink
from ..io.sources.base import Frame
from .reader import FORMAT, VERSION
from .reasons import MatchReason


class ExplainSink(TextSink):
    """A line about the run, then ``{"frame": 1, "timestamp": 0.0, "forgotten": [], "boxes": [...]}`` a frame.

    ``boxes`` holds a ``MatchReason`` for each box that has a track, ``forgotten`` the identities that were
    given up. ``reader.read_log`` reads the file.

    Args:
        path: the file; it is replaced.
        about: source, detector, encoder and settings of the run; JSON-able.

    Raises:
        UsageError: a name that does not end in .jsonl.
        InputError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], about: dict[str, Any]) -> None:
        super().__init__(path)
        self._head(json.dumps({"format": FORMAT, "version": VERSION, **about}, ensure_ascii=False) + "\n")

    def write(self, frame: Frame, reasons: Sequence[MatchReason], forgotten: Sequence[int]) -> None:
        """Append one frame."""
        record = {
            "frame": frame.index + 1,
            "timestamp": round(frame.timestamp, 6),
            "forgotten": list(forgotten),
            "boxes": [reason.as_dict() for reason in reasons],
        }
        self._append(json.dumps(record, ensure_ascii=False) + "\n")


def check_explain_path(path: str | os.PathLike[str]) -> None:
    """Fail early where ``ExplainSink`` would.

    Raises:
        UsageError: a name that does not end in .jsonl.
        InputError: the folder is missing or not writable, or another run writes the file.
    """
    if Path(path).suffix.lower() != ".jsonl":
        raise UsageError(f"{path}: reasons are written as .jsonl")
    check_free(path)
