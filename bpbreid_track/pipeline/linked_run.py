"""The second reading of a linked run: identities are known only at its end, when the pictures are gone.

The first reading writes its tracks as any run does; linked ones replace them. So a run that is killed leaves
tracks that are not linked, not none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from ..errors import InputError, UsageError, add_note
from ..identities.identity_manager import IdentityManager
from ..identities.teams import teams_in_order
from ..identities.track_history import TrackHistory
from ..io.open_source import open_source
from ..io.sources.base import Source
from .bridges import Bridges
from .interrupts import Interrupts
from .outputs import Outputs
from .progress import ProgressView
from .replay import ReplayTracker, Unpictured
from .report import TrackingReport
from .run import OnFrame, Run

PathLike = str | os.PathLike[str]

# Makes the run that writes settled boxes; without an Interrupts it cannot be interrupted.
Again = Callable[[Source, ReplayTracker, Outputs, Interrupts | None], Run]


def check_rereadable(source: object, reader: Source, pictures: bool, option: str = "--link") -> None:
    """Fail early where the frames could not be read a second time.

    Args:
        source: what was asked for.
        reader: it, opened.
        pictures: whether they are needed again.
        option: what needs a second reading.

    Raises:
        UsageError: a live source, or a ready ``Source`` where pictures are needed again.
    """
    if reader.live:
        raise UsageError(
            f"{reader.name}: is live and cannot be read twice, which {option} needs; leave it out, or give a "
            "recording"
        )
    if pictures and isinstance(source, Source):
        raise UsageError(
            f"{reader.name}: {option} reads the source twice; give its path in place of a Source object"
        )


class LinkedRun:
    """Tracks, joins tracklets, writes the track file, and reads the source again for the pictures.

    Args:
        source: what was asked for.
        reader: it, opened.
        again: makes the run that writes what is settled; with None it cannot be interrupted.
        identities: what the first reading feeds.
        history: likewise.
        tracks: the track file, which needs no pictures.
        pictures: video, crops and page.
        interrupts: those of the first reading.
        frame_rate: frames a second that overrule the timestamps; None for the timestamps.
        bridges: adds rows to the track file.
    """

    def __init__(
        self,
        source: PathLike | int | Source,
        reader: Source,
        again: Again,
        identities: IdentityManager,
        history: TrackHistory,
        tracks: Outputs,
        pictures: Outputs,
        interrupts: Interrupts,
        frame_rate: float | None,
        bridges: Bridges,
    ) -> None:
        self._source, self._reader, self._again = source, reader, again
        self._identities, self._history = identities, history
        self._interrupts = interrupts
        self._tracks, self._pictures = tracks, pictures
        self._frame_rate, self._bridges = frame_rate, bridges

    def open(self) -> None:
        """Make the files of the pictures; that of the linked tracks comes in place of the first reading's."""
        self._pictures.open(self._reader)

    def go(
        self,
        first: Run,
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
        start = time.perf_counter()
        with ExitStack() as stack:
            stack.callback(self._pictures.close)
            stack.callback(self._tracks.close)
            stack.enter_context(self._interrupts.installed())
            error: BaseException | None = None
            try:
                first.go(report, max_frames, None, view)
            except BaseException as raised:
                error = raised
            recording = self._record(report)
            try:
                self._tracks.open(self._reader, bridges=self._bridges)
                rest = Unpictured(self._history, self._reader)
                settled = _blank(report)
                self._again(rest, recording, self._tracks, None).go(settled, None, None, None)
                report.lines, report.zones = settled.lines, settled.zones
                if report.filled is not None:
                    report.filled += self._tracks.bridged
            except InputError as raised:
                error = error or raised
            wanted = bool(self._pictures.paths) or on_frame is not None
            if wanted and self._history.indices and not isinstance(error, KeyboardInterrupt):
                try:
                    self._paint(recording, report, on_frame, view is not None)
                except BaseException as raised:
                    error = error or raised
                else:
                    if error is not None:
                        add_note(error, self._pictures.describe())
            report.seconds = time.perf_counter() - start
            report.fps = report.frames / report.seconds
            if error is not None:  # it says already how many frames the tracks have
                raise error

    def _record(self, report: TrackingReport) -> ReplayTracker:
        times = np.array(self._history.times)
        if self._frame_rate is not None:
            times = np.array(self._history.indices) / self._frame_rate
        linked = self._identities.link(self._history.rows(times), times, self._history.steps)
        if self._identities.joins:
            report.joined = linked.joined
        if report.filled is not None:
            report.filled = int(linked.rows.filled.sum())
        names, columns = self._identities.settle(linked), dict[str, dict[int, str]]()
        if names is not None:
            columns["name"] = names
        teams = self._identities.teams
        if teams is not None:
            columns["team"], report.teams = teams, teams_in_order(teams)
            if not teams:
                report.notes.append(
                    "no teams can be told: too few people were seen clearly, or all look alike"
                )
        return ReplayTracker(self._history, linked, columns, times)

    def _paint(
        self,
        recording: ReplayTracker,
        report: TrackingReport,
        on_frame: OnFrame | None,
        progress: bool,
    ) -> None:
        """The second reading."""
        frames = len(self._history.indices)
        second = _blank(report)
        source = open_source(self._source)  # type: ignore[arg-type]
        reading = self._again(source, recording, self._pictures, self._interrupts)
        reading.go(second, frames, on_frame, ProgressView(frames, label="writing") if progress else None)
        report.stages |= {name: second.stages[name] for name in ("draw", "write") if name in second.stages}
        report.notes += [note for note in second.notes if note not in report.notes]
        if second.interrupted:
            report.interrupted = True
            report.notes.append(
                f"writing was interrupted: pictures of {second.frames} of {frames} frames were written"
            )


def _blank(report: TrackingReport) -> TrackingReport:
    return TrackingReport(report.source, report.detector, report.encoder, report.config, report.outputs)
