"""Track files as they are read again: boxes by identity, and the same files under other numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, one_line
from ..identities.tracklets import TrackedRows, seen_together
from ..io.mot_format import read_mot
from ..io.part_file import write_whole


@dataclass(frozen=True)
class Boxes:
    """Boxes of a video, R rows, in the order of their frames.

    Attributes:
        frame: int64 [R], from 1.
        id: int64 [R].
        xyxy: float64 [R, 4] pixels.
        confidence: float64 [R].
    """

    frame: np.ndarray
    id: np.ndarray
    xyxy: np.ndarray
    confidence: np.ndarray

    def together(self) -> list[tuple[int, int]]:
        """Pairs of identities with boxes in one frame."""
        ids, none = np.unique(self.id), np.zeros(len(self.id))
        rows = TrackedRows(
            self.frame, none, self.id, self.xyxy, self.confidence, none.astype(np.int64), none > 0
        )
        return [(int(ids[a]), int(ids[b])) for a, b in seen_together(rows, ids)]

    def clearest(self) -> dict[int, int]:
        """The row of each identity in which it is seen best: large, sure, and hidden by nobody there."""
        area = np.prod(self.xyxy[:, 2:] - self.xyxy[:, :2], axis=1)
        worth = area * self.confidence * (1 - self._covered())
        order = np.lexsort((np.arange(len(worth)), -worth, self.id))
        ids, first = np.unique(self.id[order], return_index=True)
        return dict(zip(ids.tolist(), order[first].tolist(), strict=True))

    def _covered(self) -> np.ndarray:
        """Largest share of each box that lies in another one of its frame, float64 [R]."""
        out = np.zeros(len(self.id))
        for frame in np.unique(self.frame):
            rows = np.flatnonzero(self.frame == frame)
            boxes = self.xyxy[rows]
            low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
            high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
            shared = np.prod((high - low).clip(min=0), axis=2)
            np.fill_diagonal(shared, 0)
            own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
            out[rows] = (shared / np.maximum(own, 1e-9)[:, None]).max(axis=1)
        return out


def read_boxes(path: Path) -> Boxes:
    """The boxes of a track file, .txt, .csv or .jsonl.

    Raises:
        InputError: it is missing, or is none.
    """
    try:
        rows = list(_READERS[path.suffix.lower()](path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except Exception as error:  # damaged text leads its readers to any error
        raise InputError(f"{path}: not a track file ({one_line(error)})") from error
    table = np.array(rows, np.float64).reshape(-1, 7)
    if not np.isfinite(table).all():
        raise InputError(f"{path}: not a track file (numbers that are not finite)")
    table = table[np.argsort(table[:, 0], kind="stable")]
    xyxy = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:6]], axis=1)
    return Boxes(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), xyxy, table[:, 6])


def _from_mot(path: Path) -> Iterator[tuple[float, ...]]:
    if not path.stat().st_size:
        return
    found = read_mot(path)
    for frame, identity, box, score in zip(found.frame, found.id, found.xyxy, found.confidence, strict=True):
        left, top, right, bottom = box.tolist()
        yield frame, identity, left, top, right - left, bottom - top, score


def _from_csv(path: Path) -> Iterator[tuple[float, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if absent := {"frame", "id", *_SHAPE} - set(reader.fieldnames or ()):
            raise ValueError(f"no column {min(absent)}")
        for row in reader:
            yield tuple(float(row[name]) for name in ("frame", "id", *_SHAPE))


def _from_jsonl(path: Path) -> Iterator[tuple[float, ...]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            for track in record["tracks"]:
                yield float(record["frame"]), *(float(track[name]) for name in ("id", *_SHAPE))


_SHAPE = ("left", "top", "width", "height", "confidence")
_READERS: dict[str, Callable[[Path], Iterator[tuple[float, ...]]]] = {
    ".txt": _from_mot,
    ".csv": _from_csv,
    ".jsonl": _from_jsonl,
}


def write_renumbered(path: Path, out: Path, number_of: dict[int, int]) -> None:
    """The track file ``path`` under other numbers; everything else stays, letter by letter.

    Args:
        path: a file that ``read_boxes`` reads.
        out: the new file, of the same kind.
        number_of: the new number of every identity.

    Raises:
        InputError: it cannot be written.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".jsonl":
        lines = []
        for line in text.splitlines():
            record = json.loads(line)
            for track in record["tracks"]:
                track["id"] = number_of[track["id"]]
            lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        write_whole(out, "".join(lines).encode())
        return
    place = 2 if path.suffix.lower() == ".csv" else 1
    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:] if place == 2 else rows:
        row[place] = str(number_of[int(row[place])])
    renumbered = io.StringIO()
    csv.writer(renumbered, lineterminator="\n").writerows(rows)
    write_whole(out, renumbered.getvalue().encode())
