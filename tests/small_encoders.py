"""Networks, frames and boxes small enough for every test of the encoder."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions

NONSENSE = [[5, 5, 5, 60], [40, 40, 20, 60], [np.nan, 0, 10, 10], [0, 0, np.inf, 10], [900, 900, 950, 990]]
PEOPLE = [[10, 20, 60, 150], [80.4, 30.6, 140.2, 170], [150, -20, 230, 220], [5, 100, 30, 160]]


def network(seed: int = 0, backbone: str = "efficientnet_lite0", **options: object) -> BPBReID:
    """Random weights, with BatchNorm statistics and attention that differ from the trivial ones."""
    torch.manual_seed(seed)
    settings = {"backbone": backbone, "dim": 16, "input_size": (64, 32), "visibility": "argmax", **options}
    made = BPBReID(ModelOptions(**settings)).eval()
    for module in made.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
    if made.part_classifier is not None:
        torch.nn.init.normal_(made.part_classifier.classifier.weight, std=0.2)
    return made


def frame(height: int = 200, width: int = 240, seed: int = 0) -> np.ndarray:
    """Coloured blocks: crops at different places differ."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(blocks, (width, height), interpolation=cv2.INTER_CUBIC)
