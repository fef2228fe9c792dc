"""Progress on stderr: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

# Seconds between two lines where stderr is no terminal.
_LOG_INTERVAL = 10.0


class BarView:
    """Shows a bar, if there is one, from ``with`` to its end. A terminal that has closed ends nothing."""

    _bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.stop()


class ProgressView(BarView):
    """Shows how far a run is.

    Args:
        total: frames to come; None where that is unknown.
        console: where to write.
        label: what is being done.
    """

    def __init__(self, total: int | None, console: Console | None = None, *, label: str = "tracking") -> None:
        # Rich is loaded by who shows something: a quiet run does not.
        from rich.console import Console

        self._console = console or Console(stderr=True)
        self._total = total
        self._done = 0
        self._start = self._last_line = time.monotonic()
        if self._console.is_terminal:
            from .bar import frames_bar

            self._bar = frames_bar(label, self._console)
            self._task = self._bar.add_task(label, total=total)

    def advance(self) -> None:
        """One more frame is done."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
            return
        now = time.monotonic()
        if now - self._last_line >= _LOG_INTERVAL:
            self._last_line = now
            with suppress(OSError):
                self._console.print(self._line(now - self._start), highlight=False)

    def _line(self, seconds: float) -> str:
        fps = self._done / seconds
        if self._total is None:
            return f"{self._done} frames, {fps:.1f} fps"
        left = max(0, self._total - self._done) / fps
        return f"{self._done} of {self._total} frames, {fps:.1f} fps, {left:.0f} s left"
