"""The file behind ``--cache``: boxes and part embeddings of a video, frame by frame.

Layout, all numbers little-endian::

    16 bytes   "BPBREID-CACHE 1" and a line feed
    a record for each frame, n boxes, P parts, D features, padded to 8 bytes:
        int64   class      [n]
        float32 box        [n, 4]     left, top, right, bottom in pixels
        float32 score      [n]
        float32 visibility [n, P]     P and D are 0 without an encoder
        float32 features   [n, P, D]
    index      one ``INDEX`` entry a frame
    JSON       what the file was made from, part names, D
    footer     offset of the index, offset of the JSON, CRC-32 of both, "BPBREID-END\\n"

The index lies at the end, so that frames are written as they come and more can be appended. Reading maps the
file into memory: a video's embeddings need not fit into it.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..io.locks import writing
from ..io.part_file import PartFile

MAGIC = b"BPBREID-CACHE 1\n"
_END = b"BPBREID-END\n"
_FOOTER = struct.Struct("<QQI12s")
_ALIGN = 8
INDEX = np.dtype(
    [
        ("frame", "<i8"),  # from 0, as Frame.index
        ("seconds", "<f8"),  # Frame.timestamp
        ("offset", "<i8"),  # of the record
        ("boxes", "<i8"),  # n
        ("picture", "<u4"),  # CRC-32 of a sample of the picture
        ("checksum", "<u4"),  # CRC-32 of the record
    ]
)


class Record(NamedTuple):
    """One frame. Without an encoder P and D are 0."""

    class_id: np.ndarray  # int64 [n]
    xyxy: np.ndarray  # float32 [n, 4]
    confidence: np.ndarray  # float32 [n]
    visibility: np.ndarray  # float32 [n, P]
    features: np.ndarray  # float32 [n, P, D]


class CacheReader:
    """A finished cache file, mapped into memory.

    Attributes:
        path: the file.
        facts: the JSON object in it.
        index: ``INDEX`` [F], in the order of the video.

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
            self.data_end, at_facts, checksum, end = _FOOTER.unpack(self._bytes[-_FOOTER.size :])
            tail = self._bytes[self.data_end : -_FOOTER.size]
            if end != _END or zlib.crc32(tail) != checksum:
                raise ValueError("its index is damaged")
            self.index = np.frombuffer(tail[: at_facts - self.data_end], INDEX)
            self.facts: dict[str, Any] = json.loads(tail[at_facts - self.data_end :])
            self._shape = int(self.facts["parts"]), int(self.facts["dim"])
            self._check()
        except Exception as error:  # damage leads struct, numpy and json to all sorts of errors
            self.close()
            raise damaged(path) from error

    def _check(self) -> None:
        """Raise where the facts or the index cannot be those of a cache."""
        facts, (parts, dim), index = self.facts, self._shape, self.index
        kinds = {"made_from": dict, "complete": bool, "notes": list, "part_names": list}
        wrong = [key for key, kind in kinds.items() if not isinstance(facts[key], kind)]
        named = all(isinstance(name, str) for name in facts["part_names"])
        sections = all(isinstance(section, dict) for section in facts["made_from"].values())
        if wrong or not named or not sections or len(facts["part_names"]) != parts or dim < 0:
            raise ValueError("its facts are damaged")
        size = (24 + 4 + 4 * parts + 4 * parts * dim) * index["boxes"].astype(np.float64)
        inside = (index["boxes"] >= 0) & (index["offset"] >= 0) & (index["frame"] >= 0)
        inside &= index["offset"] + size <= self.data_end
        if not inside.all() or not np.isfinite(index["seconds"]).all():
            raise ValueError("its index is damaged")

    def read(self, row: int) -> Record:
        """Copies of the arrays of frame number ``row`` of the index.

        Raises:
            InputError: the record is damaged.
        """
        offset, boxes = int(self.index["offset"][row]), int(self.index["boxes"][row])
        record: list[np.ndarray] = []
        checksum = 0
        for dtype, shape in _arrays(boxes, *self._shape):
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
        start: a cache whose frames come first, if any.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """

    def __init__(self, path: Path, start: CacheReader | None = None) -> None:
        self.path = path
        self.index: list[tuple[int, float, int, int, int, int]] = []
        self._file = PartFile(path, rescue=False)  # without its index it is of no use
        try:
            if start is None:
                self._file.write(MAGIC)
                return
            self.index = start.index.tolist()
            with writing(path), start.path.open("rb") as old:
                left = start.data_end
                while left:
                    left -= self._file.write(old.read(min(left, 1 << 20)))
        except BaseException:
            self.discard()
            raise

    def add(self, frame: int, seconds: float, picture: int, record: Record) -> None:
        """Append one frame.

        Raises:
            InputError: the disk is full. The frames before are kept.
        """
        checksum, pieces = 0, list[bytes]()
        for (dtype, _), array in zip(_arrays(0, 0, 0), record, strict=True):
            pieces.append(np.ascontiguousarray(array, dtype).tobytes())
            checksum = zlib.crc32(pieces[-1], checksum)
        offset = self._file.tell()
        pieces.append(b"\0" * (-sum(map(len, pieces)) - offset & _ALIGN - 1))
        self._file.write(b"".join(pieces))
        self.index.append((frame, seconds, offset, len(record.xyxy), picture, checksum))

    def finish(self, facts: dict[str, Any]) -> None:
        """Complete the file and put it in place of whatever has its name.

        Args:
            facts: JSON-able; ``parts`` and ``dim`` are P and D.

        Raises:
            InputError: the disk is so full that not even the index of the first frames fits.
        """
        broken = self._file.failed
        try:
            while True:
                try:
                    self._write_index(facts if not broken else facts | {"complete": False})
                    break
                except InputError:
                    # The index of all frames takes less room than the records of a few.
                    broken = True
                    kept = len(self.index) - max(1, len(self.index) // 8)
                    if kept <= 0:
                        raise
                    self._file.cut(self.index[kept][2])
                    del self.index[kept:]
            self._file.finish()
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()

    def _write_index(self, facts: dict[str, Any]) -> None:
        index = np.array(self.index, INDEX).tobytes()
        words = json.dumps(facts, ensure_ascii=False).encode()
        start = self._file.tell()
        footer = _FOOTER.pack(start, start + len(index), zlib.crc32(index + words), _END)
        self._file.failed = False
        self._file.write(index + words + footer)


def damaged(path: Path) -> InputError:
    return InputError(f"{path}: this cache is damaged or was cut short; delete the file and run again")


def _arrays(boxes: int, parts: int, dim: int) -> list[tuple[str, tuple[int, ...]]]:
    """Type and shape of the arrays of a ``Record``, in order."""
    return [
        ("<i8", (boxes,)),
        ("<f4", (boxes, 4)),
        ("<f4", (boxes,)),
        ("<f4", (boxes, parts)),
        ("<f4", (boxes, parts, dim)),
    ]
