"""From a training run or any checkpoint to the file that an encoder is loaded from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.paths import check_not_read
from bpbreid_track.model.checkpoint import checkpoint_bytes, read_checkpoint
from bpbreid_track.model.export import FORMATS, export
from bpbreid_track.model.find_weights import find_encoder_weights
from bpbreid_track.model.network import BPBReID

from .state import average_states, write_whole

PathLike = str | os.PathLike[str]


def export_encoder(
    weights: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    half: bool = False,
    visibility: float | None = None,
) -> None:
    """Write the network of a checkpoint, or the average of several, without identity classifiers.

    The average of weights along one training, or of runs that began with the same weights, is often better
    than each of them (Wortsman et al., Model soups, ICML 2022).

    Args:
        weights: a run's folder (its ``best.safetensors``), our ``.safetensors``, the authors' ``.pth`` or
            ``default``; or several of these, of one architecture.
        out: ``.safetensors`` file to write; the provenance goes with it, of an average as a list under
            ``average_of``. Or an ``.onnx``, OpenVINO ``.xml`` or TorchScript ``.ts`` file.
        half: store float16; of no use to the three last.
        visibility: from which value of its map on a part is visible (Eq. 4), in [0, 1); None: as in
            ``weights``.

    Raises:
        InputError: no such checkpoint, checkpoints that do not fit each other, or ``out`` cannot be written.
        UsageError: ``half`` for a format that stores float32, ``visibility`` out of bounds, or ``out`` is
            one of ``weights``.
    """
    sources = [weights] if isinstance(weights, str | os.PathLike) else list(weights)
    target = Path(out)
    foreign = target.suffix in FORMATS.values()
    if not foreign and target.suffix != ".safetensors":
        raise InputError(f"{target}: encoders are written as .safetensors, {', '.join(FORMATS.values())}")
    if foreign and half:
        raise UsageError(f"{target}: 16-bit floats are for .safetensors; leave --half out")
    if visibility is not None and not 0 <= visibility < 1:
        raise UsageError(f"visibility: expected a number from 0 to below 1, got {visibility:g}")
    files = [_file(source) for source in sources]
    check_not_read(target, files)
    checkpoints = [read_checkpoint(file) for file in files]
    networks = [checkpoint.network.for_inference() for checkpoint in checkpoints]
    for source, network in zip(sources, networks, strict=True):
        if _architecture(network) != _architecture(networks[0]):
            raise InputError(f"{source}: another architecture than {sources[0]}, nothing to average")
    provenance = checkpoints[0].provenance
    if len(networks) > 1:
        provenance = {"average_of": [checkpoint.provenance for checkpoint in checkpoints]}
        networks[0].load_state_dict(average_states([network.state_dict() for network in networks]))
    provenance = without_folders(provenance)
    if visibility is not None:
        changed = {"visibility": "threshold", "visibility_threshold": visibility}
        networks[0].options = networks[0].options.model_copy(update=changed)
    target.parent.mkdir(parents=True, exist_ok=True)
    if foreign:
        export(networks[0], target)
        return
    dtype = torch.float16 if half else None
    data = checkpoint_bytes(networks[0], provenance, dtype=dtype)
    write_whole(target, lambda part: part.write_bytes(data))


def _architecture(network: BPBReID) -> dict[str, Any]:
    """What has to be the same for weights to be averaged: all but what is done to pictures before them."""
    return network.options.model_dump(exclude={"mirror"})


def without_folders(value: Any) -> Any:
    """``value`` with absolute paths cut to their names: where files lay is nobody's business.

    >>> without_folders({"root": ["/home/ann/Market-1501", "labels"], "epochs": 9})
    {'root': ['Market-1501', 'labels'], 'epochs': 9}
    """
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _file(weights: PathLike) -> Path:
    source = Path(weights)
    if not source.is_dir():
        return find_encoder_weights(weights)
    if not (source / "best.safetensors").is_file():
        raise InputError(f"{weights}: no best.safetensors in this folder; is it a finished training run?")
    return source / "best.safetensors"
