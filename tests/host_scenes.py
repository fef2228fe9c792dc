"""What the tests of the integrations feed to real trackers: real frames, and one where looks decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from bpbreid_track import Encoder, PartEmbeddings
from bpbreid_track.io.mot_format import read_mot

FRAMES = 12


@dataclass
class Street:
    """The first frames of PETS09-S2L1 with the boxes of a detector and their embeddings."""

    folder: Path
    images: list[np.ndarray]
    boxes: list[np.ndarray]  # float32 [N, 4]
    scores: list[np.ndarray]  # float32 [N]
    embeddings: list[PartEmbeddings]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, PartEmbeddings]]:
        return iter(zip(self.images, self.boxes, self.scores, self.embeddings, strict=True))


def read_street(shared: Path, encoder: Encoder) -> Street:
    folder = shared / "data" / "mot" / "PETS09-S2L1-300"
    rows = read_mot(folder / "det" / "yolo11n.txt")
    street = Street(folder, [], [], [], [])
    for frame in range(1, FRAMES + 1):
        chosen = (rows.frame == frame) & (rows.confidence >= 0.1)
        image = cv2.imread(str(folder / "img1" / f"{frame:06d}.jpg"))
        assert image is not None
        street.images.append(image)
        street.boxes.append(rows.xyxy[chosen])
        street.scores.append(rows.confidence[chosen])
    street.embeddings.extend(encoder.encode(street.images, street.boxes))
    return street


def table(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """float32 [N, 6]: corners, score, class 0."""
    return np.column_stack([boxes, scores, np.zeros(len(boxes))]).astype(np.float32).reshape(-1, 6)


def invisible(embeddings: PartEmbeddings) -> PartEmbeddings:
    """The same boxes with every part hidden."""
    return PartEmbeddings(embeddings.features, torch.zeros_like(embeddings.visibility), embeddings.part_names)


def change_of_places(street: Street) -> Iterator[tuple[np.ndarray, np.ndarray, PartEmbeddings]]:
    """Two real people who stand half in front of each other for six frames and then change places.

    Boxes alone say that nobody moved by more than 3 pixels; only their looks tell. After the change each
    shows nothing but the legs, and what is stored for the hidden parts is the other's.
    """
    embeddings = street.embeddings[0][:2]
    swapped = embeddings[[1, 0]]
    legs = embeddings.part_names.index("legs")
    features = embeddings.features.clone()
    features[:, legs] = swapped.features[:, legs]
    visibility = torch.zeros_like(embeddings.visibility)
    visibility[:, legs] = 1
    after = PartEmbeddings(features, visibility, embeddings.part_names)
    boxes = np.float32([[100, 100, 140, 200], [108, 100, 148, 200]])
    scores = np.float32([0.9, 0.9])
    for _ in range(6):
        yield boxes, scores, embeddings
    yield boxes + np.float32([3, 0, 3, 0]), scores, after
