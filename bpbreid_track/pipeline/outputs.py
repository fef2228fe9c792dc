"""All that one run writes, kept in step: every sink gets every frame and is finished whatever happens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, UsageError
from ..explain.writer import ExplainSink, check_explain_path
from ..io.locks import writing
from ..io.part_file import kept_names
from ..io.sinks.counts import CountSink, check_count_path
from ..io.sinks.crops import CropSink
from ..io.sinks.tracks import Sink, TextSink, check_track_path, open_track_sink
from ..io.sinks.video import VideoSink, check_video_path
from .bridges import Bridges

if TYPE_CHECKING:
    import supervision as sv

    from ..explain.reasons import MatchReason
    from ..io.sources.base import Frame, Source
    from ..regions.counter import Event
    from ..tracking.camera_motion import CameraStep

PathLike = str | os.PathLike[str]


class Outputs:
    """Where a run writes to: a video, a track file, a folder of crops, or any of them.

    Args:
        video: path of the video; None for none.
        tracks: path of the track file; None for none.
        crops: folder; None for none.
        explain: path of the file of reasons; None for none.
        extra: columns of a table besides the usual ones, see ``CsvSink``.
        counts: path of the table of counts; None for none.
        all_or_nothing: a track file that breaks off does not replace the one before.
        report: path of the page of the run; it is written by ``RunPage``, not here.
        crop_every: of so many crops of an identity the first is kept.

    Attributes:
        paths: those that were given, by kind.
        frames_written: frames that every sink has taken.
        finished: files and folders that are complete.
        broken: those that can be used and lack the last frames.
        notes: what the user should hear about the writing.
    """

    def __init__(
        self,
        video: PathLike | None,
        tracks: PathLike | None,
        crops: PathLike | None,
        explain: PathLike | None = None,
        extra: Sequence[str] = (),
        *,
        counts: PathLike | None = None,
        all_or_nothing: bool = False,
        report: PathLike | None = None,
        crop_every: int = 1,
    ) -> None:
        given = {
            "video": video,
            "tracks": tracks,
            "crops": crops,
            "explain": explain,
            "counts": counts,
            "report": report,
        }
        self.paths = {kind: Path(path) for kind, path in given.items() if path is not None}
        self._extra, self._crop_every = extra, crop_every
        self._all_or_nothing = all_or_nothing
        self.frames_written = 0
        self.finished: list[Path] = []
        self.broken: list[Path] = []
        self._video: VideoSink | None = None
        self._sinks: list[tuple[str, Sink]] = []
        self._explain: ExplainSink | None = None
        self._counts: CountSink | None = None
        self._tracks: Sink | None = None
        self._bridges = Bridges(0)

    def check(self, inputs: Iterable[object]) -> None:
        """Fail before any work is done where writing would fail, or would replace what is read.

        Args:
            inputs: whatever the run reads; what is not the path of an existing file or folder is passed over.

        Raises:
            UsageError: an unknown suffix, or a path that is read as well.
            InputError: a folder that is missing or not writable.
        """
        if len({os.path.realpath(path) for path in self.paths.values()}) < len(self.paths):
            raise UsageError(
                f"{next(iter(self.paths.values()))}: named for two outputs; give each its own path"
            )
        read = [Path(item) for item in inputs if isinstance(item, str | os.PathLike) and os.path.exists(item)]
        for path in self.paths.values():
            # What a killed run left can be read, but not into the very name that will replace it.
            with writing(path):  # a name may be longer than the file system allows
                replaced = [name for name in (path, *kept_names(path)) if name.exists()]
            for other in read:
                if any(name.samefile(other) for name in replaced):
                    raise UsageError(
                        f"{path}: is read by this run and would be overwritten; give another path"
                    )
        if "video" in self.paths:
            check_video_path(self.paths["video"])
        if "tracks" in self.paths:
            check_track_path(self.paths["tracks"])
        if "crops" in self.paths:
            CropSink(self.paths["crops"]).close()  # makes nothing
        if "explain" in self.paths:
            check_explain_path(self.paths["explain"])
        if "counts" in self.paths:
            check_count_path(self.paths["counts"])
        if "report" in self.paths:
            from ..report_page.page import check_page_path  # only runs that write a page load what makes it

            check_page_path(self.paths["report"])

    def open(
        self, source: Source, about: dict[str, Any] | None = None, bridges: Bridges | None = None
    ) -> None:
        """Make the files.

        Args:
            source: gives size and rate of the video.
            about: what the run consists of, for the file of reasons.
            bridges: adds rows to the track file; None: nothing does.
        """
        try:
            if "crops" in self.paths:
                self._sinks.append(("crops", CropSink(self.paths["crops"], self._crop_every)))
            if "video" in self.paths:
                self._video = VideoSink(
                    self.paths["video"],
                    source.width,
                    source.height,
                    source.frame_rate,
                    pixel_aspect=source.pixel_aspect,
                    rounded_down=source.rounded_down,
                    sound=source.sound,
                    live=source.live,
                )
            if "tracks" in self.paths:
                self._tracks = open_track_sink(self.paths["tracks"], self._extra)
                self._bridges = bridges or self._bridges
            if "explain" in self.paths:
                self._explain = ExplainSink(self.paths["explain"], about or {})
            if "counts" in self.paths:
                self._counts = CountSink(self.paths["counts"])
        except BaseException:
            self.discard()
            raise

    def write(
        self,
        frame: Frame,
        detections: sv.Detections,
        planes: np.ndarray | None,
        reasons: tuple[list[MatchReason], list[int]] | None = None,
        events: Sequence[Event] = (),
        *,
        time: float = 0.0,
        step: CameraStep | None = None,
    ) -> None:
        """Append one frame everywhere.

        Args:
            frame: the frame as it was read.
            detections: its boxes with ``tracker_id``.
            planes: for the video, see ``video_planes``.
            reasons: why the boxes have their tracks, as ``ReasonRecorder.take`` gives them.
            events: on lines and in zones.
            time: seconds by the clock of the tracker.
            step: of the camera since the last frame; None: nobody looked.
        """
        if self._video is not None and planes is not None:
            self._video.write_planes(planes, frame.timestamp)
        for _, sink in self._sinks:
            sink.write(frame, detections)
        if self._tracks is not None:
            for settled in self._bridges.add(frame, detections, time, step):
                self._tracks.write(*settled)
        if self._explain is not None and reasons is not None:
            self._explain.write(frame, *reasons)
        if self._counts is not None:
            self._counts.write(events)
        self.frames_written += 1

    def end_counts(self, stays: Sequence[Event]) -> None:
        """Append the stays that were still going on when the run ended."""
        if self._counts is not None and self.frames_written and not self._counts.failed:
            self._counts.write(stays)

    def close(self) -> None:
        """Finish all of them, also where one of them fails to; ``finished`` lists those that are complete."""
        first_error: Exception | None = None
        try:
            self._end_tracks()
        except Exception as error:  # all are to be finished first
            first_error = error
        for kind, sink in self._open():
            try:
                if self._all_or_nothing and isinstance(sink, TextSink) and sink.failed:
                    sink.discard()
                    continue
                sink.close()
            except Exception as error:
                first_error = first_error or error
            else:
                broken = self.broken if isinstance(sink, VideoSink) and sink.failed else self.finished
                broken.append(self.paths[kind])
        if first_error is not None:
            raise first_error

    def _end_tracks(self) -> None:
        """Write the frames that waited for somebody to come back; a file that broke off gets no more."""
        held = self._bridges.finish()
        if self._tracks is not None and not (isinstance(self._tracks, TextSink) and self._tracks.failed):
            for settled in held:
                self._tracks.write(*settled)

    def discard(self) -> None:
        """Leave what was there before ``open``."""
        for _, sink in self._open():
            with suppress(InputError):
                sink.discard() if isinstance(sink, TextSink) else sink.close()

    def _open(self) -> Iterator[tuple[str, VideoSink | Sink | ExplainSink | CountSink]]:
        if self._video is not None:
            yield "video", self._video
        yield from self._sinks
        if self._tracks is not None:
            yield "tracks", self._tracks
        if self._explain is not None:
            yield "explain", self._explain
        if self._counts is not None:
            yield "counts", self._counts

    @property
    def bridged(self) -> int:
        """Rows that were added to the track file."""
        return self._bridges.filled

    @property
    def notes(self) -> list[str]:
        return [] if self._video is None else self._video.notes

    def describe(self) -> str:
        """What has been written, in words; empty where nothing has."""
        words = []
        if self.frames_written and self.finished:
            words.append(f"{self.frames_written} frames were written to {', '.join(map(str, self.finished))}")
        words += [f"{path} lacks the last ones" for path in self.broken]
        return "; ".join(words)
