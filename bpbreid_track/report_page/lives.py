"""When every identity was seen: the lines of the timeline, and the words by which tracks are known again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..io.sinks.tracks import track_rows

if TYPE_CHECKING:
    import supervision as sv

    from ..io.sources.base import Frame


class Fingerprint:
    """A word made of all tracked boxes, the same for every kind of track file of one run."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, frame: int, identity: int, left: float, top: float, width: float, height: float) -> None:
        """Take in a box: ``frame`` from 1, pixels, in the order of the file."""
        self._sum.update(f"{frame},{identity},{left:.2f},{top:.2f},{width:.2f},{height:.2f}\n".encode())

    def word(self) -> str:
        """16 letters."""
        return self._sum.hexdigest()[:16]


@dataclass
class Life:
    """An identity.

    Attributes:
        spans: first and last frame (from 1) of each stretch seen without a gap, and their times in seconds.
        boxes: how many there are.
        name: of the person, where a gallery knew it.
        team: of the person, where teams were told.
        position: number of the last frame among those read.
    """

    spans: list[tuple[int, int, float, float]] = field(default_factory=list)
    boxes: int = 0
    name: str = ""
    team: str = ""
    position: int = -2


class Lives:
    """All identities of a run; memory grows with their gaps, not with their boxes.

    Attributes:
        of: by number.
        frames: how many were read.
        last: number (from 1) and time of the last of them.
        fingerprint: of all boxes.
    """

    def __init__(self) -> None:
        self.of: dict[int, Life] = {}
        self.frames = 0
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)
        self.fingerprint = Fingerprint()

    def add(self, frame: Frame, detections: sv.Detections) -> None:
        """Take in the boxes of a frame, with ``tracker_id``."""
        number, time = frame.index + 1, frame.timestamp
        for row in track_rows(detections):
            self.fingerprint.add(number, row.id, row.left, row.top, row.width, row.height)
            life = self.of.setdefault(row.id, Life())
            if life.position == self.frames:
                continue  # two boxes of one number; a tracker gives none
            if life.position == self.frames - 1:
                first, _, start, _ = life.spans[-1]
                life.spans[-1] = (first, number, start, time)
            else:
                life.spans.append((number, number, time, time))
            life.boxes += 1
            life.name, life.team = row.name or life.name, row.team or life.team
            life.position = self.frames
        self.frames += 1
        self.first = self.first or (number, time)
        self.last = (number, time)
