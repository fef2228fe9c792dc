"""The file behind ``--cache``: boxes and part embeddings of a video, laid out as ``cache_layout`` says.

Frames are written as they come and more can be appended. Reading maps the file into memory: a video's
embeddings need not fit into it. What a killed run has left is taken up by the next one.
"""

from __future__ import annotations

import mmap
import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, Notice
from ..io.locks import CAN_LOCK, is_locked, writing
from ..io.part_file import PartFile, part_name
from . import cache_layout as layout
from .cache_layout import MAGIC, Entry, Record


class CacheReader:
    """A finished cache file, mapped into memory.

    Attributes:
        path: the file.
        facts: the JSON object in it.
        index: ``INDEX`` [F], in the order of the video.
        data_end: where the records end, in bytes.

    Raises:
        InputError: another kind of file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
                if head != MAGIC:
                    raise InputError(
                        f"{path}: not a cache that this program wrote; choose another name for --cache"
                    )
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        try:
            found = layout.finished(self._bytes)
        except Exception as error:  # damage leads struct, numpy and json to all sorts of errors
            self.close()
            raise damaged(path) from error
        self.index, self.facts, self.data_end = found.index, found.facts, found.end
        self._shape = int(self.facts["parts"]), int(self.facts["dim"])

    def read(self, row: int) -> Record:
        """Copies of the arrays of frame number ``row`` of the index.

        Raises:
            InputError: the record is damaged.
        """
        offset, boxes = int(self.index["offset"][row]), int(self.index["boxes"][row])
        record: list[np.ndarray] = []
        checksum = 0
        for dtype, shape in layout.arrays(boxes, *self._shape):
            stop = offset + int(np.prod(shape)) * np.dtype(dtype).itemsize
            piece = self._bytes[offset:stop]
            checksum = zlib.crc32(piece, checksum)
            if len(piece) != stop - offset:
                raise damaged(self.path)
            record.append(np.frombuffer(piece, dtype).reshape(shape))
            offset = stop
        if checksum != self.index["checksum"][row]:
            raise damaged(self.path)
        return Record(*record)

    def close(self) -> None:
        self._bytes.close()


class CacheWriter:
    """Writes a cache under a temporary name; ``finish`` puts it in place.

    Args:
        path: where the file is to appear.
        facts: JSON-able, as far as they are known; ``parts`` and ``dim`` are P and D.
        start: a cache whose frames come first, if any.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """

    def __init__(self, path: Path, facts: dict[str, Any], start: CacheReader | None = None) -> None:
        self.index: list[Entry] = []
        self._file = PartFile(path)
        try:
            self._file.write(MAGIC)
            if start is None:
                self.describe(facts)
                return
            # The records of ``start`` lie behind an index of their own: its steps keep their places in it.
            words, records = layout.as_json(facts), start.data_end - len(MAGIC)
            moved = start.index.copy()
            moved["offset"] += layout.step_size(len(moved), words)
            self.index = moved.tolist()
            self._file.write(layout.step(self._file.tell(), moved, records, words))
            with writing(path), start.path.open("rb") as old:
                old.seek(len(MAGIC))
                while records:
                    records -= self._file.write(old.read(min(records, 1 << 20)))
        except BaseException:
            self.discard()
            raise

    def describe(self, facts: dict[str, Any]) -> None:
        """Tell what is known now of the frames to come, for whoever finds the file cut short.

        Raises:
            InputError: the disk is full. The frames before are kept.
        """
        self._file.write(layout.step(self._file.tell(), [], 0, layout.as_json(facts)))

    def add(self, frame: int, seconds: float, picture: int, record: Record) -> None:
        """Append one frame.

        Raises:
            InputError: the disk is full. The frames before are kept.
        """
        checksum, pieces = 0, list[bytes]()
        for (dtype, _), array in zip(layout.arrays(0, 0, 0), record, strict=True):
            pieces.append(np.ascontiguousarray(array, dtype).tobytes())
            checksum = zlib.crc32(pieces[-1], checksum)
        size = sum(map(len, pieces))
        pieces.append(b"\0" * layout.padding(size))
        start = self._file.tell()
        offset = start + layout.step_size(1, b"")
        entry = (frame, seconds, offset, len(record.xyxy), picture, checksum)
        head = layout.step(start, [entry], size + layout.padding(size))
        self._file.write(b"".join([head, *pieces]))
        self.index.append(entry)

    def finish(self, facts: dict[str, Any]) -> None:
        """Complete the file and put it in place of whatever has its name.

        Args:
            facts: as for ``describe``.

        Raises:
            InputError: the disk is so full that not even the index of the first frames fits.
        """
        try:
            _complete(self._file, self.index, facts)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()


def take_up(path: Path, there: CacheReader | None) -> bool:
    """Make a cache of what a killed run has left of one, up to its last whole frame.

    Where there is a cache already, it gives way to a longer one made from the same; a shorter one goes.
    Nobody knows whether the writer lives where there are no locks: nothing is taken up there.

    Args:
        path: of the cache.
        there: the finished file of that name, if any.

    Returns:
        Whether the file at ``path`` is another one now.

    Raises:
        InputError: it cannot be read or written.
    """
    part = part_name(Path(os.path.realpath(path)))
    if not CAN_LOCK or not part.is_file() or is_locked(part):
        return False
    file = PartFile(path, resume=True)
    try:
        with writing(path):
            found, ours = _left(file.part)
        if not ours:  # not of a cache: whoever writes next puts it aside
            return False
        if found is not None and there is not None and found.facts["made_from"] != there.facts["made_from"]:
            return False
        if found is None or (there is not None and len(found.index) <= len(there.index)):
            file.discard()
            return False
        file.cut(found.end)
        _complete(file, found.index.tolist(), found.facts | {"complete": False})
    finally:
        file.leave()
    warnings.warn(
        f"{file.part} was left by a run that was killed; its {len(found.index)} frames are used",
        Notice,
        stacklevel=3,
    )
    return True


def _left(part: Path) -> tuple[layout.Parts | None, bool]:
    """What can be read of a file that was cut short, and whether it is a cache at all."""
    with part.open("rb") as file:
        head = file.read(len(MAGIC))
        if head != MAGIC:
            return None, MAGIC.startswith(head)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return layout.cut_short(data), True


def _complete(file: PartFile, index: list[Entry], facts: dict[str, Any]) -> None:
    """Write the end of a cache, of fewer frames where the disk is full, and give the file its name."""
    broken = file.failed
    while True:
        try:
            file.failed = False
            told = facts | {"complete": False, "camera": ""} if broken else facts
            file.write(layout.footer(file.tell(), index, told))
            break
        except InputError:
            # The index of all frames takes less room than the records of a few.
            broken = True
            kept = len(index) - max(1, len(index) // 8)
            if kept <= 0:
                raise
            file.cut(index[kept][2])
            del index[kept:]
    file.finish()


def damaged(path: Path) -> InputError:
    return InputError(f"{path}: this cache is damaged or was cut short; delete the file and run again")
