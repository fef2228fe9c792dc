"""The MOTChallenge text format, read once for everybody: detections, ground truth and results.

One row a box, separated by commas or by white space::

    frame, id, left, top, width, height, confidence[, x, y, z]

Frames count from 1, lengths are pixels, and ``id`` is -1 in a detection file. What the columns after the
confidence mean depends on the file (world coordinates in MOT15, class and visibility in ground truth since
MOT16), so they are handed on as they are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ..errors import InputError

# The first and the last frame, from 1; None: up to the end on this side.
Frames = tuple[int | None, int | None]
ALL_FRAMES: Frames = (None, None)

_NAMES = "frame,id,left,top,width,height,confidence"
_REQUIRED = 7
_COLUMNS = 10
_LARGEST = 1e9  # pixels
_PERSON_LABELS = {"person", "persons", "pedestrian", "pedestrians", "people", "human"}
# Classes of MOTChallenge ground truth that lie on people who are not to be counted; cars and the like do not.
_LABELS = {"person_on_vehicle": 2, "static_person": 7, "distractor": 8, "reflection": 12}
_OTHER = 3


@dataclass(frozen=True)
class MotRows:
    """The rows of one file, sorted by frame; rows of one frame keep the order of the file. N rows.

    Attributes:
        frame: int64 [N], counted from 1.
        id: int64 [N], -1 where the file holds detections without identity.
        ltwh: float64 [N, 4] left, top, width, height in pixels, exactly as written.
        confidence: float32 [N], as in the file (not necessarily in [0, 1]). In ground truth 0 marks a box
            that is not to be counted.
        extra: float64 [N, 3], columns 8 to 10; NaN where the row ends earlier.
        line: int64 [N], line in the file, counted from 1, for messages.
    """

    frame: np.ndarray
    id: np.ndarray
    ltwh: np.ndarray
    confidence: np.ndarray
    extra: np.ndarray
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def xyxy(self) -> np.ndarray:
        """float32 [N, 4], corners in pixels."""
        return np.concatenate(
            [self.ltwh[:, :2], self.ltwh[:, :2] + self.ltwh[:, 2:]], axis=1, dtype=np.float32
        )

    def within(self, frames: Frames) -> MotRows:
        """The rows of these frames."""
        first, last = frames
        here = np.ones(len(self), bool)
        if first is not None:
            here &= self.frame >= first
        if last is not None:
            here &= self.frame <= last
        return replace(self, **{column.name: getattr(self, column.name)[here] for column in fields(self)})


def frames_text(frames: Frames) -> str:
    """Frames as ``--frames`` takes them, ``1:60``."""
    return ":".join("" if end is None else str(end) for end in frames)


def read_mot(path: str | os.PathLike[str]) -> MotRows:
    """Detections, results or ground truth: ``frame,id,left,top,width,height,confidence[,...]`` a line.

    Blank lines are passed over, and a file without rows is legal: nothing was detected.

    Raises:
        InputError: no such file, or a row that is malformed, not finite, without area or of a frame below 1;
            names file and line.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return parse_mot(data, path)


def parse_mot(data: bytes, path: str | os.PathLike[str]) -> MotRows:
    """``read_mot`` of what is in memory; ``path`` is what errors call it.

    Raises:
        InputError: as ``read_mot``.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; expected rows of {_NAMES}") from error
    numbered = [(number, row) for number, row in enumerate(text.splitlines(), start=1) if row.strip()]
    line = np.array([number for number, _ in numbered], dtype=np.int64)
    return rows_of(_parse([row for _, row in numbered], line, path), line, path)


def rows_of(table: np.ndarray, line: np.ndarray, path: str | os.PathLike[str]) -> MotRows:
    """Rows out of a table, whatever file it is from.

    Args:
        table: float64 [N, 10] in the order of the columns, NaN in the last three where there is none.
        line: int64 [N], where each row stands in the file, from 1.
        path: the file, for messages.

    Raises:
        InputError: a row without area, of a frame below 1, or beyond any picture; names file and line.
    """
    _require_boxes(table, line, path)
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    return MotRows(
        frame=table[:, 0].astype(np.int64),
        id=table[:, 1].astype(np.int64),
        ltwh=table[:, 2:6],
        confidence=table[:, 6].astype(np.float32),
        extra=table[:, _REQUIRED:],
        line=line[order],
    )


def read_ground_truth(path: str | os.PathLike[str]) -> MotRows:
    """As ``read_mot``, with the classes of column 8 as MOTChallenge numbers them: 1 is a person.

    CVAT's export "MOT 1.1" numbers classes by ``labels.txt`` beside the file, a name a line. Where a name
    there means a person, that class becomes 1, and other labels take MOTChallenge's number or one that counts
    for nothing.

    Raises:
        InputError: as ``read_mot``, and for an unreadable labels.txt.
    """
    rows = read_mot(path)
    labels = Path(path).parent / "labels.txt"
    if not labels.is_file():
        return rows
    try:
        data = labels.read_bytes()
    except OSError as error:
        raise InputError(f"{labels}: {error.strerror or error}") from error
    return with_labels(rows, data, labels)


def with_labels(rows: MotRows, data: bytes, path: str | os.PathLike[str]) -> MotRows:
    """Ground truth whose classes are numbered by a ``labels.txt``, as ``read_ground_truth`` reads it.

    Args:
        rows: with the class in column 8.
        data: the content of labels.txt.
        path: what errors call it.

    Raises:
        InputError: it is no text.
    """
    try:
        names = [name.strip() for name in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file with a label a line") from error
    while names and not names[-1]:
        names.pop()
    if not any(map(is_person, names)):
        return rows
    kind = rows.extra[:, 0]
    labelled = (kind == np.floor(kind)) & (kind >= 1) & (kind <= len(names))
    extra = rows.extra.copy()
    extra[labelled, 0] = class_numbers(names)[kind[labelled].astype(int) - 1]
    return replace(rows, extra=extra)


def is_person(label: str) -> bool:
    """Whether a label of an annotation tool means a person."""
    return label.strip().lower() in _PERSON_LABELS


def class_numbers(labels: Sequence[str]) -> np.ndarray:
    """float64 [len(labels)], the class of each label as MOTChallenge numbers it; 1 is a person."""
    return np.array(
        [1 if is_person(name) else _LABELS.get(name.strip().lower(), _OTHER) for name in labels], np.float64
    )


def mot_text(rows: MotRows) -> str:
    """Rows as text that ``read_mot`` reads as these very rows, each up to the last column that it states."""
    lines = []
    for frame, identity, box, score, extra in zip(
        rows.frame.tolist(),
        rows.id.tolist(),
        rows.ltwh.tolist(),
        rows.confidence.tolist(),
        rows.extra.tolist(),
        strict=True,
    ):
        stated = extra[: next((n for n, value in enumerate(extra) if value != value), len(extra))]
        lines.append(
            ",".join([str(frame), str(identity), *(f"{v:.17g}" for v in (*box, score, *stated))]) + "\n"
        )
    return "".join(lines)


def _parse(rows: list[str], line: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
    """Rows of text as float64 [N, 10], NaN where a row ends earlier."""
    if not rows:
        return np.empty((0, _COLUMNS))
    try:
        # numpy's parser is several times as fast, but cannot say which row it dislikes nor take uneven rows.
        even = np.loadtxt(rows, delimiter="," if "," in rows[0] else None, comments=None, ndmin=2)[
            :, :_COLUMNS
        ]
    except ValueError:
        pass
    else:
        if even.shape[1] >= _REQUIRED:
            bad = ~np.isfinite(even).all(axis=1)
            if bad.any():
                raise _not_finite(path, line[bad.argmax()])
            return np.pad(even, ((0, 0), (0, _COLUMNS - even.shape[1])), constant_values=np.nan)
    table = np.full((len(rows), _COLUMNS), np.nan)
    for index, row in enumerate(rows):
        words = row.strip().removesuffix(",").split("," if "," in row else None)
        if len(words) < _REQUIRED:
            raise InputError(f"{path}, line {line[index]}: expected {_NAMES}, got {len(words)} column(s)")
        try:
            values = np.array([float(word) for word in words[:_COLUMNS]])
        except ValueError:
            raise InputError(
                f"{path}, line {line[index]}: expected numbers {_NAMES}, got {row.strip()[:60]!r}"
            ) from None
        if not np.isfinite(values).all():
            raise _not_finite(path, line[index])
        table[index, : len(values)] = values
    return table


def _not_finite(path: str | os.PathLike[str], line: int) -> InputError:
    return InputError(f"{path}, line {line}: expected finite numbers, got NaN or infinity")


def _require_boxes(table: np.ndarray, line: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Raise for the first row that is no box of a frame."""
    frame, identity, width, height = table[:, 0], table[:, 1], table[:, 4], table[:, 5]
    faults = [
        (
            frame == 0,
            "frames are whole numbers from 1, got 0; where a file counts from 0, add 1 to every frame",
        ),
        ((frame != np.floor(frame)) | (frame < 1), "frames are whole numbers from 1, got {0:g}"),
        (identity != np.floor(identity), "an id is a whole number, got {1:g}"),
        (np.maximum(frame, np.abs(identity)) >= 2**53, "frame {0:g} or id {1:g} is too large"),
        (np.abs(table[:, 2:7]).max(axis=1, initial=0) > _LARGEST, "a box or confidence is beyond 1e9"),
        ((width <= 0) | (height <= 0), "width and height must be above 0, got {4:g} x {5:g}"),
    ]
    bad = np.logical_or.reduce([fault for fault, _ in faults])
    if bad.any():
        row = int(bad.argmax())
        message = next(text for fault, text in faults if fault[row])
        raise InputError(f"{path}, line {line[row]}: {message.format(*table[row])}")
