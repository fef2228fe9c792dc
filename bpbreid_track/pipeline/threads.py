"""The stages of a run in threads of their own, joined by bounded channels.

A stage that ends, for whatever reason, cancels the channel it reads from and closes the one it writes to. So
an error or an early stop travels upstream within a poll, while everything already handed downstream is still
finished, in order: what has been written stays consistent, and no thread is left waiting for another.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

# Seconds after which a waiting thread looks up to see whether it is still wanted.
_POLL = 0.05

_END = object()

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class Cancelled(Exception):
    """Raised in a producer whose consumer has gone."""


class Channel(Generic[T]):
    """A bounded queue between one producer and one consumer.

    Args:
        capacity: items it holds before ``put`` waits.
    """

    def __init__(self, capacity: int) -> None:
        self._queue: queue.Queue[object] = queue.Queue(capacity)
        # A plain flag, not an Event: a signal handler may set it while its own thread reads it.
        self._cancelled = False

    def put(self, item: T) -> None:
        """Hand ``item`` on, waiting while the channel is full.

        Raises:
            Cancelled: nobody will read it.
        """
        self._put(item)

    def close(self) -> None:
        """Tell the consumer that this was all."""
        with suppress(Cancelled):
            self._put(_END)

    def cancel(self) -> None:
        """Tell both sides to stop; what lies in the channel is lost. Safe in a signal handler."""
        self._cancelled = True

    def __iter__(self) -> Iterator[T]:
        while not self._cancelled:
            try:
                item = self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is _END:
                return
            yield item  # type: ignore[misc]

    def _put(self, item: object) -> None:
        while not self._cancelled:
            try:
                self._queue.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return
        raise Cancelled


@dataclass
class Stopwatch:
    """Time a stage spent working (waiting for its neighbours left out), and on how many frames."""

    seconds: float = 0.0
    frames: int = 0

    def add(self, seconds: float, frames: int = 1) -> None:
        self.seconds += seconds
        self.frames += frames

    @contextmanager
    def measure(self, frames: int = 1) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(time.perf_counter() - start, frames)


def worked(
    items: Iterable[A], work: Callable[[A], B], finish: Callable[[], Iterable[B]] | None = None
) -> Iterator[B]:
    """``work`` of each of ``items``, and then what ``finish`` gives, one after the other."""
    yield from map(work, items)
    if finish is not None:
        yield from finish()


class Threads:
    """The threads of one run and the first error in any of them."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        items: Iterable[A],
        work: Callable[[A], B],
        sink: Channel[B],
        upstream: Channel[Any] | None = None,
        finish: Callable[[], Iterable[B]] | None = None,
    ) -> None:
        """Put what ``worked`` gives into ``sink``, in a thread.

        Args:
            items: read in the new thread, and closed there if it has a ``close``.
            upstream: the channel behind ``items``, cancelled when the stage ends.
            finish: as for ``worked``.
        """

        def body() -> None:
            try:
                for result in worked(items, work, finish):
                    sink.put(result)
            except Cancelled:
                pass
            except BaseException as error:  # the calling thread raises it again
                with self._lock:
                    self.error = self.error or error
            finally:
                if upstream is not None:
                    upstream.cancel()
                sink.close()
                if isinstance(items, Generator):
                    items.close()

        thread = threading.Thread(target=body, name=f"bpbreid-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all threads have ended; False if one has not after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


def timed(items: Iterable[T], watch: Stopwatch, limit: int | None = None) -> Generator[T, None, None]:
    """The first ``limit`` of ``items`` (None: all), with the time each took to come measured by ``watch``."""
    iterator = iter(items)
    try:
        while limit is None or watch.frames < limit:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            watch.add(time.perf_counter() - start)
            yield item
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


def batched(items: Iterable[T], size: int) -> Generator[list[T], None, None]:
    """Lists of ``size`` items; the last may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
