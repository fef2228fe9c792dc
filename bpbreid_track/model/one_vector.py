"""Other people's re-identification networks: crops in, one vector a crop out, and no word on what they want.

What neither file nor user states is taken as its makers' habit: networks of the Open Model Zoo (OpenVINO)
take BGR from 0 to 255, weights of torchreid and exports of torchreid and FastReID (ONNX) RGB normalised by
ImageNet's mean and deviation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import VectorInput
from ..errors import InputError, UsageError
from .options import ModelOptions

log = logging.getLogger(__name__)

Shape = Sequence[int | None]
"""Of a tensor of the network; None where it may be anything."""


ONE_VECTOR = ("body",)
"""The parts of such a network; its one row is called ``global``."""
OPEN_MODEL_ZOO = VectorInput(colours="bgr", values="0-255")
TORCHREID = VectorInput(colours="rgb", values="imagenet")
_SCALES: dict[str | None, dict[str, tuple[float, float, float]]] = {
    "imagenet": {},
    "0-1": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    "0-255": {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)},
}


def agreed(habit: VectorInput, stated: VectorInput | None) -> VectorInput:
    """``habit``, with what was stated in its place."""
    given = {} if stated is None else stated.model_dump(exclude_none=True)
    return habit.model_copy(update=given)


def taken_by(path: Path, habit: VectorInput, stated: VectorInput | None, whole_numbers: bool) -> VectorInput:
    """As ``agreed``; an input of whole numbers says itself that values are from 0 to 255.

    Raises:
        UsageError: other values were stated for whole numbers.
    """
    takes = agreed(habit.model_copy(update={"values": "0-255"}) if whole_numbers else habit, stated)
    if whole_numbers and takes.values != "0-255":
        raise UsageError(
            f"{path}: takes whole numbers, so values are 0-255, not {takes.values}; leave "
            "encoder.input.values out"
        )
    return takes


def options_of(path: Path, takes: VectorInput, dim: int) -> ModelOptions:
    """The options of a network of one vector; says in the log what it is taken to want.

    Raises:
        InputError: sizes that no such network has.
    """
    assert takes.size is not None
    try:
        options = ModelOptions(
            part_names=ONE_VECTOR,
            input_size=takes.size,
            dim=dim,
            test_embeddings=("global",),
            **_SCALES[takes.values],
        )
    except ValueError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    log.info(
        "%s: one vector of %d numbers for crops of %dx%d, %s, %s (encoder.input says otherwise)",
        path,
        dim,
        *takes.size,
        str(takes.colours).upper(),
        "normalised as for ImageNet" if takes.values == "imagenet" else f"values {takes.values}",
    )
    return options


def describe_one_vector(
    path: Path, inputs: Sequence[Shape], outputs: Sequence[Shape], takes: VectorInput
) -> str:
    """The metadata that our own exports carry, for a network that has none.

    Args:
        path: the file, for messages.
        inputs: shapes of what it takes.
        outputs: shapes of what it gives.
        takes: what it is taken to want; its size is for sides that the file leaves open.

    Raises:
        InputError: not one picture [N, 3, h, w] in and one vector [N, D] out.
        UsageError: a stated size that is not the file's.
    """
    sides = (
        tuple(inputs[0][2:]) if len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][1] in {3, None} else ()
    )
    size = tuple(
        own if own is not None else side for own, side in zip(sides, takes.size or sides, strict=False)
    )
    vector = [side for side in outputs[0][1:] if side != 1] if len(outputs) == 1 else []
    dim = vector[0] if len(vector) == 1 else None
    if len(size) != 2 or dim is None:
        raise InputError(
            f"{path}: neither written by bpbreid_track nor a network that takes pictures [N, 3, h, w] and "
            f"gives one vector [N, D]: it takes {_text(inputs)} and gives {_text(outputs)}"
        )
    height, width = size
    if height is None or width is None:
        raise InputError(
            f"{path}: neither written by bpbreid_track nor does it say the size of the pictures it takes "
            f"({_text(inputs)}); state it, such as --set encoder.input.size=[256,128]"
        )
    if takes.size is not None and takes.size != (height, width):
        raise UsageError(
            f"{path}: takes pictures of {height}x{width}, not of {takes.size[0]}x{takes.size[1]}; leave "
            "encoder.input.size out"
        )
    options = options_of(path, takes.model_copy(update={"size": (height, width)}), dim)
    return json.dumps({"options": options.model_dump(mode="json"), "dim": dim, "precision": "fp32"})


def as_rows(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """[N, D, ...] -> unit vectors [N, 1, D] of whole people, always visible [N, 1]."""
    rows = F.normalize(vectors.flatten(1).float(), dim=-1)[:, None]
    return rows, torch.ones(rows.shape[:2])


def _text(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(["N" if side is None else side for side in shape]) for shape in shapes)
