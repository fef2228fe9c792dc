"""Names of files: of outputs, made from what a source is called, and in text."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .addresses import public_name

# Bytes. File systems take 255 of a name; a number, the kind and the marks of unfinished files are behind it.
_LONGEST = 200


def output_stem(source: str) -> str:
    """What files made from ``source`` are called, without a suffix.

    >>> output_stem("clips/street.avi"), output_stem("0"), output_stem("frames/*.jpg")
    ('street', 'webcam0', 'video')
    """
    if source.isdecimal() and not os.path.exists(source):
        stem = f"webcam{source}"
    elif "://" in source:
        address = public_name(source).partition("://")[2].partition("?")[0]
        stem = Path(address.rstrip("/")).stem
    else:
        # As it was named: a link is called after itself, and one that leads nowhere has a name too.
        path = Path(os.path.abspath(source))
        stem = path.name if os.path.isdir(path) else path.stem
    return shortened(re.sub(r"[^\w.-]+", "_", stem).strip("._")) or "video"


def shortened(stem: str) -> str:
    """``stem`` or its beginning, short enough for every ending that names of outputs may get.

    >>> len(shortened("x" * 250)), len(shortened("ж" * 125))
    (200, 100)
    """
    return stem.encode()[:_LONGEST].decode(errors="ignore")


def escaped_utf8(text: str) -> bytes:
    """UTF-8. Names of files may hold bytes that are none: they become escapes, which JSON reads back.

    >>> escaped_utf8(os.fsdecode(b"stra\\xdfe"))
    b'stra\\\\udcdfe'
    """
    return text.encode("utf-8", "backslashreplace")
