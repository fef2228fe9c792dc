"""From a video to identities: decode, detect, encode, associate, draw and write, all at the same time.

Each stage runs in a thread of its own (``stages``), so that the network works on one frame while the next is
decoded and the one before is drawn and written. Frames stay in order and every result is the same as if the
stages took turns: batches are filled to their size, whatever the timing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import supervision as sv

from ..config import DetectorConfig, RunConfig, TrackerConfig, run_config
from ..errors import UsageError, add_note
from ..tracking.explain import MatchReason, shorts
from ..tracking.recorder import ReasonRecorder
from ..tracking.tracker import PartTracker
from .cache import Cache, Found, open_cache
from .detectors import Detector, load_detector
from .drawing import Painter
from .gallery import check_gallery_folder, load_gallery, save_gallery_files
from .journal import Journal
from .outputs import Outputs
from .people import People
from .progress import ProgressView
from .recording import Recording
from .report import StageTiming, TrackingReport
from .second_pass import LinkedRun, check_rereadable
from .sinks import WindowSink
from .sources import Frame, Source, open_source
from .stages import Channel, Stages, Stopwatch, batched, on_interrupt, timed
from .why_painter import WHY

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings
    from ..model.encoder import Encoder

__all__ = ["TrackingReport", "track_video"]

# Frames between two stages: enough to smooth over a slow one, few enough to keep memory and delay low.
_BUFFER = 4
# A camera that gives nothing cannot be interrupted; its thread is left behind rather than waited for.
_JOIN_SECONDS = 1.0
# Frames whose people a GPU encodes together.
_GPU_BATCH = 8

PathLike = str | os.PathLike[str]
OnFrame = Callable[[Frame, sv.Detections], object]


def track_video(
    source: PathLike | int | Source,
    out: PathLike | None = None,
    *,
    tracks: PathLike | None = None,
    detector: PathLike | Detector = "auto",
    encoder: PathLike | Encoder | None = "default",
    config: RunConfig | TrackerConfig | PathLike | dict[str, Any] | None = None,
    on_frame: OnFrame | None = None,
    crops: PathLike | None = None,
    show: bool = False,
    device: str = "auto",
    precision: str = "auto",
    max_frames: int | None = None,
    cache: PathLike | None = None,
    explain: PathLike | None = None,
    progress: bool = False,
    link: bool = False,
    gallery: PathLike | None = None,
    save_gallery: PathLike | None = None,
) -> TrackingReport:
    """Track the people in a video.

    The tracker goes by the source's timestamps, unless ``tracker.frame_rate`` is set in ``config``.

    Ctrl-C or SIGTERM end the run early but in good order: frames already detected are still written, every
    output is complete, and the report says ``interrupted``. A second Ctrl-C raises KeyboardInterrupt without
    waiting for what is in flight; the files are finished all the same.

    Args:
        source: a video file, image folder or glob, MOTChallenge sequence folder, webcam index, address of a
            stream, ``"demo"``, or a ``Source`` of your own, which is closed at the end.
        out: annotated video to write (.mp4, .m4v, .mov, .mkv).
        tracks: track file to write: .txt (MOTChallenge), .csv or .jsonl.
        detector: ``"auto"``, weights, a MOTChallenge det.txt, or any ``Detector`` of your own.
        encoder: ``"default"``, ``"none"`` or None for motion alone, weights, or a loaded ``Encoder``.
        config: a preset's name, a YAML file, a nested dict, a ``RunConfig`` or a ``TrackerConfig``.
        on_frame: called as ``on_frame(frame, detections)`` for each frame in order, in the calling thread,
            once the frame is written; ``detections`` carries ``tracker_id``. What it raises ends the run.
        crops: folder for the crops of each identity.
        show: open a window; closing it, q or Esc end the run.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, for detector and encoder.
        precision: of the encoder, see ``Encoder.load``.
        max_frames: stop after so many frames.
        cache: file of boxes and embeddings. What it has is neither searched nor encoded again, what is
            missing is computed and added. It belongs to one source, detector, encoder and precision.
        explain: file of reasons to write (.jsonl): for each box why it has its track, read by
            ``bpbreid-explain``.
        progress: show progress on stderr.
        link: at the end join the tracklets of one person and fill short gaps. Everything is written then, the
            pictures in a second reading of ``source``, in which ``on_frame`` is called as well; a window
            shows the first. Boxes carry ``data["filled"]``; filled ones have an interpolated confidence. What
            the detector puts into ``data`` beside the names of classes is not kept.
        gallery: folder of known people, ``NAME/*.jpg`` or ``NAME.npz``; boxes carry ``data["name"]``.
        save_gallery: new folder for views of every identity, a ``PartEmbeddings`` file each.

    Returns:
        What was done, how fast, and where it was written.

    Raises:
        UsageError: a setting, name or path that makes no sense.
        InputError: something that cannot be read or written. Whatever error ends a run that has begun, the
            files are finished first and a note on the error (``__notes__``) says how many frames they hold.

    >>> report = track_video("people.mp4", "tracked.mp4", tracks="tracks.txt")  # doctest: +SKIP
    """
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames: expected at least 1, got {max_frames}")
    settings = run_config(config)
    extra = [column for column, wanted in (("name", gallery is not None), ("filled", link)) if wanted]
    outputs = Outputs(out, tracks, crops, explain, extra)
    outputs.check([source, detector, encoder, config, cache])
    if save_gallery is not None:
        check_gallery_folder(save_gallery)
    with ExitStack() as prepared:
        reader = source if isinstance(source, Source) else open_source(source)
        prepared.callback(reader.close)
        if link:
            check_rereadable(source, reader, bool(out or crops or on_frame))
        window = WindowSink(reader.name) if show else None
        if window is not None:
            prepared.callback(window.close)
        # A stated rate is meant to overrule what the file says; a camera's clock cannot be overruled.
        own_rate = "frame_rate" in settings.tracker.model_fields_set and not reader.live
        if not own_rate:
            settings = _with_tracker(settings, frame_rate=float(reader.frame_rate))
        find = _detector(detector, settings.detector, device)
        embed, encoder_words = _encoder(encoder, settings, device, precision)
        settings = _with_encode(settings, embed)
        store = None
        if cache is not None:
            store = open_cache(cache, reader, find, embed, settings.detector, outputs.paths.values())
            prepared.callback(store.close)
        journal = Journal() if link else None
        people = _people(settings, embed, journal, gallery, save_gallery)
        # The reasons are those of the first reading: linking comes after them.
        written = Outputs(None, None, None, explain) if link else outputs
        run = _Run(reader, find, embed, settings, written, window, store, not own_rate, people)
        linked = None
        if journal is not None and people is not None:

            def again(source: Source, recording: Recording, outputs: Outputs) -> _Run:
                return _Run(
                    source, recording, embed, settings, outputs, None, None, True, recording=recording
                )

            rate = settings.tracker.frame_rate if own_rate else None
            texts, pictures = Outputs(None, tracks, None, extra=extra), Outputs(out, None, crops)
            linked = LinkedRun(source, reader, again, people, journal, texts, pictures, rate)
        report = TrackingReport(
            source=reader.name,
            detector=getattr(find, "description", find.name),
            encoder=encoder_words,
            config=settings.model_dump(mode="json"),
            outputs={kind: str(path) for kind, path in outputs.paths.items()},
        )
        view = ProgressView(_frames_to_come(reader, max_frames)) if progress else None
        about = {key: getattr(report, key) for key in ("source", "detector", "encoder", "config")}
        written.open(reader, about)
        if linked is not None:
            linked.open()
        prepared.pop_all()  # from here on the run closes them
    if linked is None:
        run.go(report, max_frames, on_frame, view)
    else:
        linked.go(run, report, max_frames, on_frame, view)
    if people is not None:
        report.identities -= report.joined or 0
        if gallery is not None:
            report.named = {name: sorted(ids) for name, ids in sorted(people.named.items())}
        if save_gallery is not None:
            save_gallery_files(save_gallery, people.views())
            report.outputs["gallery"] = os.fspath(save_gallery)
    return report


@dataclass
class _Item:
    """One frame on its way."""

    frame: Frame
    detections: sv.Detections
    embeddings: PartEmbeddings | None = None
    painted: np.ndarray | None = None
    reasons: tuple[list[MatchReason], list[int]] | None = None


class _Run:
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


def _with_tracker(settings: RunConfig, **changes: Any) -> RunConfig:
    return settings.model_copy(update={"tracker": settings.tracker.model_copy(update=changes)})


def _with_encode(settings: RunConfig, encoder: Encoder | None) -> RunConfig:
    """``auto`` as what it comes to: a look costs little on a GPU and milliseconds on a CPU."""
    if settings.tracker.encode != "auto" or encoder is None:
        return settings
    return _with_tracker(settings, encode="ambiguous" if encoder.device.type == "cpu" else "all")


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


def _detector(detector: PathLike | Detector, config: DetectorConfig, device: str) -> Detector:
    if isinstance(detector, str | os.PathLike):
        return load_detector(os.fspath(detector), config, device)
    return detector


def _encoder(
    encoder: PathLike | Encoder | None, settings: RunConfig, device: str, precision: str
) -> tuple[Encoder | None, str]:
    """The encoder, None for motion alone, and which it is in words."""
    if encoder is None or encoder == "none":
        return None, "none (motion alone)"
    if not isinstance(encoder, str | os.PathLike):
        return encoder, repr(encoder)
    from ..model.encoder import Encoder

    loaded = Encoder.load(
        os.fspath(encoder), device=device, precision=precision, batch_size=settings.encoder.batch_size
    )
    return loaded, f"{os.fspath(encoder)} ({loaded.device}, {loaded.precision})"


def _people(
    settings: RunConfig,
    encoder: Encoder | None,
    journal: Journal | None,
    gallery: PathLike | None,
    save_gallery: PathLike | None,
) -> People | None:
    """What follows identities beyond the tracker; None where nothing asks for it."""
    if encoder is None and (gallery is not None or save_gallery is not None):
        raise UsageError(
            "a gallery needs an encoder: people are known by their parts; leave out --encoder none"
        )
    known = None if gallery is None or encoder is None else load_gallery(gallery, encoder)
    if journal is None and known is None and save_gallery is None:
        return None
    return People(settings, journal=journal, gallery=known, save=save_gallery is not None)


def _part_painter(
    encoder: Encoder | None, settings: RunConfig
) -> Callable[[np.ndarray, sv.Detections], np.ndarray] | None:
    """What paints the overlay ``parts``; None where it is not asked for, or there is no encoder to ask."""
    if encoder is None or "parts" not in settings.draw.overlay:
        return None
    from ..model.attention_view import part_painter

    return part_painter(encoder)


def _frames_to_come(source: Source, max_frames: int | None) -> int | None:
    known = [count for count in (source.frame_count, max_frames) if count is not None]
    return min(known, default=None)
