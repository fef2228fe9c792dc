"""A few good crops of every identity, spread over its life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..tracking.boxes import areas, covered_share
from .pictures import crop

if TYPE_CHECKING:
    import supervision as sv

    from ..explain.reasons import MatchReason
    from ..io.sources.base import Frame

# Crops an identity.
MOST = 4
# A crop takes another one's place if it is so much better: who walks up to the camera is not cut out anew
# in every frame.
_BETTER = 1.15
_SECONDS = 1.0
# What a person at the edge of the picture, of whom something may be missing, is worth.
_AT_EDGE = 0.5


@dataclass(frozen=True)
class View:
    """A crop.

    Attributes:
        frame: from 1.
        time: seconds.
        jpeg: the picture.
        worth: how well it shows the person; larger is better.
    """

    frame: int
    time: float
    jpeg: bytes
    worth: float


class Views:
    """Keeps at most ``MOST`` crops of each identity, the best of as many stretches of its life.

    A stretch lasts a second at first; where the life has more of them than ``MOST``, two become one.
    """

    def __init__(self) -> None:
        self._slots: dict[int, dict[int, View]] = {}
        self._length: dict[int, float] = {}
        self._parts = 1

    def add(self, frame: Frame, detections: sv.Detections, reasons: Sequence[MatchReason] = ()) -> None:
        """Take in a frame.

        Args:
            frame: with its picture.
            detections: with ``tracker_id``; boxes that were filled in are passed over.
            reasons: they say which parts show; without them score, size and cover decide.
        """
        if detections.tracker_id is None:
            return
        worth = self._worth(frame, detections, reasons)
        for row in shown_rows(detections):
            identity = int(detections.tracker_id[row])
            slots, length = self._slots.setdefault(identity, {}), self._length.setdefault(identity, _SECONDS)
            slot = int(frame.timestamp // length)
            kept = slots.get(slot)
            if kept is not None and worth[row] <= _BETTER * kept.worth:
                continue
            jpeg = crop(frame.image, detections.xyxy[row])
            if jpeg is not None:
                slots[slot] = View(frame.index + 1, frame.timestamp, jpeg, float(worth[row]))
                if len(slots) > MOST:
                    self._thin(identity)

    def of(self, identity: int) -> list[View]:
        """Its crops, in the order of time."""
        return sorted(self._slots.get(identity, {}).values(), key=lambda view: view.frame)

    def _worth(self, frame: Frame, detections: sv.Detections, reasons: Sequence[MatchReason]) -> np.ndarray:
        """[N] pixels: the side of the box, times its score, the share in sight, and that of the parts."""
        xyxy = np.asarray(detections.xyxy, np.float64)
        worth: np.ndarray = np.sqrt(areas(xyxy).clip(min=0)) * (1 - covered_share(xyxy)).clip(0, 1)
        if detections.confidence is not None:
            worth *= detections.confidence
        height, width = frame.image.shape[:2]
        inside = (xyxy[:, :2] > 1).all(axis=1) & (xyxy[:, 2:] < [width - 1, height - 1]).all(axis=1)
        worth[~inside] *= _AT_EDGE
        for reason in reasons:
            self._parts = max(self._parts, len(reason.visible))
            if reason.visible:
                worth[reason.row] *= len(reason.visible) / self._parts
        return worth

    def _thin(self, identity: int) -> None:
        """Stretches of twice the length, each with the better of its two crops."""
        while len(slots := self._slots[identity]) > MOST:
            self._length[identity] *= 2
            thinner: dict[int, View] = {}
            for view in slots.values():
                slot = int(view.time // self._length[identity])
                if slot not in thinner or view.worth > thinner[slot].worth:
                    thinner[slot] = view
            self._slots[identity] = thinner


def shown_rows(detections: sv.Detections) -> list[int]:
    """Rows that have an identity and a box that a detector gave."""
    filled = detections.data.get("filled", np.zeros(len(detections), bool))
    rows: list[int] = np.flatnonzero((detections.tracker_id >= 0) & ~np.asarray(filled, bool)).tolist()
    return rows
