"""Writing H.264 video that browsers play."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from typing_extensions import Self

from ...errors import InputError, UsageError
from ..paths import check_writable

# Suffix -> (FFmpeg muxer, its options). The index goes to the front: playing starts while downloading.
_CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("mp4", {"movflags": "+faststart"}),
    ".m4v": ("mp4", {"movflags": "+faststart"}),
    ".mov": ("mov", {"movflags": "+faststart"}),
    ".mkv": ("matroska", {}),
}
_FINEST_TICK = 90_000  # ticks a second, the clock of MPEG
_BT709 = 1  # its number in H.264's tables of matrices, primaries and transfer functions


class VideoSink:
    """An H.264 video (yuv420p, BT.709) that appears under its name only when ``close`` has finished it.

    Until then the frames go to a hidden file beside it, so that a crash leaves no broken video and an earlier
    one stays. H.264 in yuv420p needs even sides: an odd width or height gains one column or row, a copy of
    the last; nothing is cropped or scaled.

    Args:
        path: .mp4, .m4v, .mov or .mkv; an existing file is replaced.
        width: pixels of the frames to come.
        height: pixels of the frames to come.
        frame_rate: nominal frames a second; frames written with a timestamp keep it, whatever the rate.
        preset: x264's trade of time for size, ``ultrafast`` to ``veryslow``.
        crf: x264's quality, 0 (lossless) to 51; about 20 looks like the source.

    Raises:
        UsageError: a suffix that is not supported.
        InputError: the folder is missing or not writable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        frame_rate: Fraction | float,
        *,
        preset: str = "veryfast",
        crf: int = 20,
    ) -> None:
        self.path = Path(path)
        check_video_path(self.path)
        muxer, options = _CONTAINERS[self.path.suffix.lower()]
        self.width, self.height = width, height
        self.frames_written = 0
        self._closed = False
        self._unfinished = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part{self.path.suffix}")
        self._reformatter = VideoReformatter()
        rate = Fraction(frame_rate).limit_denominator(100_000)
        # A whole number of ticks a frame keeps constant rates exact; many ticks keep variable ones close.
        ticks = max(1, round(_FINEST_TICK / rate.numerator))
        self._frame_ticks = rate.denominator * ticks
        self._time_base = 1 / Fraction(rate.numerator * ticks)
        self._last_pts = -self._frame_ticks
        with self._as_input_error():
            self._unfinished.touch()  # FFmpeg itself opens the file at the first frame only
            self._container = av.open(os.path.abspath(self._unfinished), "w", format=muxer, options=options)
            self._stream = self._container.add_stream(
                "libx264", rate=rate, options={"preset": preset, "crf": str(crf)}
            )
            context = self._stream.codec_context
            context.width, context.height = width + width % 2, height + height % 2
            context.pix_fmt = "yuv420p"
            context.time_base = self._time_base
            context.colorspace = context.color_primaries = context.color_trc = _BT709

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
        pts = self._last_pts + self._frame_ticks if timestamp is None else round(timestamp / self._time_base)
        self._last_pts = max(pts, self._last_pts + 1) if self.frames_written else max(pts, 0)
        if self.width % 2 or self.height % 2:
            image = cv2.copyMakeBorder(image, 0, self.height % 2, 0, self.width % 2, cv2.BORDER_REPLICATE)
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format="bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
        )
        picture.pts, picture.time_base = self._last_pts, self._time_base
        self._mux(picture)
        self.frames_written += 1

    def close(self) -> None:
        """Finish the video and give it its name; without a frame there is no file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.frames_written:
                self._mux(None)
            with self._as_input_error():
                self._container.close()
                if self.frames_written:
                    self._unfinished.replace(self.path)
        finally:
            self._unfinished.unlink(missing_ok=True)

    def _mux(self, picture: av.VideoFrame | None) -> None:
        """Encode one picture, or with None what the encoder still holds."""
        with self._as_input_error():
            for packet in self._stream.encode(picture):
                # Else the last frame has no duration, and the mean rate of the file comes out too high.
                packet.duration = packet.duration or self._frame_ticks
                self._container.mux(packet)

    @contextmanager
    def _as_input_error(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.path}: cannot be written: {reason}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_video_path(path: str | os.PathLike[str]) -> None:
    """Fail early where a ``VideoSink`` could not write.

    Raises:
        UsageError: a suffix that is not supported.
        InputError: the folder is missing or not writable.
    """
    path = Path(path)
    if path.suffix.lower() not in _CONTAINERS:
        raise UsageError(f"{path}: a video is written as {', '.join(_CONTAINERS)}")
    check_writable(path)
