"""Boxes of a frame in which nobody looked for people, from the frames before and after it."""

from __future__ import annotations

import numpy as np
import supervision as sv


def between(before: sv.Detections, after: sv.Detections, share: float) -> sv.Detections:
    """The identities of both frames on the straight line from one box to the other.

    Args:
        before: boxes with ``tracker_id``, -1 for none.
        after: likewise; from here come class and ``data``.
        share: of the time from one to the other that has passed, 0 to 1.

    Returns:
        Boxes float32 and confidences interpolated, in the order of ``tracker_id``, ``data["filled"]`` true.

    >>> box = lambda left: sv.Detections(np.array([[left, 0., left + 10, 20.]]), tracker_id=np.array([7]))
    >>> between(box(100.), box(104.), 0.25).xyxy.tolist()
    [[101.0, 0.0, 111.0, 20.0]]
    """
    known, rows, others = np.intersect1d(before.tracker_id, after.tracker_id, return_indices=True)
    rows, others = rows[known >= 0], others[known >= 0]
    found: sv.Detections = after[others]
    found.mask = None
    found.xyxy = ((1 - share) * before.xyxy[rows] + share * after.xyxy[others]).astype(np.float32)
    if before.confidence is not None and after.confidence is not None:
        mixed = (1 - share) * before.confidence[rows] + share * after.confidence[others]
        found.confidence = mixed.astype(np.float32)
    found.data["filled"] = np.ones(len(found), bool)
    return found
