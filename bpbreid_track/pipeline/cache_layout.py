"""How a cache lies in its file: pure functions between its bytes and what they say.

All numbers little-endian::

    16 bytes   "BPBREID-CACHE 1" and a line feed
    steps, each padded to 8 bytes, as they were written:
        mark       "BPBSTEP\\n", offset of the next step, m, length of the JSON, CRC-32 of all but the records
        index      ``INDEX`` [m]: the frames of this step
        JSON       facts, where there are new ones
        records    one for each frame, n boxes, P parts, D features, padded to 8 bytes:
            int64   class      [n]
            float32 box        [n, 4]     left, top, right, bottom in pixels
            float32 score      [n]
            float32 visibility [n, P]     P and D are 0 without an encoder
            float32 features   [n, P, D]
    index      ``INDEX`` [F]: all frames
    JSON       facts: what the file was made from, part names, P, D, whether it holds all frames
    footer     offset of the index, offset of the JSON, CRC-32 of both, "BPBREID-END\\n"

A finished file is read by its footer alone. One that was cut short has none, and is read step by step.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np

from ..io.names import escaped_utf8

MAGIC = b"BPBREID-CACHE 1\n"
END = b"BPBREID-END\n"
FOOTER = struct.Struct("<QQI12s")
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
Entry = tuple[int, float, int, int, int, int]  # a row of ``INDEX``
_MARK = struct.Struct("<8sQIII4x")
_STEP = b"BPBSTEP\n"


class Record(NamedTuple):
    """One frame. Without an encoder P and D are 0."""

    class_id: np.ndarray  # int64 [n]
    xyxy: np.ndarray  # float32 [n, 4]
    confidence: np.ndarray  # float32 [n]
    visibility: np.ndarray  # float32 [n, P]
    features: np.ndarray  # float32 [n, P, D]


@dataclass(frozen=True)
class Parts:
    """What can be read of a file.

    Attributes:
        index: ``INDEX`` [F].
        facts: the JSON object.
        end: where the last record ends, in bytes.
    """

    index: np.ndarray
    facts: dict[str, Any]
    end: int


def padding(size: int) -> int:
    """Bytes that bring ``size`` to a multiple of 8."""
    return -size % 8


def arrays(boxes: int, parts: int, dim: int) -> list[tuple[str, tuple[int, ...]]]:
    """Type and shape of the arrays of a ``Record``, in order."""
    return [
        ("<i8", (boxes,)),
        ("<f4", (boxes, 4)),
        ("<f4", (boxes,)),
        ("<f4", (boxes, parts)),
        ("<f4", (boxes, parts, dim)),
    ]


def record_size(boxes: Any, parts: int, dim: int) -> Any:
    """Bytes of the record of so many boxes, without padding."""
    return (8 + 16 + 4 + 4 * parts + 4 * parts * dim) * boxes


def step_size(entries: int, words: bytes) -> int:
    """Bytes of a step before its records."""
    size = _MARK.size + INDEX.itemsize * entries + len(words)
    return size + padding(size)


def step(start: int, index: Sequence[Entry] | np.ndarray, records: int, words: bytes = b"") -> bytes:
    """What stands before records.

    Args:
        start: offset at which the step begins.
        index: their entries.
        records: bytes of the records behind it.
        words: facts as JSON; empty where nothing is new.
    """
    entries = np.array(index, INDEX).tobytes()
    beyond = start + step_size(len(index), words) + records
    counts = (beyond, len(index), len(words))
    mark = _MARK.pack(_STEP, *counts, _step_checksum(counts, entries, words))
    size = len(mark) + len(entries) + len(words)
    return mark + entries + words + b"\0" * padding(size)


def footer(start: int, index: Sequence[Entry], facts: dict[str, Any]) -> bytes:
    """The end of a file whose records end at ``start``."""
    entries, words = np.array(index, INDEX).tobytes(), as_json(facts)
    checksum = zlib.crc32(words, zlib.crc32(entries))
    return entries + words + FOOTER.pack(start, start + len(entries), checksum, END)


def as_json(facts: dict[str, Any]) -> bytes:
    return escaped_utf8(json.dumps(facts, ensure_ascii=False))


def finished(data: mmap | bytes) -> Parts:
    """Index and facts of a finished file.

    Raises:
        Exception: of many kinds, where it is damaged.
    """
    end, at_facts, checksum, mark = FOOTER.unpack(data[-FOOTER.size :])
    tail = data[end : -FOOTER.size]
    if mark != END or zlib.crc32(tail) != checksum:
        raise ValueError("its index is damaged")
    parts = Parts(
        np.frombuffer(tail[: at_facts - end], INDEX), json.loads(tail[at_facts - end :].decode()), end
    )
    _check(parts)
    return parts


def cut_short(data: mmap | bytes) -> Parts | None:
    """Index and facts of the whole frames of a file that may end anywhere; None if there are none."""
    index: list[np.ndarray] = []
    facts: dict[str, Any] = {}
    at = end = len(MAGIC)
    try:
        while (found := _step(data, at)) is not None:
            entries, words, at = found
            facts = json.loads(words) if words else facts
            size = record_size(1, int(facts["parts"]), int(facts["dim"]))
            starts, stops = entries["offset"], entries["offset"] + size * entries["boxes"]
            whole = 0
            for start, stop, checksum in zip(
                starts.tolist(), stops.tolist(), entries["checksum"].tolist(), strict=True
            ):
                if not end <= start <= stop <= len(data) or zlib.crc32(data[start:stop]) != checksum:
                    break
                whole, end = whole + 1, stop
            index.append(entries[:whole])
            if whole < len(entries):
                break
        parts = Parts(np.concatenate(index), facts, min(end + padding(end), len(data)))
        _check(parts)
    except Exception:  # damage leads struct, numpy and json to all sorts of errors
        return None
    return parts if len(parts.index) else None


def _step(data: mmap | bytes, at: int) -> tuple[np.ndarray, bytes, int] | None:
    """Entries and facts of the step at ``at``, and where the next begins; None if there is no whole one."""
    if len(data) < at + _MARK.size:
        return None
    mark, *counts, checksum = _MARK.unpack(data[at : at + _MARK.size])
    beyond, entries, words = counts
    start = at + _MARK.size
    middle, stop = start + INDEX.itemsize * entries, start + INDEX.itemsize * entries + words
    if mark != _STEP or beyond < stop or stop > len(data):
        return None
    index, facts = data[start:middle], data[middle:stop]
    if _step_checksum(counts, index, facts) != checksum:
        return None
    return np.frombuffer(index, INDEX), facts, beyond


def _step_checksum(counts: Sequence[int], entries: bytes, words: bytes) -> int:
    return zlib.crc32(words, zlib.crc32(entries, zlib.crc32(struct.pack("<QII", *counts))))


def _check(found: Parts) -> None:
    """Raise where facts or index cannot be those of a cache."""
    index, facts = found.index, found.facts
    parts, dim = int(facts["parts"]), int(facts["dim"])
    kinds = {"made_from": dict, "complete": bool, "notes": list, "part_names": list}
    wrong = [key for key, kind in kinds.items() if not isinstance(facts[key], kind)]
    named = all(isinstance(name, str) for name in facts["part_names"])
    sections = all(isinstance(section, dict) for section in facts["made_from"].values())
    if wrong or not named or not sections or len(facts["part_names"]) != parts or dim < 0:
        raise ValueError("its facts are damaged")
    size = record_size(index["boxes"].astype(np.float64), parts, dim)
    inside = (index["boxes"] >= 0) & (index["offset"] >= 0) & (index["frame"] >= 0)
    inside &= index["offset"] + size <= found.end
    if not inside.all() or not np.isfinite(index["seconds"]).all():
        raise ValueError("its index is damaged")
