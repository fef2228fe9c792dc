"""The overlay ``why``: on each box the round that gave it its track, and the part distance."""

from __future__ import annotations

import cv2
import numpy as np
import supervision as sv

WHY = "why"  # column of ``Detections.data`` that holds the texts
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def paint_reasons(image: np.ndarray, detections: sv.Detections) -> np.ndarray:
    """Write ``data["why"]`` inside the lower edge of each box, also of boxes without identity.

    Args:
        image: uint8 [H, W, 3] BGR, painted in place and returned.
        detections: without the column nothing is painted; an empty text leaves its box alone.
    """
    height, width = image.shape[:2]
    scale = max(0.35, min(height, width) / 1900)
    weight = max(1, round(2 * scale))
    for (left, _, _, bottom), text in zip(detections.xyxy, detections.data.get(WHY, ()), strict=False):
        if not text or not np.isfinite([left, bottom]).all():
            continue
        (across, up), below = cv2.getTextSize(str(text), _FONT, scale, weight)
        x = int(np.clip(left + 2, 0, max(0, width - across)))
        y = int(np.clip(bottom - below, up, max(up, height - below)))
        # Dark under light is readable on any clothes.
        cv2.putText(image, str(text), (x, y), _FONT, scale, (0, 0, 0), weight + 2, cv2.LINE_AA)
        cv2.putText(image, str(text), (x, y), _FONT, scale, (255, 255, 255), weight, cv2.LINE_AA)
    return image
