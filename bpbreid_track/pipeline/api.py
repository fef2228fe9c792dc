"""``track_video``: from source, detector, encoder and settings to a run and its report."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import RunConfig, TrackerConfig
from ..detection.box_files import inside_sequence
from ..detection.detectors import Detector
from ..errors import InputError, UsageError
from ..identities.gallery import save_gallery_files
from ..io.locks import FolderClaim
from ..io.paths import check_new_folder
from ..io.sources.base import Source
from ..read_config import run_config
from .cached_networks import weights_of
from .prepare import Prepared, prepare
from .report import TrackingReport
from .request import Request
from .run import OnFrame

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder

__all__ = ["TrackingReport", "track_video"]

PathLike = str | os.PathLike[str]


def track_video(
    source: PathLike | int | Source,
    out: PathLike | None = None,
    *,
    tracks: PathLike | None = None,
    detector: PathLike | Detector = "auto",
    encoder: PathLike | PartEncoder | None = "default",
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
        detector: ``"auto"``, weights, a MOTChallenge det.txt (its path, or the one inside a sequence folder),
            or any ``Detector`` of your own. ``"auto"`` takes the boxes that come with the demo.
        encoder: ``"default"``, ``"none"`` or None for motion alone, weights, or a loaded ``Encoder``.
        config: a preset's name, a YAML file, a nested dict, a ``RunConfig`` or a ``TrackerConfig``.
        on_frame: called as ``on_frame(frame, detections)`` for each frame in order, in the calling thread,
            once the frame is written; ``detections`` carries ``tracker_id``. What it raises ends the run.
            Rows of the track file may wait for ``smooth.bridge_seconds`` longer.
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
    detector = inside_sequence(detector, source)
    request = Request(
        source=source,
        settings=run_config(config),
        out=out,
        tracks=tracks,
        detector=detector,
        encoder=encoder,
        on_frame=on_frame,
        crops=crops,
        show=show,
        device=device,
        precision=precision,
        max_frames=max_frames,
        cache=cache,
        explain=explain,
        progress=progress,
        link=link,
        gallery=gallery,
        save_gallery=save_gallery,
        counts=counts,
        report_page=report_page,
    )
    request.check()
    outputs = request.every_output()
    outputs.check([source, detector, encoder, config, cache, request.settings.regions.roi])
    with ExitStack() as held:
        if save_gallery is not None:
            check_new_folder(Path(save_gallery))
            held.callback(FolderClaim(Path(save_gallery)).release)
        with ExitStack() as opened:
            prepared = prepare(request, outputs, opened)
            opened.pop_all()  # from here on the run closes them
        try:
            prepared.go()
        except BaseException:
            with suppress(InputError):  # the error of the run is the one to raise
                prepared.write_page()
            raise
        _note_left_out(prepared)
        prepared.write_page()
        _settle_identities(prepared)
    return prepared.report


def _note_left_out(prepared: Prepared) -> None:
    """Say what was tracked that the format of the track file has no place for."""
    request, tracks = prepared.request, prepared.request.tracks
    left_out = {"teams": request.settings.teams > 0, "classes": bool(prepared.by_motion)}
    said = [what for what, there in left_out.items() if there]
    if said and tracks is not None and Path(tracks).suffix.lower() == ".txt":
        prepared.report.notes.append(
            f"{tracks}: MOTChallenge text has no place for {' and '.join(said)} (.csv has)"
        )


def _settle_identities(prepared: Prepared) -> None:
    """Report who was recognised and how many people there are; save their gallery."""
    identities, report, request = prepared.identities, prepared.report, prepared.request
    if identities is None:
        return
    report.identities -= report.joined or 0
    if request.gallery is not None:
        report.named = {name: sorted(ids) for name, ids in sorted(identities.named.items())}
    if request.save_gallery is not None:
        weights = weights_of(prepared.encoder)
        save_gallery_files(request.save_gallery, identities.views(), identities.pictures(), weights)
        report.outputs["gallery"] = os.fspath(request.save_gallery)
