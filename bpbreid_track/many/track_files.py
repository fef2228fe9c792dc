"""Track files as they are read again: boxes by identity, and the same files under other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..identities.tracklets import TrackedRows, seen_together
from ..io.part_file import write_whole
from ..io.track_text import read_track_text


@dataclass(frozen=True)
class Boxes:
    """Boxes of a video, R rows, in the order of their frames.

    Attributes:
        frame: int64 [R], from 1.
        id: int64 [R].
        xyxy: float64 [R, 4] pixels.
        confidence: float64 [R].
    """

    frame: np.ndarray
    id: np.ndarray
    xyxy: np.ndarray
    confidence: np.ndarray

    def together(self) -> list[tuple[int, int]]:
        """Pairs of identities with boxes in one frame."""
        ids, none = np.unique(self.id), np.zeros(len(self.id))
        rows = TrackedRows(
            self.frame, none, self.id, self.xyxy, self.confidence, none.astype(np.int64), none > 0
        )
        return [(int(ids[a]), int(ids[b])) for a, b in seen_together(rows, ids)]

    def clearest(self) -> dict[int, int]:
        """The row of each identity in which it is seen best: large, sure, and hidden by nobody there."""
        area = np.prod(self.xyxy[:, 2:] - self.xyxy[:, :2], axis=1)
        worth = area * self.confidence * (1 - self._covered())
        order = np.lexsort((np.arange(len(worth)), -worth, self.id))
        ids, first = np.unique(self.id[order], return_index=True)
        return dict(zip(ids.tolist(), order[first].tolist(), strict=True))

    def _covered(self) -> np.ndarray:
        """Largest share of each box that lies in another one of its frame, float64 [R]."""
        out = np.zeros(len(self.id))
        for frame in np.unique(self.frame):
            rows = np.flatnonzero(self.frame == frame)
            boxes = self.xyxy[rows]
            low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
            high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
            shared = np.prod((high - low).clip(min=0), axis=2)
            np.fill_diagonal(shared, 0)
            own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
            out[rows] = (shared / np.maximum(own, 1e-9)[:, None]).max(axis=1)
        return out


def read_boxes(path: Path) -> Boxes:
    """The boxes of a track file, .txt, .csv or .jsonl.

    Raises:
        InputError: it is missing, or is none.
    """
    tracks = read_track_text(path)
    order = np.argsort(tracks.frame, kind="stable")
    xyxy = np.concatenate([tracks.ltwh[:, :2], tracks.ltwh[:, :2] + tracks.ltwh[:, 2:]], axis=1)
    return Boxes(
        tracks.frame[order], tracks.id[order], xyxy[order], tracks.confidence[order].astype(np.float64)
    )


def write_renumbered(path: Path, out: Path, number_of: dict[int, int]) -> None:
    """The track file ``path`` under other numbers; everything else stays, letter by letter.

    Args:
        path: a file that ``read_boxes`` reads.
        out: the new file, of the same kind.
        number_of: the new number of every identity.

    Raises:
        InputError: it cannot be written.
    """
    tracks = read_track_text(path)
    numbers = np.array([number_of[identity] for identity in tracks.id.tolist()], np.int64)
    write_whole(out, tracks.rewritten(numbers, np.ones(len(numbers), bool), {}))
