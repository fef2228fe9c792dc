"""The bar that shows on a terminal how far a run is."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _FramesColumn(ProgressColumn):
    """Frames done, of how many, and the rate of the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        total = "" if task.total is None else f" of {int(task.total)}"
        return Text(f"{int(task.completed)}{total} frames" + (f", {speed:.1f} fps" if speed else ""))


def frames_bar(label: str, console: Console) -> Progress:
    """A bar of frames, not shown yet."""
    return Progress(
        SpinnerColumn(),
        TextColumn(label),
        BarColumn(),
        _FramesColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
    )
