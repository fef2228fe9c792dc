"""The colours of a torso, read off the picture."""

from __future__ import annotations

import cv2
import numpy as np

# Shares of these, as OpenCV writes L, a and b in bytes: 5 bins of L, 12 of a and of b from -90 to 90.
_BINS = (5, 12, 12)
_OF_L = np.arange(256) * _BINS[0] // 256
_OF_AB = ((np.arange(256) - 128 + 90) // 15).clip(0, _BINS[1] - 1)
_LENGTH = int(np.prod(_BINS))
# A larger torso is looked at in as many rows and columns as this at most twice: shares need no more pixels.
_SIDE = 32


def torso_colours(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray | None:
    """Square roots of the shares of colours, a unit vector, in the middle of the upper half of a box.

    The scalar product of two is the Bhattacharyya coefficient of their histograms.

    Args:
        image: uint8 [H, W, 3], BGR.
        xyxy: of the box, pixels.

    Returns:
        float64 [720]; None where no pixel of the picture is there.
    """
    left, top, right, bottom = (float(side) for side in xyxy)
    across, down = right - left, bottom - top
    columns = np.array([left + 0.25 * across, left + 0.75 * across]).round().clip(0, image.shape[1])
    rows = np.array([top + 0.18 * down, top + 0.5 * down]).round().clip(0, image.shape[0])
    (x0, x1), (y0, y1) = columns.astype(int).tolist(), rows.astype(int).tolist()
    part = image[y0 : y1 : max(1, (y1 - y0) // _SIDE), x0 : x1 : max(1, (x1 - x0) // _SIDE)]
    if not part.size:
        return None
    lab = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2Lab).reshape(-1, 3)
    bins = (_OF_L[lab[:, 0]] * _BINS[1] + _OF_AB[lab[:, 1]]) * _BINS[2] + _OF_AB[lab[:, 2]]
    return np.sqrt(np.bincount(bins, minlength=_LENGTH) / len(bins))
