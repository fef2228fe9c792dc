"""Where frames come from: one iterable, ``Source``, for files, folders, cameras and network streams."""

from __future__ import annotations

import glob
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from typing_extensions import Self

from ..errors import InputError, UsageError

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: position in the source, from 0. An image that cannot be read leaves a gap, so that frame
            numbers keep agreeing with detections and ground truth on disk.
        timestamp: seconds since the first frame, strictly increasing.
        image: uint8 [H, W, 3], BGR, contiguous.
    """

    index: int
    timestamp: float
    image: np.ndarray


class Source(ABC):
    """An iterable of ``Frame``; a context manager that closes what it opened.

    A subclass sets the attributes in its constructor, so that they are known before the first frame is read.

    Attributes:
        name: short name for reports: the file's, the folder's, the address.
        width: pixels, after any rotation that the file asks for.
        height: pixels, likewise.
        frame_rate: nominal frames a second.
        frame_count: how many frames to expect, where known; an estimate for most video files.
        live: frames arrive at their own pace and cannot be read twice.
        dropped_frames: frames of a live source passed over to keep up with it; counts while reading.
        notes: what the user should hear about the reading, filled while it goes on.
        files: what is read from disk; empty for streams and made-up scenes.
    """

    name: str
    width: int
    height: int
    frame_rate: Fraction
    frame_count: int | None
    live: bool
    dropped_frames: int = 0
    notes: list[str]
    files: Sequence[Path] = ()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first on."""

    def close(self) -> None:  # noqa: B027 - a source that holds nothing open has nothing to close
        """Let go of files and devices. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(source: str | os.PathLike[str] | int, *, image_rate: float | Fraction = 30) -> Source:
    """Open whatever ``source`` names.

    Args:
        source: a video file; a folder of images; a glob (``"frames/*.png"``); a MOTChallenge sequence folder;
            a webcam index (``0`` or ``"0"``); an RTSP, HTTP or other network address; ``"demo"`` for the
            built-in synthetic scene.
        image_rate: frames a second of loose images, which carry no rate of their own.

    Raises:
        InputError: it does not exist or cannot be read.
        UsageError: an empty source.
    """
    text = str(source) if isinstance(source, int) else os.fspath(source)
    if not text:
        raise UsageError("SOURCE is empty; give a video file, a folder, a webcam index, a URL or 'demo'")
    if text == "demo":
        from .demo import DemoSource

        return DemoSource()
    if _URL.match(text):
        from .live_source import open_address

        return open_address(text)
    path = Path(text)
    if isinstance(source, int) or (text.isdecimal() and not path.exists()):
        from .live_source import WebcamSource

        return WebcamSource(int(text))
    return _open_path(path, Fraction(image_rate).limit_denominator(1001))


def _open_path(path: Path, image_rate: Fraction) -> Source:
    from .image_source import IMAGE_SUFFIXES, ImageSource, list_images
    from .video_source import VideoSource

    if path.is_dir():
        if (path / "seqinfo.ini").is_file():
            from .mot_sequence import open_sequence

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
