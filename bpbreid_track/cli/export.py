"""``bpbreid-export``: tracks for annotation tools, on the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from .common import run_app, say, version_option

PROGRAM = "bpbreid-export"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def main() -> None:
    """The entry point of ``bpbreid-export``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line with ``arguments`` (without the program's name); returns the exit code."""
    return run_app(app, PROGRAM, arguments)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def export(
    tracks: Annotated[
        Path,
        typer.Argument(
            metavar="TRACKS", show_default=False, help="Track file of a run: .txt, .csv or .jsonl."
        ),
    ],
    to: Annotated[
        Literal["cvat", "mot", "coco", "soccernet", "labelstudio"],
        typer.Option(show_default=False, help="The format."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER_OR_FILE",
            show_default=False,
            help="cvat: .xml or .zip; coco and labelstudio: .json; mot and soccernet: a new folder or .zip.",
        ),
    ],
    video: Annotated[
        str | None,
        typer.Option(metavar="VIDEO", help="What was tracked; only cvat and mot can do without it."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="PX",
            help="cvat and labelstudio: how far boxes between keyframes may be off; 0: all are keyframes.",
        ),
    ] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No summary.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, version_option(PROGRAM)] = False,
) -> None:
    """Write tracks as annotation tools read them; nothing is there until all is written.

    cvat is CVAT for video 1.1, mot is CVAT's MOT 1.1. Corrected there and exported again, both are read by
    bpbreid-eval, bpbreid-tune and bpbreid-train crops.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    from ..exports.export import export_tracks

    report = export_tracks(tracks, to, out, video=video, tolerance=tolerance)
    if not quiet:
        say(f"{report.out}: {report.boxes} boxes of {report.identities} identities")
    for note in report.notes:
        say(f"{PROGRAM}: warning: {note}")
