"""The second reading of a linked run: identities are known only at its end, when the pictures are gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import numpy as np
import supervision as sv

from ..errors import UsageError, add_note
from ..identities.identity_manager import People
from ..identities.track_history import Journal
from ..io.open_source import open_source
from ..io.sources.base import Frame, Source
from .outputs import Outputs
from .progress import ProgressView
from .replay import Recording, Unpictured
from .report import TrackingReport
from .stages import SAME_REQUEST, on_interrupt

PathLike = str | os.PathLike[str]
OnFrame = Callable[[Frame, sv.Detections], object]


def check_rereadable(source: object, reader: Source, pictures: bool) -> None:
    """Fail early where the frames could not be read a second time.

    Raises:
        UsageError: a live source, or a ready ``Source`` where pictures are needed again.
    """
    if reader.live:
        raise UsageError(
            f"{reader.name}: is live and cannot be read twice, which --link needs; leave it out, or record "
            "and link a recording"
        )
    if pictures and isinstance(source, Source):
        raise UsageError(
            f"{reader.name}: linking reads the source twice; give its path in place of a Source object"
        )


class Reading(Protocol):
    """One run through a source, from ``go`` to its end."""

    def go(
        self,
        report: TrackingReport,
        max_frames: int | None,
        on_frame: OnFrame | None,
        view: ProgressView | None,
    ) -> None:
        """Run; fill in ``report``."""

    def interrupt(self, insists: bool = False) -> None:
        """Stop in good order; at once if the user ``insists``."""


class _Interrupts:
    """Hands signals to whichever reading is going on, so that none falls between the two."""

    def __init__(self) -> None:
        self._current: Reading | None = None
        self._first: float | None = None
        self._asked = False

    def watch(self, reading: Reading) -> None:
        """From now on it is ``reading`` that is stopped."""
        self._current, self._asked = reading, False

    def __call__(self, insists: bool) -> None:
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        if self._current is None or (not self._asked and 0 < now - self._first <= SAME_REQUEST):
            return
        asked, self._asked = self._asked, True
        self._current.interrupt(insists and asked)


class LinkedRun:
    """Tracks, joins tracklets, writes the track file, and reads the source again for the pictures.

    Args:
        source: what was asked for.
        reader: it, opened.
        again: makes a reading of a recording.
        people: what the first reading feeds.
        journal: likewise.
        tracks: the track file, which needs no pictures.
        pictures: video and crops.
        frame_rate: frames a second that overrule the timestamps; None for the timestamps.
    """

    def __init__(
        self,
        source: PathLike | int | Source,
        reader: Source,
        again: Callable[[Source, Recording, Outputs], Reading],
        people: People,
        journal: Journal,
        tracks: Outputs,
        pictures: Outputs,
        frame_rate: float | None,
    ) -> None:
        self._source, self._reader, self._again = source, reader, again
        self._people, self._journal = people, journal
        self._tracks, self._pictures = tracks, pictures
        self._frame_rate = frame_rate

    def open(self) -> None:
        """Make the files; where one cannot be made, none is left open."""
        self._tracks.open(self._reader)
        try:
            self._pictures.open(self._reader)
        except BaseException:
            self._tracks.close()
            raise

    def go(
        self,
        first: Reading,
        report: TrackingReport,
        max_frames: int | None,
        on_frame: OnFrame | None,
        view: ProgressView | None,
    ) -> None:
        """Run both readings; fill in ``report``.

        Whatever ends the first, what was tracked until then is joined and written. Who insists on stopping
        gets the track file alone, which takes no time.

        Args:
            first: the first reading, which writes nothing.
            report: figures of both.
            max_frames: of the first.
            on_frame: called in the second.
            view: progress of the first; None for none in either.
        """
        interrupts = _Interrupts()
        start = time.perf_counter()
        with ExitStack() as stack:
            stack.callback(self._pictures.close)
            stack.callback(self._tracks.close)
            stack.enter_context(on_interrupt(interrupts))
            interrupts.watch(first)
            error: BaseException | None = None
            try:
                first.go(report, max_frames, None, view)
            except BaseException as raised:
                error = raised
            recording = self._record(report)
            rest = Unpictured(self._journal, self._reader)
            self._again(rest, recording, self._tracks).go(_blank(report), None, None, None)
            wanted = bool(self._pictures.paths) or on_frame is not None
            if wanted and self._journal.indices and not isinstance(error, KeyboardInterrupt):
                try:
                    self._paint(interrupts, recording, report, on_frame, view is not None)
                except BaseException as raised:
                    error = error or raised
                else:
                    if error is not None:
                        add_note(error, self._pictures.describe())
            report.seconds = time.perf_counter() - start
            report.fps = report.frames / report.seconds
            if error is not None:
                add_note(error, self._tracks.describe())
                raise error

    def _record(self, report: TrackingReport) -> Recording:
        times = np.array(self._journal.times)
        if self._frame_rate is not None:
            times = np.array(self._journal.indices) / self._frame_rate
        linked = self._people.link(self._journal.rows(times), times)
        report.joined, report.filled = linked.joined, linked.filled
        return Recording(self._journal, linked, self._people.settle(linked))

    def _paint(
        self,
        interrupts: _Interrupts,
        recording: Recording,
        report: TrackingReport,
        on_frame: OnFrame | None,
        progress: bool,
    ) -> None:
        """The second reading."""
        frames = len(self._journal.indices)
        second = _blank(report)
        reading = self._again(open_source(self._source), recording, self._pictures)  # type: ignore[arg-type]
        interrupts.watch(reading)
        reading.go(second, frames, on_frame, ProgressView(frames, label="writing") if progress else None)
        report.stages |= {name: second.stages[name] for name in ("draw", "write") if name in second.stages}
        if second.interrupted:
            report.interrupted = True
            report.notes.append(
                f"writing was interrupted: pictures of {second.frames} of {frames} frames were written"
            )


def _blank(report: TrackingReport) -> TrackingReport:
    return TrackingReport(report.source, report.detector, report.encoder, report.config, report.outputs)
