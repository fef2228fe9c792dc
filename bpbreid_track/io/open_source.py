"""Opening whatever a caller names as a source."""

from __future__ import annotations

import glob
import os
import re
from fractions import Fraction
from pathlib import Path

from ..errors import InputError, UsageError
from .sources.base import USUAL_RATE, Source

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def open_source(source: str | os.PathLike[str] | int, *, image_rate: float | Fraction = USUAL_RATE) -> Source:
    """Open whatever ``source`` names.

    Args:
        source: a video file; a folder of images; a glob (``"frames/*.png"``); a MOTChallenge sequence folder;
            a webcam index (``0`` or ``"0"``); an RTSP, HTTP or other network address; ``"demo"`` for the
            built-in footage.
        image_rate: frames a second of loose images, which carry no rate of their own.

    Raises:
        InputError: it does not exist or cannot be read.
        UsageError: an empty source.
    """
    text = str(source) if isinstance(source, int) else os.fspath(source)
    if not text:
        raise UsageError("SOURCE is empty; give a video file, a folder, a webcam index, a URL or 'demo'")
    if text == "demo":
        from .demo.source import DemoSource

        return DemoSource()
    if _URL.match(text):
        from .sources.live import open_address

        return open_address(text)
    path = Path(text)
    if isinstance(source, int) or (text.isdecimal() and not path.exists()):
        from .sources.live import WebcamSource

        return WebcamSource(int(text))
    return _open_path(path, Fraction(image_rate).limit_denominator(1001))


def _open_path(path: Path, image_rate: Fraction) -> Source:
    from .sources.images import IMAGE_SUFFIXES, ImageSource, list_images
    from .sources.video import VideoSource

    if path.is_dir():
        if (path / "seqinfo.ini").is_file():
            from .sources.mot_sequence import open_sequence

            return open_sequence(path)
        return ImageSource(list_images(path), path.resolve().name, image_rate)
    if path.exists():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return ImageSource([path], path.name, image_rate)
        return VideoSource(path)
    text = str(path)
    if not glob.has_magic(text):
        raise InputError(f"{text}: no such file or folder")
    matches = [Path(match) for match in glob.glob(text, recursive=True)]
    images = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        return ImageSource(images, text, image_rate)
    if len(matches) == 1:
        return _open_path(matches[0], image_rate)
    found = f"matches {len(matches)} files but no image" if matches else "matches no file"
    raise InputError(f"{text}: {found}; quote a pattern of images such as 'frames/*.jpg'")
