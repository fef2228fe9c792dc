"""Videos one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .manifest import Entry
from .plan import Job
from .show import Show
from .worker import Worker, begun_entry


def track_in_turn(worker: Worker, jobs: Sequence[Job], show: Show) -> Iterator[Entry]:
    """An entry for the beginning of each video, and one for its end.

    Ctrl-C ends the video that is being tracked in good order, and none is begun after it.

    Raises:
        InputError: the networks cannot be loaded.
    """
    loaded = False
    for job in jobs:
        if not loaded and not job.asked.why:
            worker.load()
            loaded = True
        yield begun_entry(job)
        if job.asked.why:
            yield unreadable(job)
            continue
        entry = worker.track(job, show.label(job))
        yield entry
        if entry.state == "interrupted":
            return


def unreadable(job: Job) -> Entry:
    """The end of a source of which it was known before that it cannot be tracked."""
    return replace(begun_entry(job), state="failed", error=f"{job.asked.shown}: {job.asked.why}")
