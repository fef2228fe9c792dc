"""An encoder that OpenVINO alone runs: without torch, which takes half a gigabyte and a second to load."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..config import EncoderConfig, VectorInput
from ..embeddings import PartEmbeddings
from ..errors import one_line
from ..kept_exports import kept_export
from ..machine import cpu_threads, is_cpu
from .checked_precision import checked_precision
from .find_weights import find_encoder_weights
from .host_crops import HostCrops, Regions, normalise
from .openvino_streams import OpenVinoStreams, crop_streams, openvino_core
from .options import METADATA_KEY, ModelOptions
from .part_encoder import NamedDevice, PartEncoder

logger = logging.getLogger(__name__)

# Of what an exported file says of itself; one of another number is not looked at.
_FORMAT = 2


class ExportedEncoder(PartEncoder):
    """Gives what ``Encoder`` gives through OpenVINO, to the last bit; it can neither mirror nor ``attend``.

    Args:
        network: the ``.xml`` that ``openvino_copy`` made.
        precision: ``fp32``, ``bf16`` or ``auto``.
        batch_size: most crops in one pass of the network; passes are smaller, which is faster.

    Attributes:
        weights: fingerprint of weights and options, ``network_weights.fingerprint_of``.

    Copies, also pickled ones, open the file anew; it has to be there still.

    Raises:
        RuntimeError: OpenVINO cannot read the file.
        KeyError: it says nothing of weights, options or width.
        ValueError: options that no network has.
    """

    def __init__(self, network: Path, precision: str, batch_size: int) -> None:
        self._arguments = (network, precision, batch_size)
        core = openvino_core(importlib.import_module("openvino"))
        model = core.read_model(network)
        described = json.loads(model.get_rt_info([METADATA_KEY, "model"]).astype(str))
        self.weights: str = described["weights"]
        self.options = ModelOptions.model_validate(described["options"])
        self.part_names, self.input_size = self.options.row_names, self.options.input_size
        self.dim, self.batch_size = described["dim"], batch_size
        self.device = NamedDevice("cpu")
        self.mirror, self.runtime = False, "openvino"
        threads = cpu_threads()
        model.reshape([1, 3, *self.input_size])
        self.precision = (
            checked_precision(core, model, network, self.options) if precision == "auto" else precision
        )
        self._network = OpenVinoStreams(core, [(model, self.precision)], threads, crop_streams(threads))

    def __reduce__(self) -> tuple[type[ExportedEncoder], tuple[Path, str, int]]:
        return type(self), self._arguments  # a copy opens the file anew

    def _encode(self, images: Sequence[Any], boxes: Sequence[Any], names: list[str]) -> list[PartEmbeddings]:
        regions = Regions(images, boxes, names)
        parts, options, size = len(self.part_names), self.options, self._cpu_pass_size()
        features = np.zeros((regions.total, parts, self.dim), np.float32)
        visibility = np.zeros((regions.total, parts), np.float32)
        source = HostCrops(regions.images, options.source_size)
        for start in range(0, len(regions.rows), size):
            batch = slice(start, start + size)
            crops = source.cut(regions.index[batch], regions.boxes[batch], self.input_size)
            found = self._network(normalise(crops, options.mean, options.std))
            rows = regions.rows[batch]
            features[rows], visibility[rows] = found[0], found[1]
        return regions.split(PartEmbeddings(features, visibility, self.part_names))


def openvino_file(weights: Path) -> Path:
    """Where the OpenVINO export of a checkpoint lies in the cache folder, whether it is there yet or not."""
    program = f"bpbreid_track{__version__}", f"format{_FORMAT}"
    return kept_export(weights, ("torch", "openvino"), "network.xml", *program)


def open_exported_encoder(
    source: str | os.PathLike[str], config: EncoderConfig, device: str, precision: str
) -> ExportedEncoder | None:
    """The encoder that OpenVINO alone runs; None where torch has to, if only this first time.

    Args:
        source: as for ``Encoder.load``.
        config: batch size, mirroring, runtime.
        device: as for ``Encoder.load``.
        precision: likewise.

    Raises:
        InputError: no such weights.
    """
    weights = find_encoder_weights(source)
    if not is_cpu(device):
        return None
    if config.runtime == "torch" or config.mirror or config.input not in {None, VectorInput()}:
        return None
    # Other files are read by torch, which says what is wrong with them.
    if weights.suffix.lower() != ".safetensors" or importlib.util.find_spec("openvino") is None:
        return None
    if precision not in {"auto", "fp32", "bf16"}:
        return None
    try:
        network = openvino_file(weights)
        if not network.is_file():
            return None
        encoder = ExportedEncoder(network, precision, config.batch_size)
    except Exception as error:  # damaged, or a library that is; torch looks at it again, and says so
        logger.info("%s: %s", weights, one_line(error))
        return None
    return None if encoder.options.mirror and config.mirror is None else encoder
