"""One frame, and ``Source``: one iterable for files, folders, cameras and network streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from typing_extensions import Self

# Frames a second of a source that states none.
USUAL_RATE = Fraction(30)


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: frame number less 1: position in the source from 0, or what file names of images say. What is
            absent or cannot be read leaves a gap, so that frame numbers keep agreeing with detections and
            ground truth on disk.
        timestamp: seconds since the first frame, strictly increasing.
        image: uint8 [H, W, 3], BGR, contiguous.
    """

    index: int
    timestamp: float
    image: np.ndarray


@dataclass(frozen=True)
class Sound:
    """The sound that belongs to the pictures of a source.

    Attributes:
        location: the file, or as str the URL of one.
        start: when the first picture is shown, in seconds on the clock of the file.
        lost: why it cannot be copied; empty where it can.
    """

    location: Path | str
    start: float = 0.0
    lost: str = ""


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
        files: what is read from disk; empty for streams.
        boxes: a det.txt that comes with the source, used where no detector is named; None: there is none.
        pixel_aspect: width of a pixel by its height; above 1 the video is shown wider than it is stored.
        rounded_down: pictures lie below their true brightness, because FFmpeg's scaler rounds down on the way
            to BGR, as it does for most videos.
        sound: what can be heard; None: nothing.
        frame_numbers: numbers of the frames to come, from 1, ascending, where files carry them; empty where
            they run 1, 2, 3, ... to an end that is not known.
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
    boxes: Path | None = None
    pixel_aspect: Fraction = Fraction(1)
    rounded_down: bool = False
    sound: Sound | None = None
    frame_numbers: Sequence[int] = ()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first on."""

    def close(self) -> None:  # noqa: B027 - a source that holds nothing open has nothing to close
        """Let go of files and devices. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
