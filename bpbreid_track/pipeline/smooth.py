"""The stage in which frames wait until it is known what comes after them."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import supervision as sv

from ..identities.smoothing import boxes_at, person_numbers
from ..io.annotate import WHY
from ..tracking.kalman import to_cxcywh, to_xyxy
from ..tracking.tracks import TICK
from .replay import NO_PICTURE
from .report import TrackingReport
from .stage import Item, Stage
from .threads import Stopwatch

# Bytes of pictures that may wait: a second of 1920x1080 at 40 frames a second.
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class _Seen:
    """What the tracker said of a frame: M boxes with an identity.

    Attributes:
        time: seconds.
        detections: all boxes of the frame.
        rows: int [M], which of them have an identity.
        person: int64 [M], identity and view in one number.
        cxcywh: float64 [M, 4].
        confidence: float64 [M].
    """

    time: float
    detections: sv.Detections
    rows: np.ndarray
    person: np.ndarray
    cxcywh: np.ndarray
    confidence: np.ndarray


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
        self._lag, self._most = lag, max(1, _MOST_BYTES // max(1, frame_bytes))
        self._waiting: deque[tuple[Item, _Seen]] = deque()
        self._seen: deque[_Seen] = deque()
        self._filled = 0
        self.watches = {"smooth": Stopwatch()}

    def __call__(self, items: list[Item]) -> list[Item]:
        ready = []
        with self.watches["smooth"].measure(len(items)):
            for item in items:
                seen = _seen(item)
                self._seen.append(seen)
                if not self._pictures:
                    item.frame = replace(item.frame, image=NO_PICTURE)
                self._waiting.append((item, seen))
                while len(self._waiting) > self._most or self._is_ready(seen.time):
                    ready.append(self._next())
        return ready

    def finish(self) -> list[Item]:
        return [self._next() for _ in range(len(self._waiting))]

    def _is_ready(self, now: float) -> bool:
        return bool(self._waiting) and now - self._waiting[0][1].time >= self._lag - TICK

    def _next(self) -> Item:
        """The frame that has waited longest."""
        item, now = self._waiting.popleft()
        while self._seen[0].time < now.time - self._lag - TICK:
            self._seen.popleft()
        near = [seen for seen in self._seen if seen.time <= now.time + self._lag + TICK]
        time = np.repeat([seen.time for seen in near], [len(seen.rows) for seen in near])
        found = boxes_at(
            now.time,
            self._lag,
            time,
            np.concatenate([seen.person for seen in near]),
            np.concatenate([seen.cxcywh for seen in near]),
            np.concatenate([seen.confidence for seen in near]),
        )
        corners = to_xyxy(found.cxcywh).astype(np.float32)
        boxes = copy.copy(item.detections)
        boxes.data = dict(boxes.data)
        boxes.xyxy = np.array(boxes.xyxy, np.float32)
        boxes.xyxy[now.rows] = corners[np.searchsorted(found.ids, now.person)]
        count, new = len(boxes), np.flatnonzero(found.filled)
        if len(new):
            earlier = [seen for seen in near if seen.time < now.time]
            like = [_last_seen(number, earlier) for number in found.ids[new].tolist()]
            boxes = _with_filled(boxes, like, corners[new], found.confidence[new])
        boxes.data["filled"] = np.arange(len(boxes)) >= count
        self._filled += len(new)
        item.detections = boxes
        return item

    def report(self, report: TrackingReport) -> None:
        report.detections -= self._filled
        report.filled = self._filled


def _seen(item: Item) -> _Seen:
    boxes = item.detections
    assert boxes.tracker_id is not None
    rows = np.flatnonzero(boxes.tracker_id >= 0)
    sure = np.ones(len(boxes)) if boxes.confidence is None else boxes.confidence.astype(np.float64)
    person = person_numbers(boxes.tracker_id[rows], item.view)
    return _Seen(item.time, boxes, rows, person, to_cxcywh(boxes.xyxy[rows]), sure[rows])


def _last_seen(person: int, earlier: list[_Seen]) -> sv.Detections:
    """The last box of somebody, as the only row."""
    seen = next(seen for seen in reversed(earlier) if person in seen.person)
    row: sv.Detections = seen.detections[seen.rows[seen.person == person]]
    return row


def _with_filled(
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
