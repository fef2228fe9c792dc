"""A checkpoint's network through OpenVINO, exported on first use."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import torch

from ..errors import one_line
from ..whole_export import keep_whole
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
        precision: ``fp32`` or ``bf16``.
    """
    try:
        target = openvino_file(weights)
        if not target.is_file():
            logger.warning("exporting %s for openvino, once; this takes some seconds", weights.name)
            target.parent.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent.parent) as work:
                whole = Path(work) / "whole"
                whole.mkdir()
                export(network, whole / "network.xml")
                keep_whole(whole, target)
        opened = OpenVinoRuntime(target, "cpu", precision)
        opened.embed(torch.zeros(1, 3, *network.options.input_size))
    except Exception as error:  # OpenVINO's errors share no base class
        logger.warning("%s is run by torch, OpenVINO failed: %s", weights, one_line(error))
        return None
    return opened
