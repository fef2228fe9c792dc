"""``PartTracker`` with arrays in and out, for programs written against BoxMOT's trackers. Needs no BoxMOT."""

from __future__ import annotations

from typing import Any

import numpy as np
import supervision as sv

from ..config import TrackerConfig
from ..embeddings import PartEmbeddings
from ..model.encoder import Encoder
from ..tracking.tracker import PartTracker


class ArrayTracker:
    """Takes BoxMOT's tables of detections and gives its tables of tracks, of any of its versions.

    Args:
        config: settings of ``PartTracker``.
        encoder: appearance; None tracks by motion alone.

    Attributes:
        tracker: the ``PartTracker`` behind it.
        appearance: the same, for ``appearance_report``.

    >>> tracker = ArrayTracker()
    >>> tracker.update(np.array([[10., 10., 50., 120., 0.9, 0.]])).tolist()
    [[10.0, 10.0, 50.0, 120.0, 1.0, 0.9, 0.0, 0.0]]
    """

    def __init__(self, config: TrackerConfig | None = None, encoder: Encoder | None = None) -> None:
        self.tracker = self.appearance = PartTracker(config, encoder)

    def reset(self) -> None:
        """Forget everything: the next frame is the first."""
        self.tracker.reset()

    def update(
        self,
        detections: Any,
        frame: np.ndarray | None = None,
        embs: PartEmbeddings | None = None,
        *,
        timestamp_s: float | None = None,
    ) -> np.ndarray:
        """Take in the next frame, one without detections too.

        Args:
            detections: [N, 6]: x1, y1, x2, y2 in pixels, score in [0, 1], class.
            frame: uint8 [H, W, 3] BGR.
            embs: the boxes' appearance where it is known already; spares the encoder.
            timestamp_s: seconds, increasing; None: frames are 1 / ``config.frame_rate`` apart.

        Returns:
            float64 [M, 8]: x1, y1, x2, y2, identity, score, class, row in ``detections``; only boxes that
            have an identity, in the order in which they came. Boxes are the detector's own.

        Raises:
            ValueError: detections of another shape, and what ``PartTracker.update`` raises.
        """
        table = np.asarray(detections, np.float64)
        if table.size == 0:
            table = table.reshape(0, 6)
        if table.ndim != 2 or table.shape[1] != 6:
            raise ValueError(
                f"detections: expected [N, 6] (x1, y1, x2, y2, score, class), got {list(table.shape)}"
            )
        boxes = sv.Detections(
            xyxy=table[:, :4].astype(np.float32), confidence=table[:, 4], class_id=table[:, 5].astype(int)
        )
        out = self.tracker.update(boxes, frame, embeddings=embs, timestamp=timestamp_s)
        assert out.tracker_id is not None
        rows = np.flatnonzero(out.tracker_id > 0)
        return np.column_stack([table[rows, :4], out.tracker_id[rows], table[rows, 4:], rows]).reshape(-1, 8)
