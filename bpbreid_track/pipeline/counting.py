"""Lines and zones of a run: what is counted on, and the stage that counts and paints it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..config import RegionsConfig, RunConfig
from ..io.region_painter import RegionPainter
from ..io.sources.base import Source
from ..regions.areas import Area, mask_area, polygon_area
from ..regions.counter import Counter
from ..regions.points import Points, in_pixels
from ..tracking.other_classes import people_in
from .outputs import Outputs
from .report import TrackingReport
from .stage import FrameStage, Item, Stage

NO_REGIONS = "give --count LINE or --zones FILE (settings regions.lines and regions.zones)"


@dataclass(frozen=True)
class Regions:
    """The settings ``regions`` for pictures of one size.

    Attributes:
        region: boxes outside are left out; None: none are.
        lines: both ends of each in pixels, by name.
        zones: areas by name.
    """

    region: Area | None = None
    lines: Mapping[str, Points] = field(default_factory=dict)
    zones: Mapping[str, Area] = field(default_factory=dict)


def load_regions(config: RegionsConfig, width: int, height: int) -> Regions:
    """What the settings come to in pictures of a size.

    Raises:
        InputError: a mask that cannot be read or has another size, a polygon or line outside the picture.
    """
    region = None
    if isinstance(config.roi, str):
        region = mask_area(config.roi, width, height, "region")
    elif config.roi is not None:
        region = polygon_area(config.roi, width, height, "region")
    lines = {name: in_pixels(line, width, height, f"line {name!r}") for name, line in config.lines.items()}
    zones = {name: polygon_area(zone, width, height, f"zone {name!r}") for name, zone in config.zones.items()}
    return Regions(region, lines, zones)


class Count(FrameStage):
    """Who crosses lines and stays in zones; paints them on frames that are painted.

    Args:
        counter: of this run.
        painter: None: nothing is painted.
        outputs: takes the stays that go on at the end; the other events go with their frame.
        by_motion: numbers of the classes that are no people and are not counted.
    """

    name = "count"

    def __init__(
        self,
        counter: Counter,
        painter: RegionPainter | None,
        outputs: Outputs,
        by_motion: Collection[int] = (),
    ) -> None:
        super().__init__()
        self._by_motion = by_motion
        self._counter, self._painter, self._outputs = counter, painter, outputs
        self._closed = False

    def step(self, item: Item) -> None:
        with self.watches["count"].measure():
            frame = item.frame
            people = item.detections[people_in(item.detections, self._by_motion)]
            item.events = self._counter.update(frame.index, frame.timestamp, people)
            if item.painted is not None and self._painter is not None:
                item.painted = self._painter.paint(item.painted, self._counter.people)

    def report(self, report: TrackingReport) -> None:
        lines, zones = self._counter.totals()
        report.lines, report.zones = lines or None, zones or None

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outputs.end_counts(self._counter.finish())


def count_stages(
    source: Source,
    regions: Regions,
    settings: RunConfig,
    outputs: Outputs,
    by_motion: Collection[int] = (),
) -> list[Stage]:
    """The stage that counts and paints, where there is anything to count or paint."""
    painted = bool(settings.draw.overlay)
    if not (regions.lines or regions.zones or (painted and regions.region is not None)):
        return []
    tracker = settings.tracker
    memory = max(tracker.lost_seconds, tracker.appearance_seconds, settings.link.max_gap_seconds)
    counter = Counter(regions.lines, regions.zones, tracker.frame_rate, memory)
    painter = None
    if painted:
        size = source.width, source.height
        painter = RegionPainter(regions.region, regions.zones, counter.lines, *size)
    return [Count(counter, painter, outputs, by_motion)]
