"""``bpbreid-tune``: tracker settings for one's own footage, on the command line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError, printable
from .common import INTERRUPTED, Debug, Program

if TYPE_CHECKING:
    from ..tuning.footage import Stretch
    from ..tuning.search import Outcome

_COLUMNS = ("HOTA", "AssA", "IDF1", "MOTA", "IDSW")

program = Program("bpbreid-tune")
run, main = program.run, program.main


@program.command
def tune(
    sequences: Annotated[
        list[Path],
        typer.Argument(
            metavar="SEQUENCE...",
            show_default=False,
            help="MOTChallenge folders with pictures or a video and gt/gt.txt, or CVAT's .xml or .zip.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.yaml", help="Where the settings go.")],
    encoder: Annotated[str, typer.Option(metavar="default|none|WEIGHTS", help="Part encoder.")] = "default",
    detector: Annotated[
        str,
        typer.Option(
            metavar="NAME|WEIGHTS|DET.txt", help="Person detector, or a file of boxes in each SEQUENCE."
        ),
    ] = "auto",
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="How many settings are tried.")] = 100,
    metric: Annotated[Literal["HOTA", "IDF1", "AssA"], typer.Option(help="What is to grow.")] = "HOTA",
    holdout: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share that is not searched on, to see if the gain holds."),
    ] = 0.4,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Equal seeds give equal results.")
    ] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for boxes and embeddings; else FILE.cache beside FILE."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="P", help="Of the encoder: auto, fp32, bf16 or fp16.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, no table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
) -> int:
    """Search tracker settings that suit annotated footage, and write them for bpbreid-track --config.

    Detector and encoder see every sequence once. Of three sequences or more the last ones are held out, of
    fewer the last frames of each: only a gain that shows there too is worth anything.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the best settings so far were written).
    """
    if not 0 < holdout < 1:
        raise UsageError(f"--holdout: expected a share above 0 and below 1, got {holdout:g}")
    if out.suffix.lower() not in {".yaml", ".yml"}:
        raise UsageError(f"{out}: settings are written as .yaml")
    from ..io.paths import check_writable
    from ..tuning.footage import Judge, load_footage, require_different_names, split
    from ..tuning.search import require_optuna, search

    require_optuna()
    check_writable(out)
    require_different_names(sequences)
    folder = cache or out.with_suffix(".cache")
    if not folder.is_dir():
        check_writable(folder)
        folder.mkdir()
    footage = [
        load_footage(
            sequence,
            detector,
            encoder,
            folder / f"{sequence.resolve().name}.cache",
            device=device,
            precision=precision,
            progress=not quiet,
        )
        for sequence in sequences
    ]
    parts = split(footage, holdout)
    with (
        tempfile.TemporaryDirectory(prefix="bpbreid-tune-") as name,
        _progress(trials, metric, quiet) as show,
    ):
        judges = [Judge(part, Path(name) / str(number)) for number, part in enumerate(parts)]
        outcome = search(
            *judges, trials=trials, metric=metric, seed=seed, appearance=encoder != "none", on_trial=show
        )
    _write(out, outcome, *parts, seed=seed)
    typer.echo(json.dumps(outcome.as_dict())) if as_json else _show(outcome, *parts)
    for line in _verdict(outcome, out):
        typer.echo(f"{program.name}: {line}", err=True)
    return INTERRUPTED if outcome.interrupted else 0


@contextmanager
def _progress(trials: int, metric: str, quiet: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar on stderr; where that is no terminal, a line for every tenth of the trials."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
    task = bar.add_task("tuning", total=trials)

    def show(done: int, best: float) -> None:
        bar.update(task, completed=done, description=f"tuning, best {metric} {best:.2f}")
        if not quiet and not console.is_terminal and done % max(1, trials // 10) == 0:
            console.print(f"{done} of {trials} trials, best {metric} {best:.2f}")

    with bar:
        yield show


def _write(out: Path, outcome: Outcome, searched: list[Stretch], held_out: list[Stretch], seed: int) -> None:
    import yaml

    from ..io.part_file import write_whole

    metric = outcome.metric
    gains = ", ".join(
        f"{words} {', '.join(map(str, part))}: {getattr(values['default'], metric):.2f} -> "
        f"{getattr(values['tuned'], metric):.2f}"
        for words, part, values in (
            ("searched", searched, outcome.searched),
            ("held out", held_out, outcome.held_out),
        )
    )
    description = f"{outcome.trials} trials for {metric}, seed {seed}; {gains}"
    text = yaml.safe_dump(
        {"description": description, "tracker": outcome.settings}, sort_keys=False, width=100
    )
    write_whole(out, text.encode())


def _show(outcome: Outcome, searched: list[Stretch], held_out: list[Stretch]) -> None:
    """A table on stdout: both settings on both parts."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("part")
    table.add_column("settings", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for words, part, metrics in (
        ("searched", searched, outcome.searched),
        ("held out", held_out, outcome.held_out),
    ):
        for settings, values in metrics.items():
            figures = [values.as_dict()[name] for name in _COLUMNS]
            cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in figures]
            place = printable(f"{words}: {', '.join(map(str, part))}") if settings == "default" else ""
            table.add_row(place, settings, *cells)
        table.add_section()
    # Names may hold brackets, which are no markup of rich.
    Console(highlight=False, markup=False).print(table)


def _verdict(outcome: Outcome, out: Path) -> Iterator[str]:
    if not outcome.settings:
        yield f"none of {outcome.trials} trials was better than the defaults; keep them"
        return
    if not outcome.holds:
        yield (
            f"warning: on the held-out part {outcome.metric} got worse: these settings fit the searched part "
            "only; keep the defaults, or give more sequences"
        )
    changes = ", ".join(f"{name} {value:g}" for name, value in outcome.settings.items())
    yield f"wrote {out}: {changes}"
