"""Where and when videos were taken, as a table says."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..errors import InputError, did_you_mean

_COLUMNS = ("name", "camera", "start")


@dataclass(frozen=True)
class Clock:
    """Where and when a video was taken.

    Attributes:
        camera: its name.
        start: of the first frame, seconds on a clock that all videos share; NaN where that is not known.
    """

    camera: str
    start: float = math.nan


def read_clocks(path: Path, videos: Sequence[Path]) -> list[Clock | None]:
    """Cameras and beginnings of videos from a table with the columns ``name``, ``camera`` and ``start``.

    Args:
        path: a .csv file; ``camera`` and ``start`` may be absent or empty. A start is in seconds, or a date
            and time as ISO 8601 has it (without a zone: UTC).
        videos: V of them, each the folder of its results with its name in the manifest. Where two folders
            have a name, the table has the folder too, as in ``monday/cam1``.

    Returns:
        V, None for a video of which the table says nothing.

    Raises:
        InputError: it cannot be read, has other columns, or names no such video, several, or one twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            head = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    _check_head(path, head)
    clocks: list[Clock | None] = [None] * len(videos)
    for line, row in rows:
        where = f"{path}, line {line}"
        if None in row:
            raise InputError(f"{where}: more cells than the {len(head)} columns")
        name, camera, start = ((row.get(column) or "").strip() for column in _COLUMNS)
        if not (name or camera or start):  # spreadsheets leave such rows
            continue
        at = _find(name, videos, where)
        if clocks[at] is not None:
            raise InputError(f"{where}: video {name!r} stands there twice; a video has one camera and start")
        try:
            seconds = _seconds(start)
        except ValueError:
            raise InputError(
                f"{where}: start {start!r} is neither seconds nor a time like 2026-05-01T15:30:00"
            ) from None
        clocks[at] = Clock(camera or name, seconds)
    return clocks


def _check_head(path: Path, head: Sequence[str]) -> None:
    """Raise unless the first line names columns that are known, each once, among them ``name``."""
    expected = f"expected a first line {','.join(_COLUMNS)}, with commas"
    for column in head:
        if column not in _COLUMNS:
            raise InputError(f"{path}: unknown column {column!r}{did_you_mean(column, _COLUMNS)}; {expected}")
    if "name" not in head or len(set(head)) < len(head):
        raise InputError(
            f"{path}: {'a column stands twice' if 'name' in head else 'no column name'}; {expected}"
        )


def _find(name: str, videos: Sequence[Path], where: str) -> int:
    """The place of the video that a table calls ``name``."""
    parts = Path(name).parts
    found = [at for at, video in enumerate(videos) if parts and video.parts[-len(parts) :] == parts]
    if not found:
        raise InputError(f"{where}: no video {name!r}{did_you_mean(name, {video.name for video in videos})}")
    if len(found) > 1:
        one, other = (videos[at] for at in found[:2])
        raise InputError(
            f"{where}: {name!r} is {one} and {other}; write the folder before it, as in monday/cam1"
        )
    return found[0]


def _seconds(text: str) -> float:
    """A number of seconds, or seconds since 1970 of a date and time; NaN for none."""
    if not text:
        return math.nan
    try:
        seconds = float(text)
    except ValueError:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds
