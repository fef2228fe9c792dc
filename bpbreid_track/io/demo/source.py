"""The built-in scene as a video source with known truth: something to track without a file or a download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from ..mot_format import MotRows
from ..sources.base import Frame, Source
from .scene import FRAME_COUNT, FRAME_RATE, HEIGHT, WIDTH, Scene

MIN_VISIBILITY = 0.1
_PEDESTRIAN = 1


class DemoSource(Source):
    """Six people in a street, 14 seconds of 1280x720 at 25 frames a second, cut from a photograph.

    They cross, cover each other and are hidden by a billboard for a second or two; two of them leave the
    picture and come back. Every reading gives the same pixels.

    Raises:
        InputError: Ultralytics' sample photograph is missing from this installation.
    """

    def __init__(self) -> None:
        self.name = "demo"
        self.width, self.height = WIDTH, HEIGHT
        self.frame_rate = Fraction(FRAME_RATE)
        self.frame_count: int = FRAME_COUNT
        self.live = False
        self.notes: list[str] = []
        self._scene = Scene()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(FRAME_COUNT):
            yield Frame(index, index / FRAME_RATE, self._scene.render(index))

    def truth(self) -> MotRows:
        """Who is where, in every frame, as the ground truth of a MOTChallenge sequence.

        Boxes are of the whole person, hidden parts included, clipped to the picture. A person of whom less
        than a tenth shows keeps the box with confidence 0, "not to be counted" (as in MOT15): to miss
        somebody behind a billboard is no error, while the identity after it must be the one before.

        Returns:
            One row a person and frame; ``extra`` holds the class (1, pedestrian), the visibility in [0, 1]
            and NaN.
        """
        return self._truth

    def write_truth(self, path: str | os.PathLike[str]) -> None:
        """Write ``truth()`` as gt.txt, ``frame,id,left,top,width,height,counted,class,visibility``.

        Raises:
            OSError: the file cannot be written.
        """
        rows = self.truth()
        lines = [
            f"{frame},{identity},{left:.2f},{top:.2f},{width:.2f},{height:.2f},{counted:.0f},{kind:.0f},{visibility:.3f}\n"
            for frame, identity, (left, top, width, height), counted, (kind, visibility, _) in zip(
                rows.frame, rows.id, rows.ltwh, rows.confidence, rows.extra, strict=True
            )
        ]
        Path(path).write_text("".join(lines), encoding="utf-8")

    @cached_property
    def _truth(self) -> MotRows:
        people = [(index + 1, person) for index in range(FRAME_COUNT) for person in self._scene.truth(index)]
        xyxy = np.array([person.xyxy for _, person in people])
        visibility = np.array([person.visibility for _, person in people])
        return MotRows(
            frame=np.array([frame for frame, _ in people], dtype=np.int64),
            id=np.array([person.identity for _, person in people], dtype=np.int64),
            ltwh=np.hstack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]]),
            confidence=(visibility >= MIN_VISIBILITY).astype(np.float32),
            extra=np.column_stack(
                [np.full_like(visibility, _PEDESTRIAN), visibility, np.full_like(visibility, np.nan)]
            ),
            line=np.arange(1, len(people) + 1, dtype=np.int64),
        )
