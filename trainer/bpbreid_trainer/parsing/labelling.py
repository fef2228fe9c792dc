"""Human-parsing labels for a whole data set: what is still to be done, progress, summary, contact sheet."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bpbreid_track.errors import InputError, UsageError, did_you_mean

from ..data import ReidDataset, Sample, load_dataset
from ..data.grouping import channels_of
from .contact_sheet import write_contact_sheet
from .jobs import Backend, Job

BACKENDS = ("yolo-pose", "pifpaf")
SPLITS = ("train", "query", "gallery")
SHEET_NAME = "contact_sheet.png"
_SHEET_IMAGES = 48
_LOG_SECONDS = 10.0


@dataclass(frozen=True)
class LabelReport:
    """What a run of ``make_labels`` did.

    Attributes:
        folder: where the labels lie.
        made: label files written by this run.
        kept: label files that were there before.
        without_person: images of this run in which nobody was found; their files hold zeros.
        seconds: time taken by the back end.
        sheet: the contact sheet.
    """

    folder: Path
    made: int
    kept: int
    without_person: list[Path]
    seconds: float
    sheet: Path

    def lines(self) -> list[str]:
        """The report in words."""
        speed = f" ({self.made / self.seconds:.0f} a second)" if self.made and self.seconds > 0 else ""
        text = [f"{self.made} labels made{speed}, {self.kept} were there, in {self.folder}"]
        if self.without_person:
            share = 100 * len(self.without_person) / self.made
            text.append(
                f"nobody found in {len(self.without_person)} images ({share:.1f} %), for example "
                f"{self.without_person[0].name}: training leaves their parts out of the attention loss"
            )
        text.append(f"look at them: {self.sheet}")
        return text


def make_labels(
    data: str | os.PathLike[str],
    *,
    backend: str = "yolo-pose",
    out: str | os.PathLike[str] | None = None,
    dataset: str = "auto",
    splits: Sequence[str] = ("train",),
    query: str | None = None,
    gallery: str | None = None,
    resume: bool = True,
    weights: str | None = None,
    python: str | os.PathLike[str] | None = None,
    device: str = "auto",
    part_group: str = "eight",
    quiet: bool = False,
) -> LabelReport:
    """Make the label files that training needs, and a contact sheet of some of them.

    Args:
        data: a data set as for ``load_dataset``.
        backend: ``yolo-pose`` (Ultralytics, in this environment) or ``pifpaf`` (openpifpaf, in its own).
        out: folder of the labels; by default ``masks/<backend>`` in the data set. The folder of each image is
            repeated below it.
        dataset: layout of ``data``.
        splits: which images: any of ``train``, ``query``, ``gallery``. Only training needs labels.
        query: folder of the queries, as for ``load_dataset``.
        gallery: folder of the gallery, likewise.
        resume: keep the label files that are there.
        weights: of the network; by default yolo11n-pose.pt, and shufflenetv2k16 for PifPaf.
        python: interpreter of PifPaf's environment; by default as scripts/pifpaf_environment.sh built it.
        device: to run on.
        part_group: grouping that the contact sheet is coloured by.
        quiet: no progress.

    Raises:
        InputError: no images, weights or environment not to be had, an unreadable image.
        UsageError: an unknown back end, split or grouping.
    """
    if backend not in BACKENDS:
        raise UsageError(f"backend {backend!r} is unknown{did_you_mean(backend, BACKENDS)}")
    for split in splits:
        if split not in SPLITS:
            raise UsageError(f"split {split!r} is unknown{did_you_mean(split, SPLITS)}")
    channels_of(part_group)
    found = load_dataset(data, dataset, query=query, gallery=gallery, with_masks=False)
    samples = [sample for split in splits for sample in getattr(found, split)]
    if not samples:
        raise InputError(f"{found.root}: no images in {', '.join(splits)} ({found.name} layout)")
    folder = Path(out).expanduser() if out is not None else found.root / "masks" / backend
    jobs = jobs_of(found, samples, folder)
    waiting = [job for job in jobs if not (resume and job.out.is_file())]
    _require_writable(folder)

    without_person = []
    start = time.monotonic()
    if waiting:
        maker = _backend(backend, weights, python, device)
        with _progress(len(jobs), len(jobs) - len(waiting), quiet) as advance:
            for job, persons in maker.label(waiting):
                advance()
                if not persons:
                    without_person.append(job.image)
    seconds = time.monotonic() - start
    sheet = folder / SHEET_NAME
    chosen = random.Random(0).sample(jobs, min(_SHEET_IMAGES, len(jobs)))
    write_contact_sheet(sheet, [(job.image, job.out) for job in chosen], part_group)
    return LabelReport(folder, len(waiting), len(jobs) - len(waiting), without_person, seconds, sheet)


def jobs_of(dataset: ReidDataset, samples: Sequence[Sample], folder: Path) -> list[Job]:
    """The label file of each sample: its path in the data set, repeated below ``folder``."""
    return [
        Job(sample.path, folder / sample.path.relative_to(dataset.root).with_suffix(".npy"))
        for sample in samples
    ]


def _backend(name: str, weights: str | None, python: str | os.PathLike[str] | None, device: str) -> Backend:
    if name == "pifpaf":
        from .pifpaf import PifPaf

        return PifPaf(weights, python=python, device=device)
    from .yolo_pose import DEFAULT_WEIGHTS, YoloPose

    return YoloPose(weights or DEFAULT_WEIGHTS, device)


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; give another folder with --out") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: not writable; give another folder with --out")


@contextmanager
def _progress(total: int, done: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Progress on stderr, a bar on a terminal, a line now and then in a log; yields what counts."""
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("labels"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("labels", total=total, completed=done)
        last = time.monotonic()

        def advance() -> None:
            nonlocal done, last
            done += 1
            bar.advance(task)
            if not console.is_terminal and time.monotonic() - last >= _LOG_SECONDS:
                last = time.monotonic()
                console.print(f"labels: {done} of {total}", highlight=False)

        yield advance
