"""Motion of the camera between two frames, from sparse optical flow, and cuts to another view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class CameraStep:
    """What the camera did between two frames.

    Attributes:
        affine: float64 [2, 3] that takes pixels of the earlier frame to pixels of the later one; None where
            the camera stood still or nothing could be followed (first frame, another size, a cut).
        cut: the later frame is another view: nothing is where it was.
    """

    affine: np.ndarray | None = None
    cut: bool = False


class CameraMotion:
    """Estimates how the background moved from each frame to the next.

    Corners outside the people are followed with Lucas-Kanade flow on a small grey copy of the frame, and a
    similarity (shift, turn, zoom) is fitted to them with RANSAC. Where hardly a corner fits, and the colours
    are others than before, the view was cut.
    """

    _WIDTH = 480
    _CORNERS = 200
    _FEWEST = 12
    # Of two views at most one corner in twenty fits by chance; while a camera moves on, one in three or more.
    _CUT_SHARE = 0.15
    # Squared Hellinger distance of colour histograms: 0.05 within a shot at most, 0.08 from one to another of
    # the same pitch at least. A frame too blurred to follow corners in keeps its colours.
    _CUT_COLOURS = 0.06

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the frame before: the next one is the first."""
        self._previous: np.ndarray | None = None
        self._small: np.ndarray | None = None
        self._points: np.ndarray | None = None

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        """Take in the next frame.

        Args:
            frame: uint8 [H, W, 3] BGR.
            people: [N, 4] xyxy boxes in this frame; corners on them are not followed from here on.

        Returns:
            The step from the frame before to this one; nothing known of it on the first.
        """
        scale = min(1.0, self._WIDTH / frame.shape[1])
        size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        step = CameraStep()
        if self._previous is not None and self._previous.shape == grey.shape:
            step = self._follow(grey, small, scale)
        mask = np.full(grey.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.clip(people * scale, 0, 1 << 15).astype(int):
            mask[y1 : y2 + 1, x1 : x2 + 1] = 0
        self._points = cv2.goodFeaturesToTrack(grey, self._CORNERS, 0.01, 8, mask=mask)
        self._previous = grey
        # A copy, since a caller may paint on the frame.
        self._small = small.copy() if small is frame else small
        return step

    def _follow(self, grey: np.ndarray, small: np.ndarray, scale: float) -> CameraStep:
        if self._points is None or len(self._points) < self._FEWEST:
            return CameraStep()
        assert self._previous is not None
        step, fitting = self._fit(grey, scale)
        if fitting >= self._CUT_SHARE * len(self._points) or not self._other_colours(small):
            return step
        # A flash or a fade changes all colours and leaves everything where it is.
        step, fitting = self._fit(_as_bright_as(self._previous, grey), scale)
        return step if fitting >= self._CUT_SHARE * len(self._points) else CameraStep(cut=True)

    def _fit(self, grey: np.ndarray, scale: float) -> tuple[CameraStep, int]:
        """The step to ``grey`` as the corners tell it, and how many of them agree."""
        assert self._points is not None
        moved, status, _ = cv2.calcOpticalFlowPyrLK(self._previous, grey, self._points, None)
        found = status.ravel() == 1
        before, after = self._points[found, 0], moved[found, 0]
        if len(before) < self._FEWEST:
            return CameraStep(), 0
        # Most frames of most cameras do not move: then there is nothing to fit, and nothing to get wrong.
        if np.median(np.abs(after - before).max(axis=1)) < 0.1:
            return CameraStep(), len(before)
        # A fixed seed, because RANSAC draws from OpenCV's global generator and runs must repeat exactly.
        cv2.setRNGSeed(0)
        affine, inliers = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=1.5
        )
        fitting = 0 if affine is None else int(inliers.sum())
        if affine is None or fitting < max(self._FEWEST, len(before) // 3):
            return CameraStep(), fitting
        affine[:, 2] /= scale
        return CameraStep(affine), fitting

    def _other_colours(self, small: np.ndarray) -> bool:
        """Whether the colours of the frame are others than those of the frame before."""
        assert self._small is not None
        before, after = (_colours(image) for image in (self._small, small))
        return 1 - float(np.sqrt(before * after).sum()) > self._CUT_COLOURS


def _colours(image: np.ndarray) -> np.ndarray:
    """Shares of the pixels in 8 x 4 x 8 bins of hue, saturation and value."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 8], [0, 180, 0, 256, 0, 256])
    return (counts / counts.sum()).ravel()


def _as_bright_as(model: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """``grey`` uint8 [H, W] with mean and contrast of ``model``."""
    (mean, spread), (own_mean, own_spread) = ((image.mean(), image.std()) for image in (model, grey))
    values = (grey - own_mean) * (spread / max(own_spread, 1.0)) + mean
    return np.clip(values, 0, 255).astype(np.uint8)
