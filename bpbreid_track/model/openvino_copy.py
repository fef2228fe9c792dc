"""A checkpoint's network through OpenVINO, exported on first use."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ..errors import one_line
from ..kept_exports import make_once
from .export import export
from .exported_encoder import openvino_file
from .network import BPBReID
from .runtimes import OpenVinoRuntime

logger = logging.getLogger(__name__)


def openvino_copy(network: BPBReID, weights: Path, precision: str) -> OpenVinoRuntime | None:
    """``network`` through OpenVINO, for a CPU; None where that does not work, and a warning says why.

    The file stays in the cache folder, named after the content of ``weights`` and all versions, and appears
    whole or not at all.

    Args:
        network: as ``weights`` gave it.
        weights: a file.
        precision: ``fp32``, ``bf16`` or ``auto``, as for ``OpenVinoRuntime``.
    """
    try:
        target = openvino_file(weights)
        make_once(target, weights, "openvino", lambda folder: export(network, folder / target.name))
        opened = OpenVinoRuntime(target, "cpu", precision)
        opened.embed(torch.zeros(1, 3, *network.options.input_size))
    except Exception as error:  # OpenVINO's errors share no base class
        logger.warning("%s is run by torch, OpenVINO failed: %s", weights, one_line(error))
        return None
    return opened
