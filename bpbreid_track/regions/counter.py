"""Who crosses a line, who is in a zone, and for how long: by supervision's LineZone and PolygonZone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import supervision as sv

from .areas import Area, as_boxes, feet_of
from .points import Points

# So long somebody must be beyond a line: boxes tremble, also those of people who stand on it.
_BEYOND_SECONDS = 0.2
# A step out of a zone that is shorter does not end a stay.
_STEP_OUT_SECONDS = 1.0


@dataclass(frozen=True)
class Crossing:
    """Somebody crossed a line and is beyond it from frame ``frame`` (from 1) on, at ``timestamp`` seconds."""

    line: str
    id: int
    direction: Literal["in", "out"]
    frame: int
    timestamp: float


@dataclass(frozen=True)
class Crowd:
    """From frame ``frame`` (from 1) on so many people are seen in a zone."""

    zone: str
    people: int
    frame: int
    timestamp: float


@dataclass(frozen=True)
class Stay:
    """Somebody was in a zone from ``entered`` to ``left``, in seconds of the video."""

    zone: str
    id: int
    entered: float
    left: float


Event = Crossing | Crowd | Stay


class Counter:
    """Counts identities on lines and in zones, frame by frame.

    A person stands where the middle of the box's lower edge is. Rows of ``tracker_id`` -1 are nobody.
    Somebody who is hidden stays where he or she was seen last: a line that was crossed meanwhile counts when
    the person is seen again, and a stay in a zone goes on if the person is seen in it again.

    Args:
        lines: both ends of each, in pixels. Whoever walks from the first to the second has "in" on the left.
        zones: areas by name.
        frame_rate: frames a second.
        memory: seconds after which somebody who is not seen is not waited for.

    Attributes:
        lines: supervision's, by name.
        people: how many are seen in each zone now.
        most: and at the most so far.
    """

    def __init__(
        self, lines: Mapping[str, Points], zones: Mapping[str, Area], frame_rate: float, memory: float
    ) -> None:
        beyond = max(1, round(_BEYOND_SECONDS * frame_rate))
        feet = [sv.Position.BOTTOM_CENTER]
        self.lines = {
            name: sv.LineZone(sv.Point(*start), sv.Point(*end), feet, beyond)
            for name, (start, end) in lines.items()
        }
        self._frames: deque[tuple[int, float]] = deque(maxlen=beyond)
        self._zones, self._memory = dict(zones), memory
        self._place: dict[int, tuple[np.ndarray, float]] = {}
        self.people, self.most = dict.fromkeys(zones, -1), dict.fromkeys(zones, 0)
        self._stays: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in zones}
        self._spent = dict.fromkeys(zones, 0.0)
        self._visitors: dict[str, set[int]] = {name: set() for name in zones}

    def update(self, index: int, timestamp: float, detections: sv.Detections) -> list[Event]:
        """Take in one frame.

        Args:
            index: of the frame, from 0.
            timestamp: in seconds.
            detections: its boxes with ``tracker_id``.

        Returns:
            What happened.
        """
        known = np.zeros(0, int) if detections.tracker_id is None else detections.tracker_id
        rows = np.flatnonzero(known >= 0)
        ids, xyxy = known[rows].tolist(), detections.xyxy[rows]
        events: list[Event] = []
        if self.lines:
            events += self._cross(index, timestamp, ids, feet_of(xyxy))
        for name, zone in self._zones.items():
            events += self._visit(name, index, timestamp, ids, zone.holds(xyxy))
        return events

    def finish(self) -> list[Stay]:
        """The stays that had not ended; the last call."""
        return [self._end(name, identity) for name, open_ in self._stays.items() for identity in list(open_)]

    def totals(self) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
        """For each line crossings ``in`` and ``out``; for each zone ``people`` (identities), ``most`` at
        once, and ``seconds`` spent there by one person on average.
        """
        lines = {name: {"in": line.in_count, "out": line.out_count} for name, line in self.lines.items()}
        zones: dict[str, dict[str, float]] = {}
        for name, visitors in self._visitors.items():
            spent = self._spent[name] + sum(last - entered for entered, last in self._stays[name].values())
            mean = round(spent / max(1, len(visitors)), 3)
            zones[name] = {"people": len(visitors), "most": self.most[name], "seconds": mean}
        return lines, zones

    def _cross(self, index: int, timestamp: float, ids: list[int], feet: np.ndarray) -> list[Event]:
        self._place.update((identity, (foot, timestamp)) for identity, foot in zip(ids, feet, strict=True))
        # LineZone forgets at once who is not there: those who are hidden are given to it where they were.
        self._place = {
            identity: place
            for identity, place in self._place.items()
            if timestamp - place[1] <= self._memory or place[1] == timestamp
        }
        everybody = np.array(list(self._place), int)
        feet = np.array([foot for foot, _ in self._place.values()]).reshape(-1, 2)
        self._frames.append((index + 1, timestamp))
        frame, time = self._frames[0]
        events: list[Event] = []
        for name, line in self.lines.items():
            came, went = line.trigger(as_boxes(feet, everybody))
            for direction, rows in (("in", came), ("out", went)):
                events += [
                    Crossing(name, identity, direction, frame, time)  # type: ignore[arg-type]
                    for identity in everybody[np.flatnonzero(rows)].tolist()
                ]
        return events

    def _visit(
        self, name: str, index: int, timestamp: float, ids: list[int], inside: np.ndarray
    ) -> list[Event]:
        events: list[Event] = []
        people = int(inside.sum())
        if people != self.people[name]:
            events.append(Crowd(name, people, index + 1, timestamp))
        self.people[name], self.most[name] = people, max(self.most[name], people)
        stays, seen = self._stays[name], set(ids)
        here = [identity for identity, is_inside in zip(ids, inside.tolist(), strict=True) if is_inside]
        for identity, (_, last) in list(stays.items()):
            patience = _STEP_OUT_SECONDS if identity in seen and identity not in here else self._memory
            if timestamp - last > patience:
                events.append(self._end(name, identity))
        for identity in here:
            stays[identity] = (stays[identity][0] if identity in stays else timestamp, timestamp)
        self._visitors[name].update(here)
        return events

    def _end(self, name: str, identity: int) -> Stay:
        entered, left = self._stays[name].pop(identity)
        self._spent[name] += left - entered
        return Stay(name, identity, entered, left)
