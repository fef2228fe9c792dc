"""``bpbreid-edit``: identities put right by hand, in a track file and on its video."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .common import INTERRUPTED, Debug, Program, Quiet, say

program = Program("bpbreid-edit")
run, main = program.run, program.main


@program.command
def edit(
    tracks: Annotated[
        Path,
        typer.Argument(
            metavar="TRACKS", show_default=False, help="Track file of a run: .txt, .csv or .jsonl."
        ),
    ],
    corrections: Annotated[
        Path,
        typer.Option(
            metavar="FILE.json", help="What is to be done, saved on the page of bpbreid-track --report."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="NEW_TRACKS", help="Corrected track file, of the same kind.")],
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="What was tracked, to paint it anew.")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(metavar="OUT.mp4", help="With --source: the video painted from the corrected tracks."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
) -> int:
    """Merge, split, rename and delete identities in TRACKS, as a file of corrections says.

    Everything else in the track file stays as it is. No network runs. Where a correction is not possible,
    nothing is written.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (what was written so far is complete).
    """
    from ..io.part_file import write_whole
    from ..pipeline.outputs import Outputs
    from ..report_page.edit import check_suffix, edited, identities, names_of

    if (source is None) != (video is None):
        raise UsageError("--source and --video: give both, or neither")
    check_suffix(tracks, out)
    Outputs(video, out, None).check([tracks, corrections, source])
    with ExitStack() as held:
        reader = None
        if source is not None and video is not None:
            from ..io.open_source import open_source

            reader = held.enter_context(open_source(source))
            if reader.live:
                raise UsageError(f"{source}: is live; give a recording of what was tracked")
        result = edited(tracks, corrections)
        done, kept = result.corrected, result.corrected.kept
        write_whole(out, result.text)
        if not quiet:
            say(
                f"{result.steps} corrections: {identities(result.tracks.id)} identities are now "
                f"{identities(done.id[kept])}, {len(kept) - kept.sum()} of {len(kept)} boxes left out; {out}"
            )
        if any(done.names.values()) and not result.tracks.has_names:
            where = "the video alone shows them" if video is not None else "they are left out"
            program.warn(f"{out}: MOTChallenge text has no place for names; {where} (.csv has one)")
        if reader is None or video is None:
            return 0
        from ..pipeline.repaint import TrackRowsByFrame, repaint

        was = result.tracks
        names = [name for name, stays in zip(names_of(result), kept, strict=True) if stays]
        teams = [each for each, stays in zip(was.teams(done.id, kept), kept, strict=True) if stays]
        filled = [each for each, stays in zip(was.filled, kept, strict=True) if stays]
        rows = TrackRowsByFrame(
            was.frame[kept], done.id[kept], was.ltwh[kept], was.confidence[kept], names, teams, filled
        )
        report = repaint(reader, rows, video, progress=not quiet)
        for note in report.notes:
            program.warn(note)
        last = int(was.frame.max(initial=0))
        if rows.last < last and not report.interrupted:
            program.warn(
                f"{source}: ends with frame {rows.last}, the tracks with frame {last}; "
                "is it what was tracked?"
            )
        if not quiet:
            say(f"{report.frames} frames were painted; {video}")
        return INTERRUPTED if report.interrupted else 0
