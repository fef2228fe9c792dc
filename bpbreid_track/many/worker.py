"""One set of networks in memory, and the videos that go through it one after the other."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..detection.detectors import Detector, PrecomputedDetector, open_network
from ..detection.weights import described_weights
from ..errors import InputError, with_notes
from ..io.locks import FolderClaim, TakenError, writing
from ..io.stores import Store, called, fetch
from ..machine import limit_threads
from ..pipeline.api import track_video
from ..pipeline.networks import load_encoder
from ..pipeline.search import join_caches, search_frames
from .manifest import Entry, now
from .order import FOLDERS, Order
from .pieces import Piece, folder_of
from .plan import Job, part_folder, source_fingerprint

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder
    from ..pipeline.report import TrackingReport

# Seconds to wait for such a one: Ray's workers need some when their driver was killed.
_PATIENCE = 60.0
# Of the report, what a manifest keeps.
_FIGURES = (
    "frames",
    "seconds",
    "identities",
    "detections",
    "encoded",
    "matches_motion",
    "matches_appearance",
    "joined",
    "filled",
    "named",
    "outside",
    "lines",
    "zones",
    "notes",
)


class Worker:
    """Tracks videos.

    Args:
        order: what all of them have in common.
        settings: of the order, for the manifest.
        threads: of the networks on a CPU; None for as many as torch takes by itself.
    """

    def __init__(self, order: Order, settings: dict[str, Any], threads: int | None = None) -> None:
        self._order, self._settings, self._threads = order, settings, threads
        self._detector: Detector | None = None
        self._encoder: PartEncoder | None = None

    def load(self) -> str:
        """Load the networks; returns the version of this program.

        Raises:
            InputError: they cannot be loaded.
        """
        order = self._order
        if self._threads is not None:
            import cv2

            limit_threads(self._threads)
            cv2.setNumThreads(self._threads)
        if not order.boxes_given:
            # Whoever placed the order has been told what weights these are.
            path, description = described_weights(Path(order.detector), warn=False)
            self._detector = open_network(path, order.config.detector, order.device, description)
        self._encoder = load_encoder(order.encoder, order.config, order.device, order.precision)
        return __version__

    def search(self, piece: Piece) -> Entry | None:
        """Search one piece of a video; an entry only where that failed."""
        try:
            self._search(piece)
        except Exception as error:  # one video must not stop the others
            return _failed(piece.job, error)
        return None

    def track(self, job: Job, progress: bool | str = False, pieces: Sequence[Piece] = ()) -> Entry:
        """Track one video and write its outputs; what goes wrong is in the entry.

        Args:
            job: the video.
            progress: as for ``track_video``.
            pieces: that it was searched in, if it was.
        """
        begun = begun_entry(job)
        try:
            with self._at_hand(job) as (local, folder):
                fingerprint = source_fingerprint(local.asked)
                cache = self._join(job, pieces) if pieces else None
                report = self._when_free(local, folder, progress, cache)
                if not report.interrupted:  # a call that was stopped may have left some, cut or not cut now
                    shutil.rmtree(folder_of(job, self._order.out_dir), ignore_errors=True)
                if self._order.address is not None and not report.interrupted:
                    store = Store(self._order.address)
                    for name in job.outputs.values():
                        store.put(folder / name, name)
        except Exception as error:  # one video must not stop the others
            return _failed(job, error)
        figures = {key: value for key in _FIGURES if (value := getattr(report, key)) is not None}
        if "notes" in figures:
            figures["notes"] = [note.replace(local.asked.source, job.asked.shown) for note in report.notes]
        figures["stages"] = {name: round(timing.ms, 3) for name, timing in report.stages.items()}
        figures["seconds"] = round(report.seconds, 3)
        figures["frame_rate"] = report.config["tracker"]["frame_rate"]
        return replace(
            begun,
            state="interrupted" if report.interrupted else "done",
            fingerprint=fingerprint,
            settings=self._settings,
            figures=figures,
            time=now(),
        )

    def _search(self, piece: Piece) -> None:
        path = piece.path(self._order.out_dir)
        with writing(path.parent):
            path.parent.mkdir(exist_ok=True)
        detector = self._detector if self._detector is not None else self._boxes(piece.job)

        def search() -> None:
            search_frames(
                piece.job.asked.source,
                path,
                piece.first,
                piece.last,
                detector=detector,
                encoder=self._encoder,
                settings=self._order.config,
            )

        try:
            search()
        except InputError:
            if not path.exists():
                raise
            path.unlink()  # of a call with other settings, or damaged
            search()

    def _join(self, job: Job, pieces: Sequence[Piece]) -> Path:
        path = folder_of(job, self._order.out_dir) / "all.cache"
        searched = [piece.path(self._order.out_dir) for piece in pieces]
        join_caches(searched, path, complete=self._order.max_frames is None)
        return path

    @contextmanager
    def _at_hand(self, job: Job) -> Iterator[tuple[Job, Path]]:
        """The video with its source on this machine, and the folder on this machine to write into."""
        order = self._order
        if order.address is None and not job.asked.stored:
            yield job, order.out_dir
            return
        # A killed worker leaves its folder. On the machine of the call that one goes with ``out_dir``.
        near = order.out_dir if order.address is not None and order.out_dir.is_dir() else None
        scratch = tempfile.TemporaryDirectory(prefix="bpbreid-", dir=near, ignore_cleanup_errors=True)
        with scratch as temporary:
            folder = order.out_dir
            if order.address is not None:
                folder = Path(temporary, "results")
                folder.mkdir()
            if not job.asked.stored:
                yield job, folder
                return
            place = Path(temporary, "source")
            place.mkdir()
            source = fetch(job.asked.source, place)
            with called(source, job.asked.source):
                yield replace(job, asked=replace(job.asked, source=str(source))), folder

    def _when_free(self, job: Job, folder: Path, progress: bool | str, cache: Path | None) -> TrackingReport:
        """Nobody else may write into this folder but a worker of a killed call, which is about to end."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._run(job, folder, progress, cache)
            except TakenError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.5)

    def _run(self, job: Job, folder: Path, progress: bool | str, cache: Path | None) -> TrackingReport:
        order = self._order
        paths = {kind: folder / name for kind, name in job.outputs.items()}
        parts = {kind: part_folder(path) for kind, path in paths.items() if kind in FOLDERS}
        for part in parts.values():
            _empty(part)  # of what a run that was killed has left
        paths |= parts
        report = track_video(
            job.asked.source,
            paths.get("video"),
            tracks=paths.get("tracks"),
            crops=paths.get("crops"),
            explain=paths.get("explain"),
            report_page=paths.get("report"),
            save_gallery=paths.get("gallery"),
            counts=paths.get("counts"),
            detector=self._detector if self._detector is not None else self._boxes(job),
            encoder=self._encoder,
            config=order.config,
            device=order.device,
            precision=order.precision,
            max_frames=order.max_frames,
            link=order.link,
            gallery=order.gallery,
            cache=cache,
            progress=progress,
        )
        if not report.frames and not report.interrupted:
            raise InputError(f"{job.asked.source}: has no frame")
        for kind, part in parts.items():
            _replace(part, folder / job.outputs[kind])
        return report

    def _boxes(self, job: Job) -> PrecomputedDetector:
        """The file of boxes that belongs to a sequence."""
        folder, given = Path(job.asked.source), Path(self._order.detector)
        if not folder.is_dir() or given.is_absolute():
            raise InputError(
                f"{job.asked.source}: --detector {given} names a file of boxes inside each sequence; give "
                "sequence folders and a path inside them, or a network"
            )
        return PrecomputedDetector(folder / given, self._order.config.detector)


def begun_entry(job: Job) -> Entry:
    """What the manifest says while a video is tracked."""
    return Entry("begun", job.asked.key, job.name, job.outputs)


def _failed(job: Job, error: Exception) -> Entry:
    if isinstance(error, InputError):
        message = with_notes(error, str(error))
    else:
        message = " ".join(with_notes(error, f"{type(error).__name__}: {error}").split())
    return replace(begun_entry(job), state="failed", error=message, time=now())


def _empty(folder: Path) -> None:
    """Remove what is in ``folder``, if it is there.

    Raises:
        TakenError: somebody still writes into it.
    """
    if not folder.exists():
        return
    claim = FolderClaim(folder)
    try:
        with writing(folder):
            for item in folder.iterdir():
                shutil.rmtree(item) if item.is_dir() else item.unlink()
    finally:
        claim.release()


def _replace(part: Path, folder: Path) -> None:
    """Give a folder that is whole its name; an empty one where nobody was seen."""
    with writing(folder):
        part.mkdir(exist_ok=True)
        former = folder.with_name(f"{folder.name}.former")
        if former.exists():
            shutil.rmtree(former)
        if folder.exists():
            os.replace(folder, former)
        os.replace(part, folder)
        if former.exists():
            shutil.rmtree(former)
