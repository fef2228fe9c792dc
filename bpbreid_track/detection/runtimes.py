"""The network of an Ultralytics detector through OpenVINO or onnxruntime: on a CPU faster than through torch.

Only the network is replaced. What Ultralytics does before it (resizing, padding) and behind it (suppression)
stays, so boxes agree with those of torch: in fp32 to a fraction of a pixel. On CPUs with AMX, where OpenVINO
computes all but the end of the head in bf16, they have a mean IoU of 0.99 (``docs/results.md``).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import shutil
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import supervision as sv
import torch
from torch import Tensor, nn

from ..config import cache_folder
from ..errors import InputError, UsageError
from ..model.inference import cpu_has_bf16
from .sized_network import Precision, SizedNetwork
from .weights import import_ultralytics, safe_loading, sha256

logger = logging.getLogger(__name__)

Runtime = Literal["torch", "openvino", "onnx"]
# What each needs beside Ultralytics, in the names of import and of pip alike.
_PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "torch": (),
    "openvino": ("openvino",),
    "onnx": ("onnx", "onnxruntime"),
}
RUNTIME_NAMES: dict[Runtime, str] = {"torch": "PyTorch", "openvino": "OpenVINO", "onnx": "onnxruntime"}
_SUFFIX = {"openvino": ".xml", "onnx": ".onnx"}
# Runtimes agree on a picture where every box of at least this score has its like, of at least this IoU.
_CERTAIN, _SAME_BOX = 0.25, 0.95
# float [N, 3, H, W] from 0 to 1, and whatever options Ultralytics gives -> one tensor for each output.
Network = Callable[..., list[Tensor]]


def choose_runtime(wanted: Runtime | Literal["auto"], weights: Path, device: str) -> Runtime:
    """What a detector's network is run by.

    ``auto`` is the first that is installed of OpenVINO, onnxruntime and torch on a CPU, torch elsewhere.

    Args:
        wanted: the setting ``detector.runtime``.
        weights: only a ``.pt`` can be run by several.
        device: ``cpu``, ``cuda:0``, ``mps``.

    Raises:
        InputError: the runtime asked for is not installed.
        UsageError: it was asked for on a GPU, or for weights that are exported already.
    """
    if wanted == "torch":
        return "torch"
    possible = device == "cpu" and weights.suffix.lower() == ".pt"
    if wanted == "auto":
        quick: tuple[Runtime, ...] = ("openvino", "onnx") if possible else ()
        return next((runtime for runtime in quick if not _missing(runtime)), "torch")
    if weights.suffix.lower() != ".pt":
        raise UsageError(f"detector.runtime {wanted}: {weights.name} is no .pt; leave the setting at auto")
    if device != "cpu":
        raise UsageError(f"detector.runtime {wanted} runs on a CPU, not on {device}; use device cpu")
    if missing := _missing(wanted):
        raise InputError(
            f"detector.runtime {wanted}: {' and '.join(missing)} not installed; "
            f"pip install {' '.join(missing)}, or leave the setting at auto"
        )
    return wanted


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
        pictures: as for ``open_network``.

    Returns:
        What runs the network from now on, and what in. A warning says why it is not what was wanted.
    """
    picture = _photograph()
    expected = predict([picture])[0]
    quick: Precision = "bf16" if cpu_has_bf16() else "fp32"
    try:
        # Weights that bf16 does harm to are computed in fp32.
        for wanted in dict.fromkeys((quick, "fp32")):
            network.forward, precision = open_network(runtime, weights, max_detections, pictures, wanted)
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


def open_network(
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


def exported(runtime: Runtime, weights: Path, max_detections: int) -> Path:
    """The exported network in the cache folder, for every size of input and batch; made where there is none.

    Its folder is named after the content of the weights and the versions of all that took part. It appears
    whole or not at all, also where two processes make it at once.
    """
    digest = sha256(weights)
    packages = ("ultralytics", "torch", *_PACKAGES[runtime])
    versions = [f"{name}{importlib.metadata.version(name)}" for name in packages]
    folder = cache_folder() / "exported" / "-".join([digest[:32], *versions, str(max_detections)])
    target = folder / f"network{_SUFFIX[runtime]}"
    if target.is_file():
        return target
    logger.warning("exporting %s for %s, once; this takes some seconds", weights.name, runtime)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        made, whole = Path(work) / "network.pt", Path(work) / "whole"
        shutil.copyfile(weights, made)
        _export(runtime, made, max_detections)
        whole.mkdir()
        for file in Path(work).rglob("network.*"):
            if file.suffix in {".xml", ".bin", ".onnx"}:
                file.rename(whole / file.name)
        try:
            whole.rename(folder)
        except OSError:
            if not target.is_file():  # another process was faster, or nobody was
                raise
    return target


def _export(runtime: Runtime, weights: Path, max_detections: int) -> None:
    ultralytics = import_ultralytics()
    with _quiet(), _torch_threads(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with safe_loading():
            model = ultralytics.YOLO(str(weights), verbose=False)
        # Any size: one file serves every video, and frames are padded no more than for torch.
        options: dict[str, Any] = {
            "dynamic": True,
            "device": "cpu",
            "max_det": max_detections,
            "verbose": False,
        }
        if runtime == "onnx":
            options["simplify"] = False  # would need another package
        model.export(format=runtime, **options)
    if not list(weights.parent.rglob(f"network{_SUFFIX[runtime]}")):
        raise RuntimeError("Ultralytics exported nothing")


def _open_openvino(path: Path, pictures: int, precision: Precision) -> tuple[Network, Precision]:
    openvino = importlib.import_module("openvino")
    network = SizedNetwork(openvino, path, precision, torch.get_num_threads(), pictures)

    def run(images: Tensor, *_: Any, **__: Any) -> list[Tensor]:
        return [torch.from_numpy(output) for output in network(images.numpy())]

    return run, network.precision


def _open_onnx(path: Path) -> Network:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor, *_: Any, **__: Any) -> list[Tensor]:
        return [torch.from_numpy(array) for array in session.run(None, {name: images.contiguous().numpy()})]

    return run


def _photograph() -> np.ndarray:
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


def _missing(runtime: Runtime) -> list[str]:
    return [name for name in _PACKAGES[runtime] if importlib.util.find_spec(name) is None]


@contextmanager
def _torch_threads() -> Iterator[None]:
    """Inside, Ultralytics may set torch's threads as it does on a CPU, for the whole process."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ultralytics logs an error that it raises too."""
    log = logging.getLogger("ultralytics")
    disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = disabled
