"""From a training run or any checkpoint to the file that an encoder is loaded from."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from bpbreid_track.errors import InputError
from bpbreid_track.model.checkpoint import read_checkpoint, save_checkpoint

from .state import write_whole


def export_encoder(
    weights: str | os.PathLike[str], out: str | os.PathLike[str], *, half: bool = False
) -> None:
    """Write the network of a checkpoint without its identity classifiers.

    Args:
        weights: a run's folder (its ``best.safetensors``), our ``.safetensors`` or the authors' ``.pth``.
        out: ``.safetensors`` file to write; the provenance goes with it.
        half: store float16.

    Raises:
        InputError: no such checkpoint, or ``out`` cannot be written.
    """
    source, target = Path(weights), Path(out)
    if source.is_dir():
        source = source / "best.safetensors"
        if not source.is_file():
            raise InputError(f"{weights}: no best.safetensors in this folder; is it a finished training run?")
    if target.suffix != ".safetensors":
        raise InputError(f"{target}: encoders are written as .safetensors")
    checkpoint = read_checkpoint(source)
    slim = checkpoint.network.for_inference()
    dtype = torch.float16 if half else None
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda part: save_checkpoint(slim, part, checkpoint.provenance, dtype=dtype))
