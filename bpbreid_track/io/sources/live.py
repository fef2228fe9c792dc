"""Frames from webcams and network streams."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from ...errors import InputError
from ..addresses import LIVE_SCHEMES, public_name
from .base import USUAL_RATE, Frame, Sound, Source
from .latest_frame import LatestFrame
from .video import (
    Clock,
    Decoder,
    FrameConverter,
    VideoSource,
    nominal_rate,
    open_container,
    pixel_aspect,
    presentation_time,
    reason,
    rounded_down,
    video_stream,
)

_RECONNECT_WAITS = (1.0, 2.0, 4.0)  # seconds before each attempt to reach a stream that broke off


class CameraSource(Source):
    """What webcams and network cameras share: where tracking is slower than the camera, frames are dropped.

    ``dropped_frames`` counts them; timestamps keep telling the true time between the frames that remain.
    """

    live = True
    frame_count = None
    _newest: LatestFrame[tuple[float, Any]] | None = None

    def __iter__(self) -> Iterator[Frame]:
        newest = self._newest = LatestFrame(self._pictures())
        try:
            for index, (timestamp, picture) in enumerate(newest):
                self.dropped_frames = newest.dropped
                yield Frame(index, timestamp, self._image(picture))
        finally:
            self.close()

    def close(self) -> None:
        # Letting go of a device while its thread still waits for it would crash the process.
        if self._newest is None or self._newest.stop():
            self._release()

    @abstractmethod
    def _pictures(self) -> Iterator[tuple[float, Any]]:
        """Timestamp and raw picture of every frame; read in a thread."""

    @abstractmethod
    def _image(self, picture: Any) -> np.ndarray:
        """A raw picture as uint8 [H, W, 3] BGR."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of the device; may be called twice."""


class WebcamSource(CameraSource):
    """A camera of this machine; timestamps are the clock at which frames arrive.

    Args:
        index: the camera, from 0.

    Raises:
        InputError: no such camera, or it gives no picture.
    """

    def __init__(self, index: int) -> None:
        self.name = f"webcam {index}"
        self.notes: list[str] = []
        with _quiet_opencv():
            self._camera = cv2.VideoCapture(index)
            ok, image = self._camera.read()
        if not ok:
            self._camera.release()
            raise InputError(f"{self.name}: no such camera, or another program uses it")
        self.height, self.width = image.shape[:2]
        rate = self._camera.get(cv2.CAP_PROP_FPS)
        self.frame_rate = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else USUAL_RATE

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        clock = Clock(self.frame_rate)
        while True:
            ok, image = self._camera.read()
            if not ok:
                self.notes.append(f"{self.name}: gives no more pictures; was it unplugged?")
                return
            yield clock.read(time.monotonic()), image

    def _image(self, picture: Any) -> np.ndarray:
        image: np.ndarray = picture
        return image

    def _release(self) -> None:
        self._camera.release()


class StreamSource(CameraSource):
    """A network camera: RTSP and its like, or HTTP without an end. It is reconnected when it breaks off.

    Args:
        address: the URL.
        container: the stream, opened by ``open_container``.

    Raises:
        InputError: no frame of it decodes.
    """

    def __init__(self, address: str, container: Any) -> None:
        self.name = public_name(address)
        self.notes: list[str] = []
        self._address = address
        self._container = container
        self._converter = FrameConverter()
        self._rest = iter(Decoder(container))
        self.frame_rate = nominal_rate(video_stream(container))
        try:
            first = next(self._rest, None)
        except av.error.FFmpegError as error:
            raise InputError(f"{self.name}: {reason(error)}") from error
        if first is None:
            self.close()
            raise InputError(f"{self.name}: no frame could be decoded")
        self._first = first
        self.height, self.width = self._converter.to_bgr(first).shape[:2]
        self.pixel_aspect = pixel_aspect(video_stream(container), first)
        self.rounded_down = rounded_down(first)
        if container.streams.audio:
            self.sound = Sound(self.name, lost="it is live, and sound is read from files alone")

    def _pictures(self) -> Iterator[tuple[float, Any]]:
        clock = Clock(self.frame_rate)
        yield clock.read(presentation_time(self._first)), self._first
        while True:
            why = "it ended"
            try:
                for picture in self._rest:
                    yield clock.read(presentation_time(picture)), picture
            except av.error.FFmpegError as error:
                why = reason(error)
            lost = time.monotonic()
            if not self._reconnect():
                self.notes.append(f"{self.name}: {why}; {len(_RECONNECT_WAITS)} attempts to reconnect failed")
                return
            gap = time.monotonic() - lost
            clock.skip(gap)
            self.notes.append(f"{self.name}: {why}; reconnected after {gap:.1f} s")

    def _reconnect(self) -> bool:
        for wait in _RECONNECT_WAITS:
            self._release()
            time.sleep(wait)
            with suppress(InputError):
                self._container = open_container(self._address)
                self._rest = iter(Decoder(self._container))
                return True
        return False

    def _image(self, picture: Any) -> np.ndarray:
        return self._converter.to_bgr(picture, size=(self.width, self.height))

    def _release(self) -> None:
        self._container.close()


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV from listing on stderr every driver that has no such camera."""
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 and late 4, or before
    level = logging.getLogLevel()
    logging.setLogLevel(0)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def open_address(address: str) -> Source:
    """A camera where the address has no end, else a video that is read completely, like a file.

    Raises:
        InputError: it cannot be reached or holds no video.
    """
    container = open_container(address)
    scheme = address.split("://", 1)[0].lower()
    if scheme in LIVE_SCHEMES or not (container.duration or container.size > 0):
        return StreamSource(address, container)
    container.close()
    return VideoSource(address)
