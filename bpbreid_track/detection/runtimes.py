"""The network of an Ultralytics detector through OpenVINO or onnxruntime: on a CPU faster than through torch.

Only the network is replaced. What Ultralytics does before it (resizing, padding) and behind it (suppression)
stays, so boxes agree with those of torch: in fp32 to a fraction of a pixel. On CPUs with AMX, where OpenVINO
computes all but the end of the head in bf16, they have a mean IoU of 0.99 (``docs/results.md``).
"""

from __future__ import annotations

import importlib
import logging
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
import torch
from torch import Tensor, nn

from ..machine import cpu_threads
from ..quick_precision import Precision, quickest_precision
from .exported import exported
from .runtime_choice import RUNTIME_NAMES, Runtime
from .sized_network import SizedNetwork
from .weights import import_ultralytics

logger = logging.getLogger(__name__)

# Runtimes agree on a picture where every box of at least this score has its like, of at least this IoU.
_CERTAIN, _SAME_BOX = 0.25, 0.95
# float [N, 3, H, W] from 0 to 1, and whatever options Ultralytics gives -> one tensor for each output.
Network = Callable[..., list[Tensor]]


def run_by(
    runtime: Runtime,
    network: nn.Module,
    weights: Path,
    max_detections: int,
    predict: Callable[[list[np.ndarray]], list[sv.Detections]],
    pictures: int = 1,
) -> tuple[Runtime, Precision]:
    """Let ``runtime`` do the work of ``network``; stay with torch where that fails or finds other boxes.

    Args:
        runtime: ``openvino`` or ``onnx``.
        network: of Ultralytics' predictor; its ``forward`` is replaced.
        weights: the ``.pt`` it came from.
        max_detections: what networks that suppress overlaps themselves are to keep.
        predict: boxes of pictures by way of ``network``.
        pictures: of a batch that OpenVINO computes side by side.

    Returns:
        What runs the network from now on, and what in. A warning says why it is not what was wanted.
    """
    picture = photograph()
    expected = predict([picture])[0]
    quick = quickest_precision()
    try:
        # Weights that bf16 does harm to are computed in fp32.
        for wanted in dict.fromkeys((quick, "fp32")):
            network.forward, precision = _open_network(runtime, weights, max_detections, pictures, wanted)
            if _alike(expected, predict([picture])[0]):
                return runtime, precision
            if precision == "fp32":  # also where bf16 was wanted: the head is not known
                break
        raise RuntimeError("it finds other boxes than torch")
    except Exception as error:  # the libraries' errors share no base class
        vars(network).pop("forward", None)
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
        logger.warning("%s is run by torch, %s failed: %s", weights, RUNTIME_NAMES[runtime], reason)
        return "torch", "fp32"


def _open_network(
    runtime: Runtime,
    weights: Path,
    max_detections: int,
    pictures: int = 1,
    precision: Precision = "fp32",
) -> tuple[Network, Precision]:
    """The network of ``weights``, exported on first use, ready to run with as many threads as torch.

    Args:
        runtime: ``openvino`` or ``onnx``.
        weights: a ``.pt``.
        max_detections: what networks that suppress overlaps themselves are to keep.
        pictures: of a batch that OpenVINO computes side by side.
        precision: ``bf16`` computes all but the end of the head in bf16, where OpenVINO runs a network with a
            head that ``split_at_head`` knows; others are computed in fp32.

    Returns:
        The network, and what it computes in.

    Raises:
        Exception: whatever Ultralytics or the runtime raise; they have no common base.
    """
    path = exported(runtime, weights, max_detections)
    try:
        if runtime == "openvino":
            return _open_openvino(path, pictures, precision)
        return _open_onnx(path), "fp32"
    except Exception as error:
        raise RuntimeError(f"{path.parent} cannot be read, delete it: {error}") from error


def _open_openvino(path: Path, pictures: int, precision: Precision) -> tuple[Network, Precision]:
    openvino = importlib.import_module("openvino")
    network = SizedNetwork(openvino, path, precision, cpu_threads(), pictures)

    def run(images: Tensor, *_: Any, **__: Any) -> list[Tensor]:
        return [torch.from_numpy(output) for output in network(images.numpy())]

    return run, network.precision


def _open_onnx(path: Path) -> Network:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor, *_: Any, **__: Any) -> list[Tensor]:
        return [torch.from_numpy(array) for array in session.run(None, {name: images.contiguous().numpy()})]

    return run


def photograph() -> np.ndarray:
    """People in a street, uint8 [H, W, 3] BGR, out of Ultralytics' package; black where it has none."""
    image = cv2.imread(str(Path(import_ultralytics().__file__ or "").parent / "assets" / "bus.jpg"))
    if image is None:
        return np.zeros((320, 320, 3), np.uint8)
    return cv2.resize(image, (image.shape[1] // 3, image.shape[0] // 3), interpolation=cv2.INTER_AREA)


def _alike(some: sv.Detections, others: sv.Detections) -> bool:
    """Whether each box that either is certain of has its like among all boxes of the other."""
    for boxes, rest in ((some, others), (others, some)):
        assert boxes.confidence is not None
        certain = boxes.xyxy[boxes.confidence >= _CERTAIN]
        if not len(certain):
            continue
        if not len(rest) or sv.box_iou_batch(certain, rest.xyxy).max(axis=1).min() < _SAME_BOX:
            return False
    return True
