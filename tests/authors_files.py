"""Files as the authors' program writes them: weights, and beside them settings and the state of training."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from authors_layout import State, authors_state


def settings(preprocess: str = "eight", **changes: Any) -> dict[str, Any]:
    """The settings that their program stores with the weights, as far as they matter here."""
    model = {
        "pooling": "gwap",
        "normalization": "identity",
        "dim_reduce": "after_pooling",
        "backbone": "resnet50",
        "learnable_attention_enabled": True,
        "test_embeddings": ["bn_foreg", "parts"],
        "test_use_target_segmentation": "none",
        "mask_filtering_testing": True,
        "testing_binary_visibility_score": True,
        "masks": {"preprocess": preprocess, "dir": "pifpaf_maskrcnn_filtering"},
    }
    data = {
        "height": 384,
        "width": 128,
        "norm_mean": [0.485, 0.456, 0.406],
        "norm_std": [0.229, 0.224, 0.225],
    }
    return {"model": {"name": "bpbreid", "bpbreid": model | changes}, "data": data}


def whole_file(state: State, config: Any = None) -> dict[str, Any]:
    """All that their program writes."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
    return {
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "epoch": 120,
        "rank1": np.float32(0.951),
        "mAP": np.float64(0.87),
        "ssmd": np.float64(3.1),
        "config": config,
        "optimizer": optimizer.state_dict(),
        "scheduler": {"milestones": [40, 70], "last_epoch": np.int64(120)},
    }


def small_state(**changes: Any) -> State:
    """Random tensors made once: the files under test differ in what is done to them."""
    return dict(_cached_state(tuple(sorted(({"identities": 3, "dim": 8} | changes).items()))))


@functools.cache
def _cached_state(settings: tuple[tuple[str, Any], ...]) -> State:
    return authors_state(**dict(settings))
