"""The sound of a source, copied into the written video packet by packet, as it is."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from ..sources.base import Sound
from ..sources.video import reason

# What a decoder needs before the first sample to be heard may lie so many seconds before it.
_LEAD = 0.1
# A time that falls back by more than this many seconds is a clock that started anew, as for pictures.
_CLOCK_RESET = 1.0


class SoundCopy:
    """Packets of the sound that belongs to a video, timed as its pictures are.

    Args:
        sound: the sound, one that is not lost.
        muxer: FFmpeg's name of the container they go to.

    Raises:
        ValueError: it cannot be copied; the message says why.

    Attributes:
        broken: why there are no more packets, where it is not the end of the sound.
    """

    def __init__(self, sound: Sound, muxer: str) -> None:
        location = sound.location
        try:
            self._input: Any = av.open(
                os.path.abspath(location) if isinstance(location, Path) else location,
                timeout=10.0,
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(reason(error)) from error
        self.broken = ""
        self._start = sound.start
        self._lead = 0.0 if muxer == "matroska" else _LEAD  # Matroska has no times below zero
        self._stream: Any = self._input.streams.best("audio") or self._input.streams.audio[0]
        try:
            _require(self._stream, muxer)
        except ValueError:
            self.close()
            raise
        self._waiting: Any = None
        self._filter: BitStreamFilterContext | None = None
        self._packets: Iterator[tuple[float, Any]] = self._timed()

    def add_to(self, container: Any) -> None:
        """Give ``container`` a stream for it."""
        self._out = container.add_stream_from_template(self._stream)
        if self._stream.codec_context.name == "aac" and not self._stream.codec_context.extradata:
            # In transport streams each packet states what other containers state once.
            self._filter = BitStreamFilterContext("aac_adtstoasc", self._stream, self._out)
            self._out.codec_context.codec_tag = "\0\0\0\0"  # each container has its own

    def until(self, seconds: float) -> Iterator[Any]:
        """The packets that begin before ``seconds`` of the video and were not given yet."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None or self._waiting[0] >= seconds:
                return
            packet, self._waiting = self._waiting[1], None
            for piece in [packet] if self._filter is None else self._filter.filter(packet):
                piece.stream = self._out
                yield piece

    def end(self, why: str) -> None:
        """Give no more packets."""
        self.broken, self._packets, self._waiting = why, iter(()), None

    def close(self) -> None:
        self._input.close()

    def _timed(self) -> Iterator[tuple[float, Any]]:
        tick = self._stream.time_base
        shift, end = -self._start, float("-inf")
        packets = self._input.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.broken = reason(error)
                return
            if packet.pts is None:
                continue
            begins = float(packet.pts * tick)
            if begins + shift < end - _CLOCK_RESET:
                shift = end - begins
            ticks = round(shift / tick)
            packet.pts += ticks
            packet.dts = packet.pts
            end = begins + shift + float((packet.duration or 0) * tick)
            if begins + shift < -self._lead:
                continue
            yield begins + shift, packet


def _require(stream: Any, muxer: str) -> None:
    """Fail where the container does not take this kind of sound: some say so at the first packet only."""
    codec = stream.codec_context.name
    trial = av.open(io.BytesIO(), "w", format=muxer)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(f"{codec} does not go into this kind of file") from error
    finally:
        trial.close()
