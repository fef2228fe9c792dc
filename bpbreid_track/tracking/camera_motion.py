"""Motion of the camera between two frames, from sparse optical flow, and cuts to another view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_NO_POINTS = np.zeros((0, 2), np.float32)


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
    similarity (shift, turn, zoom) is fitted to them with RANSAC. While the camera stands still its corners
    serve on, until half are gone. A moving one needs new ones each time, since those that stay in the picture
    lie to one side. Where hardly a corner fits, and the colours are others than before, the view was cut.
    """

    _WIDTH = 480
    _WINDOW = (15, 15)
    _CORNERS = 150
    _FEWEST = 12
    # Pixels of the small copy: what a corner that stands still trembles by, and what one may miss a fit by.
    _STILL = 0.1
    _MISS = 1.5
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
        self._sample: np.ndarray | None = None
        self._points = _NO_POINTS
        self._found = 0  # corners when they were last looked for

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        """Take in the next frame.

        Args:
            frame: uint8 [H, W, 3] BGR.
            people: [N, 4] xyxy boxes in this frame; corners on them are not followed from here on.

        Returns:
            The step from the frame before to this one; nothing known of it on the first.
        """
        grey = _small_grey(frame, self._WIDTH)
        # A copy, since a caller may paint on the frame.
        stride = max(1, frame.shape[1] // (self._WIDTH // 2))
        sample = frame[::stride, ::stride].copy()
        scale = np.array([grey.shape[1] / frame.shape[1], grey.shape[0] / frame.shape[0]])
        step, points = CameraStep(), _NO_POINTS
        if self._previous is not None and self._previous.shape == grey.shape:
            step, points = self._follow(grey, sample, scale)
        free = np.full(grey.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.clip(people * np.tile(scale, 2), 0, 1 << 15).astype(int):
            free[y1 : y2 + 1, x1 : x2 + 1] = 0
        points = points[_inside(points, free)]
        if step.affine is not None or len(points) < max(2 * self._FEWEST, self._found // 2):
            found = cv2.goodFeaturesToTrack(grey, self._CORNERS, 0.01, 8, mask=free)
            points = _NO_POINTS if found is None else found[:, 0]
            self._found = len(points)
        self._previous, self._sample, self._points = grey, sample, points
        return step

    def _follow(
        self, grey: np.ndarray, sample: np.ndarray, scale: np.ndarray
    ) -> tuple[CameraStep, np.ndarray]:
        """The step to this frame, and the corners float32 [K, 2] that lie on the background in it."""
        if len(self._points) < self._FEWEST:
            return CameraStep(), _NO_POINTS
        assert self._previous is not None
        step, kept = self._fit(grey, scale)
        if len(kept) >= self._CUT_SHARE * len(self._points) or not self._other_colours(sample):
            return step, kept
        # A flash or a fade changes all colours and leaves everything where it is.
        step, kept = self._fit(_as_bright_as(self._previous, grey), scale)
        if len(kept) >= self._CUT_SHARE * len(self._points):
            return step, kept
        return CameraStep(cut=True), _NO_POINTS

    def _fit(self, grey: np.ndarray, scale: np.ndarray) -> tuple[CameraStep, np.ndarray]:
        """The step to ``grey`` as the corners tell it, and where those are that agree: float32 [K, 2]."""
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            self._previous, grey, self._points[:, None], None, winSize=self._WINDOW
        )
        found = status.ravel() == 1
        before, after = self._points[found], moved[found, 0]
        if len(before) < self._FEWEST:
            return CameraStep(), _NO_POINTS
        away = np.abs(after - before).max(axis=1)
        # Most frames of most cameras do not move: then there is nothing to fit, and nothing to get wrong.
        if np.median(away) < self._STILL:
            return CameraStep(), after[away < self._MISS]
        # A fixed seed, because RANSAC draws from OpenCV's global generator and runs must repeat exactly.
        cv2.setRNGSeed(0)
        affine, inliers = cv2.estimateAffinePartial2D(
            before, after, method=cv2.RANSAC, ransacReprojThreshold=self._MISS
        )
        kept = _NO_POINTS if affine is None else after[inliers[:, 0] == 1]
        if len(kept) < max(self._FEWEST, len(before) // 3):
            return CameraStep(), kept
        affine[:, 2] /= scale
        return CameraStep(affine), kept

    def _other_colours(self, sample: np.ndarray) -> bool:
        """Whether the colours of the frame are others than those of the frame before."""
        assert self._sample is not None
        before, after = (_colours(image) for image in (self._sample, sample))
        return 1 - float(np.sqrt(before * after).sum()) > self._CUT_COLOURS


class KnownCamera(CameraMotion):
    """Gives steps that were estimated when the pictures were at hand.

    Args:
        steps: one a frame, from the first on.
    """

    def __init__(self, steps: Sequence[CameraStep]) -> None:
        self._known = steps
        super().__init__()

    def reset(self) -> None:
        """Begin anew."""
        self._steps = iter(self._known)

    def estimate(self, frame: np.ndarray, people: np.ndarray) -> CameraStep:
        """The step to the next frame, whatever it shows."""
        return next(self._steps)


def _small_grey(frame: np.ndarray, width: int) -> np.ndarray:
    """``frame`` in grey, ``width`` wide at most.

    Of large frames only every so many pixels are looked at, down to twice that width: to read all of them
    would take longer than to follow the corners.
    """
    stride = max(1, frame.shape[1] // (2 * width))
    size = (frame.shape[1] // stride, max(1, frame.shape[0] // stride))
    some = frame if stride == 1 else cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(some, cv2.COLOR_BGR2GRAY)
    if grey.shape[1] >= 2 * width:
        half = (grey.shape[1] // 2, max(1, grey.shape[0] // 2))
        grey = cv2.resize(grey, half, interpolation=cv2.INTER_AREA)
    if grey.shape[1] > width:
        height = max(1, round(grey.shape[0] * width / grey.shape[1]))
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
    return grey


def _inside(points: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Which of ``points`` [K, 2] lie on pixels of ``free`` that are not 0: bool [K]."""
    x, y = np.floor(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < free.shape[1]) & (y < free.shape[0])
    inside[inside] = free[y[inside], x[inside]] > 0
    return inside


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
