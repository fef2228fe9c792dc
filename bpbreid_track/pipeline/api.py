"""From what the caller names, source, detector, encoder and settings, to a run and its report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..config import DetectorConfig, RunConfig, TrackerConfig, run_config
from ..detection.classes import classes_by_motion
from ..detection.detectors import Detector, PrecomputedDetector, load_detector
from ..errors import InputError, UsageError
from ..identities.gallery import load_gallery, save_gallery_files
from ..identities.identity_manager import IdentityManager
from ..identities.track_history import TrackHistory
from ..io.locks import FolderClaim
from ..io.open_source import open_source
from ..io.paths import check_new_folder
from ..io.sinks.window import WindowSink
from ..io.sources.base import Frame, Source
from ..report_page.page import RunPage
from ..tracking.encode_policy import resolve_encode
from .cache import Cache, open_cache
from .cached_networks import asked_for, stored_networks
from .counting import NO_REGIONS, load_regions
from .interrupts import Interrupts
from .linked_run import LinkedRun, check_rereadable
from .outputs import Outputs
from .progress import ProgressView
from .replay import ReplayTracker
from .report import TrackingReport
from .run import OnFrame, Read, Run
from .steps import online_stages, replay_stages

if TYPE_CHECKING:
    from ..model.encoder import Encoder

__all__ = ["TrackingReport", "track_video"]

PathLike = str | os.PathLike[str]


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
    progress: bool | str = False,
    link: bool = False,
    gallery: PathLike | None = None,
    save_gallery: PathLike | None = None,
    counts: PathLike | None = None,
    report_page: PathLike | None = None,
) -> TrackingReport:
    """Track the people in a video.

    With ``teams`` in ``config`` everything is written at the end as with ``link``, and boxes carry
    ``data["team"]``. With ``detector.classes`` they carry ``data["class_name"]``.

    The tracker goes by the source's timestamps, unless ``tracker.frame_rate`` is set in ``config``.

    Ctrl-C, SIGTERM or SIGHUP end the run early but in good order: frames already detected are still written,
    every output is complete, and the report says ``interrupted``. A second Ctrl-C raises KeyboardInterrupt
    without waiting for what is in flight; the files are finished all the same.

    Args:
        source: a video file, image folder or glob, MOTChallenge sequence folder, webcam index, address of a
            stream, ``"demo"``, or a ``Source`` of your own, which is closed at the end.
        out: annotated video to write (.mp4, .m4v, .mov, .mkv).
        tracks: track file to write: .txt (MOTChallenge), .csv or .jsonl.
        detector: ``"auto"``, weights, a MOTChallenge det.txt, or any ``Detector`` of your own. ``"auto"``
            takes the boxes that come with the demo.
        encoder: ``"default"``, ``"none"`` or None for motion alone, weights, or a loaded ``Encoder``.
        config: a preset's name, a YAML file, a nested dict, a ``RunConfig`` or a ``TrackerConfig``.
        on_frame: called as ``on_frame(frame, detections)`` for each frame in order, in the calling thread,
            once the frame is written; ``detections`` carries ``tracker_id``. What it raises ends the run.
        crops: folder for the crops of each identity, new or empty.
        show: open a window; closing it, q or Esc end the run.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, for detector and encoder.
        precision: of the encoder, see ``Encoder.load``.
        max_frames: stop after so many frames.
        cache: file of boxes and embeddings. What it has is neither searched nor encoded again, what is
            missing is computed and added. It belongs to one source, detector, encoder and precision.
        explain: file of reasons to write (.jsonl): for each box why it has its track, read by
            ``bpbreid-explain``.
        progress: show progress on stderr; a text stands before it.
        link: at the end join the tracklets of one person and fill short gaps. Everything is written then, the
            pictures in a second reading of ``source``, in which ``on_frame`` is called as well; a window
            shows the first. Boxes carry ``data["filled"]``; filled ones have an interpolated confidence. What
            the detector puts into ``data`` beside the names of classes is not kept.
        gallery: folder of known people, ``NAME/*.jpg`` or ``NAME.npz``; boxes carry ``data["name"]``.
        save_gallery: new folder for views of every identity, a ``PartEmbeddings`` file and a picture each.
        counts: table to write (.csv): who crosses the lines and stays in the zones that ``config`` names in
            its section ``regions``, see ``CountSink``.
        report_page: page to write (.html) on which identities are looked at and corrected; ``bpbreid-edit``
            applies the corrections to the track file.

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
    if counts is not None and not (settings.regions.lines or settings.regions.zones):
        raise UsageError(f"{counts}: nothing to count; {NO_REGIONS}")
    if settings.teams and (encoder is None or encoder == "none"):
        raise UsageError("teams need an encoder: it tells what people wear; leave out --encoder none")
    # Who plays where, and who is one person, is known at the end only.
    settled_later = link or settings.teams > 0
    columns = {
        "name": gallery is not None,
        "team": settings.teams > 0,
        "filled": link or settings.detector.every > 1,
    }
    extra = [column for column, wanted in columns.items() if wanted]
    outputs = Outputs(
        out, tracks, crops, explain, extra, counts=counts, report=report_page, crop_every=settings.crops.every
    )
    outputs.check([source, detector, encoder, config, cache, settings.regions.roi])
    with ExitStack() as held:
        if save_gallery is not None:
            check_new_folder(Path(save_gallery))
            held.callback(FolderClaim(Path(save_gallery)).release)
        with ExitStack() as prepared:
            reader = source if isinstance(source, Source) else open_source(source)
            prepared.callback(reader.close)
            regions = load_regions(settings.regions, reader.width, reader.height)
            if settled_later:
                again_seen = bool(out or crops or report_page or on_frame)
                check_rereadable(source, reader, again_seen, "--link" if link else "--teams")
            window = WindowSink(reader.name) if show else None
            if window is not None:
                prepared.callback(window.close)
            # A stated rate is meant to overrule what the file says; a camera's clock cannot be overruled.
            own_rate = "frame_rate" in settings.tracker.model_fields_set and not reader.live
            if not own_rate:
                settings = _with_tracker(settings, frame_rate=float(reader.frame_rate))
            skipped = 0.0
            if settings.detector.every > 1:
                skipped = 1.5 * settings.detector.every / settings.tracker.frame_rate
                fill = {"fill_seconds": max(settings.link.fill_seconds, skipped)}
                settings = settings.model_copy(update={"link": settings.link.model_copy(update=fill)})
            if reader.live:  # no frame waits for the next
                one = settings.detector.model_copy(update={"batch_size": 1})
                settings = settings.model_copy(update={"detector": one})
            if detector == "auto" and reader.boxes is not None:
                detector = reader.boxes
            asked = None if cache is None else asked_for(detector, encoder, settings, device, precision)
            known = None
            parts_painted = "parts" in settings.draw.overlay and (out is not None or show)
            others_asked = gallery is not None or settings.teams > 0 or bool(settings.detector.classes)
            if cache is not None and asked is not None and not others_asked and not parts_painted:
                known = stored_networks(cache, asked, max_frames)
            find: Detector
            embed: Encoder | None
            if known is not None:
                find, embed = known[0], cast("Encoder | None", known[1])
            else:
                find = _detector(detector, settings.detector, device)
                if isinstance(find, PrecomputedDetector):
                    find.check_frames(reader)
                embed = load_encoder(encoder, settings, device, precision)
            by_motion = classes_by_motion(find)
            settings = _with_tracker(settings, encode=resolve_encode(settings.tracker.encode, embed))
            store = None
            if cache is not None:
                others = outputs.paths.values()
                store = open_cache(cache, reader, find, embed, settings.detector, others, asked)
                prepared.callback(store.close)
            history = TrackHistory() if settled_later else None
            identities = _identities(
                settings, embed, history, gallery, save_gallery, None if link else skipped, by_motion
            )
            page = None
            if report_page is not None:
                page = RunPage(report_page, settled_later=settled_later, by_motion=by_motion)
            interrupts = Interrupts()
            # The reasons are those of the first reading: linking comes after them. Its tracks serve until
            # they are linked, and stay where it does not come to that.
            written = Outputs(None, tracks, None, explain, extra, counts=counts) if settled_later else outputs
            stages = online_stages(
                reader,
                find,
                embed,
                settings,
                written,
                regions=regions,
                cache=store,
                shown=window is not None,
                use_timestamps=not own_rate,
                identities=identities,
                page=page,
            )
            looked_at = page is not None or window is not None or save_gallery is not None
            run = Run(
                reader,
                stages,
                read=None if store is None else _cached_frames(store, reader, settings, written, looked_at),
                window=window,
                interrupts=interrupts,
            )
            linked = None
            if history is not None and identities is not None:

                def again(
                    source: Source, recorded: ReplayTracker, outputs: Outputs, interrupts: Interrupts | None
                ) -> Run:
                    stages = replay_stages(
                        source, recorded, embed, settings, outputs, regions, page, by_motion
                    )
                    return Run(source, stages, interrupts=interrupts)

                rate = settings.tracker.frame_rate if own_rate else None
                texts = Outputs(None, tracks, None, extra=extra, counts=counts, all_or_nothing=True)
                pictures = Outputs(out, None, crops, report=report_page, crop_every=settings.crops.every)
                linked = LinkedRun(
                    source, reader, again, identities, history, texts, pictures, interrupts, rate
                )
            report = TrackingReport(
                source=reader.name,
                detector=getattr(find, "description", find.name),
                encoder=_encoder_in_words(encoder, embed),
                config=settings.model_dump(mode="json"),
                outputs={kind: str(path) for kind, path in outputs.paths.items()},
            )
            label = progress if isinstance(progress, str) else "tracking"
            view = ProgressView(_frames_to_come(reader, max_frames), label=label) if progress else None
            about = {key: getattr(report, key) for key in ("source", "detector", "encoder", "config")}
            written.open(reader, about)
            prepared.callback(written.discard)
            if linked is not None:
                linked.open()
            prepared.pop_all()  # from here on the run closes them
        try:
            if linked is None:
                run.go(report, max_frames, on_frame, view)
            else:
                linked.go(run, report, max_frames, on_frame, view)
        except BaseException:
            with suppress(InputError):  # what ended the run is worth more than what ends its page
                _write_page(page, report, identities)
            raise
        said = [what for what, there in (("teams", settings.teams), ("classes", by_motion)) if there]
        if said and outputs.paths.get("tracks", Path()).suffix.lower() == ".txt":
            report.notes.append(
                f"{tracks}: MOTChallenge text has no place for {' and '.join(said)} (.csv has)"
            )
        _write_page(page, report, identities)
        if identities is not None:
            report.identities -= report.joined or 0
            if gallery is not None:
                report.named = {name: sorted(ids) for name, ids in sorted(identities.named.items())}
            if save_gallery is not None:
                save_gallery_files(save_gallery, identities.views(), identities.pictures())
                report.outputs["gallery"] = os.fspath(save_gallery)
    return report


def _with_tracker(settings: RunConfig, **changes: Any) -> RunConfig:
    return settings.model_copy(update={"tracker": settings.tracker.model_copy(update=changes)})


def _detector(detector: PathLike | Detector, config: DetectorConfig, device: str) -> Detector:
    if isinstance(detector, str | os.PathLike):
        return load_detector(os.fspath(detector), config, device)
    if config.classes and not hasattr(detector, "by_motion"):
        raise UsageError(
            "detector.classes: a detector of your own chooses its classes itself; leave them out"
        )
    return detector


def load_encoder(
    encoder: PathLike | Encoder | None, settings: RunConfig, device: str, precision: str
) -> Encoder | None:
    """The encoder of a run, as ``track_video`` loads it; None for motion alone. A ready one is that one.

    Raises:
        InputError: no such file, or not an encoder's.
    """
    if encoder is None or encoder == "none":
        return None
    if not isinstance(encoder, str | os.PathLike):
        return encoder
    from ..model.encoder import Encoder

    return Encoder.load(
        os.fspath(encoder),
        device=device,
        precision=precision,
        batch_size=settings.encoder.batch_size,
        mirror=settings.encoder.mirror,
        runtime=settings.encoder.runtime,
        input=settings.encoder.input,
    )


def _encoder_in_words(asked: PathLike | Encoder | None, encoder: Encoder | None) -> str:
    if encoder is None:
        return "none (motion alone)"
    if not isinstance(asked, str | os.PathLike):
        return repr(encoder)
    how = ", OpenVINO" if encoder.runtime == "openvino" else ""
    return f"{os.fspath(asked)} ({encoder.device}, {encoder.precision}{how})"


def _cached_frames(
    store: Cache, reader: Source, settings: RunConfig, outputs: Outputs, looked_at: bool
) -> Read:
    """Frames of a source whose boxes may be known already: pictures only where somebody needs them."""
    pictures = settings.tracker.camera_motion != "none" or looked_at
    pictures |= bool({"crops", "video"} & outputs.paths.keys())
    # A cache knows nothing of frames that were not searched.
    pictures |= settings.detector.every > 1

    def read(max_frames: int | None, shown: bool) -> Iterable[Frame]:
        return store.frames(reader, max_frames, pictures=pictures or shown)

    return read


def _write_page(page: RunPage | None, report: TrackingReport, identities: IdentityManager | None) -> None:
    """The page of a run, of what it came to; without a frame there is none."""
    if page is not None and page.lives.frames:
        page.write(report.to_dict(), {} if identities is None else identities.settled)


def _identities(
    settings: RunConfig,
    encoder: Encoder | None,
    history: TrackHistory | None,
    gallery: PathLike | None,
    save_gallery: PathLike | None,
    fill_only: float | None,
    by_motion: frozenset[int],
) -> IdentityManager | None:
    """What follows identities beyond the tracker; None where nothing asks for it."""
    if encoder is None and (gallery is not None or save_gallery is not None):
        raise UsageError(
            "a gallery needs an encoder: people are known by their parts; leave out --encoder none"
        )
    known = (
        None
        if gallery is None or encoder is None
        else load_gallery(gallery, encoder, settings.gallery.max_megabytes)
    )
    if history is None and known is None and save_gallery is None:
        return None
    return IdentityManager(
        settings,
        history=history,
        gallery=known,
        save=save_gallery is not None,
        fill_only=fill_only,
        by_motion=by_motion,
    )


def _frames_to_come(source: Source, max_frames: int | None) -> int | None:
    known = [count for count in (source.frame_count, max_frames) if count is not None]
    return min(known, default=None)
