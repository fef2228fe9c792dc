"""What a run can be made of: stages that find, encode, associate, replay, draw and write frames.

``online_stages`` and ``replay_stages`` are the two lists that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..config import RunConfig
from ..detection.classes import class_names, classes_by_motion, named_classes
from ..detection.detectors import Detector
from ..explain.reasons import shorts
from ..explain.recorder import ReasonRecorder
from ..identities.between import between
from ..identities.identity_manager import IdentityManager
from ..io.annotate import WHY, Painter
from ..io.sources.base import Frame, Source
from ..regions.areas import Area
from ..report_page.page import RunPage
from ..tracking.encode_policy import encode_rows, resolve_encode, spread
from ..tracking.other_classes import OtherClasses, people_in
from ..tracking.tracker import PartTracker
from .cache import Cache, Found
from .counting import Regions, count_stages
from .outputs import Outputs
from .replay import Settled
from .report import TrackingReport
from .stage import FrameStage, Item, Stage
from .stages import Stopwatch

if TYPE_CHECKING:
    from ..model.encoder import Encoder

# Frames whose people a GPU encodes together.
GPU_BATCH = 8


class Find(Stage):
    """Boxes of some frames at once, and their embeddings unless those are asked for later.

    Args:
        detector: gives the boxes.
        encoder: None where only boxes in doubt will be encoded, or none at all.
        cache: what it has is neither searched nor encoded again.
        batch: frames at once that are searched.
        every: of so many frames the last one is searched, and so are the first and the last of the run.
        begun: the frames go on where others ended, so the first is nothing special.
        region: boxes outside are left out; None: none are. The cache keeps them all.
    """

    name = "detect"

    def __init__(
        self,
        detector: Detector,
        encoder: Encoder | None,
        cache: Cache | None,
        batch: int,
        every: int = 1,
        *,
        begun: bool = False,
        region: Area | None = None,
    ) -> None:
        self._detector, self._encoder, self._cache = detector, encoder, cache
        self._region, self._inside, self._outside = region, 0, 0
        self.batch, self._every = batch * every, every
        self._begun = begun
        self._names, self._by_motion = class_names(detector), classes_by_motion(detector)
        self.watches = {"detect": Stopwatch(), "encode": Stopwatch()}

    def __call__(self, items: list[Item]) -> list[Item]:
        # A batch is cut short only by the end of the run.
        for number, item in enumerate(items, start=1):
            item.searched = number % self._every == 0 or number == len(items) or not self._begun
            self._begun = True
        searched = [item for item in items if item.searched]
        frames = [item.frame for item in searched]
        found = self._cache.through(frames, self._find) if self._cache is not None else self._find(frames)
        for item, (boxes, embeddings) in zip(searched, found, strict=True):
            item.detections, item.embeddings = boxes, embeddings
            if self._cache is not None and self._region is not None:
                rows = self._rows_inside(boxes)
                item.detections = boxes[rows]
                item.embeddings = None if embeddings is None else embeddings[rows]
            if self._names:
                item.detections.data["class_name"] = named_classes(item.detections, self._names)
        return items

    def _find(self, frames: Sequence[Frame]) -> Iterator[Found]:
        with self.watches["detect"].measure(len(frames)):
            found = self._detector(frames)
        if self._cache is None and self._region is not None:  # nobody outside needs to be encoded
            found = [boxes[self._rows_inside(boxes)] for boxes in found]
        if self._encoder is None:
            return ((boxes, None) for boxes in found)
        with self.watches["encode"].measure(len(frames)):
            people = [people_in(boxes, self._by_motion) for boxes in found]
            boxes_of_people = [boxes.xyxy[rows] for boxes, rows in zip(found, people, strict=True)]
            embeddings = self._encoder.encode([f.image for f in frames], boxes_of_people)
        if self._by_motion:
            embeddings = [spread(e.to("cpu"), rows) for e, rows in zip(embeddings, people, strict=True)]
        return zip(found, embeddings, strict=True)

    def _rows_inside(self, boxes: sv.Detections) -> np.ndarray:
        assert self._region is not None
        rows = np.flatnonzero(self._region.holds(boxes.xyxy))
        self._inside += len(rows)
        self._outside += len(boxes) - len(rows)
        return rows

    def report(self, report: TrackingReport) -> None:
        report.cached_frames += self._cache.read if self._cache is not None else 0
        if self._region is not None:
            report.outside = self._outside
            if self._outside and not self._inside:
                report.notes.append(f"all {self._outside} boxes lie outside the region and were left out")

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()


class Associate(FrameStage):
    """Identities of the boxes; encodes those in doubt, once the tracker knows which these are.

    Args:
        tracker: of this run.
        encoder: None where embeddings come with the frames, or not at all.
        use_timestamps: go by the time of the frames, not by ``tracker.frame_rate``.
        identities: follows who is who beyond the tracker, if anybody asks.
        recorder: of reasons, if anybody asks.
        others: tracks what is no person; None: everything is one. It comes last in ``detections`` then.
    """

    name = "associate"

    def __init__(
        self,
        tracker: PartTracker,
        encoder: Encoder | None,
        use_timestamps: bool,
        identities: IdentityManager | None,
        recorder: ReasonRecorder | None,
        others: OtherClasses | None = None,
    ) -> None:
        self._tracker, self._encoder = tracker, encoder
        self._use_timestamps = use_timestamps
        self._count = 0
        self._identities, self._others = identities, others
        self._recorder = tracker.recorder = recorder
        self._encode = resolve_encode(tracker.config.encode, encoder)
        self.watches = {"encode": Stopwatch(), "associate": Stopwatch()}

    def step(self, item: Item) -> None:
        frame, tracker, watch = item.frame, self._tracker, self.watches["associate"]
        self._count += 1
        if not item.searched:  # nothing for the tracker, whose time passes all the same
            item.detections.tracker_id = np.zeros(0, np.int64)
            if self._identities is not None:
                self._identities.take(frame, item.detections, None)
            return
        people, embeddings = item.detections, item.embeddings
        rest: sv.Detections | None = None
        if self._others is not None:
            rows = self._others.people(people)
            people, rest = people[rows], people[~rows]
            embeddings = None if embeddings is None else embeddings[rows]
        with watch.measure(0):
            time = frame.timestamp if self._use_timestamps else self._count / tracker.config.frame_rate
            found = tracker.candidates(people, frame.image, timestamp=time, encode=self._encode)
        if self._encoder is not None and embeddings is None:
            with self.watches["encode"].measure():
                embeddings = encode_rows(self._encoder, frame.image, people.xyxy, found.wanted)
        with watch.measure():
            item.detections, embeddings = tracker.associate(found, embeddings), tracker.embeddings
            if self._others is not None and rest is not None:
                item.detections = self._others.add(item.detections, rest, frame.image, time)
                if embeddings is not None:
                    embeddings = spread(embeddings, np.arange(len(item.detections)) < len(people))
            if self._identities is not None:
                item.detections = self._identities.take(frame, item.detections, embeddings)
            if self._recorder is not None:
                item.reasons = self._recorder.take()
                item.detections.data[WHY] = shorts(item.reasons[0], len(item.detections))

    def report(self, report: TrackingReport) -> None:
        stats = self._tracker.stats
        report.identities = stats.identities
        report.matches_motion = stats.matches_motion
        report.matches_appearance = stats.matches_appearance
        report.encoded = stats.encoded
        if self._others is not None:
            others = self._others.tracker.stats
            report.identities += others.identities
            report.matches_motion += others.matches_motion


class Interpolate(Stage):
    """Boxes of the frames that were not searched: straight lines in time between those that were.

    Args:
        every: as for ``Find``; frames wait for the next one that was searched.
    """

    name = "interpolate"

    def __init__(self, every: int) -> None:
        self.batch = every
        self.watches = {}
        self._last: Item | None = None
        self._filled = 0

    def __call__(self, items: list[Item]) -> list[Item]:
        waiting: list[Item] = []
        for item in items:
            if not item.searched:
                waiting.append(item)
                continue
            if self._last is not None:
                start, end = self._last.frame.timestamp, item.frame.timestamp
                for gap in waiting:
                    share = (gap.frame.timestamp - start) / (end - start)
                    gap.detections = between(self._last.detections, item.detections, share)
                    self._filled += len(gap.detections)
            waiting, self._last = [], item
            item.detections.data["filled"] = np.zeros(len(item.detections), bool)
        return items

    def report(self, report: TrackingReport) -> None:
        report.detections -= self._filled
        report.filled = self._filled


class Replay(FrameStage):
    """Boxes and identities that are settled already."""

    name = "associate"

    def __init__(self, recorded: Settled) -> None:
        super().__init__()
        self._recorded = recorded

    def step(self, item: Item) -> None:
        item.detections = self._recorded.replay(item.frame)


class Draw(FrameStage):
    """The painted copy of each frame."""

    name = "draw"

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self._painter = painter

    def step(self, item: Item) -> None:
        with self.watches["draw"].measure():
            item.painted = self._painter.paint(item.frame.image, item.detections)


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
            self._outputs.write(item.frame, item.detections, item.painted, item.reasons, item.events)

    def report(self, report: TrackingReport) -> None:
        report.notes += self._outputs.notes

    def describe(self) -> str:
        return self._outputs.describe()

    def close(self) -> None:
        self._outputs.close()


def online_stages(
    source: Source,
    detector: Detector,
    encoder: Encoder | None,
    settings: RunConfig,
    outputs: Outputs,
    *,
    regions: Regions,
    cache: Cache | None,
    shown: bool,
    use_timestamps: bool,
    identities: IdentityManager | None,
    page: RunPage | None = None,
) -> list[Stage]:
    """The stages that track a source for the first time.

    Args:
        settings: with ``tracker.encode`` resolved.
        regions: boxes outside are left out, and lines and zones are counted on.
        shown: whether a window shows the painted frames.
        page: of this run.
    """
    # All boxes of several frames are encoded in one batch, unless few are needed and the tracker knows which.
    # A cache keeps the embeddings of all.
    later = cache is None and settings.tracker.encode == "ambiguous"
    recorder = None
    if "explain" in outputs.paths or "why" in settings.draw.overlay or page is not None:
        recorder = ReasonRecorder(settings.tracker)
    batch = batch_size(detector, encoder, settings)
    every = settings.detector.every
    by_motion = classes_by_motion(detector)
    others = OtherClasses(settings.tracker, by_motion) if by_motion else None
    tracker = PartTracker(
        settings.tracker,
        camera_motion=None if others is None else others.camera,
        numbers=None if others is None else others.numbers,
    )
    return [
        Find(detector, None if later else encoder, cache, batch, every, region=regions.region),
        Associate(tracker, encoder if later else None, use_timestamps, identities, recorder, others),
        *([Interpolate(every)] if every > 1 else []),
        *_picture_stages(source, encoder, settings, outputs, shown, by_motion),
        *count_stages(source, regions, settings, outputs, by_motion),
        Write(outputs),
        *([] if page is None else [_collect(page)]),
    ]


def replay_stages(
    source: Source,
    recorded: Settled,
    encoder: Encoder | None,
    settings: RunConfig,
    outputs: Outputs,
    regions: Regions,
    page: RunPage | None = None,
    by_motion: Collection[int] = (),
) -> list[Stage]:
    """The stages that write a source whose tracks are settled.

    Args:
        page: of this run. It learns who was seen when from the reading without pictures, which is always
            whole, and cuts crops in the other one.
        by_motion: numbers of the classes that are no people.
    """
    drawn = _picture_stages(source, encoder, settings, outputs, False, by_motion)
    counted = count_stages(source, regions, settings, outputs, by_motion)
    stages: list[Stage] = [Replay(recorded), *drawn, *counted, Write(outputs)]
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
    """What a page takes from the first reading; where identities are settled later, doubts alone."""

    def doubts(item: Item) -> None:
        page.first.add(item.frame, item.detections, None if item.reasons is None else item.reasons[0])

    def rest(item: Item) -> None:
        page.lives.add(item.frame, item.detections)
        page.views.add(item.frame, item.detections, () if item.reasons is None else item.reasons[0])
        page.places.add(item.frame, item.detections)

    return Collect(doubts) if page.second is not None else Collect(doubts, rest)


def _picture_stages(
    source: Source,
    encoder: Encoder | None,
    settings: RunConfig,
    outputs: Outputs,
    shown: bool,
    by_motion: Collection[int],
) -> list[Stage]:
    if "video" not in outputs.paths and not shown:
        return []
    return [Draw(Painter(settings.draw, source.frame_rate, _part_painter(encoder, settings, by_motion)))]


def batch_size(detector: Detector, encoder: Encoder | None, settings: RunConfig) -> int:
    """Frames that detector and encoder are given at once."""
    if settings.detector.batch_size != "auto":
        return settings.detector.batch_size
    on_gpu = encoder is not None and encoder.device.type == "cuda"
    size: int = getattr(detector, "batch_size", 1)
    return max(size, GPU_BATCH) if on_gpu else size


def _part_painter(
    encoder: Encoder | None, settings: RunConfig, by_motion: Collection[int]
) -> Callable[[np.ndarray, sv.Detections], np.ndarray] | None:
    """What paints the overlay ``parts`` on people; None where nobody asks, or there is no encoder to ask."""
    if encoder is None or "parts" not in settings.draw.overlay:
        return None
    from ..model.attention_view import part_painter

    paint = part_painter(encoder)
    return lambda image, detections: paint(image, detections[people_in(detections, by_motion)])
