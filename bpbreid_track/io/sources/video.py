"""Frames from video files, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from ...errors import InputError
from ..addresses import public_name
from .base import USUAL_RATE, Frame, Sound, Source
from .images import max_pixels

# A timestamp that falls back by more than this many seconds is a clock that started anew, not a bad value.
_CLOCK_RESET = 1.0
_MATROSKA_TIME = re.compile(r"([0-9]{1,6}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,12})?)")
_NETWORK_SECONDS = 10.0  # to open a stream, and again for each packet of it


class VideoSource(Source):
    """A video file; a rotation stored in it is applied, sound and subtitles are left to others.

    Packets that do not decode are passed over too; ``notes`` then says how many frames came out.

    Args:
        location: the file, or as str the URL of one.
        frame_rate: frames a second where the container's own timing is not to be trusted; timestamps are then
            ``index / frame_rate``.

    Raises:
        InputError: not a video, or one without a frame that decodes.
    """

    live = False

    def __init__(self, location: Path | str, frame_rate: Fraction | None = None) -> None:
        self.name = location.name if isinstance(location, Path) else public_name(location)
        self.notes: list[str] = []
        self._location = location
        self.files = (location,) if isinstance(location, Path) else ()
        self._where = str(location) if isinstance(location, Path) else self.name
        self._trust_clock = frame_rate is None
        self._container = open_container(location)
        stream = video_stream(self._container)
        self.frame_rate = frame_rate or nominal_rate(stream)
        self.frame_count, self._counts_pictures = _expected_frames(self._container, stream)
        # Pixels are upright only once decoded: the rotation is attached to frames, not to the stream.
        try:
            first = next(iter(Decoder(self._container)), None)
        except av.error.FFmpegError as error:
            raise InputError(f"{self._where}: {reason(error)}") from error
        if first is None:
            self.close()
            raise InputError(f"{self._where}: no frame of this video decodes; it is damaged or incomplete")
        self.height, self.width = FrameConverter().to_bgr(first).shape[:2]
        self.pixel_aspect, self.rounded_down = pixel_aspect(stream, first), rounded_down(first)
        if self._container.streams.audio:
            self.sound = Sound(location, presentation_time(first) or 0.0, self._why_silent(stream, first))
        self.close()

    def _why_silent(self, stream: Any, first: Any) -> str:
        """Why the sound would not fit the pictures; empty where it does."""
        if first.pts is None:
            return "the video states no times"
        if not self._trust_clock and abs(self.frame_rate / nominal_rate(stream) - 1) > 0.001:
            return f"the video is taken at {float(self.frame_rate):g} frames a second in place of its own"
        return ""

    def __iter__(self) -> Iterator[Frame]:
        self.close()
        self._container = open_container(self._location)
        decoder = Decoder(self._container)
        clock = Clock(self.frame_rate)
        converter = FrameConverter()
        index = 0
        try:
            for picture in decoder:
                image = converter.to_bgr(picture, size=(self.width, self.height))
                seconds = presentation_time(picture) if self._trust_clock else None
                yield Frame(index, clock.read(seconds), image)
                index += 1
        except av.error.FFmpegError as error:
            self.notes.append(f"{self._where}: broke off after frame {index}: {reason(error)}")
        self.close()
        self._note_missing(index, decoder.damaged_packets)

    def _note_missing(self, decoded: int, damaged_packets: int) -> None:
        expected = self.frame_count
        # Durations are rounded by containers; a few frames less is no damage.
        lacking = expected is not None and decoded < expected - max(2, expected // 100)
        if lacking and self._counts_pictures:
            found = f"only {decoded} of about {expected} frames could be decoded"
        elif damaged_packets:
            found = f"{damaged_packets} packet(s) could not be decoded and gave no frame"
        else:
            return
        self.notes.append(f"{self._where}: {found}; the file is damaged or incomplete")

    def close(self) -> None:
        self._container.close()


class Clock:
    """Turns the presentation times of a stream into strictly increasing seconds from 0.

    Args:
        frame_rate: frames a second where the stream states no time.
    """

    def __init__(self, frame_rate: Fraction) -> None:
        self._interval = float(1 / frame_rate)
        self._shift: float | None = None  # what is added to the stream's time
        self._last = -self._interval

    def read(self, seconds: float | None) -> float:
        """Seconds since the first frame.

        Args:
            seconds: presentation time on the stream's own clock; None where the stream has none.
        """
        if seconds is None:
            elapsed = self._last + self._interval
        else:
            if self._shift is None or seconds + self._shift < self._last - _CLOCK_RESET:
                self._shift = self._last + self._interval - seconds
            elapsed = seconds + self._shift
            if elapsed <= self._last:
                # Half a frame, so that the sound timestamps that follow are not pushed back in their turn.
                elapsed = self._last + self._interval / 2
        self._last = elapsed
        return elapsed

    def skip(self, seconds: float) -> None:
        """Let time pass, and take the next presentation time as the start of a new clock."""
        self._last += seconds
        self._shift = None


class FrameConverter:
    """Decoded pictures as upright BGR arrays; one per stream, because it keeps the scaler between frames."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._turn = (False, False, False)
        self._turned_like: tuple[int, int, int] | None = None

    def to_bgr(self, picture: Any, size: tuple[int, int] | None = None) -> np.ndarray:
        """uint8 [H, W, 3], contiguous.

        Args:
            picture: an ``av.VideoFrame``.
            size: width and height of the result where the stream may change its own; None for the picture's.
        """
        # Reading ``side_data`` (PyAV 18.1) makes a reference cycle: a picture's memory comes back only when
        # the garbage collector breaks it, hundreds of pictures later. So only that of the first of a kind is
        # read.
        like = picture.rotation, picture.width, picture.height
        if like != self._turned_like:
            self._turned_like, self._turn = like, _orientation(picture)
        transposed, left_right, up_down = self._turn
        width, height = size or (None, None)
        if transposed:
            width, height = height, width
        image = self._reformatter.reformat(picture, width, height, format="bgr24").to_ndarray()
        if transposed:
            image = image.transpose(1, 0, 2)
        if left_right:
            image = image[:, ::-1]
        if up_down:
            image = image[::-1]
        return np.ascontiguousarray(image)


def _orientation(picture: Any) -> tuple[bool, bool, bool]:
    """What makes a picture upright: whether to transpose it, and then to flip it left-right and up-down.

    The display matrix of ISO 14496-12 takes (x, y) to (a x + c y, b x + d y). Of its eight plain forms a and
    d are zero where rows become columns, and a negative number runs against its axis.
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


class Decoder:
    """Iterates over the pictures (``av.VideoFrame``) of the first video stream that decode.

    Args:
        container: as ``open_container`` gives it.

    Attributes:
        damaged_packets: packets passed over so far.
    """

    def __init__(self, container: Any) -> None:
        self.damaged_packets = 0
        self._stream = video_stream(container)
        self._stream.thread_type = "AUTO"
        self._packets = container.demux(self._stream)

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                packet = next(self._packets)
            except StopIteration:
                return
            except av.error.InvalidDataError:
                self.damaged_packets += 1
                packet = None  # the file breaks off: take what the decoder still holds
            try:
                pictures = self._stream.decode(packet)
            except (av.error.InvalidDataError, av.error.EOFError) as error:
                self.damaged_packets += isinstance(error, av.error.InvalidDataError)
                pictures = []
            yield from pictures
            if packet is None:
                return


def video_stream(container: Any) -> Any:
    """The stream that FFmpeg and players choose: no cover picture and no small second stream."""
    return container.streams.best("video") or container.streams.video[0]


def nominal_rate(stream: Any) -> Fraction:
    """Frames a second of a stream: its mean rate, or the one its codec states if they agree within 1 %."""
    mean, stated = stream.average_rate, stream.guessed_rate
    if mean and stated and stream.duration and abs(mean / stated - 1) > 0.01:
        return Fraction(mean)
    return Fraction(stated or mean or USUAL_RATE)


def pixel_aspect(stream: Any, picture: Any) -> Fraction:
    """Width of a pixel by its height, once the picture is upright; 1 where nothing is said."""
    stated = Fraction(stream.sample_aspect_ratio or 1)
    if stated <= 0:
        return Fraction(1)
    return 1 / stated if _orientation(picture)[0] else stated


def rounded_down(picture: Any) -> bool:
    """``Source.rounded_down`` of what ``FrameConverter`` makes of pictures of this kind."""
    form = picture.format
    subsampled = not form.is_rgb and 0 < form.chroma_width(64) < 64
    full_range = picture.color_range == ColorRange.JPEG or form.name.startswith("yuvj")
    return subsampled and not full_range


def _expected_frames(container: Any, stream: Any) -> tuple[int | None, bool]:
    """How many frames there should be, and whether that is said of the pictures: sound may last longer.

    By the duration where there is one: the frame counter of MP4 includes frames that an edit list cuts.
    """
    of_pictures = True
    if stream.duration:
        seconds = stream.duration * stream.time_base
    elif end := _MATROSKA_TIME.fullmatch(stream.metadata.get("DURATION", "")):  # when the last picture ends
        hours, minutes, rest = end.groups()
        begin = (stream.start_time or 0) * stream.time_base
        seconds = 3600 * int(hours) + 60 * int(minutes) + Fraction(rest) - begin
    elif container.duration:
        seconds = Fraction(container.duration, av.time_base)
        of_pictures = len(container.streams) == 1
    else:
        return stream.frames or None, True
    return (round(seconds * stream.average_rate) if stream.average_rate else None), of_pictures


def presentation_time(picture: Any) -> float | None:
    """Seconds on the clock of the stream; None where it has none, as in bare H.264."""
    return None if picture.pts is None else float(picture.pts * picture.time_base)


def open_container(location: Path | str) -> Any:
    """An open ``av`` container with at least one video stream.

    Args:
        location: a file, or as str a URL.

    Raises:
        InputError: it cannot be opened or holds no video; names the file, or the URL without its password.
    """
    where = str(location) if isinstance(location, Path) else public_name(location)
    try:
        if isinstance(location, Path):
            if location.stat().st_size == 0:
                raise InputError(f"{where}: the file is empty")
            # Absolute: in a relative name FFmpeg takes what stands before a colon for a protocol.
            container = av.open(os.path.abspath(location), metadata_errors="replace")
        else:
            # UDP, the default of RTSP, loses packets on busy networks, and pictures with them.
            options = {"rtsp_transport": "tcp"} if location.lower().startswith("rtsp") else {}
            container = av.open(
                location, timeout=_NETWORK_SECONDS, options=options, metadata_errors="replace"
            )
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(location, Path) and _is_mp4_without_index(location):
            raise InputError(
                f"{where}: its index (moov atom) is missing, as after an interrupted download or recording; "
                "download it again or repair it with untrunc"
            ) from error
        kind = (
            "a video that can be read" if isinstance(location, Path) else "a video stream that can be reached"
        )
        raise InputError(f"{where}: not {kind}: {reason(error)}") from error
    if not container.streams.video:
        found = "holds no video stream" if container.streams else "holds nothing; it is damaged or incomplete"
        container.close()
        raise InputError(f"{where}: {found}")
    stream = video_stream(container)
    if getattr(stream, "codec_context", None) is None:
        container.close()
        raise InputError(f"{where}: holds video of a kind that FFmpeg cannot decode, or is damaged")
    if stream.width * stream.height > max_pixels():
        size = f"{stream.width} x {stream.height} pixels"
        container.close()
        raise InputError(
            f"{where}: {size}, refused above {max_pixels() / 1e6:.0f} million; set "
            "OPENCV_IO_MAX_IMAGE_PIXELS in the environment to allow more"
        )
    return container


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without the file name that they add."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error)


def _is_mp4_without_index(path: Path) -> bool:
    """Whether the file begins as an MP4 does; asked only once FFmpeg has refused it."""
    try:
        with path.open("rb") as file:
            return file.read(12)[4:8] in {b"ftyp", b"mdat", b"wide", b"free", b"skip"}
    except OSError:
        return False
