"""Small worlds with known truth: people who walk, hide and come back, as detections frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import supervision as sv
import torch

from bpbreid_track import PartEmbeddings

PARTS = ("foreground", "head", "torso", "legs")
DIM = 32


@dataclass
class Walker:
    """A person of 40 x 100 pixels who walks in a straight line; ``path`` overrides the place."""

    start: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)  # pixels a frame
    look: int = 0  # people of equal look cannot be told apart by their parts
    hidden: set[int] = field(default_factory=set)
    faint: set[int] = field(default_factory=set)  # frames in which the detector is unsure
    path: dict[int, tuple[float, float]] = field(default_factory=dict)

    def box(self, frame: int) -> list[float]:
        default = tuple(s + v * frame for s, v in zip(self.start, self.velocity, strict=True))
        x, y = self.path.get(frame, default)
        return [x - 20, y - 50, x + 20, y + 50]


def look(number: int) -> torch.Tensor:
    """The true part vectors [P, D] of a look, unit length."""
    generator = torch.Generator().manual_seed(1000 + number)
    return torch.nn.functional.normalize(torch.randn(len(PARTS), DIM, generator=generator), dim=-1)


@dataclass
class Scene:
    """Detections of some walkers, with the index of the walker behind every row."""

    walkers: list[Walker]
    frames: int
    seed: int = 0
    jitter: float = 0.5  # pixels
    unlike: float = 0.3  # how far one view of a person is from the next
    hide_parts: dict[int, list[str]] = field(default_factory=dict)  # frame -> parts that do not show

    def __iter__(self) -> Iterator[tuple[sv.Detections, PartEmbeddings, np.ndarray]]:
        rng = np.random.default_rng(self.seed)
        for frame in range(self.frames):
            truth = [k for k, walker in enumerate(self.walkers) if frame not in walker.hidden]
            boxes = np.array([self.walkers[k].box(frame) for k in truth], np.float32).reshape(-1, 4)
            boxes += rng.normal(0, self.jitter, boxes.shape).astype(np.float32)
            scores = np.array([0.3 if frame in self.walkers[k].faint else 0.9 for k in truth], np.float32)
            detections = sv.Detections(xyxy=boxes, confidence=scores, class_id=np.zeros(len(truth), int))
            yield detections, self._embeddings(frame, truth, rng), np.array(truth, int)

    def _embeddings(self, frame: int, truth: list[int], rng: np.random.Generator) -> PartEmbeddings:
        features = torch.zeros(len(truth), len(PARTS), DIM)
        for row, k in enumerate(truth):
            noise = torch.from_numpy(rng.normal(0, self.unlike / np.sqrt(DIM), (len(PARTS), DIM)))
            features[row] = look(self.walkers[k].look) + noise.float()
        visibility = torch.ones(len(truth), len(PARTS))
        for part in self.hide_parts.get(frame, []):
            visibility[:, PARTS.index(part)] = 0
        return PartEmbeddings(torch.nn.functional.normalize(features, dim=-1), visibility, PARTS)


def identities(
    tracker: object, scene: Scene, *, appearance: bool = False, **update: object
) -> dict[int, list[int]]:
    """Run ``tracker`` over ``scene``; the identities each walker was given, -1 where none yet."""
    found: dict[int, list[int]] = {k: [] for k in range(len(scene.walkers))}
    for detections, embeddings, truth in scene:
        out = tracker.update(detections, embeddings=embeddings if appearance else None, **update)  # type: ignore[attr-defined]
        for k, identity in zip(truth, out.tracker_id, strict=True):
            found[int(k)].append(int(identity))
    return found


def crossing(*, looks: tuple[int, int] = (1, 2), turn_back: bool = False) -> Scene:
    """Two people walk towards each other, are both unseen for 20 frames where they meet, and part again.

    With ``turn_back`` each turns round while unseen and comes out on the side where the other is expected.
    """
    hidden = set(range(30, 50))
    left = Walker((100, 200), (5, 0), looks[0], hidden)
    right = Walker((500, 200), (-5, 0), looks[1], hidden)
    if turn_back:
        left.path = {f: (100 + 5 * (80 - f), 200) for f in range(50, 80)}
        right.path = {f: (500 - 5 * (80 - f), 200) for f in range(50, 80)}
    return Scene([left, right], 80)
