"""What a run keeps of every frame when identities are settled only at its end: boxes, no pictures."""

from __future__ import annotations

import numpy as np
import supervision as sv

from ..tracking.camera_motion import CameraStep
from .tracklets import TrackedRows

# Frames after which small arrays are put together: arrays of their own cost more than the few boxes in them.
_CHUNK = 512


class TrackHistory:
    """The tracked boxes of all frames, 32 bytes each; pictures, masks and other ``data`` are dropped.

    Attributes:
        indices: ``Frame.index`` of every frame so far.
        times: its timestamp in seconds.
        steps: what the camera did before it; None: nobody looked.
        class_names: names of the detector's classes that were seen, by number.
    """

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.times: list[float] = []
        self.steps: list[CameraStep | None] = []
        self._chunks: list[dict[str, np.ndarray]] = []
        self._pending: list[dict[str, np.ndarray]] = []
        self.class_names: dict[int, str] = {}

    def add(
        self, index: int, timestamp: float, detections: sv.Detections, step: CameraStep | None = None
    ) -> None:
        """Take in one frame; ``detections`` with ``tracker_id``, -1 for a box without identity."""
        count = len(detections)
        scores, classes = detections.confidence, detections.class_id
        self._pending.append(
            {
                "frame": np.full(count, len(self.indices), np.int32),
                "id": np.asarray(detections.tracker_id, np.int32),
                "xyxy": np.asarray(detections.xyxy, np.float32).reshape(-1, 4),
                "confidence": np.ones(count, np.float32)
                if scores is None
                else np.asarray(scores, np.float32),
                "class_id": np.zeros(count, np.int32) if classes is None else np.asarray(classes, np.int32),
            }
        )
        names = detections.data.get("class_name")
        if names is not None and classes is not None:
            self.class_names.update(zip(classes.tolist(), map(str, names), strict=True))
        self.indices.append(index)
        self.times.append(timestamp)
        self.steps.append(step)
        if len(self._pending) >= _CHUNK:
            self._chunks, self._pending = [*self._chunks, _joined(self._pending)], []

    def rows(self, times: np.ndarray) -> TrackedRows:
        """All boxes in the order of their frames.

        Args:
            times: float64 [F], seconds of every frame, by which ``TrackedRows.time`` goes.
        """
        table = _joined([*self._chunks, *self._pending])
        return TrackedRows(
            frame=table["frame"].astype(np.int64),
            time=times[table["frame"]],
            id=table["id"].astype(np.int64),
            xyxy=table["xyxy"].astype(np.float64),
            confidence=table["confidence"],
            class_id=table["class_id"].astype(np.int64),
            filled=np.zeros(len(table["id"]), bool),
        )


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    if not parts:
        whole, real = np.zeros(0, np.int32), np.zeros(0, np.float32)
        blank = {"frame": whole, "id": whole, "xyxy": np.zeros((0, 4), np.float32)}
        return blank | {"confidence": real, "class_id": whole}
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
