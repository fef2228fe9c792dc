"""What the user sees of many runs: how far they are, a line for each that ended, and what failed."""

from __future__ import annotations

import time
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..pipeline.progress import BarView
from .manifest import Entry
from .plan import Job


class Show(BarView):
    """Progress over all videos on stderr.

    Args:
        total: videos to come.
        at_once: how many are tracked at once. A bar over all is for several; one has a bar of its own.
        quiet: show nothing.
    """

    def __init__(self, total: int, at_once: int = 1, *, quiet: bool = False) -> None:
        self._total, self._quiet = total, quiet
        self._done = 0
        self._start = time.monotonic()
        self._console = Console(stderr=True, highlight=False, quiet=quiet, soft_wrap=True)
        if at_once > 1 and self._console.is_terminal and not quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console, transient=True, redirect_stdout=False)
            self._task = self._bar.add_task(f"{at_once} at once", total=total)

    def label(self, job: Job) -> str | bool:
        """What stands before the progress of the next video, for ``track_video``."""
        return False if self._quiet else f"{self._done + 1} of {self._total}, {job.name}"

    def resumed(self, whole: int, first: Job) -> None:
        """A call that goes on where another was stopped."""
        with suppress(OSError):
            self._console.print(
                f"{whole} of {whole + self._total} are whole already; going on with {first.name} "
                f"({first.asked.shown})",
                markup=False,
            )

    def searched(self, name: str, done: int, count: int) -> None:
        """One more piece of a video has been searched."""
        with suppress(OSError):
            self._console.print(f"{name}: {done} of {count} pieces searched", markup=False)

    def ended(self, entry: Entry) -> None:
        """One more video has ended."""
        self._done += 1
        figures = entry.figures
        if entry.state == "failed":
            what = f"failed: {entry.error}"
        elif figures:
            seconds = figures["seconds"]
            rate = figures["frames"] / seconds if seconds else 0
            what = f"{figures['frames']} frames, {figures['identities']} identities, {rate:.1f} fps"
        else:
            what = "not finished"
        to_come = "" if entry.state == "interrupted" else self._to_come()
        with suppress(OSError):
            self._console.print(f"{self._done} of {self._total}  {entry.name}: {what}{to_come}", markup=False)
            for note in figures.get("notes", ()):
                self._console.print(f"  warning: {note}", markup=False)
            if self._bar is not None:
                self._bar.advance(self._task)

    def _to_come(self) -> str:
        left = self._total - self._done
        if not left:
            return ""
        seconds = (time.monotonic() - self._start) / self._done * left
        return f"; about {seconds / 60:.0f} min left" if seconds >= 90 else f"; about {seconds:.0f} s left"
