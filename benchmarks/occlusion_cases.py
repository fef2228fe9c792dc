"""Sequences as they are, with a gap in which nobody is detected, and with a veil before and behind it.

A *gap* is a vertical band of the picture, a tenth of it wide: detections whose centre lies in it are deleted,
and so is the ground truth, so that whoever crosses it vanishes for a while and only who comes back as whom is
scored. The *veil* adds that the lower 55 % of every box within 12 % of the picture's width of the band is
painted over with scene texture, another one on either side: only upper bodies show before and after. The
boxes stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WIDTH, NEAR, COVERED = 0.10, 0.12, 0.55


@dataclass(frozen=True)
class Case:
    """One way to look at a sequence.

    Attributes:
        name: how tables call it.
        band: middle of the gap as a share of the picture's width; None: no gap.
        veil: whether lower bodies are painted over beside it.
    """

    name: str
    band: float | None = None
    veil: bool = False

    def kept(self, xyxy: np.ndarray, width: int) -> np.ndarray:
        """Which boxes [N, 4] lie outside the band: bool [N]."""
        if self.band is None:
            return np.ones(len(xyxy), bool)
        return np.abs(_centre(xyxy) / width - self.band) > WIDTH / 2

    def near(self, xyxy: np.ndarray, width: int) -> np.ndarray:
        """Which boxes [N, 4] the veil hides partly: bool [N]."""
        if not self.veil or self.band is None:
            return np.zeros(len(xyxy), bool)
        return np.abs(_centre(xyxy) / width - self.band) <= WIDTH / 2 + NEAR

    def paint(self, image: np.ndarray, xyxy: np.ndarray, sides: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The picture uint8 [H, W, 3] as this case shows it.

        Args:
            image: the frame.
            xyxy: [N, 4] all boxes in it.
            sides: what is painted left and right of the band, as ``textures`` gives it.
        """
        if not self.veil or self.band is None:
            return image
        height, width = image.shape[:2]
        out = image.copy()
        place = _centre(xyxy) / width - self.band
        near = self.near(xyxy, width)
        for box, offset in zip(xyxy[near], place[near], strict=True):
            left, top, right, bottom = box
            rows = slice(*np.clip([round(bottom - COVERED * (bottom - top)), round(bottom)], 0, height))
            columns = slice(*np.clip([round(left), round(right)], 0, width))
            out[rows, columns] = sides[int(offset > 0)][rows, columns]
        return out


CASES = (Case("whole"), Case("gap", 0.5), Case("veil", 0.5, True))


def textures(image: np.ndarray, xyxy: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two textures of the scene, uint8 [H, W, 3]: patches of ``image`` without people, mirrored over it.

    Args:
        image: uint8 [H, W, 3], a frame.
        xyxy: [N, 4] the boxes in it.
        seed: chooses the patches.
    """
    height, width = image.shape[:2]
    rows, columns = height // 6, width // 8
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while len(found) < 2:
        top, left = int(rng.integers(height // 2, height - rows)), int(rng.integers(0, width - columns))
        across = (xyxy[:, 0] < left + columns) & (xyxy[:, 2] > left)
        if (across & (xyxy[:, 1] < top + rows) & (xyxy[:, 3] > top)).any():
            continue
        patch = image[top : top + rows, left : left + columns]
        tile = np.concatenate([patch, patch[:, ::-1]], axis=1)
        tile = np.concatenate([tile, tile[::-1]], axis=0)
        repeats = (height // (2 * rows) + 1, width // (2 * columns) + 1, 1)
        found.append(np.tile(tile, repeats)[:height, :width])
    return found[0], found[1]


def _centre(xyxy: np.ndarray) -> np.ndarray:
    return (xyxy[:, 0] + xyxy[:, 2]) / 2
