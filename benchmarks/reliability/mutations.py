"""Damage to files: what bad disks, cut-off copies, wrong editors and careless programs do to them, seeded."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from random import Random

# Words that number parsers, paths and terminals trip over.
NASTY = (
    b"nan inf -inf 1e999 -1 0 1e-320 9007199254740993 -9223372036854775809 1e308 99999999999999999999 0x10 "
    b"\xff\xfe \x00 \x1b[31m =1+1 ../.. true null [] {} '' \" % %(x)s !!float *a &a 1:2:3 2001-99-99"
).split(b" ")


def mutate(data: bytes, kind: str, rng: Random) -> bytes:
    """A damaged copy. Formats with checksums are also damaged under the checksum, so that readers see it."""
    if kind in _INSIDE and rng.random() < 0.6:
        return _INSIDE[kind](data, rng)
    return _text(data, rng) if kind in TEXTS and rng.random() < 0.7 else _bytes(data, rng)


TEXTS = {"explain", "yaml", "det", "gt", "seqinfo"}


def _bytes(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        at = rng.randrange(len(out) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 64, 1024))
        match rng.randrange(7):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                if at < len(out):
                    out[at] ^= 1 << rng.randrange(8)
            case 2:
                del out[at:]
            case 3:
                del out[at : at + size]
            case 4:
                out[at:at] = rng.randbytes(size)
            case 5:
                out[at:at] = out[at : at + size]
            case 6:
                out[at : at + size] = rng.choice((b"\x00", b"\xff", b"\x7f")) * size
        if not out:
            break
    return bytes(out)


def _text(data: bytes, rng: Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 4))):
        words = list(re.finditer(rb"[\w.+-]+", data))
        lines = data.split(b"\n")
        choice = rng.randrange(5)
        if choice < 2 and words:
            word = rng.choice(words)
            data = data[: word.start()] + rng.choice(NASTY) + data[word.end() :]
        elif choice == 2:
            del lines[rng.randrange(len(lines))]
            data = b"\n".join(lines)
        elif choice == 3:
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            data = b"\n".join(lines)
        else:
            sign = rng.choice(
                (b",", b":", b" ", b"\t", b"\r", b"[", b"]", b"{", b"}", b'"', b"#", b"\xef\xbb\xbf")
            )
            at = rng.randrange(len(data) + 1)
            data = data[:at] + sign * rng.choice((1, 1, 1, 2000)) + data[at:]
    return data


def _zip(data: bytes, rng: Random) -> bytes:
    """One entry damaged, the archive whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    names = [name for name in entries if name.endswith((".pkl", ".npy"))] or list(entries)
    name = rng.choice(names if rng.random() < 0.7 else list(entries))
    head = entries[name][:4096] if rng.random() < 0.5 else entries[name]
    entries[name] = _bytes(head, rng) + entries[name][len(head) :]
    if rng.random() < 0.1:
        del entries[name]
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    ) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return out.getvalue()


def _safetensors(data: bytes, rng: Random) -> bytes:
    """The JSON header damaged, its length right."""
    (length,) = struct.unpack("<Q", data[:8])
    header = data[8 : 8 + length]
    if rng.random() < 0.6:
        values = json.loads(header)
        options = json.loads(values["__metadata__"]["options"])
        options[rng.choice(list(options))] = rng.choice(
            (None, -1, 0, 10**12, "x", [], [10**6, 10**6], {}, True, 1e300)
        )
        values["__metadata__"]["options"] = json.dumps(options)
        header = json.dumps(values).encode()
    else:
        header = _text(header, rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _cache(data: bytes, rng: Random) -> bytes:
    """Index or facts damaged, at the end or before a frame, the checksum right."""
    if rng.random() < 0.3:
        return _step_of_cache(data, rng)
    footer = struct.Struct("<QQI12s")
    start, facts, _, end = footer.unpack(data[-footer.size :])
    index, words = data[start:facts], data[facts : -footer.size]
    if rng.random() < 0.5:
        index = _bytes(index, rng)
    else:
        words = _text(words, rng)
    checksum = zlib.crc32(index + words)
    return data[:start] + index + words + footer.pack(start, start + len(index), checksum, end)


def _step_of_cache(data: bytes, rng: Random) -> bytes:
    mark = struct.Struct("<8sQIII4x")
    steps = [found.start() for found in re.finditer(rb"BPBSTEP\n", data)]
    start = rng.choice(steps)
    name, *counts, _ = mark.unpack(data[start : start + mark.size])
    after = start + mark.size + 40 * counts[1] + counts[2]
    body = bytearray(data[start + mark.size : after])
    if rng.random() < 0.2:
        counts[rng.randrange(3)] = rng.choice((0, 1, 8, 1 << 31, len(data)))
    elif body:
        at, size = rng.randrange(len(body)), rng.choice((1, 4, 8))
        body[at : at + size] = (rng.choice((b"\x00", b"\xff", b"\x7f")) * size)[: len(body) - at]
    entries, words = body[: 40 * counts[1]], body[40 * counts[1] :]
    checksum = zlib.crc32(words, zlib.crc32(entries, zlib.crc32(struct.pack("<QII", *counts))))
    return data[:start] + mark.pack(name, *counts, checksum) + bytes(body) + data[after:]


_INSIDE = {"npz": _zip, "pth": _zip, "state": _zip, "safetensors": _safetensors, "cache": _cache}
