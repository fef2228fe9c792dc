"""What is exported: the boxes of a track file, and the pictures they were found in. R rows."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import InputError, printable
from ..io.track_text import TrackText, read_track_text

PERSON = "person"


@dataclass(frozen=True)
class Tracks:
    """Boxes with an identity, by identity and then by frame.

    Attributes:
        path: where they were read.
        frame: int64 [R], from 1.
        id: int64 [R], from 0.
        ltwh: float64 [R, 4] left, top, width, height in pixels.
        confidence: float32 [R].
        name: str [R], what the person is called; empty where unknown.
        filled: bool [R], interpolated: no detector gave this box.
        label: the class of each identity.
        uncounted: boxes of confidence 0 that were left out; ground truth marks so what does not count.
        nameless: boxes without an identity that were left out.
    """

    path: Path
    frame: np.ndarray
    id: np.ndarray
    ltwh: np.ndarray
    confidence: np.ndarray
    name: list[str]
    filled: np.ndarray
    label: dict[int, str]
    uncounted: int = 0
    nameless: int = 0

    @property
    def labels(self) -> list[str]:
        """All classes, that of people first."""
        return [PERSON, *sorted(set(self.label.values()) - {PERSON})]

    @property
    def last(self) -> int:
        """Number of the last frame with a box; 0 where there is none."""
        return int(self.frame.max(initial=0))

    def by_identity(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each identity with its rows, in the order of their frames."""
        ids, starts = np.unique(self.id, return_index=True)
        yield from zip(ids.tolist(), np.split(np.arange(len(self.id)), starts[1:]), strict=False)

    def name_of(self, rows: np.ndarray) -> str:
        """What the person of these rows is called most often; empty where unknown."""
        known = Counter(name for name in (self.name[row] for row in rows) if name)
        return known.most_common(1)[0][0] if known else ""


@dataclass(frozen=True)
class Footage:
    """The pictures.

    Attributes:
        name: of the video, in one line of letters that show.
        width: pixels.
        height: pixels.
        frame_rate: frames a second.
        numbers: numbers of the frames, from 1, ascending; of a video they are an estimate at the end.
        files: names of the pictures, likewise, in the same order; empty for a video.
    """

    name: str
    width: int
    height: int
    frame_rate: Fraction
    numbers: Sequence[int]
    files: Sequence[str]


def load_tracks(path: str | os.PathLike[str]) -> Tracks:
    """A track file, .txt, .csv or .jsonl; rows without identity and of confidence 0 are left out.

    Raises:
        UsageError: another suffix.
        InputError: it is missing, is none, has boxes but none with an identity, or an identity twice in a
            frame.
    """
    text = read_track_text(path)
    order = np.lexsort((text.frame, text.id))
    order = order[text.id[order] >= 0]
    if len(text.id) and not len(order):
        raise InputError(f"{path}: none of its {len(text.id)} boxes has an identity; are these detections?")
    counted = text.confidence[order] != 0
    order = order[counted]
    frame, identity = text.frame[order], text.id[order]
    _check(text, order)
    twice = np.flatnonzero((frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1]))
    if len(twice):
        at = int(twice[0]) + 1
        raise InputError(
            f"{path}, line {text.line[order[at]]}: id {identity[at]} occurs twice in frame {frame[at]}"
        )
    kinds: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row, owner in zip(order.tolist(), identity.tolist(), strict=True):
        kinds[owner][_label(text.kind[row])] += 1
    return Tracks(
        Path(path),
        frame,
        identity,
        text.ltwh[order],
        text.confidence[order],
        [_plain(text.name[row]) for row in order],
        np.array([text.filled[row] for row in order], bool),
        {owner: found.most_common(1)[0][0] for owner, found in kinds.items()},
        int((~counted).sum()),
        int((text.id < 0).sum()),
    )


def look_at(video: str | os.PathLike[str], frame: np.ndarray) -> Footage:
    """Size, rate and frames of what was tracked.

    Args:
        video: what ``open_source`` takes.
        frame: int [R], numbers of the frames with a box.

    Raises:
        InputError: it cannot be read, is live, or lacks one of these frames.
    """
    from ..io.open_source import open_source

    with open_source(video) as source:
        if source.live:
            raise InputError(f"{video}: is live; give a recording of what was tracked")
        # Names may hold bytes that are no UTF-8, and letters that XML and .ini cannot hold.
        files = [printable(path.name) for path in source.files] if source.frame_numbers else []
        numbers: Sequence[int] = list(source.frame_numbers)
        if numbers:
            absent = np.setdiff1d(frame, numbers)
            if len(absent):
                raise InputError(f"{video}: has no frame {absent[0]}, in which the tracks have boxes")
        else:
            last = int(frame.max(initial=0))
            count = source.frame_count or last
            if last > count + max(2, count // 100):  # how many there are is known when all are decoded
                raise InputError(f"{video}: ends about frame {count}, and the tracks at frame {last}")
            numbers = range(1, max(count, last) + 1)
        name, rate = printable(source.name), Fraction(source.frame_rate)
        return Footage(name, source.width, source.height, rate, numbers, files)


def _check(text: TrackText, rows: np.ndarray) -> None:
    """Raise for rows that are no boxes of a frame, which only .txt refuses by itself."""
    for wrong, what in (
        (text.frame[rows] < 1, "frames count from 1"),
        ((text.ltwh[rows, 2:] <= 0).any(axis=1), "width and height must be above 0"),
        # Formats hold 1/100 pixel, and a box of nothing is none to whoever reads it.
        ((text.ltwh[rows, 2:] < 0.005).any(axis=1), "a box of no size in pixels; are these fractions?"),
    ):
        if wrong.any():
            raise InputError(f"{text.path}, line {text.line[rows[wrong.argmax()]]}: {what}")


def _label(kind: str) -> str:
    """The name of a class; detectors that state no names number people 0."""
    kind = _plain(kind).strip()
    if kind in {"", "0", "-1", "None"}:
        return PERSON
    return f"class {kind}" if kind.isdecimal() else kind


def _plain(cell: str) -> str:
    """One line that every format can hold, without the apostrophe by which a table marks text."""
    return printable(cell[1:] if cell[:2] in {"'=", "'+", "'-", "'@"} else cell)
