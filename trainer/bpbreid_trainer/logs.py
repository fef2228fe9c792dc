"""What a run tells while it trains: log.csv and scores.csv, TensorBoard, and a progress bar."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from bpbreid_track.errors import InputError, install_extra
from bpbreid_track.io.locks import writing
from bpbreid_track.io.part_file import put

from .processes import mean_over_processes


class LossLog:
    """Loss terms of the steps since the last row of the log, kept on the device until they are looked at."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, tuple[str, ...], Tensor]] = []
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """The weighted terms of a step, scalars."""
        values = torch.stack([value.detach().float() for value in terms.values()])
        self._steps.append((step, tuple(terms), mean_over_processes(values)))

    def check(self) -> None:
        """Look at what was added since.

        Raises:
            InputError: a term that is not a number; it names the step and the term.
        """
        if not self._steps:
            return
        # One transfer for all steps.
        rows = torch.stack([values for _, _, values in self._steps]).tolist()
        for (step, names, _), row in zip(self._steps, rows, strict=True):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise InputError(
                        f"step {step}: the loss term {name} is {value}; try a lower learning_rate, a longer "
                        "schedule.warmup_epochs, gradient_clip=1 or precision=fp32"
                    )
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += len(rows)
        self._steps.clear()

    def means(self) -> dict[str, float]:
        """Mean of each term and their sum as ``loss``, over the steps since the last call."""
        self.check()
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return {"loss": sum(means.values()), **means}


class Table:
    """A CSV file of numbers that grows row by row.

    Args:
        path: rows that an earlier run wrote there are kept up to ``step``.
        step: what the run has come to; rows of later steps were made by a part of it that was lost.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._columns: list[str] = []
        kept = [row for row in read_table(path) if row["step"] <= step] if path.is_file() else []
        with writing(path):
            put(path, "".join(map(self._text, kept)).encode())

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row; all rows have the same columns, ``step`` among them.

        Raises:
            InputError: it cannot be written.
        """
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text(row))

    def _text(self, row: Mapping[str, float]) -> str:
        """The row, below the names of the columns if it is the first."""
        text = io.StringIO()
        first = not self._columns
        self._columns = self._columns or list(row)
        writer = csv.DictWriter(text, self._columns)
        if first:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
        return text.getvalue()


def read_table(path: Path) -> list[dict[str, float]]:
    """The rows of a ``Table``; one that a kill cut off is left out.

    Raises:
        InputError: no such file, or no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        whole = [row for row in rows if None not in row.values()]
        return [{name: float(value) for name, value in row.items()} for row in whole]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not a log of a training run ({error})") from error


class RunLog:
    """All logs of a run. Only the first process has one; a quiet run shows nothing but still writes.

    Args:
        folder: of the run.
        step: step that the run goes on from.
        quiet: no progress bar and no lines.
    """

    def __init__(self, folder: Path, step: int, *, quiet: bool) -> None:
        try:
            import matplotlib  # noqa: F401 - for the curves; it should be missed now, not after an epoch
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(f"training logs need {error.name}; {install_extra('train')}") from error

        self._losses = Table(folder / "log.csv", step)
        self._scores = Table(folder / "scores.csv", step)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        # Names may hold brackets, which are no markup of rich.
        self._console = Console(stderr=True, quiet=quiet, highlight=False, markup=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} images/s"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet,
            transient=True,
        )
        self._task = self._bar.add_task("epoch 1", total=None, rate=0.0)
        self._began, self._images = time.perf_counter(), 0

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._board.close()

    def say(self, line: str) -> None:
        """A line above the progress bar."""
        self._console.print(line, soft_wrap=True)

    def advance(self, step: int, total: int, images: int) -> None:
        """A step is done: number ``step`` of about ``total``, with so many images."""
        # Not before the first step: the loader's processes are forked then, without the bar's thread.
        self._bar.start()
        self._images += images
        self._bar.update(self._task, completed=step, total=total)

    def losses(self, epoch: int, step: int, rate: float, means: Mapping[str, float]) -> None:
        """A row of log.csv: ``rate`` is the learning rate, ``means`` are those of ``LossLog``."""
        now = time.perf_counter()
        speed = self._images / (now - self._began)
        self._began, self._images = now, 0
        row = {"epoch": epoch, "step": step, "learning_rate": rate, **means, "images_per_second": speed}
        self._losses.add(row)
        self._write("train", step, row)
        self._bar.update(self._task, description=f"epoch {epoch + 1}  loss {means['loss']:.3f}", rate=speed)

    def scores(self, epoch: int, step: int, scores: Mapping[str, float]) -> None:
        """A row of scores.csv after ``epoch`` epochs."""
        self._scores.add({"epoch": epoch, "step": step, **scores})
        self._write("test", step, scores)

    def restart_clock(self) -> None:
        """Time until now was not spent on training."""
        self._began, self._images = time.perf_counter(), 0

    def _write(self, group: str, step: int, values: Mapping[str, float]) -> None:
        with writing(Path(self._board.log_dir)):
            for name, value in values.items():
                if name != "step":
                    self._board.add_scalar(f"{group}/{name}", value, step)
            self._board.flush()
