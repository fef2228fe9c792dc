"""``bpbreid-eval``: HOTA, IDF1 and MOTA of track files, on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import InputError, UsageError, printable
from .common import Debug, Program, say

if TYPE_CHECKING:
    from ..evaluation.tracks import FolderMetrics, TrackingMetrics
    from ..io.mot_format import Frames

COMBINED = "COMBINED"
# What fits 80 columns; the JSON object has the rest.
_COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW", "Frag", "FP", "FN")

program = Program("bpbreid-eval")
run, main = program.run, program.main


@program.command
def evaluate(
    gt: Annotated[
        Path,
        typer.Argument(
            metavar="GT",
            show_default=False,
            help="Ground truth: MOTChallenge .txt, CVAT .xml or .zip, .csv, .jsonl, or the folder of a "
            "sequence; or a folder that holds <sequence>/gt/gt.txt.",
        ),
    ],
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            show_default=False,
            help="Tracks to judge: .txt, .csv or .jsonl; or a folder that holds <sequence>.txt.",
        ),
    ],
    sequences: Annotated[
        str | None, typer.Option(metavar="A,B", help="Of a folder: these sequences only.")
    ] = None,
    benchmark: Annotated[
        Literal["auto", "MOT15", "MOT16", "MOT17", "MOT20"],
        typer.Option(help="Whose rules; auto: from the columns of the ground truth."),
    ] = "auto",
    frames: Annotated[
        str | None,
        typer.Option(metavar="A:B", help="Judge frames A to B alone, both included, counted from 1."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, no table.")] = False,
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
) -> None:
    """Compare tracks with the ground truth: HOTA, IDF1, MOTA and more, as TrackEval computes them.

    Where the result covers a part of the truth's frames, a line on stderr says which. Shares are per cent,
    counts whole numbers.

    The JSON object has all metrics as keys; for folders these are the figures of all sequences together, and
    "sequences" holds each one.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    from ..evaluation.coverage import coverage
    from ..evaluation.pairs import read_pair, sequence_files
    from ..evaluation.tracks import evaluate_pair, evaluate_pairs
    from ..io.read_tracks import is_sequence

    part = _frames(frames)
    for path in (gt, result):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    many_truths, many_results = (path.is_dir() and not is_sequence(path) for path in (gt, result))
    if many_truths != many_results:
        many, one = (gt, result) if many_truths else (result, gt)
        kind = "one sequence" if one.is_dir() else "a file"
        raise UsageError(f"{many} is a folder and {one} {kind}; give two files or two folders")
    if many_truths:
        names = [name.strip() for name in sequences.split(",") if name.strip()] if sequences else None
        pairs = {name: read_pair(*both) for name, both in sequence_files(gt, result, names).items()}
        folder_metrics = evaluate_pairs(pairs, benchmark, part)
        if as_json:
            each = {name: metrics.as_dict() for name, metrics in folder_metrics.sequences.items()}
            typer.echo(json.dumps({**folder_metrics.combined.as_dict(), "sequences": each}))
        else:
            _show(_rows(folder_metrics))
    else:
        if sequences:
            raise UsageError("--sequences is for folders; these are two files")
        pairs = {result.stem: read_pair(gt, result)}
        metrics = evaluate_pair(pairs[result.stem], benchmark, part)
        if as_json:
            typer.echo(json.dumps(metrics.as_dict()))
        else:
            _show({result.stem: metrics})
    for pair in pairs.values():
        if line := coverage(pair, benchmark=benchmark, frames=part):
            say(f"{program.name}: {line}")


def _frames(text: str | None) -> Frames:
    """First and last frame of ``A:B``; a side that is left out is open."""
    if text is None:
        return None, None
    found = re.fullmatch(r"([0-9]{0,15}):([0-9]{0,15})", text.strip())
    first, last = (int(word) if word else None for word in found.groups()) if found else (0, 0)
    if first == 0 or last == 0 or (first is not None and last is not None and first > last):
        raise UsageError(f"--frames {text!r}: expected A:B with frames from 1, such as 1:60")
    return first, last


def _rows(metrics: FolderMetrics) -> dict[str, TrackingMetrics]:
    rows = dict(metrics.sequences)
    if len(rows) > 1:
        rows[COMBINED] = metrics.combined
    return rows


def _show(rows: dict[str, TrackingMetrics]) -> None:
    """A table on stdout, one sequence a row."""
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("sequence", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for sequence, metrics in rows.items():
        if sequence == COMBINED:
            table.add_section()
        values = metrics.as_dict()
        table.add_row(
            printable(sequence),
            *(
                f"{values[name]:.1f}" if isinstance(values[name], float) else str(values[name])
                for name in _COLUMNS
            ),
        )
    # Names may hold brackets, which are no markup of rich.
    console = Console(highlight=False, markup=False)
    # Long names of sequences make lines that a narrow terminal breaks; figures must not be cut short.
    console.width = max(
        console.width, Measurement.get(console, console.options.update(width=1000), table).maximum
    )
    console.print(table)
