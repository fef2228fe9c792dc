"""Boxes of a made-up run, as linking takes them, and what its people look like."""

from __future__ import annotations

import numpy as np
import torch
from scenes import DIM, PARTS, look

from bpbreid_track import PartEmbeddings
from bpbreid_track.embeddings import paired_distance
from bpbreid_track.identities.appearance_stats import MeanAppearance
from bpbreid_track.identities.tracklets import TrackedRows, concatenate

RATE = 10.0  # frames a second


def walk(
    identity: int, frames: range, start: tuple[float, float], velocity: tuple[float, float] = (0.0, 0.0)
) -> TrackedRows:
    """A person of 40 x 100 pixels who is at ``start`` in frame 0 and moves by ``velocity`` a frame."""
    frame = np.array(frames, np.int64)
    centre = np.array(start) + frame[:, None] * np.array(velocity)
    half = np.array([20.0, 50.0])
    return TrackedRows(
        frame=frame,
        time=frame / RATE,
        id=np.full(len(frame), identity),
        xyxy=np.hstack([centre - half, centre + half]),
        confidence=np.full(len(frame), 0.9, np.float32),
        class_id=np.zeros(len(frame), np.int64),
        filled=np.zeros(len(frame), bool),
    )


def run_of(*tracklets: TrackedRows) -> TrackedRows:
    return concatenate(list(tracklets)).sorted()


def frame_times(rows: TrackedRows) -> np.ndarray:
    return np.arange(rows.frame.max(initial=-1) + 1) / RATE


def views(numbers: list[int], *, unlike: float = 0.3, seed: int = 0) -> PartEmbeddings:
    """One noisy view of the people of these looks; all parts show."""
    noise = torch.randn(len(numbers), len(PARTS), DIM, generator=torch.Generator().manual_seed(seed))
    features = torch.stack([look(number) for number in numbers]) + unlike / DIM**0.5 * noise
    features = torch.nn.functional.normalize(features, dim=-1)
    return PartEmbeddings(features, torch.ones(len(numbers), len(PARTS)), PARTS)


def looks(people: dict[int, int], *, hidden: tuple[str, ...] = ()) -> MeanAppearance:
    """What tracklets look like, by identity and look; ``hidden`` parts show in the odd identities only."""
    ids = np.array(sorted(people))
    three = [views([people[i] for i in ids.tolist()], seed=seed) for seed in range(3)]
    for part in hidden:
        for view in three:
            view.visibility[torch.from_numpy(ids % 2 == 0), PARTS.index(part)] = 0
    return MeanAppearance(ids, three[0], paired_distance(*three[1:]).numpy())
