"""One reading of a source: its stages, each in a thread of its own, and what they share.

The network works on one frame while the next is decoded and the one before is drawn and written. Frames stay
in order and every result is the same as if the stages took turns: batches are filled to their size, whatever
the timing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..config import RunConfig
from ..detection.detectors import Detector
from ..errors import add_note
from ..explain.reasons import MatchReason, shorts
from ..explain.recorder import ReasonRecorder
from ..identities.identity_manager import People
from ..io.annotate import WHY, Painter
from ..io.sinks.window import WindowSink
from ..io.sources.base import Frame, Source
from ..tracking.tracker import PartTracker
from .cache import Cache, Found
from .outputs import Outputs
from .progress import ProgressView
from .replay import Recording
from .report import StageTiming, TrackingReport
from .stages import Channel, Stages, Stopwatch, batched, on_interrupt, timed

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings
    from ..model.encoder import Encoder

# Frames between two stages: enough to smooth over a slow one, few enough to keep memory and delay low.
_BUFFER = 4
# A camera that gives nothing cannot be interrupted; its thread is left behind rather than waited for.
_JOIN_SECONDS = 1.0
# Frames whose people a GPU encodes together.
_GPU_BATCH = 8

OnFrame = Callable[[Frame, sv.Detections], object]


@dataclass
class _Item:
    """One frame on its way."""

    frame: Frame
    detections: sv.Detections
    embeddings: PartEmbeddings | None = None
    painted: np.ndarray | None = None
    reasons: tuple[list[MatchReason], list[int]] | None = None


class Run:
    """The stages of one run, what each of them needs, and how long each took."""

    def __init__(
        self,
        source: Source,
        detector: Detector,
        encoder: Encoder | None,
        settings: RunConfig,
        outputs: Outputs,
        window: WindowSink | None,
        cache: Cache | None,
        use_timestamps: bool,
        people: People | None = None,
        recording: Recording | None = None,
    ) -> None:
        self._source = source
        self._detector = detector
        # What was recorded has been encoded before.
        self._encoder = encoder if recording is None else None
        names = ("decode", "detect", "encode", "associate", "draw", "write")
        self._watch = {name: Stopwatch() for name in names}
        # A tracker that needs few looks takes them itself, once it knows which; else all boxes of several
        # frames are encoded in one batch.
        self._sparing = cache is None and settings.tracker.encode == "ambiguous"
        looks = None
        if self._encoder is not None and self._sparing:
            looks = _Looks(self._encoder, self._watch["encode"])
        self._tracker = recording or PartTracker(settings.tracker, looks)
        if "explain" in outputs.paths or (recording is None and "why" in settings.draw.overlay):
            self._tracker.recorder = ReasonRecorder(settings.tracker)
        self._people = people
        self._use_timestamps = use_timestamps
        self._outputs = outputs
        self._window = window
        self._cache = cache
        self._pictures = "crops" in outputs.paths or settings.tracker.camera_motion != "none"
        self._painter: Painter | None = None
        if "video" in outputs.paths or window is not None:
            self._painter = Painter(settings.draw, source.frame_rate, _part_painter(encoder, settings))
        self._batch = 1 if source.live else _batch_size(detector, encoder, settings)
        self._frames: Channel[Frame] = Channel(1 if source.live else max(_BUFFER, 2 * self._batch))
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
        stages = Stages()
        frames = self._frames
        detected: Channel[list[_Item]] = Channel(2)
        associated, drawn, written = (Channel[_Item](_BUFFER) for _ in range(3))

        start = time.perf_counter()
        with on_interrupt(self.interrupt):
            pictures = self._pictured(max_frames, on_frame is not None)
            stages.start("decode", timed(pictures, self._watch["decode"], max_frames), _same, frames)
            stages.start("detect", batched(frames, self._batch), self._detect, detected, frames)
            in_order = chain.from_iterable(detected)
            stages.start("associate", in_order, self._associate, associated, detected)
            stages.start("draw", associated, self._draw, drawn, associated)
            stages.start("write", drawn, self._write, written, drawn)
            error: BaseException | None = None
            try:
                with view or nullcontext():
                    try:
                        self._deliver(written, frames, report, on_frame, view)
                    except KeyboardInterrupt:
                        if self._interrupted:  # asked twice: what is in flight is not waited for
                            raise
                        self.interrupt()
                        self._deliver(written, frames, report, on_frame, view)
            except BaseException as raised:
                error = raised
            written.cancel()
            stages.join(_JOIN_SECONDS if self._source.live else None)
            error = error or stages.error
            self._closing = True
            try:
                self._close()
            except Exception as raised:
                error = error or raised
        report.interrupted = self._interrupted
        if error is not None:
            add_note(error, self._outputs.describe())
            raise error
        self._complete(report, time.perf_counter() - start)

    def _close(self) -> None:
        with ExitStack() as stack:
            if self._window is not None:
                stack.callback(self._window.close)
            stack.callback(self._source.close)
            stack.callback(self._outputs.close)
            if self._cache is not None:
                stack.callback(self._cache.close)

    def _pictured(self, max_frames: int | None, shown: bool) -> Iterable[Frame]:
        if self._cache is None:
            return self._source
        needed = self._pictures or shown or self._painter is not None
        return self._cache.frames(self._source, max_frames, pictures=needed)

    def _detect(self, frames: Sequence[Frame]) -> list[_Item]:
        found = self._cache.through(frames, self._find) if self._cache is not None else self._find(frames)
        return [_Item(frame, *parts) for frame, parts in zip(frames, found, strict=True)]

    def _find(self, frames: Sequence[Frame]) -> Iterator[Found]:
        with self._watch["detect"].measure(len(frames)):
            found = self._detector(frames)
        if self._encoder is None or self._sparing:
            return ((boxes, None) for boxes in found)
        with self._watch["encode"].measure(len(frames)):
            embeddings = self._encoder.encode([f.image for f in frames], [boxes.xyxy for boxes in found])
        return zip(found, embeddings, strict=True)

    def _associate(self, item: _Item) -> _Item:
        frame = item.frame
        looking = self._watch["encode"].seconds
        with self._watch["associate"].measure():
            item.detections = self._tracker.update(
                item.detections,
                frame.image,
                embeddings=item.embeddings,
                timestamp=frame.timestamp if self._use_timestamps else None,
            )
            if self._people is not None:
                item.detections = self._people.take(frame, item.detections, self._tracker.looks)
            if self._tracker.recorder is not None:
                item.reasons = self._tracker.recorder.take()
                item.detections.data[WHY] = shorts(item.reasons[0], len(item.detections))
        if self._sparing:
            self._watch["associate"].seconds -= self._watch["encode"].seconds - looking
        return item

    def _draw(self, item: _Item) -> _Item:
        if self._painter is not None:
            with self._watch["draw"].measure():
                item.painted = self._painter.paint(item.frame.image, item.detections)
        return item

    def _write(self, item: _Item) -> _Item:
        with self._watch["write"].measure():
            self._outputs.write(item.frame, item.detections, item.painted, item.reasons)
        return item

    def _deliver(
        self,
        written: Channel[_Item],
        frames: Channel[Frame],
        report: TrackingReport,
        on_frame: OnFrame | None,
        view: ProgressView | None,
    ) -> None:
        """What has to happen in the calling thread, frame by frame."""
        for item in written:
            report.frames += 1
            report.detections += len(item.detections)
            if self._window is not None and item.painted is not None:
                self._window.write(item.painted)
                if self._window.closed:
                    frames.cancel()
            if on_frame is not None:
                on_frame(item.frame, item.detections)
            if view is not None:
                view.advance()

    def _complete(self, report: TrackingReport, seconds: float) -> None:
        stats = self._tracker.stats
        report.seconds = seconds
        report.fps = report.frames / seconds if seconds else 0.0
        report.stages = {
            name: StageTiming.of(watch.seconds, watch.frames)
            for name, watch in self._watch.items()
            if watch.frames
        }
        report.identities = stats.identities
        report.matches_motion = stats.matches_motion
        report.matches_appearance = stats.matches_appearance
        report.encoded = stats.encoded
        report.dropped_frames = self._source.dropped_frames
        report.cached_frames += self._cache.read if self._cache is not None else 0
        report.notes = list(self._source.notes)


def _same(frame: Frame) -> Frame:
    return frame


class _Looks:
    """An encoder as the tracker sees it, with the time it takes."""

    def __init__(self, encoder: Encoder, watch: Stopwatch) -> None:
        self.device = encoder.device
        self._encoder = encoder
        self._watch = watch

    def encode(self, frame: np.ndarray, xyxy: np.ndarray) -> PartEmbeddings:
        with self._watch.measure():
            return self._encoder.encode(frame, xyxy)


def _batch_size(detector: Detector, encoder: Encoder | None, settings: RunConfig) -> int:
    """Frames that detector and encoder are given at once."""
    if settings.detector.batch_size != "auto":
        return settings.detector.batch_size
    on_gpu = encoder is not None and encoder.device.type == "cuda"
    size: int = getattr(detector, "batch_size", 1)
    return max(size, _GPU_BATCH) if on_gpu else size


def _part_painter(
    encoder: Encoder | None, settings: RunConfig
) -> Callable[[np.ndarray, sv.Detections], np.ndarray] | None:
    """What paints the overlay ``parts``; None where it is not asked for, or there is no encoder to ask."""
    if encoder is None or "parts" not in settings.draw.overlay:
        return None
    from ..model.attention_view import part_painter

    return part_painter(encoder)
