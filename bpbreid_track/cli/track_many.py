"""``bpbreid-track --out-dir``: many videos, and what the user is told of them at the end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..io.addresses import public_name
from .common import INTERRUPTED, say

if TYPE_CHECKING:
    from ..many.api import ManyReport

PROGRAM = "bpbreid-track"


def track_many(
    sources: Sequence[str], out_dir: str, write: str | None, *, quiet: bool, **options: Any
) -> int:
    """Track all ``sources`` into ``out_dir``; returns the exit code.

    Args:
        sources: as on the command line.
        out_dir: folder of the results.
        write: words with commas between them; None for the usual ones.
        quiet: say only what failed.
        options: as for ``track_videos``.
    """
    from ..many.api import track_videos

    if write is not None:
        options["write"] = [word.strip() for word in write.split(",") if word.strip()]
    report = track_videos(sources, out_dir, progress=not quiet, **options)
    if not quiet:
        _show(report, out_dir)
    else:
        for source, why in report.failed:
            say(f"{PROGRAM}: error: {source}: {why}")
    if report.interrupted:
        return INTERRUPTED
    return InputError.exit_code if report.failed else 0


def _show(report: ManyReport, out_dir: str) -> None:
    """The sums, and a table of what failed and why, on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # Names may hold brackets, which are no markup of rich.
    console = Console(stderr=True, highlight=False, markup=False)
    with suppress(OSError):  # a terminal that has closed
        if report.failed:
            table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
            table.add_column("failed", overflow="fold")
            table.add_column("why", overflow="fold")
            for source, why in report.failed:
                table.add_row(source, why)
            console.print(table)
        sums = [f"{len(report.tracked)} tracked"]
        sums += [f"{len(report.whole)} whole before"] if report.whole else []
        sums += [f"{len(report.failed)} failed"] if report.failed else []
        console.print(
            f"{'interrupted: ' if report.interrupted else ''}{', '.join(sums)}; {report.frames} frames in "
            f"{report.seconds:.1f} s; {public_name(out_dir)}",
            soft_wrap=True,
        )
        if report.interrupted:
            console.print("the same call with --resume does the rest", soft_wrap=True)
