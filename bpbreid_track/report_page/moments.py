"""Doubtful moments of a run, each with pictures of the people before, then and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .doubt import GAP_SECONDS, UNKNOWN, Doubt, Starts, close_calls, returns
from .pictures import crop, scene
from .views import shown_rows

if TYPE_CHECKING:
    import supervision as sv

    from ..explain.reasons import MatchReason
    from ..io.sources.base import Frame

# Moments on a page. Twice as many are kept while the run goes on.
MOST = 60
# The same doubt again within so many seconds is the same moment.
_SAME_SECONDS = 2.0
# How long before and after a moment its pictures are taken, and how long the one after is waited for.
_STEP_SECONDS, _PATIENCE_SECONDS = 0.5, 4.0


@dataclass(frozen=True)
class Shot:
    """A crop of somebody: identity, frame (from 1) and JPEG."""

    id: int
    frame: int
    jpeg: bytes


@dataclass
class Moment:
    """A doubt with its pictures.

    Attributes:
        doubt: what it is about.
        frame: from 1.
        time: seconds.
        scene: JPEG of the surroundings; None where the box lies outside.
        shots: crops of the identity before, then and after, and of the other one before.
    """

    doubt: Doubt
    frame: int
    time: float
    scene: bytes | None
    shots: list[Shot] = field(default_factory=list)


class Moments:
    """Finds the moments of a run while it goes on, and keeps the most doubtful of them.

    Args:
        calls: look at what the tracker decided; it needs reasons.
        gaps: look at gaps of the identities, with reasons or without.
    """

    def __init__(self, *, calls: bool, gaps: bool) -> None:
        self._calls, self._gaps = calls, gaps
        self._starts = Starts()
        self._kept: dict[tuple[str, frozenset[int | None], int], Moment] = {}
        # The rank from which on nothing can come onto the page any more.
        self._least: tuple[float, float] | None = None
        self._waiting: list[Moment] = []
        # The last picture of everybody: who comes back after minutes is shown as he was.
        self._last: dict[int, tuple[float, Shot]] = {}
        self._seen: dict[int, float] = {}

    def add(
        self, frame: Frame, detections: sv.Detections, reasons: Sequence[MatchReason] | None = None
    ) -> None:
        """Take in a frame with its picture; boxes with ``tracker_id``. Without reasons only gaps are seen."""
        if detections.tracker_id is None:
            return
        rows = shown_rows(detections)
        boxes = {int(detections.tracker_id[row]): np.asarray(detections.xyxy[row], float) for row in rows}
        for doubt in self._doubts(frame, boxes, reasons):
            self._note(doubt, frame, boxes)
        self._complete(frame, boxes)
        for identity, box in boxes.items():
            self._seen[identity] = frame.timestamp
            before = self._last.get(identity)
            if before is None or frame.timestamp - before[0] >= _STEP_SECONDS:
                self._shoot(identity, frame, box)

    def found(self) -> list[Moment]:
        """The most doubtful moments, those first."""
        return sorted(self._kept.values(), key=lambda moment: moment.doubt.rank)[:MOST]

    def _doubts(
        self, frame: Frame, boxes: dict[int, np.ndarray], reasons: Sequence[MatchReason] | None
    ) -> Iterable[Doubt]:
        if self._calls and reasons is not None:
            yield from close_calls(reasons)
            yield from self._starts.look(reasons)
        if not self._gaps:
            return
        if reasons is not None:
            yield from returns(reasons)
            return
        for identity in boxes:
            gap = frame.timestamp - self._seen.get(identity, frame.timestamp)
            if gap >= GAP_SECONDS:
                yield Doubt("return", identity, None, UNKNOWN, gap)

    def _note(self, doubt: Doubt, frame: Frame, boxes: dict[int, np.ndarray]) -> None:
        """Keep a moment, unless the same is kept already, or enough that are more doubtful."""
        if doubt.id not in boxes or (self._least is not None and doubt.rank >= self._least):
            return
        who = frozenset({doubt.id, doubt.other})
        slot = int(frame.timestamp // _SAME_SECONDS)
        for near in (slot, slot - 1):
            same = self._kept.get((doubt.kind, who, near))
            if same is None or frame.timestamp - same.time >= _SAME_SECONDS:
                continue
            if same.doubt.margin <= doubt.margin:
                return
            del self._kept[doubt.kind, who, near]
        shown = [identity for identity in (doubt.id, doubt.other) if identity in boxes]
        picture = scene(frame.image, [boxes[i] for i in shown if i is not None], [i for i in shown if i])
        moment = Moment(doubt, frame.index + 1, frame.timestamp, picture)
        for identity in (doubt.id, doubt.other):
            if identity in self._last:
                moment.shots.append(self._last[identity][1])
        jpeg = crop(frame.image, boxes[doubt.id])
        if jpeg is not None:
            moment.shots.append(Shot(doubt.id, moment.frame, jpeg))
        self._kept[doubt.kind, who, slot] = moment
        self._waiting.append(moment)
        if len(self._kept) > 2 * MOST:
            best = self.found()
            self._least, known = best[-1].doubt.rank, {id(moment) for moment in best}
            self._kept = {key: kept for key, kept in self._kept.items() if id(kept) in known}

    def _complete(self, frame: Frame, boxes: dict[int, np.ndarray]) -> None:
        """Pictures of what came after the moments."""
        still = list[Moment]()
        for moment in self._waiting:
            waited = frame.timestamp - moment.time
            if waited < _STEP_SECONDS or (moment.doubt.id not in boxes and waited < _PATIENCE_SECONDS):
                still.append(moment)
            elif moment.doubt.id in boxes:
                jpeg = crop(frame.image, boxes[moment.doubt.id])
                if jpeg is not None:
                    moment.shots.append(Shot(moment.doubt.id, frame.index + 1, jpeg))
        self._waiting = still

    def _shoot(self, identity: int, frame: Frame, box: np.ndarray) -> None:
        jpeg = crop(frame.image, box)
        if jpeg is not None:
            self._last[identity] = (frame.timestamp, Shot(identity, frame.index + 1, jpeg))
