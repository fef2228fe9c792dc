"""Other people's re-identification networks: crops in, one vector a crop out, and no word on what they want.

What is not stated is taken as its makers' habit: networks of the Open Model Zoo (OpenVINO) take BGR from 0
to 255, exports of torchreid and FastReID (ONNX) RGB normalised by ImageNet's mean and deviation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .options import ModelOptions

log = logging.getLogger(__name__)

Shape = Sequence[int | None]
"""Of a tensor of the network; None where it may be anything."""


def describe_one_vector(path: Path, inputs: Sequence[Shape], outputs: Sequence[Shape], *, bgr: bool) -> str:
    """The metadata that our own exports carry, for a network that has none.

    Args:
        path: the file, for messages.
        inputs: shapes of what it takes.
        outputs: shapes of what it gives.
        bgr: whether it takes BGR from 0 to 255, as OpenVINO's do; else normalised RGB.

    Raises:
        InputError: not one picture [N, 3, h, w] in and one vector [N, D] out.
    """
    pictures = inputs[0] if len(inputs) == 1 else ()
    height, width = pictures[2:] if len(pictures) == 4 and pictures[1] == 3 else (None, None)
    vector = [side for side in outputs[0][1:] if side != 1] if len(outputs) == 1 else []
    dim = vector[0] if len(vector) == 1 else None
    if height is None or width is None or dim is None:
        raise InputError(
            f"{path}: neither written by bpbreid_track nor a network that takes pictures [N, 3, h, w] and "
            f"gives one vector [N, D]: it takes {_text(inputs)} and gives {_text(outputs)}"
        )
    scale = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)} if bgr else {}
    try:
        options = ModelOptions(
            part_names=("body",), input_size=(height, width), dim=dim, test_embeddings=("global",), **scale
        )
    except ValueError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    log.info(
        "%s: one vector of %d numbers for crops of %dx%d, %s; nothing in the file says so",
        path,
        dim,
        height,
        width,
        "BGR from 0 to 255" if bgr else "RGB normalised as for ImageNet",
    )
    return json.dumps({"options": options.model_dump(mode="json"), "dim": dim, "precision": "fp32"})


def as_rows(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """[N, D, ...] -> unit vectors [N, 1, D] of whole people, always visible [N, 1]."""
    rows = F.normalize(vectors.flatten(1).float(), dim=-1)[:, None]
    return rows, torch.ones(rows.shape[:2])


def _text(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(["N" if side is None else side for side in shape]) for shape in shapes)
