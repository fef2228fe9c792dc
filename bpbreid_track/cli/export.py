"""``bpbreid-export``: tracks for annotation tools, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .common import Debug, Program, say

program = Program("bpbreid-export")
run, main = program.run, program.main


@program.command
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
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
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
        program.warn(note)
