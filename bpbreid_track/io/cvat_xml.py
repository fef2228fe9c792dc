"""CVAT's export "CVAT for video 1.1": tracks of boxes in XML, read into rows of ground truth.

What CVAT shows is what is read: boxes marked ``outside`` are nobody, and where a file holds keyframes alone
the boxes between two of them lie on the straight line.
"""

from __future__ import annotations

import math
import os
import re
from itertools import zip_longest
from typing import NamedTuple, NoReturn
from xml.parsers import expat

import numpy as np

from ..errors import InputError, one_line, printable
from .mot_format import MotRows, class_numbers, is_person, rows_of

_EXPORT = 'export the task as "CVAT for video 1.1"'
_SHAPES = {"polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask"}
# Frames between two keyframes; a longer gap is no footage but a damaged number.
_LONGEST_GAP = 1_000_000


def read_cvat(data: bytes, path: str | os.PathLike[str]) -> MotRows:
    """The boxes of every track, frames from 1 (CVAT counts from 0), with class and visibility in ``extra``.

    Labels that mean a person are class 1, others what MOTChallenge calls them; a file whose only label is
    another word counts as persons. A box that is marked occluded has visibility 0, others 1, as in CVAT's
    export "MOT 1.1".

    Args:
        data: the file.
        path: what errors call it.

    Raises:
        InputError: no such XML, boxes outside of tracks, other shapes than upright boxes, several tasks in
            one file, several labels of which none means a person, or a box that is none; names file and line.
    """
    return _Reader(path).read(data)


class _Box(NamedTuple):
    frame: int
    outside: bool
    occluded: bool
    corners: tuple[float, ...]
    line: int


class _Reader:
    """The state of one reading."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        # Entities are a way to make gigabytes of a few lines; CVAT writes none.
        self._parser.EntityDeclHandler = lambda *_: self._wrong("declares entities; CVAT writes none")
        self._open: list[str] = []
        self._words: list[str] = []
        self._step = 1
        self._labels: dict[str, None] = {}
        self._task: str | None = None
        self._track: tuple[int, str] | None = None
        self._boxes: list[_Box] = []
        self._rows: list[tuple[float, ...]] = []
        self._row_labels: list[str] = []
        self._lines: list[int] = []

    def read(self, data: bytes) -> MotRows:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise InputError(
                f"{self._path}, line {error.lineno}: not XML as CVAT writes it ({error})"
            ) from None
        except InputError:
            raise
        except (LookupError, ValueError) as error:  # an encoding that it states and Python does not know
            raise InputError(f"{self._path}: not XML as CVAT writes it ({one_line(error)})") from error
        numbers = self._numbers()
        table = np.full((len(self._rows), 10), np.nan)
        if self._rows:
            table[:, [0, 1, 2, 3, 4, 5, 8]] = np.array(self._rows)
            table[:, 6] = 1
            table[:, 7] = [numbers[label] for label in self._row_labels]
        return rows_of(table, np.array(self._lines, np.int64), self._path)

    def _numbers(self) -> dict[str, float]:
        """The class of each label."""
        used = dict.fromkeys(self._row_labels)
        labels = list(self._labels | used)
        if len(used) > 1 and not any(map(is_person, labels)):
            raise InputError(
                f"{self._path}: labels {', '.join(map(printable, used))}: none of them says person; name the "
                "label of people person or pedestrian"
            )
        if len(used) == 1 and not any(map(is_person, labels)):
            return dict.fromkeys(used, 1.0)
        return dict(zip(labels, class_numbers(labels).tolist(), strict=True))

    def _start(self, tag: str, given: dict[str, str]) -> None:
        if not self._open and tag != "annotations":
            self._wrong(f"<{tag}>, expected <annotations>; {_EXPORT}")
        self._open.append(tag)
        self._words = []
        if tag == "image":
            self._wrong(f"holds boxes by picture, without tracks; {_EXPORT}")
        elif tag == "track":
            task = given.get("task_id")
            if self._task not in {None, task}:
                self._wrong("a second task; export each task by itself")
            self._task, self._boxes = task, []
            self._track = self._whole(given, "id"), self._of(given, "label")
        elif tag == "box" and self._track is not None:
            self._boxes.append(self._box(given))
        elif tag in _SHAPES and self._track is not None:
            self._wrong(f"a {tag} in a track; only boxes are read, so leave its label out of the export")

    def _end(self, tag: str) -> None:
        self._open.pop()
        if tag == "track":
            self._finish()
        elif tag == "name" and self._open[-2:] == ["labels", "label"]:
            self._labels["".join(self._words).strip()] = None
        elif tag == "frame_filter" and (step := re.search(r"step=([0-9]{1,9})", "".join(self._words))):
            self._step = max(1, int(step[1]))

    def _text(self, text: str) -> None:
        self._words.append(text)

    def _box(self, given: dict[str, str]) -> _Box:
        if self._number(given, "rotation", 0.0) != 0:
            self._wrong("a box that is turned; only upright boxes are read")
        return _Box(
            self._whole(given, "frame"),
            given.get("outside") == "1",
            given.get("occluded") == "1",
            tuple(self._number(given, name) for name in ("xtl", "ytl", "xbr", "ybr")),
            self._parser.CurrentLineNumber,
        )

    def _finish(self) -> None:
        """The rows of a track, at its end."""
        assert self._track is not None
        boxes = sorted(self._boxes, key=lambda box: box.frame)
        for box, after in zip_longest(boxes, boxes[1:]):
            if box.outside:
                continue
            self._add(box, box.frame, box.corners)
            if after is None:
                continue
            gap = after.frame - box.frame
            if gap > _LONGEST_GAP:
                self._wrong(f"{gap} frames between two boxes of a track", after.line)
            for frame in range(box.frame + self._step, after.frame, self._step):
                share = (frame - box.frame) / gap
                mixed = (a + share * (b - a) for a, b in zip(box.corners, after.corners, strict=True))
                self._add(box, frame, tuple(mixed))
        self._track = None

    def _add(self, box: _Box, frame: int, corners: tuple[float, ...]) -> None:
        assert self._track is not None
        left, top, right, bottom = corners
        identity, label = self._track
        # Corners are decimals: what binary fractions add to their difference is taken off.
        width, height = round(right - left, 6), round(bottom - top, 6)
        self._rows.append((frame + 1, identity, left, top, width, height, float(not box.occluded)))
        self._row_labels.append(label)
        self._lines.append(box.line)

    def _of(self, given: dict[str, str], name: str) -> str:
        if name not in given:
            self._wrong(f"an element without {name}; {_EXPORT}")
        return given[name]

    def _number(self, given: dict[str, str], name: str, default: float | None = None) -> float:
        if default is not None and name not in given:
            return default
        word = self._of(given, name)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._wrong(f"{name}: expected a number, got {printable(word[:60])!r}")
        return value

    def _whole(self, given: dict[str, str], name: str) -> int:
        value = self._number(given, name)
        if value != int(value) or not 0 <= value < 2**53:
            self._wrong(f"{name}: expected a whole number from 0, got {value:g}")
        return int(value)

    def _wrong(self, what: str, line: int | None = None) -> NoReturn:
        raise InputError(f"{self._path}, line {line or self._parser.CurrentLineNumber}: {what}")
