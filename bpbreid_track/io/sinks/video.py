"""Writing H.264 video that browsers play."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from typing_extensions import Self

from ...errors import InputError, UsageError
from ..part_file import PartFile, check_free
from ..sources.base import Sound
from .colour import to_yuv420
from .sound import SoundCopy

# Suffix -> (FFmpeg muxer, its options while frames come, its options in the end; None: it stays as it is).
# MP4 states its frames in an index at the end, without which nothing plays. So it is written in fragments
# of a quarter of a second, each with an index of its own, and in the end copied to one with a single index at
# the front: playing starts while downloading, and every program can seek.
_FRAGMENTS = {"movflags": "+empty_moov+default_base_moof+delay_moov", "frag_duration": "250000"}
_INDEXED = {"movflags": "+faststart"}
_CONTAINERS: dict[str, tuple[str, dict[str, str], dict[str, str] | None]] = {
    ".mp4": ("mp4", _FRAGMENTS, _INDEXED),
    ".m4v": ("mp4", _FRAGMENTS, _INDEXED),
    ".mov": ("mov", _FRAGMENTS, _INDEXED),
    ".mkv": ("matroska", {"cluster_time_limit": "250"}, None),
}
# Each packet goes to the system at once, and waits no longer than so many microseconds for sound beside it.
_PROMPT = {"flush_packets": "1", "max_interleave_delta": "250000"}
_FINEST_TICK = 90_000  # ticks a second, the clock of MPEG
_BT709 = 1  # its number in H.264's tables of matrices, primaries and transfer functions
# Looks like the source. B frames by a fixed pattern and no weighted prediction, which serves fades alone: a
# quarter less time than where x264 searches for both, with files as large and as good.
_X264 = {"preset": "superfast", "crf": "21"}
_LOOKING_AHEAD = {"x264-params": "b-adapt=0:bframes=2:weightp=0"}
_AT_ONCE = {"tune": "zerolatency"}
# x264 looks 10 frames ahead. Where these take more than a second it must not; files are a fifth larger then.
_LOOK_AHEAD_RATE = 11


class VideoSink:
    """An H.264 video (yuv420p, BT.709) that appears under its name only when ``close`` has finished it.

    Until then it has the name that ``part_name`` gives, and plays but for the last second or so, whatever
    becomes of this process. H.264 in yuv420p needs even sides: an odd width or height gains one
    column or row, a copy of the last; nothing is cropped or scaled.

    Args:
        path: .mp4, .m4v, .mov or .mkv; an existing file is replaced.
        width: pixels of the frames to come.
        height: pixels of the frames to come.
        frame_rate: nominal frames a second; frames written with a timestamp keep it, whatever the rate.
        pixel_aspect: ``Source.pixel_aspect``.
        rounded_down: ``Source.rounded_down``.
        sound: ``Source.sound``; copied as it is where the container takes it.
        live: frames may come more slowly than ``frame_rate`` says; none is held back.

    Attributes:
        frames_written: how many.
        notes: what the user should hear, such as why there is no sound.

    Raises:
        UsageError: a suffix that is not supported.
        InputError: the folder is missing or not writable, or another run writes the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        frame_rate: Fraction | float,
        *,
        pixel_aspect: Fraction = Fraction(1),
        rounded_down: bool = False,
        sound: Sound | None = None,
        live: bool = False,
    ) -> None:
        self.path = Path(path)
        check_video_path(self.path)
        self._muxer, options, self._final = _CONTAINERS[self.path.suffix.lower()]
        self.width, self.height = width, height
        self.frames_written = 0
        self.notes: list[str] = []
        self._rounded_down = rounded_down
        self._closed = False
        rate = Fraction(frame_rate).limit_denominator(100_000)
        # A whole number of ticks a frame keeps constant rates exact; many ticks keep variable ones close.
        ticks = max(1, round(_FINEST_TICK / rate.numerator))
        self._frame_ticks = rate.denominator * ticks
        self._time_base = 1 / Fraction(rate.numerator * ticks)
        self._last_pts = -self._frame_ticks
        self._whole = 0  # bytes of the file that can be read
        self._file = PartFile(self.path)
        self._sound: SoundCopy | None = None
        try:
            with self._as_input_error():
                self._container = av.open(
                    _Pipe(self._file), "w", format=self._muxer, options=options | _PROMPT
                )
                at_once = live or rate < _LOOK_AHEAD_RATE
                x264 = _X264 | (_AT_ONCE if at_once else _LOOKING_AHEAD)
                self._stream = self._container.add_stream("libx264", rate=rate, options=x264)
                context = self._stream.codec_context
                context.width, context.height = width + width % 2, height + height % 2
                context.pix_fmt = "yuv420p"
                context.time_base = self._time_base
                context.sample_aspect_ratio = pixel_aspect
                context.colorspace = context.color_primaries = context.color_trc = _BT709
                context.color_range = ColorRange.MPEG
                self._add_sound(sound)
        except BaseException:
            self._file.discard()
            raise

    def write(self, image: np.ndarray, timestamp: float | None = None) -> None:
        """Append a frame.

        Args:
            image: uint8 [height, width, 3], BGR.
            timestamp: seconds since the first frame; None: one frame interval after the one before. A time
                not after that of the frame before is moved there: no frame is lost.

        Raises:
            ValueError: an image of another size.
            InputError: the disk is full or the file cannot be written.
        """
        if image.shape != (self.height, self.width, 3):
            raise ValueError(f"image: expected shape {[self.height, self.width, 3]}, got {list(image.shape)}")
        self.write_planes(video_planes(image, self._rounded_down), timestamp)

    def write_planes(self, planes: np.ndarray, timestamp: float | None = None) -> None:
        """``write`` for a picture as ``video_planes`` gives it."""
        pts = self._last_pts + self._frame_ticks if timestamp is None else round(timestamp / self._time_base)
        self._last_pts = max(pts, self._last_pts + 1) if self.frames_written else max(pts, 0)
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        picture.pts, picture.time_base = self._last_pts, self._time_base
        self._mux(picture)
        self.frames_written += 1

    @property
    def failed(self) -> bool:
        """Whether a frame could not be written."""
        return self._file.failed

    def close(self) -> None:
        """Finish the video and give it its name; without a frame there is no file. May be called twice.

        Raises:
            InputError: it cannot be finished. What was written until then plays.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._finish()
        finally:
            if self._sound is not None:
                self._sound.close()
            if self._whole:
                self._file.finish()  # unless it is finished already
            else:
                self._file.discard()

    def _finish(self) -> None:
        """Complete what was written; where that succeeds, put the index to the front."""
        if self._file.failed or not self.frames_written:
            with suppress(av.error.FFmpegError, OSError, InputError):
                self._container.close()
            return
        self._mux(None)
        with self._as_input_error():
            self._container.close()
        self._whole = self._file.tell()
        if self._final is None or not self._file.in_place:
            return
        try:
            _copy(self._file.part, self._file.successor, self._muxer, self._final)
        except (av.error.FFmpegError, OSError):
            # It plays without, though not every program can seek in it. No room is the usual reason.
            with suppress(OSError):
                self._file.successor.unlink(missing_ok=True)
            self.notes.append(f"{self.path}: no room to put its index to the front; it is fragmented")
        else:
            self._file.finish(successor=True)

    def _add_sound(self, sound: Sound | None) -> None:
        if sound is None:
            return
        why = sound.lost
        if not why:
            try:
                self._sound = SoundCopy(sound, self._muxer)
                self._sound.add_to(self._container)
            except ValueError as error:
                why = str(error)
        if why:
            self.notes.append(f"{self.path}: has no sound: {why}")

    def _mux(self, picture: av.VideoFrame | None) -> None:
        """Encode one picture, or with None what the encoder still holds, and add the sound up to there."""
        with self._as_input_error():
            for packet in self._stream.encode(picture):
                # Else the last frame has no duration, and the mean rate of the file comes out too high.
                packet.duration = packet.duration or self._frame_ticks
                time = float(packet.dts * packet.time_base)
                self._container.mux(packet)
                self._add_packets(time)
            if picture is None:
                self._add_packets(float((self._last_pts + self._frame_ticks) * self._time_base))
        # Everything that FFmpeg has handed over by now is whole.
        self._whole = self._file.tell()

    def _add_packets(self, seconds: float) -> None:
        if self._sound is None:
            return
        try:
            for packet in self._sound.until(seconds):
                self._container.mux(packet)
        except av.error.FFmpegError as error:  # a packet that the container does not take costs no picture
            if self._file.failed:
                raise
            self._sound.end(str(getattr(error, "strerror", None) or error))
        if self._sound.broken:
            self.notes.append(f"{self.path}: its sound ends at {seconds:.1f} s: {self._sound.broken}")
            self._sound.broken = ""

    @contextmanager
    def _as_input_error(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, InputError) as error:
            self._file.failed = True
            self._file.cut(self._whole)
            if isinstance(error, InputError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.path}: cannot be written: {reason}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def video_planes(image: np.ndarray, rounded_down: bool = False) -> np.ndarray:
    """A picture as the encoder takes it, see ``to_yuv420``; an odd side gains a copy of its last line.

    Args:
        image: uint8 [H, W, 3], BGR.
        rounded_down: ``Source.rounded_down``.
    """
    height, width = image.shape[:2]
    if width % 2 or height % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return to_yuv420(image, rounded_down)


class _Pipe:
    """What FFmpeg writes to. After an error it swallows the rest: the file must not grow any more."""

    def __init__(self, file: PartFile) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: Any) -> int:
        return len(data) if self._file.failed else self._file.write(data)


def _copy(source: Path, target: Path, muxer: str, options: dict[str, str]) -> None:
    """All packets of ``source`` in another kind of container."""
    with (
        av.open(os.path.abspath(source), metadata_errors="replace") as given,
        av.open(os.path.abspath(target), "w", format=muxer, options=options) as made,
    ):
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)


def check_video_path(path: str | os.PathLike[str]) -> None:
    """Fail early where a ``VideoSink`` could not write.

    Raises:
        UsageError: a suffix that is not supported.
        InputError: the folder is missing or not writable, or another run writes the file.
    """
    path = Path(path)
    if path.suffix.lower() not in _CONTAINERS:
        raise UsageError(f"{path}: a video is written as {', '.join(_CONTAINERS)}")
    check_free(path)
