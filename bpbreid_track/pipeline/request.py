"""What a caller of ``track_video`` asks for, checked before anything is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..config import RunConfig
from ..detection.detectors import Detector
from ..errors import UsageError
from ..io.sources.base import Source
from .counting import NO_REGIONS
from .outputs import Outputs
from .run import OnFrame

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``track_video`` under their names there, ``config`` as ``settings``."""

    source: PathLike | int | Source
    settings: RunConfig
    out: PathLike | None
    tracks: PathLike | None
    detector: PathLike | Detector
    encoder: PathLike | PartEncoder | None
    on_frame: OnFrame | None
    crops: PathLike | None
    show: bool
    device: str
    precision: str
    max_frames: int | None
    cache: PathLike | None
    explain: PathLike | None
    progress: bool | str
    link: bool
    gallery: PathLike | None
    save_gallery: PathLike | None
    counts: PathLike | None
    report_page: PathLike | None

    def check(self) -> None:
        """Fail where the arguments do not go together.

        Raises:
            UsageError: which, and what to do.
        """
        regions = self.settings.regions
        if self.counts is not None and not (regions.lines or regions.zones):
            raise UsageError(f"{self.counts}: nothing to count; {NO_REGIONS}")
        if self.settings.teams and (self.encoder is None or self.encoder == "none"):
            raise UsageError("teams need an encoder: it tells what people wear; leave out --encoder none")

    @property
    def settled_later(self) -> bool:
        """Whether results are written at the end, when it is known who is one person, and in which team."""
        return self.link or self.settings.teams > 0

    def every_output(self) -> Outputs:
        """All that is to be written."""
        return Outputs(
            self.out,
            self.tracks,
            self.crops,
            self.explain,
            self._columns,
            counts=self.counts,
            report=self.report_page,
            crop_every=self.settings.crops.every,
        )

    def first_outputs(self) -> Outputs:
        """What the first of two readings writes.

        The reasons are its own: linking comes after them. Its tracks serve until they are linked, and stay
        where it does not come to that.
        """
        return Outputs(None, self.tracks, None, self.explain, self._columns, counts=self.counts)

    def linked_outputs(self) -> tuple[Outputs, Outputs]:
        """What is written of linked tracks: texts, which need no pictures, and pictures."""
        texts = Outputs(None, self.tracks, None, extra=self._columns, counts=self.counts, all_or_nothing=True)
        crop_every = self.settings.crops.every
        return texts, Outputs(self.out, None, self.crops, report=self.report_page, crop_every=crop_every)

    @property
    def _columns(self) -> list[str]:
        """Columns of a table besides the usual ones."""
        columns = {
            "name": self.gallery is not None,
            "team": self.settings.teams > 0,
            "filled": self.settings.smooth.lag_seconds > 0 or self.settings.detector.every > 1,
        }
        return [column for column, wanted in columns.items() if wanted]

    def for_source(self, reader: Source, *, own_rate: bool) -> Request:
        """The same for an opened source: with its frame rate, and as it can be tracked.

        Args:
            reader: the source, opened.
            own_rate: the settings overrule its frame rate.
        """
        asked = self
        if not own_rate:
            asked = asked.with_tracker(frame_rate=float(reader.frame_rate))
        detector, lag = asked.settings.detector, asked.settings.smooth.lag_seconds
        if reader.live:  # no frame waits for the next
            detector, lag = detector.model_copy(update={"batch_size": 1}), 0.0
        if detector.every > 1:  # but for those between that are not searched
            lag = max(lag, 1.5 * detector.every / asked.settings.tracker.frame_rate)
        smooth = asked.settings.smooth.model_copy(update={"lag_seconds": lag})
        settings = asked.settings.model_copy(update={"smooth": smooth, "detector": detector})
        boxes = reader.boxes if self.detector == "auto" else None
        return replace(asked, settings=settings, detector=self.detector if boxes is None else boxes)

    def with_tracker(self, **changes: Any) -> Request:
        """The same with other settings of the tracker."""
        tracker = self.settings.tracker.model_copy(update=changes)
        return replace(self, settings=self.settings.model_copy(update={"tracker": tracker}))
