"""Track files as they are read again, and written under other identities, letter by letter else.

R rows, in the order of the file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, UsageError, one_line
from .mot_format import parse_mot
from .sinks.tracks import CsvSink, named_last, plain_text

_SHAPE = ("left", "top", "width", "height", "confidence")
# The second column of a line: what stands before it, and it.
_SECOND = re.compile(r"(\s*[^,\s]+(?:\s*,\s*|\s+))([^,\s]+)")


class TrackText(ABC):
    """A track file in memory.

    Attributes:
        path: where it was read.
        has_names: whether this kind of file can say what people are called.
        frame: int64 [R], from 1.
        id: int64 [R].
        ltwh: float64 [R, 4] left, top, width, height in pixels.
        confidence: float32 [R].
        name: str [R]; empty where the file does not say.
        team: str [R]; likewise.
        filled: bool [R].
        kind: str [R], the class as the file states it; empty where it does not.
        line: int64 [R], where a row stands in the file, from 1, for messages.
        frames: int64 [F], numbers of the frames that the file speaks of; .jsonl has those without a box too.
    """

    has_names = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name: list[str] = []
        self.team: list[str] = []
        self.filled: list[bool] = []
        self.kind: list[str] = []

    @property
    def frames(self) -> np.ndarray:
        return np.unique(self.frame)

    def rewritten(self, ids: np.ndarray, kept: np.ndarray, names: dict[int, str]) -> bytes:
        """The file under other identities.

        Args:
            ids: int64 [R], the new ones.
            kept: bool [R]; other rows are left out.
            names: new names by new identity; who is not named there keeps the name of each row.
        """
        text = self._rewritten(ids.tolist(), kept.tolist(), names, self.teams(ids, kept))
        return text.encode("utf-8", "surrogateescape")

    def teams(self, ids: np.ndarray, kept: np.ndarray) -> list[str]:
        """The team of each row under other identities: nobody has two, so that of most boxes of each.

        Args:
            ids: int64 [R], the new ones.
            kept: bool [R]; other rows do not count.
        """
        boxes = Counter(
            (identity, team)
            for identity, team, stays in zip(ids.tolist(), self.team, kept.tolist(), strict=True)
            if stays and team
        )
        most: dict[int, str] = {}
        for (identity, team), _ in boxes.most_common():
            most.setdefault(identity, team)
        return [most.get(identity, "") for identity in ids.tolist()]

    @abstractmethod
    def _rewritten(self, ids: list[int], kept: list[bool], names: dict[int, str], teams: list[str]) -> str:
        """The text of ``rewritten``."""

    def _set(self, rows: Sequence[Sequence[Any]], line: Sequence[int]) -> None:
        """Columns from rows of frame, id, left, top, width, height and confidence."""
        self.line = np.array(line, np.int64)
        table = np.array(rows, np.float64).reshape(-1, 7)
        if not np.isfinite(table).all():
            raise ValueError("numbers that are not finite")
        whole = table[:, :2]
        if (whole != np.floor(whole)).any() or (np.abs(whole) >= 2**53).any():
            raise ValueError("frames and ids are whole numbers")
        self.frame, self.id = whole[:, 0].astype(np.int64), whole[:, 1].astype(np.int64)
        self.ltwh, self.confidence = table[:, 2:6], table[:, 6].astype(np.float32)


class _Mot(TrackText):
    """MOTChallenge text."""

    has_names = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        data = path.read_bytes()
        rows = parse_mot(data, path)
        self._lines = data.decode("utf-8-sig").splitlines(keepends=True)
        order = np.argsort(rows.line, kind="stable")
        self._line = (rows.line[order] - 1).tolist()
        self.frame, self.id = rows.frame[order], rows.id[order]
        self.ltwh, self.confidence = rows.ltwh[order], rows.confidence[order]
        self.line = rows.line[order]
        self.name, self.team, self.kind = ([""] * len(order) for _ in range(3))
        self.filled = [False] * len(order)

    def _rewritten(self, ids: list[int], kept: list[bool], names: dict[int, str], teams: list[str]) -> str:
        lines: list[str] = list(self._lines)
        for line, before, after, stays in zip(self._line, self.id.tolist(), ids, kept, strict=True):
            if not stays:
                lines[line] = ""
            elif before != after:
                lines[line] = _SECOND.sub(rf"\g<1>{after}", lines[line], count=1)
        return "".join(lines)


class _Csv(TrackText):
    """A table with a header line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        text = path.read_bytes().decode("utf-8-sig")
        self._end = "\r\n" if "\r\n" in text else "\n"
        reader = csv.reader(io.StringIO(text, newline=""))
        numbered = [(reader.line_num, row) for row in reader]
        self._head = numbered[0][1] if numbered else []
        if absent := [name for name in ("frame", "id", *_SHAPE) if name not in self._head]:
            head = ",".join(("frame", "id", *_SHAPE))
            raise ValueError(f"no column {absent[0]}; expected a first line with {head}, with commas")
        numbered = [(line, row) for line, row in numbered[1:] if row]
        self._rows = [row for _, row in numbered]
        place = {name: self._head.index(name) for name in self._head}
        for number, row in enumerate(self._rows, start=1):
            if len(row) != len(self._head):
                raise ValueError(f"row {number} has {len(row)} cells, expected {len(self._head)}")
        self._set(
            [[float(row[place[name]]) for name in ("frame", "id", *_SHAPE)] for row in self._rows],
            [line for line, _ in numbered],
        )
        filled = place.get("filled")
        self.name, self.team, self.kind = (
            ["" if at is None else row[at] for row in self._rows]
            for at in (place.get("name"), place.get("team"), place.get("class"))
        )
        self.filled = [filled is not None and row[filled] == "1" for row in self._rows]

    def _rewritten(self, ids: list[int], kept: list[bool], names: dict[int, str], teams: list[str]) -> str:
        head, rows = list(self._head), [list(row) for row in self._rows]
        if any(names.values()) and "name" not in head:
            # Where a run that knows names has it.
            place = (
                len(CsvSink.columns) if tuple(head[: len(CsvSink.columns)]) == CsvSink.columns else len(head)
            )
            for row in [head, *rows]:
                row.insert(place, "")
            head[place] = "name"
        at, named = head.index("id"), head.index("name") if "name" in head else None
        teamed = head.index("team") if "team" in head else None
        for row, identity, team in zip(rows, ids, teams, strict=True):
            if teamed is not None:
                row[teamed] = team
            if int(float(row[at])) != identity:
                row[at] = str(identity)
            if named is not None and identity in names:
                row[named] = plain_text(names[identity])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator=self._end)
        writer.writerow(head)
        writer.writerows(row for row, stays in zip(rows, kept, strict=True) if stays)
        return text.getvalue()


class _Jsonl(TrackText):
    """An object a line."""

    @property
    def frames(self) -> np.ndarray:
        return np.unique(np.array([int(record["frame"]) for record in self._records], np.int64))

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
        numbered = [(number, json.loads(line)) for number, line in enumerate(lines, 1) if line.strip()]
        self._records = [record for _, record in numbered]
        pairs = [(record["frame"], track) for record in self._records for track in record["tracks"]]
        self._set(
            [[float(frame), *(float(track[n]) for n in ("id", *_SHAPE))] for frame, track in pairs],
            [line for line, record in numbered for _ in record["tracks"]],
        )
        # Other programs write null for what is not known.
        self.name, self.team = (
            ["" if track.get(key) is None else str(track[key]) for _, track in pairs]
            for key in ("name", "team")
        )
        self.filled = [bool(track.get("filled", False)) for _, track in pairs]
        kinds = (track.get("class_name") or track.get("class") for _, track in pairs)
        self.kind = ["" if kind is None else str(kind) for kind in kinds]

    def _rewritten(self, ids: list[int], kept: list[bool], names: dict[int, str], teams: list[str]) -> str:
        left = iter(zip(ids, kept, teams, strict=True))
        lines = []
        for record in self._records:
            tracks = []
            for track in record["tracks"]:
                identity, stays, team = next(left)
                if stays:
                    renamed = {**track, "id": identity} | ({"team": team} if team else {})
                    tracks.append(named_last(renamed, names[identity]) if identity in names else renamed)
            lines.append(json.dumps({**record, "tracks": tracks}, ensure_ascii=False) + "\n")
        return "".join(lines)


_KINDS: dict[str, type[TrackText]] = {".txt": _Mot, ".csv": _Csv, ".jsonl": _Jsonl}


def read_track_text(path: str | os.PathLike[str]) -> TrackText:
    """A track file that a run wrote, .txt, .csv or .jsonl.

    Raises:
        UsageError: another suffix.
        InputError: it is missing, or is none.
    """
    path = Path(path)
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: a track file ends in {', '.join(_KINDS)}")
    try:
        return kind(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # damaged text leads its readers to any error
        what = f"no {error}" if isinstance(error, KeyError) else one_line(error)
        raise InputError(f"{path}: not a track file of bpbreid-track ({what})") from error
