"""The stages of a run, in order: ``online_stages`` and ``replay_stages`` are the two lists that there are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..config import RunConfig
from ..detection.classes import classes_by_motion
from ..detection.detectors import Detector
from ..explain.recorder import ReasonRecorder
from ..identities.identity_manager import IdentityManager
from ..io.annotate import Painter
from ..io.sinks.video import video_planes
from ..io.sources.base import Source
from ..tracking.camera_motion import CameraStep, KnownCamera
from ..tracking.other_classes import OtherClasses, people_in
from ..tracking.tracker import PartTracker
from .associate import Associate, Replay
from .cache import Cache
from .confirm import Confirm
from .counting import Regions, count_stages
from .find import Find
from .outputs import Outputs
from .replay import Settled
from .report import TrackingReport
from .smooth import Smooth
from .stage import FrameStage, Item, Stage

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder
    from ..report_page.page import RunPage

# Frames whose people a GPU encodes together.
GPU_BATCH = 8


class Draw(FrameStage):
    """The painted copy of each frame."""

    name = "draw"

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self._painter = painter

    def step(self, item: Item) -> None:
        with self.watches["draw"].measure():
            item.painted = self._painter.paint(item.frame.image, item.detections)


class Colours(FrameStage):
    """Painted frames as the video's encoder takes them: so much work that it and the encoder share it.

    Args:
        rounded_down: ``Source.rounded_down``.
        shown: whether a window shows the painted frames as well.
    """

    name = "colours"

    def __init__(self, rounded_down: bool, shown: bool) -> None:
        super().__init__()
        self._rounded_down, self._shown = rounded_down, shown

    def step(self, item: Item) -> None:
        assert item.painted is not None
        with self.watches["colours"].measure():
            item.planes = video_planes(item.painted, self._rounded_down)
        if not self._shown:
            item.painted = None


class Record(FrameStage):
    """Boxes for what is settled at the end."""

    name = "record"

    def __init__(self, identities: IdentityManager) -> None:
        self._identities = identities
        self.watches = {}

    def step(self, item: Item) -> None:
        self._identities.record(item.frame, item.detections, item.step)


class Collect(FrameStage):
    """What the page of a run shows: of each frame that is written, so both tell of the same ones.

    Args:
        takers: called with each item.
    """

    name = "report"

    def __init__(self, *takers: Callable[[Item], None]) -> None:
        super().__init__()
        self._takers = takers

    def step(self, item: Item) -> None:
        with self.watches["report"].measure():
            for take in self._takers:
                take(item)


class Write(FrameStage):
    """Every file of the run."""

    name = "write"

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self._outputs = outputs

    def step(self, item: Item) -> None:
        with self.watches["write"].measure():
            self._outputs.write(
                item.frame,
                item.detections,
                item.planes,
                item.reasons,
                item.events,
                time=item.time,
                step=item.step,
            )

    def report(self, report: TrackingReport) -> None:
        report.notes += self._outputs.notes
        if report.filled is not None:
            report.filled += self._outputs.bridged

    def describe(self) -> str:
        return self._outputs.describe()

    def close(self) -> None:
        self._outputs.close()


def online_stages(
    source: Source,
    detector: Detector,
    encoder: PartEncoder | None,
    settings: RunConfig,
    outputs: Outputs,
    *,
    regions: Regions,
    cache: Cache | None,
    camera: KnownCamera | None,
    steps: list[CameraStep] | None,
    shown: bool,
    handed_on: bool,
    use_timestamps: bool,
    identities: IdentityManager | None,
    page: RunPage | None = None,
) -> list[Stage]:
    """The stages that track a source for the first time.

    Args:
        settings: with ``tracker.encode`` resolved.
        regions: boxes outside are left out, and lines and zones are counted on.
        cache: what it has is not computed again.
        camera: knows what the camera did; None: nobody does yet.
        steps: where that is kept; None: nowhere.
        shown: whether a window shows the painted frames.
        handed_on: whether the caller looks at the frames afterwards.
        page: of this run.
    """
    # Find encodes all boxes of several frames in one batch. Where few are needed, Associate encodes what
    # the tracker asks for. A cache keeps the embeddings of all.
    later = cache is None and settings.tracker.encode == "ambiguous"
    recorder = None
    if "explain" in outputs.paths or "why" in settings.draw.overlay or page is not None:
        recorder = ReasonRecorder(settings.tracker)
    batch = batch_size(detector, encoder, settings)
    looked_at = handed_on or shown or page is not None or bool({"video", "crops"} & outputs.paths.keys())
    every, lag = settings.detector.every, settings.smooth.lag_seconds
    waits = lag > 0 and not source.live
    frame_bytes = 3 * source.width * source.height
    by_motion = classes_by_motion(detector)
    numbers = itertools.count(1)
    tracker = PartTracker(settings.tracker, camera_motion=camera, numbers=numbers)
    others = OtherClasses(tracker, by_motion, numbers) if by_motion else None
    return [
        Find(detector, None if later else encoder, cache, batch, every, region=regions.region),
        Associate(tracker, encoder if later else None, use_timestamps, identities, recorder, others, steps),
        *([Confirm(frame_bytes, pictures=looked_at)] if waits else []),
        *([] if identities is None else [Record(identities)]),
        *([Smooth(lag, frame_bytes, pictures=looked_at)] if lag else []),
        *_picture_stages(source, encoder, settings, outputs, shown, by_motion),
        *count_stages(source, regions, settings, outputs, by_motion),
        *_colour_stages(source, outputs, shown),
        Write(outputs),
        *([] if page is None else [_collect(page)]),
    ]


def replay_stages(
    source: Source,
    recorded: Settled,
    encoder: PartEncoder | None,
    settings: RunConfig,
    outputs: Outputs,
    regions: Regions,
    page: RunPage | None = None,
    by_motion: Collection[int] = (),
) -> list[Stage]:
    """The stages that write a source whose tracks are settled.

    Args:
        page: of this run. Who was seen when it learns from the reading without pictures, which always reaches
            the end; crops it cuts in the one with pictures.
        by_motion: numbers of the classes that are no people.
    """
    drawn = _picture_stages(source, encoder, settings, outputs, False, by_motion)
    counted = count_stages(source, regions, settings, outputs, by_motion)
    colours = _colour_stages(source, outputs, False)
    stages: list[Stage] = [Replay(recorded), *drawn, *counted, *colours, Write(outputs)]
    if page is not None and "report" in outputs.paths:
        views, places, second = page.views, page.places, page.second
        assert second is not None
        stages.append(
            Collect(
                lambda item: views.add(item.frame, item.detections),
                lambda item: places.add(item.frame, item.detections),
                lambda item: second.add(item.frame, item.detections),
            )
        )
    elif page is not None:
        lives = page.lives
        stages.append(Collect(lambda item: lives.add(item.frame, item.detections)))
    return stages


def _collect(page: RunPage) -> Collect:
    """What a page takes from the first reading: where identities are settled later, only doubtful moments."""

    def doubts(item: Item) -> None:
        page.first.add(item.frame, item.detections, None if item.reasons is None else item.reasons[0])

    def rest(item: Item) -> None:
        page.lives.add(item.frame, item.detections)
        page.views.add(item.frame, item.detections, () if item.reasons is None else item.reasons[0])
        page.places.add(item.frame, item.detections)

    return Collect(doubts) if page.second is not None else Collect(doubts, rest)


def _picture_stages(
    source: Source,
    encoder: PartEncoder | None,
    settings: RunConfig,
    outputs: Outputs,
    shown: bool,
    by_motion: Collection[int],
) -> list[Stage]:
    if "video" not in outputs.paths and not shown:
        return []
    return [Draw(Painter(settings.draw, source.frame_rate, _part_painter(encoder, settings, by_motion)))]


def _colour_stages(source: Source, outputs: Outputs, shown: bool) -> list[Stage]:
    return [Colours(source.rounded_down, shown)] if "video" in outputs.paths else []


def batch_size(detector: Detector, encoder: PartEncoder | None, settings: RunConfig) -> int:
    """Frames that detector and encoder are given at once."""
    if settings.detector.batch_size != "auto":
        return settings.detector.batch_size
    on_gpu = encoder is not None and encoder.device.type == "cuda"
    size: int = getattr(detector, "batch_size", 1)
    return max(size, GPU_BATCH) if on_gpu else size


def _part_painter(
    encoder: PartEncoder | None, settings: RunConfig, by_motion: Collection[int]
) -> Callable[[np.ndarray, sv.Detections], np.ndarray] | None:
    """What paints the overlay ``parts`` on people; None where nobody asks, or there is no encoder to ask."""
    if encoder is None or "parts" not in settings.draw.overlay:
        return None
    from ..model.attention_view import part_painter

    paint = part_painter(encoder)
    return lambda image, detections: paint(image, detections[people_in(detections, by_motion)])
