"""The stage that finds boxes, in the frames that are searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from ..detection.classes import class_names, classes_by_motion, named_classes
from ..detection.detectors import Detector
from ..io.sources.base import Frame
from ..regions.areas import Area
from ..tracking.encode_policy import spread
from ..tracking.other_classes import people_in
from .cache import Cache, Found
from .report import TrackingReport
from .stage import Item, Stage
from .threads import Stopwatch

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder


class Find(Stage):
    """Boxes of some frames at once, and their embeddings unless those are asked for later.

    Args:
        detector: gives the boxes.
        encoder: None where only boxes in doubt will be encoded, or none at all.
        cache: what it has is neither searched nor encoded again.
        batch: frames at once that are searched.
        every: of so many frames the last one is searched, and so are the first and the last of the run.
        begun: the frames are the middle of a video, so the first need not be searched.
        region: boxes outside are left out; None: none are. The cache keeps them all.
    """

    name = "detect"

    def __init__(
        self,
        detector: Detector,
        encoder: PartEncoder | None,
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
