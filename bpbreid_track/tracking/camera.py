"""Motion of the camera between two frames, from sparse optical flow."""

from __future__ import annotations

import cv2
import numpy as np


class CameraMotion:
    """Estimates how the background moved from each frame to the next.

    Corners outside the people are followed with Lucas-Kanade flow on a small grey copy of the frame, and a
    similarity (shift, turn, zoom) is fitted to them with RANSAC.
    """

    _WIDTH = 480
    _CORNERS = 200
    _FEWEST = 12

    def __init__(self) -> None:
        self._previous: np.ndarray | None = None
        self._points: np.ndarray | None = None

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> np.ndarray | None:
        """Take in the next frame.

        Args:
            frame: uint8 [H, W, 3] BGR.
            people: [N, 4] xyxy boxes in this frame; corners on them are not followed from here on.

        Returns:
            Affine [2, 3] float64 that takes pixels of the previous frame to pixels of this one, or None where
            the camera stood still or nothing could be followed (first frame, another size, a cut).
        """
        scale = min(1.0, self._WIDTH / frame.shape[1])
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        affine = None
        if self._previous is not None and self._previous.shape == grey.shape and self._points is not None:
            affine = self._follow(grey, scale)
        mask = np.full(grey.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.clip(people * scale, 0, 1 << 15).astype(int):
            mask[y1 : y2 + 1, x1 : x2 + 1] = 0
        self._points = cv2.goodFeaturesToTrack(grey, self._CORNERS, 0.01, 8, mask=mask)
        self._previous = grey
        return affine

    def _follow(self, grey: np.ndarray, scale: float) -> np.ndarray | None:
        assert self._points is not None
        if len(self._points) < self._FEWEST:
            return None
        moved, status, _ = cv2.calcOpticalFlowPyrLK(self._previous, grey, self._points, None)
        found = status.ravel() == 1
        before, after = self._points[found, 0], moved[found, 0]
        if len(before) < self._FEWEST:
            return None
        # Most frames of most cameras do not move: then there is nothing to fit, and nothing to get wrong.
        if np.median(np.abs(after - before).max(axis=1)) < 0.1:
            return None
        # A fixed seed, because RANSAC draws from OpenCV's global generator and runs must repeat exactly.
        cv2.setRNGSeed(0)
        affine, inliers = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=1.5
        )
        if affine is None or int(inliers.sum()) < max(self._FEWEST, len(before) // 3):
            return None
        affine[:, 2] /= scale
        return affine
