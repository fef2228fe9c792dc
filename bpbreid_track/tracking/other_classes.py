"""What is tracked beside people: by motion alone, apart from them, under numbers that nobody else has."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator

import numpy as np
import supervision as sv

from .camera_motion import CameraMotion, CameraStep
from .tracker import PartTracker


def people_in(detections: sv.Detections, by_motion: Collection[int]) -> np.ndarray:
    """Which boxes are people: bool [N].

    Args:
        detections: N boxes; without ``class_id`` all are.
        by_motion: numbers of the classes that are none.
    """
    if detections.class_id is None or not by_motion:
        return np.ones(len(detections), bool)
    return ~np.isin(detections.class_id, list(by_motion))


class _SameCamera(CameraMotion):
    """What a tracker found out already."""

    def __init__(self, tracker: PartTracker) -> None:
        super().__init__()
        self._tracker = tracker

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        return self._tracker.camera_step


class OtherClasses:
    """Tracks the boxes that are no people, class by class.

    People are tracked as if there were nothing else: what is learnt of motion stays among the others, too.

    Args:
        people: tracks the people, and must see each frame first.
        classes: numbers of the classes that are no people.
        numbers: gives out identities, those of ``people`` among them.

    Attributes:
        tracker: of the others.
    """

    def __init__(self, people: PartTracker, classes: Collection[int], numbers: Iterator[int]) -> None:
        self._classes = classes
        own = people.config.model_copy(update={"class_agnostic": False})
        self.tracker = PartTracker(own, camera_motion=_SameCamera(people), numbers=numbers)

    def people(self, detections: sv.Detections) -> np.ndarray:
        """Which boxes are people: bool [N]."""
        return people_in(detections, self._classes)

    @property
    def track_numbers(self) -> np.ndarray:
        """Int64 [M], for each of the last frame's other boxes the number of its track; -1 where it has none.

        From -2 down, so that none is the number of a person's.
        """
        own = self.tracker.track_numbers
        return np.where(own < 0, -1, -2 - own)

    def add(
        self, people: sv.Detections, others: sv.Detections, frame: np.ndarray, timestamp: float
    ) -> sv.Detections:
        """Track ``others`` and put them behind ``people``.

        Args:
            people: with ``tracker_id``.
            others: the other boxes of the same frame.
            frame: uint8 [H, W, 3] BGR.
            timestamp: seconds.
        """
        tracked = self.tracker.update(others, frame, timestamp=timestamp)
        if not len(tracked):
            return people
        if not len(people):
            return tracked
        return sv.Detections.merge([copy.copy(people), tracked])
