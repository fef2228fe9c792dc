"""The stage in which frames wait until it is known which of their new tracks are somebody's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import supervision as sv

from .replay import NO_PICTURE
from .smooth import frames_in_memory
from .stage import Item, Stage


@dataclass
class _Held:
    """A frame, and the numbers of those of its tracks that are not confirmed yet."""

    item: Item
    open: set[int]


class Confirm(Stage):
    """Identities for the boxes that a track had before it was confirmed.

    A person is there from the first box on, which is only known some boxes later.

    Args:
        frame_bytes: size of a picture. Of large ones fewer wait; their boxes then stay without identity.
        pictures: whether anybody looks at them later; where not, they do not wait at all.
    """

    name = "confirm"

    def __init__(self, frame_bytes: int, *, pictures: bool = True) -> None:
        self._pictures = pictures
        self._most = frames_in_memory(frame_bytes)
        self._waiting: deque[_Held] = deque()
        self.watches = {}

    def __call__(self, items: list[Item]) -> list[Item]:
        ready = []
        for item in items:
            self._take(item)
            while self._waiting and (not self._waiting[0].open or len(self._waiting) > self._most):
                ready.append(self._waiting.popleft().item)
        return ready

    def finish(self) -> Iterator[list[Item]]:
        while self._waiting:
            yield [self._waiting.popleft().item]

    def _take(self, item: Item) -> None:
        if not self._pictures:
            item.frame = replace(item.frame, image=NO_PICTURE)
        if not item.searched:  # says nothing of anybody
            self._waiting.append(_Held(item, set()))
            return
        identities = item.detections.tracker_id
        assert identities is not None
        assert item.tracks is not None
        unsure = set(item.tracks[(item.tracks != -1) & (identities < 0)].tolist())
        known = {number: row for row, number in enumerate(item.tracks.tolist()) if identities[row] >= 0}
        for held in self._waiting:
            for number in held.open - unsure:
                held.open.remove(number)
                if number in known:
                    _name(held.item, number, item.detections, known[number])
        self._waiting.append(_Held(item, unsure))


def _name(item: Item, number: int, like: sv.Detections, row: int) -> None:
    """Give the box of track ``number`` the identity, and the name, of row ``row`` of ``like``."""
    assert item.tracks is not None
    assert item.detections.tracker_id is not None
    assert like.tracker_id is not None
    here = item.tracks == number
    item.detections.tracker_id = np.where(here, like.tracker_id[row], item.detections.tracker_id)
    if "name" in like.data:
        item.detections.data["name"] = np.where(here, like.data["name"][row], item.detections.data["name"])
