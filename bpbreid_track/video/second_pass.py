"""The second reading of a linked run: identities are known only at its end, when the pictures are gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import numpy as np
import supervision as sv

from ..errors import UsageError, add_note
from ..tracking.linking import Linked
from ..tracking.tracker import TrackerStats
from .journal import Journal
from .outputs import Outputs
from .people import People
from .progress import ProgressView
from .report import TrackingReport
from .sources import Frame, Source, open_source
from .stages import SAME_REQUEST, on_interrupt

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings

PathLike = str | os.PathLike[str]
OnFrame = Callable[[Frame, sv.Detections], object]


class Recording:
    """The settled boxes of a run, in place of detector and tracker.

    Args:
        journal: the frames.
        linked: their boxes.
        names: names by identity; None where there is no gallery.
    """

    name = "recording"

    def __init__(self, journal: Journal, linked: Linked, names: dict[int, str] | None) -> None:
        self._rows, self._names = linked.rows, names
        self._class_names = journal.class_names
        self._place = {index: place for place, index in enumerate(journal.indices)}
        self._starts = np.searchsorted(linked.rows.frame, np.arange(len(journal.indices) + 1))
        self.stats = TrackerStats()

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        """The boxes of ``frames``, with ``tracker_id`` and ``data``: ``filled``, ``name`` with a gallery."""
        return [self._detections(self._place[frame.index]) for frame in frames]

    def update(
        self,
        detections: sv.Detections,
        frame: np.ndarray | None = None,
        *,
        embeddings: PartEmbeddings | None = None,
        timestamp: float | None = None,
    ) -> sv.Detections:
        """``detections`` as they are: their identities are settled."""
        return detections

    def _detections(self, place: int) -> sv.Detections:
        part = self._rows[np.arange(self._starts[place], self._starts[place + 1])]
        data = {"filled": part.filled}
        if self._class_names:
            data["class_name"] = _texts(part.class_id, self._class_names)
        if self._names is not None:
            data["name"] = _texts(part.id, self._names)
        return sv.Detections(
            xyxy=part.xyxy.astype(np.float32),
            confidence=part.confidence,
            class_id=part.class_id,
            tracker_id=part.id,
            data=data,
        )


def _texts(numbers: np.ndarray, texts: dict[int, str]) -> np.ndarray:
    out = np.full(len(numbers), "", object)
    out[:] = [texts.get(number, "") for number in numbers.tolist()]
    return out


class Unpictured(Source):
    """The frames of a journal again, for outputs that need no picture: ``image`` is a single black pixel.

    Args:
        journal: the frames.
        like: the source they came from.
    """

    live = False

    def __init__(self, journal: Journal, like: Source) -> None:
        self.name, self.width, self.height = like.name, like.width, like.height
        self.frame_rate, self.frame_count, self.notes = like.frame_rate, len(journal.indices), []
        self._journal = journal

    def __iter__(self) -> Iterator[Frame]:
        blank = np.zeros((1, 1, 3), np.uint8)
        for index, timestamp in zip(self._journal.indices, self._journal.times, strict=True):
            yield Frame(index, timestamp, blank)


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

    Raises:
        UsageError: a source that cannot be read twice.
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
