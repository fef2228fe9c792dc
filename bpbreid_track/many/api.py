"""Many videos in one call: the function behind ``bpbreid-track --out-dir``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..config import RunConfig, TrackerConfig
from ..errors import UsageError
from ..io.addresses import is_stored, public_name
from ..pipeline.counting import NO_REGIONS
from ..read_config import run_config
from ..regions.areas import check_mask
from .manifest import Entry
from .order import Order, endings, resolved_weights
from .plan import Job, make_plan
from .results import FolderResults, Results, StoreResults
from .show import Show
from .sources import expand

PathLike = str | os.PathLike[str]


@dataclass
class ManyReport:
    """What ``track_videos`` did.

    Attributes:
        tracked: names of the videos that were tracked.
        whole: names of those that were done already and left out.
        failed: source and reason of each that could not be tracked.
        interrupted: Ctrl-C or SIGTERM ended the call; videos that were not finished are done again with
            ``resume``.
        frames: tracked in all videos together.
        seconds: wall time.
    """

    tracked: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    frames: int = 0
    seconds: float = 0.0


def track_videos(
    sources: Sequence[PathLike],
    out_dir: PathLike,
    *,
    write: Sequence[str] = ("mp4", "txt"),
    resume: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    piece_minutes: float | None = None,
    detector: PathLike = "auto",
    encoder: PathLike | None = "default",
    config: RunConfig | TrackerConfig | PathLike | dict[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    link: bool = False,
    gallery: PathLike | None = None,
    max_frames: int | None = None,
    progress: bool = False,
) -> ManyReport:
    """Track many videos with one set of networks in memory, each as ``track_video`` would.

    Outputs are called after their sources. ``out_dir/runs.jsonl``, the manifest, says of every source what
    was done with which settings. A video that fails does not stop the others.

    Args:
        sources: video files, folders of videos, patterns, lists ``.txt`` with a path a line; a folder of
            pictures or a MOTChallenge sequence is one source. Videos may lie at an address of fsspec, such as
            ``s3://bucket/a.mp4``: each is fetched when its turn comes.
        out_dir: folder of the results; made if it is missing, its parent must exist. Or an address: each
            video is tracked into a temporary folder, and its results copied there when they are whole.
        write: what is written of each: ``mp4``, ``mkv`` or ``mov``; ``txt``, ``csv`` or ``jsonl``; ``crops``,
            ``explain``, ``report``, ``gallery``, ``counts``.
        resume: leave out sources of which the manifest says that they are whole: same content, same settings,
            all outputs there.
        overwrite: replace whole results. Without it nothing whole is replaced.
        workers: how many videos at once; above 1 with Ray, on this machine unless ``ray`` says otherwise.
            None: 1, or what fits the cluster.
        ray: address of a Ray cluster, ``auto`` for the one this machine belongs to. Sources, weights and
            ``out_dir`` must have the same paths on all its machines, or be addresses.
        piece_minutes: with several workers: videos of at least twice this length are searched in pieces by
            all of them, and then tracked by one as a whole. Identities are those of one run. All workers
            must share the folder of the results, so not with ``ray`` and an address.
        detector: ``auto``, weights, or the path of a file of boxes inside each sequence (``det/det.txt``).
        encoder: as for ``track_video``, but no loaded one; likewise the others.
        progress: show progress on stderr.

    Raises:
        UsageError: settings that make no sense, or results that would be overwritten.
        InputError: weights that cannot be loaded, or a folder that cannot be written.

    >>> report = track_videos(["monday/", "a.mp4"], "tracked", link=True)  # doctest: +SKIP
    """
    start = time.perf_counter()
    # A text is a sequence too, of letters: "." and "0" in a path would be the current folder and a camera.
    if isinstance(sources, (str, bytes, os.PathLike)):
        raise UsageError(f"sources: expected a list, got {sources!r} alone; put it into brackets")
    if isinstance(write, str):
        raise UsageError(f"write: expected a list, got {write!r} alone; put it into brackets")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"max_frames: expected at least 1, got {max_frames}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers: expected at least 1, got {workers}")
    if piece_minutes is not None and not piece_minutes > 0:
        raise UsageError(f"piece_minutes: expected a number above 0, got {piece_minutes}")
    if piece_minutes is not None and ray is None and (workers or 1) == 1:
        raise UsageError("piece_minutes: pieces are for several workers; say how many, or name a Ray cluster")
    if encoder in {None, "none"} and (gallery is not None or "gallery" in write):
        raise UsageError(
            "a gallery needs an encoder: people are known by their parts; leave out --encoder none"
        )
    kinds = endings(write)
    given = _absolute_mask(run_config(config))
    if "counts" in kinds and not (given.regions.lines or given.regions.zones):
        raise UsageError(f"--write counts: nothing to count; {NO_REGIONS}")
    address = os.fspath(out_dir) if "://" in os.fspath(out_dir) else None
    if address is not None and not is_stored(address):
        raise UsageError(
            f"{public_name(address)}: results go into a folder, or to an address such as s3://bucket/run"
        )
    if address is not None and ray is not None and piece_minutes is not None:
        raise UsageError(
            "piece_minutes: the machines of a cluster need a folder that they share; give one instead of an "
            "address, or leave piece_minutes out"
        )
    report = ManyReport()
    with ExitStack() as stack:
        if address is None:
            folder = Path(os.path.abspath(out_dir))
        else:
            scratch = TemporaryDirectory(prefix="bpbreid-results-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(scratch))
        asked = expand([os.fspath(source) for source in sources], folder)
        found = resolved_weights(os.fspath(detector), "none" if encoder is None else os.fspath(encoder))
        order = Order(
            folder,
            kinds,
            *found,
            config=given,
            device=device,
            precision=precision,
            link=link,
            gallery=None if gallery is None else os.path.abspath(gallery),
            max_frames=max_frames,
            piece_minutes=piece_minutes,
            address=address,
        )
        settings = order.settings()
        results: Results = FolderResults(folder) if address is None else StoreResults(address)
        stack.callback(results.close)
        known = results.entries()
        plan = make_plan(asked, known, results, order, settings, resume=resume, overwrite=overwrite)
        del known
        report.whole = plan.whole
        if plan.jobs:
            named = {job.asked.key: job.asked.shown for job in plan.jobs}
            at_once = 1 if workers is None and ray is None else (workers or 2)
            show = stack.enter_context(Show(len(plan.jobs), at_once, quiet=not progress))
            if resume:
                show.resumed(len(plan.whole), plan.jobs[0])
            try:
                for entry in _entries(order, settings, plan.jobs, workers, ray, show):
                    results.add(entry)
                    _count(entry, report, named, show)
            except KeyboardInterrupt:
                report.interrupted = True
    report.seconds = time.perf_counter() - start
    return report


def _absolute_mask(settings: RunConfig) -> RunConfig:
    """``settings`` for workers, which may run in another folder."""
    mask = settings.regions.roi
    if not isinstance(mask, str):
        return settings
    check_mask(mask, "region")
    regions = settings.regions.model_copy(update={"roi": os.path.abspath(mask)})
    return settings.model_copy(update={"regions": regions})


def _entries(
    order: Order,
    settings: dict[str, Any],
    jobs: list[Job],
    workers: int | None,
    ray: str | None,
    show: Show,
) -> Iterator[Entry]:
    if ray is None and (workers or 1) == 1:
        from .in_turn import track_in_turn
        from .worker import Worker

        return track_in_turn(Worker(order, settings), jobs, show)
    from .on_ray import track_on_ray

    return track_on_ray(order, settings, jobs, workers, ray, show)


def _count(entry: Entry, report: ManyReport, named: dict[str, str], show: Show) -> None:
    if entry.state == "begun":
        return
    show.ended(entry)
    report.frames += entry.figures.get("frames", 0)
    if entry.state == "done":
        report.tracked.append(entry.name)
    elif entry.state == "failed":
        source = named[entry.source]
        why = (entry.error or "").removeprefix(f"{source}: ").removeprefix(f"{entry.source}: ")
        report.failed.append((source, why))
    else:
        report.interrupted = True
