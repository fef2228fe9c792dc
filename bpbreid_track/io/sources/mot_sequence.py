"""MOTChallenge sequence folders: ``seqinfo.ini`` beside ``img1/``, or beside a video of the same frames."""

from __future__ import annotations

import configparser
from fractions import Fraction
from pathlib import Path

from ...errors import InputError
from .base import Source
from .images import VIDEO_SUFFIXES, ImageSource, list_images
from .video import VideoSource


def open_sequence(folder: Path) -> Source:
    """The frames of a sequence at the rate of its ``seqinfo.ini``.

    Raises:
        InputError: ``seqinfo.ini`` is malformed, or there are neither images nor exactly one video.
    """
    info_path = folder / "seqinfo.ini"
    name, image_folder, rate, length = _read_info(info_path)
    source: Source
    if (folder / image_folder).is_dir():
        source = ImageSource(list_images(folder / image_folder), name, rate)
    else:
        videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        if len(videos) != 1:
            found = "no video" if not videos else f"{len(videos)} videos"
            raise InputError(
                f"{folder}: seqinfo.ini names images in {image_folder}/, which is not there, and {found}"
            )
        source = VideoSource(videos[0], frame_rate=rate)
        source.name = name
    if length is not None and source.frame_count is not None and source.frame_count != length:
        source.notes.append(f"{info_path}: seqLength is {length}, found {source.frame_count} frames")
    return source


def _read_info(path: Path) -> tuple[str, str, Fraction, int | None]:
    """Name, image folder, frame rate and number of frames (None where not stated)."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        section = parser["Sequence"]
    except (configparser.Error, KeyError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: expected a [Sequence] section: {' '.join(str(error).split())}") from error
    length = section.get("seqLength")
    try:
        rate = Fraction(section.get("frameRate", "")).limit_denominator(1001)
        frames = None if length is None else int(length)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{path}: frameRate and seqLength must be numbers") from None
    if rate <= 0:
        raise InputError(f"{path}: frameRate must be above 0, got {section['frameRate']}")
    return section.get("name", path.parent.resolve().name), section.get("imDir", "img1"), rate, frames
