"""What the camera did before each frame, as a cache keeps it: a later run need not look at the pictures."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from ..tracking.camera_motion import CameraStep

_STILL, _MOVED, _CUT = 0.0, 1.0, 2.0


def as_text(steps: Sequence[CameraStep]) -> str:
    """Steps in letters. Those of a camera that stands still take next to no room.

    >>> from_text(as_text([CameraStep(), CameraStep(cut=True)]))
    [CameraStep(affine=None, cut=False), CameraStep(affine=None, cut=True)]
    """
    table = np.zeros((len(steps), 7), "<f8")
    for row, step in zip(table, steps, strict=True):
        row[0] = _CUT if step.cut else _STILL
        if step.affine is not None:
            row[0], row[1:] = _MOVED, step.affine.ravel()
    return base64.b85encode(zlib.compress(table.T.tobytes())).decode()


def from_text(text: str) -> list[CameraStep]:
    """The steps that ``as_text`` was given.

    Raises:
        ValueError: it was given none.
    """
    try:
        table = np.frombuffer(zlib.decompress(base64.b85decode(text)), "<f8").reshape(7, -1).T
    except zlib.error as error:
        raise ValueError(str(error)) from error
    kinds = table[:, 0].tolist()
    affines = table[:, 1:].reshape(-1, 2, 3).astype(np.float64)
    return [
        CameraStep(affine if kind == _MOVED else None, kind == _CUT)
        for kind, affine in zip(kinds, affines, strict=True)
    ]
