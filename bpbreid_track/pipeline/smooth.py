"""The stage in which frames wait until it is known what comes after them."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import supervision as sv

from ..identities.hindsight import Hindsight
from ..io.annotate import WHY
from ..tracking.kalman import to_xyxy
from ..tracking.tracks import TICK
from .replay import NO_PICTURE
from .report import TrackingReport
from .stage import Item, Stage
from .threads import Stopwatch

# Bytes of pictures that may wait: a second of 1920x1080 at 40 frames a second.
_MOST_BYTES = 256 << 20


def frames_in_memory(frame_bytes: int) -> int:
    """How many pictures of ``frame_bytes`` may wait for those after them."""
    return max(1, _MOST_BYTES // max(1, frame_bytes))


@dataclass(frozen=True)
class _Boxes:
    """The boxes of a frame as the tracker left them.

    Attributes:
        time: seconds.
        first: how many with an identity came in earlier frames.
        rows: int [M], which of these have one.
        detections: all.
    """

    time: float
    first: int
    rows: np.ndarray
    detections: sv.Detections


class Smooth(Stage):
    """Boxes in hindsight, see ``identities.smoothing``; ``data["filled"]`` says which nobody found.

    Args:
        lag: seconds that a frame waits, above 0.
        frame_bytes: size of a picture. Large ones wait for less, so that memory stays small.
        pictures: whether anybody looks at them later; where not, they do not wait at all.
    """

    name = "smooth"

    def __init__(self, lag: float, frame_bytes: int, *, pictures: bool = True) -> None:
        self._pictures = pictures
        self._lag, self._most = lag, frames_in_memory(frame_bytes)
        self._hindsight = Hindsight(lag)
        self._waiting: deque[Item] = deque()
        self._past: deque[_Boxes] = deque()
        self._boxes = self._filled = 0
        self.watches = {"smooth": Stopwatch()}

    def __call__(self, items: list[Item]) -> list[Item]:
        ready = []
        with self.watches["smooth"].measure(len(items)):
            for item in items:
                self._take(item)
                while len(self._waiting) > self._most or self._hindsight.is_ready:
                    ready.append(self._next())
        return ready

    def finish(self) -> Iterator[list[Item]]:
        while self._waiting:
            yield [self._next()]

    def _take(self, item: Item) -> None:
        boxes = item.detections
        assert boxes.tracker_id is not None
        rows = np.flatnonzero(boxes.tracker_id >= 0)
        sure = np.ones(len(boxes)) if boxes.confidence is None else boxes.confidence.astype(np.float64)
        self._hindsight.add(item.time, boxes.tracker_id[rows], boxes.xyxy[rows], sure[rows], item.step)
        self._past.append(_Boxes(item.time, self._boxes, rows, boxes))
        self._boxes += len(rows)
        if not self._pictures:
            item.frame = replace(item.frame, image=NO_PICTURE)
        self._waiting.append(item)

    def _next(self) -> Item:
        """The frame that has waited longest."""
        item = self._waiting.popleft()
        found = self._hindsight.next()
        while self._past[0].time < item.time - self._lag - TICK:
            self._past.popleft()
        now = next(past for past in self._past if past.time == item.time)
        corners, new = to_xyxy(found.cxcywh).astype(np.float32), found.filled
        boxes = copy.copy(item.detections)
        boxes.data = dict(boxes.data)
        boxes.xyxy = np.array(boxes.xyxy, np.float32)
        boxes.xyxy[now.rows[found.before[~new] - now.first]] = corners[~new]
        count = len(boxes)
        if new.any():
            like = [self._box(row) for row in found.before[new].tolist()]
            boxes = with_filled(boxes, like, corners[new], found.confidence[new])
        boxes.data["filled"] = np.arange(len(boxes)) >= count
        self._filled += len(boxes) - count
        item.detections = boxes
        return item

    def _box(self, number: int) -> sv.Detections:
        """A box by its number, as the only row."""
        past = next(past for past in reversed(self._past) if past.first <= number)
        row: sv.Detections = past.detections[past.rows[[number - past.first]]]
        return row

    def report(self, report: TrackingReport) -> None:
        report.detections -= self._filled
        report.filled = self._filled


def with_filled(
    boxes: sv.Detections, like: list[sv.Detections], xyxy: np.ndarray, confidence: np.ndarray
) -> sv.Detections:
    """Boxes that nobody found behind those that were: all that is not said of them is as in ``like``."""
    both = [boxes, *like] if len(boxes) else like
    count = len(like)
    out = sv.Detections(
        xyxy=np.concatenate([boxes.xyxy, xyxy]),
        tracker_id=np.concatenate([each.tracker_id for each in both]),
    )
    if all(each.class_id is not None for each in both):
        out.class_id = np.concatenate([each.class_id for each in both])
    if all(each.confidence is not None for each in both):
        found = np.zeros(0) if boxes.confidence is None else boxes.confidence
        out.confidence = np.concatenate([found, confidence]).astype(np.float32)
    if boxes.mask is not None and len(boxes):
        hidden = np.zeros((count, *boxes.mask.shape[1:]), boxes.mask.dtype)
        out.mask = np.concatenate([boxes.mask, hidden])
    for key in set.intersection(*(set(each.data) for each in both)):
        out.data[key] = np.concatenate([np.asarray(each.data[key]) for each in both])
    if WHY in out.data:
        out.data[WHY][len(boxes) :] = ""
    out.metadata = dict(boxes.metadata)
    return out
