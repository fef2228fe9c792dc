"""Roboflow's trackers: ``PartTracker`` as one of them, and an encoder with the method name of its ``reid``.

    python -m bpbreid_track.integrations.trackers track --source video.mp4 --tracker bpbreid --output out.mp4

is their command line, with ``bpbreid`` among its trackers: the package finds only those that were imported.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..config import TrackerConfig
from ..model.encoder import Encoder
from ..tracking.tracker import PartTracker
from ._versions import require
from .vectors import FlatEncoder

VERSION = require("trackers", "2.6", "2.7")

import supervision as sv  # noqa: E402
from trackers.core.base import BaseTracker  # noqa: E402


class ReIDModel(FlatEncoder):
    """Flat vectors by the method that the package ``reid`` calls (drop-in)."""

    def extract_embeddings(
        self, detections: sv.Detections, frame: np.ndarray, *, batch_size: int = 32
    ) -> np.ndarray:
        """Vectors float32 [N, D] of the boxes in a BGR frame uint8 [H, W, 3]; (0, 0) for no boxes.

        ``batch_size`` is there for the signature: batches are the encoder's own.
        """
        if len(detections) == 0:
            return np.empty((0, 0), np.float32)
        return self.boxes(frame, detections.xyxy)


@dataclass
class _Tracklet:
    """What ``BaseTracker.tracked_objects`` reads of a track."""

    tracker_id: int
    xyxy: np.ndarray

    def get_state_bbox(self) -> np.ndarray:
        return self.xyxy


class BPBReIDTracker(BaseTracker):
    """``PartTracker`` behind the interface of Roboflow's trackers (exact).

    Needs no frame for motion alone; with frames it encodes people, and follows the camera.

    Args:
        encoder: default, none (motion alone), or a weights file.
        frame_rate: Frames a second where no timestamps are given.
        lost_track_buffer: Frames at 30 a second for which a lost track can be found by motion alone.
        appearance_seconds: Seconds for which a lost track can be found when its parts are known.
        track_activation_threshold: Score from which an unmatched box starts a track.
        high_conf_det_threshold: Score from which a box is settled first.
        minimum_consecutive_frames: Frames in a row, at 30 a second, after which a track gets its identity.
    """

    tracker_id: ClassVar[str] = "bpbreid"
    search_space: ClassVar[dict[str, dict[str, Any]]] = {
        "lost_track_buffer": {"type": "randint", "range": [10, 91]},
        "appearance_seconds": {"type": "uniform", "range": [2.0, 30.0]},
        "track_activation_threshold": {"type": "uniform", "range": [0.3, 0.9]},
        "high_conf_det_threshold": {"type": "uniform", "range": [0.3, 0.7]},
    }

    def __init__(
        self,
        encoder: str = "default",
        frame_rate: float = 30.0,
        lost_track_buffer: int = 90,
        appearance_seconds: float = 10.0,
        track_activation_threshold: float = 0.7,
        high_conf_det_threshold: float = 0.5,
        minimum_consecutive_frames: int = 3,
    ) -> None:
        config = TrackerConfig(
            frame_rate=frame_rate,
            lost_seconds=lost_track_buffer / 30,
            appearance_seconds=appearance_seconds,
            birth_score=track_activation_threshold,
            high_score=high_conf_det_threshold,
            confirm_seconds=(minimum_consecutive_frames - 1) / 30,
        )
        self.appearance = PartTracker(config, None if encoder == "none" else Encoder.load(encoder))
        self.maximum_frames_without_update = self._compute_maximum_frames_without_update(
            lost_track_buffer, frame_rate
        )
        self.maximum_time_without_update = max(config.lost_seconds, appearance_seconds)
        self._init_timestamp_state(frame_rate)
        self.tracks: list[_Tracklet] = []

    def update(
        self, detections: sv.Detections, frame: np.ndarray | None = None, timestamp: float | None = None
    ) -> sv.Detections:
        """Every row in its place with ``tracker_id``; -1 for none yet. Arguments as for ``PartTracker``."""
        timing = self._predict_timing(timestamp)
        if timing.skip_update or timing.elapsed_seconds == 0:
            return self._detections_for_skipped_update(detections)
        out = self.appearance.update(detections, frame, timestamp=timestamp)
        living = self.appearance.tracks
        self.tracks = [
            _Tracklet(int(identity), box)
            for identity, box in zip(living.ids, living.xyxy, strict=True)
            if identity > 0
        ]
        return out

    def reset(self) -> None:
        """Forget everything: the next frame is the first."""
        self.appearance.reset()
        self._init_timestamp_state(self._frame_rate)
        self.tracks = []


def main() -> int:
    """Roboflow's command line with ``--tracker bpbreid``."""
    from trackers.scripts.__main__ import main as host_main

    return int(host_main() or 0)


if __name__ == "__main__":
    sys.exit(main())
