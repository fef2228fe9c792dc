"""MOTChallenge sequence folders: ``seqinfo.ini`` beside ``img1/``, or beside a video of the same frames."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ..seqinfo import read_seqinfo
from .base import USUAL_RATE, Source
from .images import VIDEO_SUFFIXES, ImageSource, list_images
from .video import VideoSource


def open_sequence(folder: Path) -> Source:
    """The frames of a sequence at the rate of its ``seqinfo.ini``.

    Raises:
        InputError: ``seqinfo.ini`` is malformed, or there are neither images nor exactly one video.
    """
    info_path = folder / "seqinfo.ini"
    info = read_seqinfo(info_path)
    name, image_folder, length = info.name, info.image_folder, info.length
    rate = info.frame_rate or USUAL_RATE
    source: Source
    if (folder / image_folder).is_dir():
        source = ImageSource(list_images(folder / image_folder), name, rate)
    else:
        videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        if len(videos) != 1:
            found = "no video" if not videos else f"{len(videos)} videos"
            raise InputError(f"{info_path}: names images in {image_folder}/, which is not there, and {found}")
        source = VideoSource(videos[0], frame_rate=rate)
        source.name = name
    if info.frame_rate is None:
        source.notes.append(f"{info_path}: states no frameRate; {USUAL_RATE} frames a second are assumed")
    last = source.frame_numbers[-1] if source.frame_numbers else source.frame_count
    if length is not None and last is not None and length not in {last, source.frame_count}:
        found = f"found {source.frame_count} frames" + (
            f", the last is {last}" if source.frame_numbers else ""
        )
        source.notes.append(f"{info_path}: seqLength is {length}, {found}")
    return source
