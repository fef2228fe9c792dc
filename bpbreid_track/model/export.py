"""Networks written as ONNX, OpenVINO or TorchScript files that ``Encoder.load`` opens without anything else.

The graph takes normalised images float32 [N, 3, h, w] with any N and gives float32 features [N, P, D] and
visibility [N, P]. The model options travel inside the file as metadata.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, UsageError, did_you_mean
from ..frames import check_image
from .crops import crop_source, normalise
from .inference import inference_copy
from .network import BPBReID
from .options import METADATA_KEY
from .runtimes import OUTPUT_NAMES, describe, library

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".ts"}
_OPSET = 17
# Fewer crops leave activation ranges to chance; more no longer change the distances.
_CALIBRATION_CROPS = 300


class _Graph(nn.Module):
    def __init__(self, network: BPBReID) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.embed_tensors(images)


def export(
    network: BPBReID | str | os.PathLike[str],
    path: str | os.PathLike[str],
    format: str = "auto",
    precision: Literal["fp32", "int8"] = "fp32",
    calibration: Sequence[np.ndarray] | None = None,
) -> Path:
    """Write a network as a file for another runtime.

    Args:
        network: a ``BPBReID`` or a checkpoint that ``load_checkpoint`` reads.
        path: where to; OpenVINO writes a .bin beside the .xml.
        format: ``onnx``, ``openvino`` or ``torchscript``; ``auto`` is by the ending of ``path``.
        precision: ``fp32``, or ``int8`` (ONNX and OpenVINO): 8-bit weights and activations.
        calibration: for int8, crops uint8 [h, w, 3] in BGR such as the network will see; at most 300 are
            used.

    Returns:
        ``path``.

    Raises:
        UsageError: a format, precision or ending that does not fit.
        InputError: a checkpoint or library that cannot be read.
    """
    target = Path(path)
    kind = _format_of(target, format)
    if precision not in {"fp32", "int8"}:
        raise UsageError(f"unknown precision {precision!r}{did_you_mean(precision, ('fp32', 'int8'))}")
    if precision == "int8" and kind == "torchscript":
        raise UsageError("precision 'int8': TorchScript files are fp32; use the format onnx or openvino")
    if precision == "int8" and not calibration:
        raise UsageError("precision 'int8': needs crops to calibrate on")
    if not target.parent.is_dir():
        raise InputError(f"{target}: no such folder {target.parent}")
    if not isinstance(network, BPBReID):
        from .checkpoint import load_checkpoint

        network = load_checkpoint(network)
    graph = _Graph(inference_copy(network, torch.device("cpu"), "fp32")).eval()
    metadata = describe(network, precision)
    example = torch.zeros(2, 3, *network.options.input_size)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Both exporters are deprecated upstream; their successor needs a further library for the same graph.
        warnings.simplefilter("ignore")
        if kind == "torchscript":
            _write_torchscript(graph, example, metadata, target)
        else:
            work = Path(folder) / "network.onnx"
            if kind == "onnx" or precision == "int8":
                _write_onnx(graph, example, work)
            if precision == "int8":
                work = _quantised(work, _calibration_images(calibration or (), network))
            if kind == "onnx":
                _finish_onnx(work, metadata, target)
            else:
                _write_openvino(graph if precision == "fp32" else work, example, metadata, target)
    return target


def _format_of(path: Path, format: str) -> str:
    by_ending = {ending: name for name, ending in FORMATS.items()}
    if format == "auto":
        if path.suffix.lower() not in by_ending:
            raise UsageError(f"{path}: expected a name that ends in {', '.join(by_ending)}")
        return by_ending[path.suffix.lower()]
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}{did_you_mean(format, FORMATS)}")
    if path.suffix.lower() != FORMATS[format]:
        raise UsageError(f"{path}: {format} files end in {FORMATS[format]}")
    return format


def _write_torchscript(graph: nn.Module, example: Tensor, metadata: str, target: Path) -> None:
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(graph, example))
    torch.jit.save(traced, str(target), _extra_files={METADATA_KEY: metadata})


def _write_onnx(graph: nn.Module, example: Tensor, target: Path) -> None:
    library("onnx", "export")
    arguments: dict[str, Any] = {"dynamo": False}
    torch.onnx.export(
        graph,
        (example,),
        str(target),
        opset_version=_OPSET,
        input_names=["images"],
        output_names=list(OUTPUT_NAMES),
        dynamic_axes={name: {0: "N"} for name in ("images", *OUTPUT_NAMES)},
        **arguments,
    )


def _finish_onnx(model: Path, metadata: str, target: Path) -> None:
    onnx = library("onnx", "export")
    document = onnx.load(str(model))
    document.metadata_props.add(key=METADATA_KEY, value=metadata)
    onnx.save(document, str(target))


def _write_openvino(model: nn.Module | Path, example: Tensor, metadata: str, target: Path) -> None:
    openvino = library("openvino", "export")
    if isinstance(model, Path):
        document = openvino.convert_model(str(model))
    else:
        document = openvino.convert_model(model, example_input=example, input=[-1, *example.shape[1:]])
    document.set_rt_info(metadata, [METADATA_KEY, "model"])
    openvino.save_model(document, str(target), compress_to_fp16=False)


def _calibration_images(crops: Sequence[np.ndarray], network: BPBReID) -> list[np.ndarray]:
    """Single-image batches [1, 3, h, w] as the network takes them, spread over all of ``crops``."""
    chosen = [
        check_image(crops[index], f"calibration[{index}]")
        for index in np.unique(np.linspace(0, len(crops) - 1, _CALIBRATION_CROPS).astype(int)).tolist()
    ]
    options = network.options
    source = crop_source(chosen, torch.device("cpu"), options.source_size)
    images = []
    for index, crop in enumerate(chosen):
        box = np.array([[0, 0, crop.shape[1], crop.shape[0]]])
        cut = source.cut(np.array([index]), box, options.input_size)
        images.append(normalise(cut, options.mean, options.std).contiguous().numpy())
    return images


def _quantised(model: Path, images: list[np.ndarray]) -> Path:
    """Convolutions with 8-bit weights (a scale for each channel) and activations.

    The first convolution and the heads stay float: on an ImageNet EfficientNet-lite0 that brings the error of
    the part distances from 1.7 % down to 1.0 %.
    """
    quantization = library("onnxruntime.quantization", "export")
    preparation = library("onnxruntime.quantization.shape_inference", "export")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch}

    prepared, target = model.with_name("prepared.onnx"), model.with_name("int8.onnx")
    preparation.quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    graph = library("onnx", "export").load(str(prepared)).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    quantization.quantize_static(
        str(prepared),
        str(target),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Relu", "Clip", "MaxPool"],
        nodes_to_exclude=[convolutions[0], *(name for name in convolutions if "part_classifier" in name)],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return target
