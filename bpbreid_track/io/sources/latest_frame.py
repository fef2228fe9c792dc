"""Keeping up with a camera: read in a thread, hand out the newest item, count the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_JOIN_SECONDS = 2.0


class LatestFrame(Generic[T]):
    """Iterates over the newest items of an endless iterator, which a thread reads as fast as it gives them.

    Args:
        items: read in the thread only.

    Attributes:
        dropped: items that nobody took before the next one came.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self.dropped = 0
        self._items = items
        self._slot: list[T] = []
        self._error: BaseException | None = None
        self._finished = False
        self._stopped = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="newest-frame", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._slot or self._finished)
                if not self._slot:
                    break
                item = self._slot.pop()
            yield item
        if self._error is not None:
            raise self._error

    def stop(self) -> bool:
        """End the thread; False where it still waits for an item and must be left alone."""
        self._stopped = True
        self._thread.join(_JOIN_SECONDS)
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            for item in self._items:
                with self._change:
                    self.dropped += len(self._slot)
                    self._slot = [item]
                    self._change.notify()
                if self._stopped:
                    break
        except BaseException as error:  # handed to the reader of the items
            self._error = error
        finally:
            with self._change:
                self._finished = True
                self._change.notify()
