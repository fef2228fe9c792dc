"""The settled boxes of a run, played back through the pipeline in place of detector and tracker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import supervision as sv

from ..identities.linking import Linked
from ..identities.track_history import TrackHistory
from ..io.sources.base import Frame, Source
from ..tracking.camera_motion import CameraStep

# Stands in for a picture that nobody looks at.
NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


class Settled(Protocol):
    """Boxes that are settled before the frames are read."""

    def replay(self, frame: Frame) -> sv.Detections:
        """The boxes of ``frame``, with ``tracker_id``."""

    def moment(self, frame: Frame) -> tuple[float, CameraStep | None]:
        """Its time in seconds, and what the camera did before it; None: nobody looked."""


class ReplayTracker:
    """The settled boxes of a run, in place of detector and tracker.

    Args:
        history: the frames.
        linked: their boxes.
        texts: what is said of an identity, by column: ``name`` with a gallery, ``team`` with teams.
        times: float64 [F], seconds of every frame.
    """

    def __init__(
        self,
        history: TrackHistory,
        linked: Linked,
        texts: dict[str, dict[int, str]],
        times: np.ndarray,
    ) -> None:
        self._rows, self._texts = linked.rows, texts
        self._times, self._steps = times, history.steps
        self._class_names = history.class_names
        self._row_of = {index: row for row, index in enumerate(history.indices)}
        self._starts = np.searchsorted(linked.rows.frame, np.arange(len(history.indices) + 1))

    def replay(self, frame: Frame) -> sv.Detections:
        """The boxes of ``frame``, with ``tracker_id`` and ``data``: ``filled``, and the texts."""
        row = self._row_of[frame.index]
        part = self._rows[np.arange(self._starts[row], self._starts[row + 1])]
        data = {"filled": part.filled}
        if self._class_names:
            data["class_name"] = _texts(part.class_id, self._class_names)
        data |= {column: _texts(part.id, texts) for column, texts in self._texts.items()}
        return sv.Detections(
            xyxy=part.xyxy.astype(np.float32),
            confidence=part.confidence,
            class_id=part.class_id,
            tracker_id=part.id,
            data=data,
        )

    def moment(self, frame: Frame) -> tuple[float, CameraStep | None]:
        """Its time in seconds, and what the camera did before it."""
        row = self._row_of[frame.index]
        return float(self._times[row]), self._steps[row]


def _texts(numbers: np.ndarray, texts: dict[int, str]) -> np.ndarray:
    out = np.full(len(numbers), "", object)
    out[:] = [texts.get(number, "") for number in numbers.tolist()]
    return out


class Unpictured(Source):
    """The frames of a history again, for outputs that need no picture: ``image`` is a single black pixel.

    Args:
        history: the frames.
        like: the source they came from.
    """

    live = False

    def __init__(self, history: TrackHistory, like: Source) -> None:
        self.name, self.width, self.height = like.name, like.width, like.height
        self.frame_rate, self.frame_count, self.notes = like.frame_rate, len(history.indices), []
        self._history = history

    def __iter__(self) -> Iterator[Frame]:
        for index, timestamp in zip(self._history.indices, self._history.times, strict=True):
            yield Frame(index, timestamp, NO_PICTURE)
