"""Rows of a track file in which somebody was out of sight, added once it is known that they came back."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import supervision as sv

from ..identities.bridging import bridge
from ..io.sources.base import Frame
from ..tracking.camera_motion import CameraStep
from ..tracking.kalman import to_cxcywh, to_xyxy
from ..tracking.other_classes import people_in
from ..tracking.tracks import TICK
from .replay import NO_PICTURE
from .smooth import with_filled

# Seconds on either side of a gap from which a speed is told.
_LOOK = 0.5


@dataclass
class _Waiting:
    """A frame whose rows are not written yet, and what was added to it."""

    frame: Frame
    time: float
    detections: sv.Detections
    like: list[sv.Detections] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)


class _Seen(NamedTuple):
    """A box of somebody: row ``row`` of ``detections``."""

    time: float
    cxcywh: np.ndarray
    detections: sv.Detections
    row: int

    @property
    def confidence(self) -> float:
        sure = self.detections.confidence
        return 1.0 if sure is None else float(sure[self.row])


class Bridges:
    """Holds rows back as long as somebody who is missing in them may come back.

    Args:
        seconds: longest time out of sight; 0: nobody is waited for.
        by_motion: numbers of the classes that are not known by their parts; nothing is added to them.

    Attributes:
        filled: rows that were added.
    """

    def __init__(self, seconds: float, by_motion: Collection[int] = ()) -> None:
        self._seconds, self._by_motion = seconds, by_motion
        self._waiting: deque[_Waiting] = deque()
        self._seen: dict[int, deque[_Seen]] = {}
        self._back: deque[tuple[int, float, float]] = deque()  # identity, last seen, seen again
        self._last = -np.inf
        self.filled = 0

    def add(
        self, frame: Frame, detections: sv.Detections, time: float, step: CameraStep | None = None
    ) -> list[tuple[Frame, sv.Detections]]:
        """Take in a frame; returns those that nothing can be added to any more, with what was added.

        Args:
            frame: its picture is not kept.
            detections: its boxes with ``tracker_id``; ``data["filled"]`` marks what nobody found.
            time: seconds, increasing.
            step: of the camera since the last frame; after a cut nobody is where they were. None: nobody
                looked.
        """
        if not self._seconds:
            return [(frame, detections)]
        if step is not None and step.cut:
            self._settle(np.inf)
            self._seen.clear()
        self._waiting.append(_Waiting(replace(frame, image=NO_PICTURE), time, detections))
        for identity, seen in self._rows(detections, time):
            track = self._seen.setdefault(identity, deque())
            if track and track[-1].time < self._last and time - track[-1].time <= self._seconds + TICK:
                self._back.append((identity, track[-1].time, time))
            track.append(seen)
        self._last = time
        self._settle(time - _LOOK + TICK)
        self._forget(time - self._seconds - 2 * _LOOK - TICK)
        gaps = self._open_gaps(time)
        ready = []
        while self._waiting and self._waiting[0].time <= gaps:
            ready.append(self._next())
        return ready

    def finish(self) -> list[tuple[Frame, sv.Detections]]:
        """The frames that are left."""
        self._settle(np.inf)
        return [self._next() for _ in range(len(self._waiting))]

    def _open_gaps(self, now: float) -> float:
        """When the first of those was last seen who may still get boxes: frames up to then are settled."""
        away = [
            track[-1].time
            for track in self._seen.values()
            if track[-1].time < now and now - track[-1].time <= self._seconds + TICK
        ]
        return min([*away, *(left for _, left, _ in self._back)], default=now)

    def _settle(self, until: float) -> None:
        """Lay the bridges of those who were back at ``until`` or before."""
        while self._back and self._back[0][2] <= until:
            identity, left, back = self._back.popleft()
            track = self._seen[identity]
            if track[0].time > left - _LOOK + TICK:  # hardly seen: false boxes come and go and come back
                continue
            before = [seen for seen in track if left - _LOOK - TICK <= seen.time <= left]
            after = [seen for seen in track if back <= seen.time <= back + _LOOK + TICK]
            missing = [frame for frame in self._waiting if left < frame.time < back]
            boxes = bridge(*_sides(before), *_sides(after), np.array([frame.time for frame in missing]))
            if boxes is None:
                continue
            last = before[-1]
            sure = (last.confidence + after[0].confidence) / 2
            for frame, box in zip(missing, boxes, strict=True):
                frame.like.append(last.detections[[last.row]])
                frame.boxes.append(box)
                frame.confidence.append(sure)

    def _next(self) -> tuple[Frame, sv.Detections]:
        held = self._waiting.popleft()
        if not held.boxes:
            return held.frame, held.detections
        self.filled += len(held.boxes)
        out = with_filled(
            held.detections,
            held.like,
            to_xyxy(np.array(held.boxes)).astype(np.float32),
            np.array(held.confidence),
        )
        was = held.detections.data.get("filled", np.zeros(len(held.detections), bool))
        out.data["filled"] = np.append(was, np.ones(len(held.boxes), bool))
        return held.frame, out

    def _forget(self, before: float) -> None:
        for identity in [identity for identity, track in self._seen.items() if track[-1].time < before]:
            del self._seen[identity]
        for track in self._seen.values():
            while track[0].time < before:
                track.popleft()

    def _rows(self, detections: sv.Detections, time: float) -> Iterator[tuple[int, _Seen]]:
        """The boxes of people."""
        if detections.tracker_id is None:
            return
        people = people_in(detections, self._by_motion) & (detections.tracker_id >= 0)
        rows = np.flatnonzero(people)
        boxes = to_cxcywh(detections.xyxy[rows].astype(np.float64))
        for row, box in zip(rows.tolist(), boxes, strict=True):
            yield int(detections.tracker_id[row]), _Seen(time, box, detections, row)


def _sides(seen: Sequence[_Seen]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 4] and times [N]."""
    return np.array([each.cxcywh for each in seen]), np.array([each.time for each in seen])
