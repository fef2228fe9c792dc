"""One reading of a source through a list of stages, each in a thread of its own, or in turn.

The network works on one frame while the next is decoded and the one before is drawn and written. Frames stay
in order and every result is the same as if the stages took turns: batches are filled to their size, whatever
the timing.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import chain

import supervision as sv

from ..errors import add_note
from ..io.sinks.window import WindowSink
from ..io.sources.base import Frame, Source
from .interrupts import Interrupts
from .progress import ProgressView
from .report import StageTiming, TrackingReport
from .stage import Item, Stage
from .threads import Channel, Stopwatch, Threads, batched, timed, worked

# Frames between two stages: enough to smooth over a slow one, few enough to keep memory and delay low.
_BUFFER = 4
# A camera that gives nothing cannot be interrupted; its thread is left behind rather than waited for.
_JOIN_SECONDS = 1.0

OnFrame = Callable[[Frame, sv.Detections], object]
# Called with the most frames to read.
Read = Callable[[int | None], Iterable[Frame]]


class Run:
    """A source and the stages that its frames go through.

    Args:
        source: closed at the end.
        stages: in order; closed at the end.
        read: gives the frames in place of ``source``, for one that need not be decoded.
        in_turn: all stages take turns in the calling thread. Where nothing is decoded and no network runs,
            threads only wait for Python's lock, and this is quicker.
        window: shows painted frames in the calling thread.
        interrupts: hands signals to this run; None: it cannot be interrupted.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[Stage],
        *,
        read: Read | None = None,
        in_turn: bool = False,
        window: WindowSink | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self._source, self._stages = source, stages
        self._read, self._in_turn = read, in_turn
        self._window = window
        self._interrupts = interrupts
        self._decode = Stopwatch()
        self._frames: Channel[list[Item]] = Channel(
            1 if source.live else max(_BUFFER, 2 * max(stage.batch for stage in stages))
        )
        self._interrupted = self._closing = False

    def interrupt(self, insists: bool = False) -> None:
        """End the run in good order; raises KeyboardInterrupt where the user ``insists`` while it goes on."""
        self._interrupted = True
        self._frames.cancel()
        if insists and not self._closing:
            raise KeyboardInterrupt

    def go(
        self,
        report: TrackingReport,
        max_frames: int | None,
        on_frame: OnFrame | None,
        view: ProgressView | None,
    ) -> None:
        """Run to the end, to an error or to an interrupt; fill in ``report``."""
        threads = Threads()
        start = time.perf_counter()
        with nullcontext() if self._interrupts is None else self._interrupts.watch(self):
            written = self._start(threads, max_frames)
            error: BaseException | None = None
            try:
                with view or nullcontext():
                    try:
                        self._deliver(written, report, on_frame, view)
                    except KeyboardInterrupt:
                        if self._interrupted:  # asked twice: what is in flight is not waited for
                            raise
                        self.interrupt()
                        self._deliver(written, report, on_frame, view)
            except BaseException as raised:
                error = raised
            if isinstance(written, Channel):
                written.cancel()
            threads.join(_JOIN_SECONDS if self._source.live else None)
            error = error or threads.error
            self._closing = True
            try:
                self._close()
            except Exception as raised:
                error = error or raised
        report.interrupted = self._interrupted
        if error is not None:
            add_note(error, "; ".join(filter(None, (stage.describe() for stage in self._stages))))
            raise error
        self._complete(report, time.perf_counter() - start)

    def _start(self, threads: Threads, max_frames: int | None) -> Iterable[list[Item]]:
        """Start a thread for the source and each stage; returns what comes behind the last one."""
        source = self._source if self._read is None else self._read(max_frames)
        frames = timed(source, self._decode, max_frames)
        if self._in_turn:
            taken = itertools.takewhile(lambda _: not self._interrupted, frames)
            made: Iterable[list[Item]] = map(_as_item, taken)
            for stage in self._stages:
                made = worked(_batches(made, stage), stage, stage.finish)
            return made
        threads.start("decode", frames, _as_item, self._frames)
        upstream = self._frames
        for stage in self._stages:
            downstream: Channel[list[Item]] = Channel(_BUFFER if stage.batch == 1 else 2)
            items = _batches(upstream, stage)
            threads.start(stage.name, items, stage, downstream, upstream, stage.finish)
            upstream = downstream
        return upstream

    def _deliver(
        self,
        written: Iterable[list[Item]],
        report: TrackingReport,
        on_frame: OnFrame | None,
        view: ProgressView | None,
    ) -> None:
        """What has to happen in the calling thread, frame by frame."""
        for item in chain.from_iterable(written):
            report.frames += 1
            report.detections += len(item.detections)
            if self._window is not None and item.painted is not None:
                self._window.write(item.painted)
                if self._window.closed:
                    self._frames.cancel()
            if on_frame is not None:
                on_frame(item.frame, item.detections)
            if view is not None:
                view.advance()

    def _close(self) -> None:
        with ExitStack() as stack:
            if self._window is not None:
                stack.callback(self._window.close)
            stack.callback(self._source.close)
            for stage in reversed(self._stages):
                stack.callback(stage.close)

    def _complete(self, report: TrackingReport, seconds: float) -> None:
        report.seconds = seconds
        report.fps = report.frames / seconds if seconds else 0.0
        watches = {"decode": self._decode}
        for stage in self._stages:
            # Two stages may encode, but never both in one run.
            watches |= {name: watch for name, watch in stage.watches.items() if watch.frames}
        report.stages = {
            name: StageTiming.of(watch.seconds, watch.frames)
            for name, watch in watches.items()
            if watch.frames
        }
        report.notes = list(self._source.notes)
        for stage in self._stages:
            stage.report(report)
        report.dropped_frames = self._source.dropped_frames


def _batches(upstream: Iterable[list[Item]], stage: Stage) -> Iterator[list[Item]]:
    """What comes, in lists of the size that ``stage`` works on."""
    return batched(chain.from_iterable(upstream), stage.batch)


def _as_item(frame: Frame) -> list[Item]:
    return [Item(frame, sv.Detections.empty())]
