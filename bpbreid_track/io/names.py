"""Names of outputs, made from what a source is called."""

from __future__ import annotations

import re
from pathlib import Path

from .addresses import public_name


def output_stem(source: str) -> str:
    """What files made from ``source`` are called, without a suffix.

    >>> output_stem("clips/street.avi"), output_stem("0"), output_stem("frames/*.jpg")
    ('street', 'webcam0', 'video')
    """
    if source.isdecimal() and not Path(source).exists():
        stem = f"webcam{source}"
    elif "://" in source:
        address = public_name(source).partition("://")[2].partition("?")[0]
        stem = Path(address.rstrip("/")).stem
    else:
        path = Path(source).resolve()
        stem = path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.-]+", "_", stem).strip("._") or "video"
