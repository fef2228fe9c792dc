"""Frames from images on disk."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...errors import InputError
from .base import Frame, Source
from .frame_numbers import describe_numbers, frame_numbers, same_number

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Formats, as Pillow calls them, whose further pictures are moments of their own.
_SEVERAL = {"PNG", "TIFF", "WEBP"}
VIDEO_SUFFIXES = frozenset({".264", ".avi", ".h264", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"})


class ImageSource(Source):
    """Images in natural order (``2.jpg`` before ``10.jpg``), all of one size.

    Frames are numbered as their files are (``000060.jpg`` is frame 60, index 59) where all names carry a
    number, else by their place; a note says so where numbers do not run 1, 2, 3, .... Absent numbers are time
    that passes. A file that cannot be read is passed over with a note and leaves a gap in ``Frame.index``.

    Args:
        paths: image files.
        name: name of the source.
        frame_rate: frames a second to take them at.

    Raises:
        InputError: no file can be read, or one file alone that holds several pictures; while reading: an
            image differs in size from the first.
    """

    live = False

    def __init__(self, paths: Sequence[Path], name: str, frame_rate: Fraction) -> None:
        self.name = name
        self.frame_rate = frame_rate
        self.frame_count = len(paths)
        self.notes: list[str] = []
        self.files = self._paths = sorted(paths, key=natural_key)
        numbers = frame_numbers(self._paths)
        self.frame_numbers = numbers or range(1, len(paths) + 1)
        if numbers and (words := describe_numbers(self._paths, numbers)):
            self.notes.append(f"{self._paths[0].parent}: {words}")
        first = next((image for image in map(read_image, self._paths) if image is not None), None)
        if first is None:
            some = (
                self._paths[0]
                if len(paths) == 1
                else f"{name}: none of {len(paths)} files, first {paths[0]},"
            )
            raise InputError(f"{some} could not be decoded as an image")
        self.height, self.width = first.shape[:2]
        self._look_for_other_pictures()

    def _look_for_other_pictures(self) -> None:
        """Say what is read in part, as animations and stacks are, and which files may be no frames."""
        path = self._paths[0]
        if (pages := _pictures_in(path)) > 1:
            what = f"{path}: holds {pages} pictures"
            if len(self._paths) == 1:
                raise InputError(f"{what}; save them as a video or as a folder of images")
            self.notes.append(f"{what}, and of each file the first alone is a frame")
        if double := same_number(self._paths):
            one, other = double
            self.notes.append(
                f"{one} and {other.name} have the same number, and both are frames; leave out what is none, "
                f"such as by a pattern '{one.parent}/*{one.suffix}'"
            )

    def __iter__(self) -> Iterator[Frame]:
        unreadable: list[Path] = []
        start: int | None = None
        for number, path in zip(self.frame_numbers, self._paths, strict=True):
            index = number - 1
            image = read_image(path)
            if image is None:
                unreadable.append(path)
                continue
            height, width = image.shape[:2]
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{path}: {width} x {height} pixels where the images before it have "
                    f"{self.width} x {self.height}; give images of one size"
                )
            start = index if start is None else start
            yield Frame(index, float((index - start) / self.frame_rate), image)
        if unreadable:
            more = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
            self.notes.append(f"{unreadable[0]}{more} could not be decoded and had no part in the tracking")


def list_images(folder: Path) -> list[Path]:
    """The images right inside ``folder``.

    Raises:
        InputError: there are none; says what the folder holds instead.
    """
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        return images
    videos = sorted(path.name for path in files if path.suffix.lower() in VIDEO_SUFFIXES)
    if videos:
        raise InputError(f"{folder}: no images in this folder; to track its video give {folder / videos[0]}")
    if (folder / "img1").is_dir():
        return list_images(folder / "img1")
    raise InputError(f"{folder}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")


def read_image(path: Path) -> np.ndarray | None:
    """uint8 [H, W, 3] BGR, upright after EXIF; None where the file is no image that OpenCV reads.

    Raises:
        InputError: more than ``max_pixels()`` pixels; it is not decoded then.
    """
    try:
        # imread cannot open non-ASCII paths on Windows.
        data = np.fromfile(path, np.uint8)
    except OSError:
        return None
    pixels = _stated_pixels(data)
    if pixels is None:
        return None
    if pixels > max_pixels():
        raise InputError(
            f"{path}: {pixels / 1e6:.0f} million pixels, refused above {max_pixels() / 1e6:.0f} million; set "
            "OPENCV_IO_MAX_IMAGE_PIXELS in the environment to allow more"
        )
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def max_pixels() -> int:
    """Most pixels of a picture, width times height: OpenCV's own setting, by default 2^27."""
    stated = os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", "")
    return int(stated) if stated.isdecimal() else 1 << 27


def _stated_pixels(data: np.ndarray) -> int | None:
    """Width times height as the file states them, without decoding it; None where it is no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bounds are not those that hold here
            with Image.open(io.BytesIO(data.tobytes())) as image:
                return int(image.width) * int(image.height)
    except Image.DecompressionBombError as error:
        return int(next(iter(re.findall(r"[0-9]{6,}", str(error))), 1 << 62))
    except Exception:  # a damaged header can lead its readers to any error
        return None


def _pictures_in(path: Path) -> int:
    """How many pictures a file holds, such as an animated WebP or PNG, or a stack in TIFF."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # Photographs of telephones hold previews and depth beside the one picture (MPO).
                return getattr(image, "n_frames", 1) if image.format in _SEVERAL else 1
    except Exception:  # a damaged header can lead its readers to any error
        return 1


def natural_key(path: Path) -> list[list[str | int]]:
    """Sorting key by which numbers inside names count as numbers."""
    return [
        [int(word) if word.isdecimal() else word.lower() for word in re.split(r"(\d+)", part)]
        for part in path.parts
    ]
