"""Ctrl-C during training."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def lasting_interrupt() -> Iterator[Callable[[], None]]:
    """A function to call now and then, which raises KeyboardInterrupt if Ctrl-C was lost.

    Python raises it wherever the main thread is. Where that is a destructor or a callback of a library,
    as can be while a state is saved, it is printed at best, and the program goes on.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.default_int_handler(number, frame)

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop_if_asked  # somebody else looks after it
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
