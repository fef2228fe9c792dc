"""What is tracked beside people: by motion alone, apart from them, under numbers that nobody else has."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection

import numpy as np
import supervision as sv

from ..config import TrackerConfig
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


class SharedCamera(CameraMotion):
    """Follows the camera once for several trackers; ``last`` is its step to the latest frame."""

    def __init__(self) -> None:
        super().__init__()
        self.last = CameraStep()

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        self.last = super().estimate(frame, people)
        return self.last


class _SameCamera(CameraMotion):
    """The step that was found already."""

    def __init__(self, shared: SharedCamera) -> None:
        super().__init__()
        self._shared = shared

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        return self._shared.last


class OtherClasses:
    """Tracks the boxes that are no people, class by class.

    People are tracked as if there were nothing else: what is learnt of motion stays among the others, too.
    The tracker of people must have ``camera`` and ``numbers``, and see each frame first.

    Args:
        config: of the tracker of people.
        classes: numbers of the classes that are no people.

    Attributes:
        camera, numbers: what the tracker of people is to use.
        tracker: of the others.
    """

    def __init__(self, config: TrackerConfig, classes: Collection[int]) -> None:
        self._classes = classes
        self.camera, self.numbers = SharedCamera(), itertools.count(1)
        own = config.model_copy(update={"class_agnostic": False})
        self.tracker = PartTracker(own, camera_motion=_SameCamera(self.camera), numbers=self.numbers)

    def people(self, detections: sv.Detections) -> np.ndarray:
        """Which boxes are people: bool [N]."""
        return people_in(detections, self._classes)

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
