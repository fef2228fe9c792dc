"""What a picture is, wherever one is given."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_image(image: Any, name: str = "frame", *, may_be_empty: bool = False) -> np.ndarray:
    """``image`` as a C-contiguous uint8 array [H, W, 3] (a copy only where it is not contiguous).

    Args:
        image: what was given.
        name: what errors call it.
        may_be_empty: whether H or W may be 0, as of a crop beside the picture.

    Raises:
        ValueError: another type, dtype or shape.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name}: expected a numpy array uint8 [H, W, 3] in BGR, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"{name}: expected uint8 [H, W, 3] in BGR, got {image.dtype} {list(image.shape)}{_mend(image)}"
        )
    if not (image.size or may_be_empty):
        raise ValueError(f"{name}: expected a picture, got none: {list(image.shape)}")
    return np.ascontiguousarray(image)


def _mend(image: np.ndarray) -> str:
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return "; cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) makes it one"
    if image.ndim == 3 and image.shape[2] == 4:
        return "; cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR) makes it one"
    return ""
