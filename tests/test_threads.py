"""Threads and channels of the pipeline, without any video."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bpbreid_track.pipeline.threads import Cancelled, Channel, Stopwatch, Threads, batched, timed


def alive() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bpbreid-")]


def test_items_come_out_in_order_and_all_of_them() -> None:
    threads, squares, halves = Threads(), Channel[int](2), Channel[float](2)
    threads.start("square", iter(range(100)), lambda n: n * n, squares)
    threads.start("halve", squares, lambda n: n / 2, halves, squares)
    assert list(halves) == [n * n / 2 for n in range(100)]
    assert threads.join(5)
    assert threads.error is None


def test_stages_work_at_the_same_time() -> None:
    def slowly(n: int) -> int:
        time.sleep(0.02)
        return n

    threads, first, second = Threads(), Channel[int](4), Channel[int](4)
    start = time.perf_counter()
    threads.start("first", iter(range(20)), slowly, first)
    threads.start("second", first, slowly, second, first)
    for item in second:
        slowly(item)
    # In turn the three would take 1.2 s.
    assert time.perf_counter() - start < 0.9


def test_error_keeps_what_came_before_and_stops_everybody() -> None:
    boom = RuntimeError("boom")
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            n = 0
            while True:
                yield n
                n += 1
        finally:
            closed.set()

    def work(n: int) -> int:
        if n == 7:
            raise boom
        return n

    threads, first, second, third = Threads(), Channel[int](2), Channel[int](2), Channel[int](2)
    threads.start("read", timed(endless(), Stopwatch()), lambda n: n, first)
    threads.start("work", first, work, second, first)
    threads.start("last", second, lambda n: n, third, second)
    assert list(third) == list(range(7))
    assert threads.join(5)
    assert threads.error is boom
    assert closed.is_set()
    assert not alive()


def test_full_channel_holds_its_producer_back() -> None:
    read: list[int] = []

    def note(n: int) -> int:
        read.append(n)
        return n

    threads, channel = Threads(), Channel[int](3)
    threads.start("read", timed(iter(range(1000)), Stopwatch()), note, channel)
    time.sleep(0.2)
    assert len(read) <= 4
    channel.cancel()
    assert threads.join(5)


def test_producer_waiting_at_a_full_channel_ends_when_the_consumer_leaves() -> None:
    channel = Channel[int](1)
    channel.put(1)
    threading.Timer(0.1, channel.cancel).start()
    with pytest.raises(Cancelled):
        channel.put(2)


def test_consumer_waiting_at_an_empty_channel_ends_when_it_is_cancelled() -> None:
    channel = Channel[int](1)
    threading.Timer(0.1, channel.cancel).start()
    assert list(channel) == []


def test_batches_are_full_but_for_the_last() -> None:
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []


def test_limit_reads_no_item_more() -> None:
    def two_good_ones() -> Iterator[int]:
        yield 1
        yield 2
        raise RuntimeError("damaged from here on")

    watch = Stopwatch()
    assert list(timed(two_good_ones(), watch, limit=2)) == [1, 2]
    assert watch.frames == 2
