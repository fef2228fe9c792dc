"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal): one controller hands them to whichever run is going on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

_DEFAULTS: dict[str, Any] = {
    "SIGINT": signal.default_int_handler,
    "SIGTERM": signal.SIG_DFL,
    "SIGHUP": signal.SIG_DFL,  # Windows has none
}
# Signals closer together than this many seconds are one request.
SAME_REQUEST = 0.5


class Interruptible(Protocol):
    """What can be stopped."""

    def interrupt(self, insists: bool = False) -> None:
        """Stop in good order; at once if the user ``insists``."""


class Interrupts:
    """Stops the run that is going on, and the next one only if the user asks again.

    A run that follows another (the second reading of a linked run) calls ``watch`` when it begins, so no
    signal falls between the two.
    """

    def __init__(self) -> None:
        self._current: Interruptible | None = None
        self._first: float | None = None
        self._asked = self._installed = False

    @contextmanager
    def watch(self, run: Interruptible) -> Iterator[None]:
        """From now on it is ``run`` that is stopped; handles signals unless an outer block does already."""
        self._current, self._asked = run, False
        with self.installed():
            yield

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle signals in this block."""
        if self._installed:
            yield
            return
        self._installed = True
        try:
            with on_interrupt(self):
                yield
        finally:
            self._installed = False

    def __call__(self, insists: bool) -> None:
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        if self._current is None or (not self._asked and 0 < now - self._first <= SAME_REQUEST):
            return
        asked, self._asked = self._asked, True
        self._current.interrupt(insists and asked)


@contextmanager
def on_interrupt(handle: Callable[[bool], None], signals: Sequence[str] = tuple(_DEFAULTS)) -> Iterator[None]:
    """Call ``handle`` on SIGINT, SIGTERM and SIGHUP instead of what Python does with them.

    Handlers that the host program has set are left alone (``nohup`` is one: it ignores SIGHUP), and so is
    everything outside the main thread.

    Args:
        handle: told whether the user insists, by a Ctrl-C that comes a while after the first signal; it may
            raise. A repeated SIGTERM is no insistence: ``timeout`` and its like send it to a process and once
            more to its group.
        signals: names of the signals, if not of all three.
    """
    previous: dict[int, Any] = {}
    first: float | None = None

    def handler(signum: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        insists = signum == signal.SIGINT and first is not None and now - first > SAME_REQUEST
        first = now if first is None else first
        handle(insists)

    if threading.current_thread() is threading.main_thread():
        for name in signals:
            signum = getattr(signal, name, None)
            if signum is not None and signal.getsignal(signum) == _DEFAULTS[name]:
                previous[signum] = signal.signal(signum, handler)
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
