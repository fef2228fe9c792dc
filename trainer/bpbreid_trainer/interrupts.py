"""Ctrl-C during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpbreid_track.pipeline.interrupts import on_interrupt


@contextmanager
def lasting_interrupt() -> Iterator[Callable[[], None]]:
    """A function to call now and then, which raises KeyboardInterrupt if Ctrl-C was lost.

    Python raises it wherever the main thread is. Where that is a destructor or a callback of a library,
    as can be while a state is saved, it is printed at best, and the program goes on.
    """
    asked = False

    def stop(_: bool) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    with on_interrupt(stop, ["SIGINT"]):
        yield stop_if_asked
