"""Annotated sequences, searched and encoded once, to be tracked many times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ..config import SmoothConfig, TrackerConfig
from ..errors import InputError, UsageError
from ..evaluation import TrackingMetrics, evaluate_folder
from ..evaluation.tracks import counted_rows
from ..io.mot_format import MotRows, mot_text
from ..io.read_tracks import read_truth, truth_file
from ..io.sinks.tracks import MotSink
from ..io.sources.base import Frame
from ..pipeline.api import track_video
from ..pipeline.bridges import Bridges
from ..pipeline.confirm import Confirm
from ..pipeline.replay import NO_PICTURE
from ..pipeline.smooth import Smooth
from ..pipeline.stage import Item
from ..pipeline.stored_frames import StoredFrames
from ..pipeline.threads import worked
from ..tracking.camera_motion import CameraStep, KnownCamera
from ..tracking.tracker import PartTracker


@dataclass(frozen=True)
class Footage:
    """One sequence with ground truth.

    Attributes:
        folder: MOTChallenge layout.
        frame_rate: frames a second.
        frames: boxes and embeddings.
        encode: ``all`` or ``ambiguous``, what ``encode: auto`` comes to with the encoder that was used.
        camera: what the camera did before each frame.
        truth: ground truth.
    """

    folder: Path
    frame_rate: float
    encode: str
    frames: StoredFrames
    camera: list[CameraStep]
    truth: MotRows

    @property
    def name(self) -> str:
        return self.folder.resolve().name


def load_footage(
    folder: Path, detector: str, encoder: str, cache: Path, *, device: str, precision: str, progress: bool
) -> Footage:
    """A sequence through detector and encoder, or out of the cache.

    Args:
        folder: MOTChallenge layout with pictures or a video and gt/gt.txt, or what CVAT exported in its
            place, as ``truth_file`` finds it.
        detector: as for ``track_video``; a path inside ``folder`` is looked for there first.
        encoder: as for ``track_video``.
        cache: file to read, or to write and then read.

    Raises:
        InputError: no ground truth, no pictures, or anything else that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a sequence with gt/gt.txt")
    gt = truth_file(folder)
    truth = read_truth(gt)
    counted_rows(gt, truth)
    own = folder / detector
    report = track_video(
        folder,
        detector=own if detector != "auto" and own.exists() else detector,
        encoder=encoder,
        config={"smooth": {"lag_seconds": 0}},
        device=device,
        precision=precision,
        cache=cache,
        progress=progress,
    )
    if report.interrupted:
        raise KeyboardInterrupt
    # As the run resolved them: a trial must see the embeddings that a user's run would see.
    used = report.config["tracker"]
    frames = StoredFrames(cache)
    return Footage(folder, used["frame_rate"], used["encode"], frames, frames.camera(), truth)


@dataclass(frozen=True)
class Stretch:
    """Frames ``start`` up to ``stop`` of a sequence, from 0, judged as a sequence of their own."""

    footage: Footage
    start: int
    stop: int

    def __str__(self) -> str:
        if self.stop - self.start == len(self.footage.frames):
            return self.footage.name
        first, last = (self.footage.frames[row].index + 1 for row in (self.start, self.stop - 1))
        return f"{self.footage.name} frames {first}-{last}"


def split(footage: Sequence[Footage], holdout: float) -> tuple[list[Stretch], list[Stretch]]:
    """What is searched on, and what is held out.

    Of three sequences or more the last ones named are held out, of one or two the last frames of each.

    Args:
        holdout: share to hold out, above 0 and below 1.
    """
    whole = [Stretch(each, 0, len(each.frames)) for each in footage]
    if len(whole) >= 3:
        kept = min(len(whole) - 1, max(1, round(len(whole) * (1 - holdout))))
        return whole[:kept], whole[kept:]
    cuts = [min(each.stop - 1, max(1, round(each.stop * (1 - holdout)))) for each in whole]
    pairs = list(zip(footage, cuts, strict=True))
    return (
        [Stretch(each, 0, cut) for each, cut in pairs],
        [Stretch(each, cut, len(each.frames)) for each, cut in pairs],
    )


class Judge:
    """Tracks some stretches with given settings and measures the result.

    Args:
        stretches: at least one.
        folder: an existing folder for files on the way.

    Raises:
        InputError: a stretch without any ground truth that counts.
    """

    def __init__(self, stretches: Sequence[Stretch], folder: Path) -> None:
        self.stretches = stretches
        self._truth, self._results = folder / "gt", folder / "results"
        for stretch in stretches:
            self._write_truth(stretch)

    def __call__(self, config: TrackerConfig) -> TrackingMetrics:
        """Quality over all stretches together."""
        shutil.rmtree(self._results, ignore_errors=True)
        self._results.mkdir(parents=True)
        for stretch in self.stretches:
            track(stretch, config, self._results / f"{stretch.footage.name}.txt")
        return evaluate_folder(self._truth, self._results).combined

    def _write_truth(self, stretch: Stretch) -> None:
        footage = stretch.footage
        source = truth_file(footage.folder)
        first, last = (footage.frames[row].index + 1 for row in (stretch.start, stretch.stop - 1))
        inside = (footage.truth.frame >= first) & (footage.truth.frame <= last)
        if not inside.any() or not (inside & counted_rows(source, footage.truth)).any():
            raise InputError(f"{source}: no ground truth in {stretch}; choose another --holdout")
        here = footage.truth.within((first, last))
        target = self._truth / footage.name / "gt" / "gt.txt"
        target.parent.mkdir(parents=True)
        target.write_text(mot_text(replace(here, frame=here.frame - first + 1)), encoding="utf-8")


def track(stretch: Stretch, config: TrackerConfig, out: str | os.PathLike[str]) -> None:
    """Track a stretch and write MOTChallenge rows to ``out``, frames from 1.

    Over a whole sequence the file is, to the byte, that of ``track_video`` with these settings.
    """
    footage = stretch.footage
    known: dict[str, object] = {"frame_rate": footage.frame_rate}
    if config.encode == "auto":
        known["encode"] = footage.encode
    camera = KnownCamera(footage.camera[stretch.start : stretch.stop])
    tracker = PartTracker(config.model_copy(update=known), camera_motion=camera)
    settings, sink = SmoothConfig(), MotSink(out)
    first = footage.frames[stretch.start]
    bridges = Bridges(settings.bridge_seconds if first.embeddings is not None else 0)

    def tracked() -> Iterator[Item]:
        for row in range(stretch.start, stretch.stop):
            stored = footage.frames[row]
            found = tracker.update(
                stored.detections, NO_PICTURE, embeddings=stored.embeddings, timestamp=stored.timestamp
            )
            frame = Frame(stored.index - first.index, stored.timestamp, NO_PICTURE)
            now, step = stored.timestamp, tracker.camera_step
            yield Item(frame, found, time=now, step=step, tracks=tracker.track_numbers)

    items: Iterable[Item] = tracked()
    size = NO_PICTURE.nbytes
    for stage in (Confirm(size, pictures=False), Smooth(settings.lag_seconds, size, pictures=False)):
        items = chain.from_iterable(worked(([item] for item in items), stage, stage.finish))
    try:
        for item in items:
            for settled in bridges.add(item.frame, item.detections, item.time, item.step):
                sink.write(*settled)
        for settled in bridges.finish():
            sink.write(*settled)
    finally:
        sink.close()


def require_different_names(folders: Sequence[Path]) -> None:
    """Sequences are told apart by the names of their folders.

    Raises:
        UsageError: two of them are equal.
    """
    names = [folder.resolve().name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two sequences are named {name!r}; rename one of the folders")
