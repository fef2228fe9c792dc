"""A frame on its way through a run, and what a stage of the run is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..explain.reasons import MatchReason
from ..io.sources.base import Frame
from ..regions.counter import Event
from ..tracking.camera_motion import CameraStep
from .report import TrackingReport
from .threads import Stopwatch

if TYPE_CHECKING:
    from ..embeddings import PartEmbeddings


@dataclass
class Item:
    """One frame on its way.

    Attributes:
        frame: the frame.
        detections: its boxes.
        searched: whether the detector has seen it.
        time: seconds, by the clock of the tracker.
        step: of the camera before it; None: nobody looked.
        tracks: int64 [N], the number of each box's track (``PartTracker.track_numbers``), from -2 down for
            what is no person; -1 where there is none. None before the tracker has seen it.
        embeddings: a row a box; None without appearance.
        painted: uint8 [H, W, 3] BGR, the picture with what is drawn on it; None where nobody looks.
        planes: the same as ``video_planes`` gives it; None where no video is written.
        reasons: as ``ReasonRecorder.take`` gives them; None where nobody asks.
        events: of lines and zones.
    """

    frame: Frame
    detections: sv.Detections
    searched: bool = True
    time: float = 0.0
    step: CameraStep | None = None
    tracks: np.ndarray | None = None
    embeddings: PartEmbeddings | None = None
    painted: np.ndarray | None = None
    planes: np.ndarray | None = None
    reasons: tuple[list[MatchReason], list[int]] | None = None
    events: list[Event] = field(default_factory=list)


class Stage(ABC):
    """One step that every frame takes, in a thread of its own.

    Attributes:
        name: of the thread.
        batch: frames that are handed over at once.
        watches: how long the work took, by the names that the report uses.
    """

    name: str
    batch = 1
    watches: dict[str, Stopwatch]

    @abstractmethod
    def __call__(self, items: list[Item]) -> list[Item]:
        """Work on the next frames; returns them in their order."""

    def finish(self) -> Iterator[list[Item]]:
        """After the last frame: those that waited for more, one by one, since their pictures are large."""
        return iter(())

    def report(self, report: TrackingReport) -> None:  # noqa: B027 - most stages have no figures
        """Fill in what this stage knows of the run."""

    def describe(self) -> str:
        """What has been written, in words; empty where nothing has."""
        return ""

    def close(self) -> None:  # noqa: B027 - most stages hold nothing open
        """Let go of files. May be called twice."""


class FrameStage(Stage):
    """A stage that works frame by frame."""

    def __init__(self) -> None:
        self.watches = {self.name: Stopwatch()}

    def __call__(self, items: list[Item]) -> list[Item]:
        for item in items:
            self.step(item)
        return items

    @abstractmethod
    def step(self, item: Item) -> None:
        """Work on one frame."""
