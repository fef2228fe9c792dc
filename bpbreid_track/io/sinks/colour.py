"""Pictures as the encoder takes them: BT.709, limited range, a colour sample for every four pixels."""

from __future__ import annotations

import cv2
import numpy as np

_RED, _BLUE = 0.2126, 0.0722  # shares of the luma, ITU-R BT.709
_LUMA, _CHROMA = 219 / 255, 224 / 255  # limited range has so many levels for each of 255
# Levels that FFmpeg's scaler loses on average on the way to BGR: it rounds down once for grey pixels, and for
# others once more for each colour difference. Measured over all colours.
_GREY_LOSS, _COLOUR_LOSS = 0.5, 1.3
_STEP = 8  # every so many pixels are looked at to tell grey pictures


def to_yuv420(image: np.ndarray, rounded_down: bool = False) -> np.ndarray:
    """Y, U and V planes of a picture, each value rounded to the nearest level.

    FFmpeg's scaler rounds down, both ways, which darkens a video by up to two levels each time.

    Args:
        image: uint8 [H, W, 3] BGR, H and W even.
        rounded_down: ``Source.rounded_down``; what was lost is given back.

    Returns:
        uint8 [H * 3 / 2, W], the layout of ``yuv420p``.
    """
    height, width = image.shape[:2]
    planes = cv2.transform(image, _matrix(_loss(image) if rounded_down else 0.0))
    out = np.empty((height * 3 // 2, width), np.uint8)
    cv2.extractChannel(planes, 0, out[:height])
    colours = cv2.resize(planes, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    out[height:].reshape(2, height // 2, width // 2)[...] = colours[:, :, 1:].transpose(2, 0, 1)
    return out


def _loss(image: np.ndarray) -> float:
    """Mean loss of a picture by the share of its grey pixels: cameras of the night give nothing else."""
    sample = image[::_STEP, ::_STEP]
    grey = (sample == sample[..., :1]).all(axis=2).mean()
    return float(grey * _GREY_LOSS + (1 - grey) * _COLOUR_LOSS)


def _matrix(loss: float) -> np.ndarray:
    """float32 [3, 4]: Y, U and V of B, G, R and 1, for pictures that lie ``loss`` levels too low."""
    luma = np.array([_BLUE, 1 - _RED - _BLUE, _RED])
    blue = (np.array([1, 0, 0]) - luma) / (2 - 2 * _BLUE)
    red = (np.array([0, 0, 1]) - luma) / (2 - 2 * _RED)
    rows = [
        [*luma * _LUMA, 16 + loss * _LUMA],
        [*blue * _CHROMA, 128],
        [*red * _CHROMA, 128],
    ]
    return np.array(rows, np.float32)
