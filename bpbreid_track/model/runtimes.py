"""Exported networks behind the interface of a live one: ``embed``, and the options that ``Encoder`` needs.

A file written by ``export`` carries its model options, so a runtime is opened from the path alone. The
libraries behind .onnx and .xml files are imported on use: they come with the extra ``export``.
"""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import VectorInput
from ..embeddings import PartEmbeddings
from ..errors import InputError, UsageError, did_you_mean, install_extra, one_line
from ..machine import cpu_threads
from .checked_precision import checked_precision
from .inference import PRECISIONS, exact_float32, resolve_device
from .network import BPBReID
from .network_weights import fingerprint_of
from .one_vector import OPEN_MODEL_ZOO, TORCHREID, as_rows, describe_one_vector, taken_by
from .openvino_streams import OpenVinoStreams, crop_streams, openvino_core
from .options import METADATA_KEY, ModelOptions

log = logging.getLogger(__name__)

OUTPUT_NAMES = ("features", "visibility")
# TorchScript is a program. Only files of these names are run.
PROGRAM_SUFFIXES = (".ts", ".torchscript")
# What pictures are handed over as, by onnxruntime's names.
_ONNX_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
}


def describe(network: BPBReID, precision: str) -> str:
    """What an exported file carries under ``METADATA_KEY``, as JSON."""
    return json.dumps(
        {
            "options": network.options.model_dump(mode="json"),
            "dim": network.dim,
            "precision": precision,
            "weights": fingerprint_of(network),
        }
    )


class Runtime:
    """An exported network, or somebody else's that gives one vector a crop.

    Attributes:
        options: the options of the network that was exported.
        dim: D, the width of one part.
        path: the file.
        device: where images are taken and embeddings are given.
        precision: what is computed in: ``fp32``, ``int8``, or ``bf16`` where OpenVINO does so.
        flipped: whether the network takes BGR.
    """

    device: torch.device
    flipped = False

    def __init__(self, path: Path, metadata: str | bytes | None) -> None:
        self.path = path
        if not metadata:
            raise InputError(f"{path}: not written by bpbreid_track: its metadata name no model options")
        try:
            described = json.loads(metadata)
            self.options = ModelOptions.model_validate(described["options"])
            self.precision: str = described["precision"]
            self.dim: int = described["dim"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: unreadable metadata ({' '.join(str(error).split())})") from error

    def embed(self, images: Tensor) -> PartEmbeddings:
        """As ``BPBReID.embed``: normalised images float [N, 3, h, w], any N."""
        names = self.options.row_names
        if not len(images):
            return PartEmbeddings.empty(names, self.dim, self.device)
        return PartEmbeddings(*self.run(images), names)

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float [N, 3, h, w], N > 0 -> float32 features [N, P, D], visibility [N, P], on the device."""
        raise NotImplementedError

    def taken(self, images: Tensor) -> Tensor:
        """RGB float [N, 3, h, w] as the network takes it: float32 on the device, channels in its order."""
        return (images.flip(1) if self.flipped else images).to(self.device, torch.float32)

    def _try_out(self) -> None:
        """Somebody else's network on two empty crops: what it cannot do shows before a video is read.

        Raises:
            InputError: it fails, or gives something else than two vectors of numbers.
        """
        shape = [2, 3, *self.options.input_size]
        try:
            vectors = self.run(torch.zeros(shape))[0]
        except Exception as error:  # the errors of onnxruntime and OpenVINO share no base class
            raise InputError(f"{self.path}: fails on pictures {shape} ({one_line(error)})") from error
        if vectors.shape != (2, 1, self.dim) or not vectors.isfinite().all():
            found = "NaN or infinity" if vectors.isfinite().logical_not().any() else list(vectors.shape)
            raise InputError(
                f"{self.path}: gives {found} for pictures {shape}, not 2 vectors of {self.dim} numbers"
            )


class FileRuntime(Runtime):
    """What a file alone makes. A copy, also a pickled one, opens the file anew; it has to be there still."""

    _arguments: tuple[Any, ...]  # of the constructor

    def __reduce__(self) -> tuple[type[Runtime], tuple[Any, ...]]:
        path, *others = self._arguments
        return type(self), (path.absolute(), *others)  # another process may have another current folder


class OnnxRuntime(FileRuntime):
    """An .onnx file through onnxruntime, on CUDA where asked for and there."""

    def __init__(
        self, path: Path, device: str | torch.device, precision: str, stated: VectorInput | None = None
    ) -> None:
        self._arguments = (path, device, precision, stated)
        onnxruntime = library("onnxruntime", path)
        available = onnxruntime.get_available_providers()
        cuda = "CUDAExecutionProvider" in available and str(device) != "cpu"
        if not cuda and str(device) not in {"auto", "cpu"}:
            raise UsageError(f"{path}: the onnxruntime installed here runs on the CPU only, not on {device}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_threads()
        options.log_severity_level = 4  # errors are raised, and said once
        providers: list[Any] = ["CPUExecutionProvider"]
        if cuda:
            index = torch.device("cuda" if str(device) == "auto" else device).index or 0
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's errors share no base class
            raise InputError(f"{path}: onnxruntime cannot read it ({one_line(error)})") from error
        metadata = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self._ours = bool(metadata)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._input = inputs[0].name if inputs else ""
        if not metadata:
            sides = [
                [[side if isinstance(side, int) else None for side in item.shape] for item in items]
                for items in (inputs, outputs)
            ]
            self._type = _ONNX_TYPES.get(inputs[0].type if inputs else "", np.dtype(np.float32))
            takes = taken_by(path, TORCHREID, stated, self._type.kind != "f")
            metadata = describe_one_vector(path, sides[0], sides[1], takes)
            self._batch = sides[0][0][0]
            self.flipped = takes.colours == "bgr"
        super().__init__(path, metadata)
        _check_precision(path, precision, self.precision)
        self.device = torch.device("cpu")
        if not self._ours:
            self._try_out()

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        array = self.taken(images).contiguous().numpy()
        if not self._ours:
            return as_rows(torch.from_numpy(self._vectors(array.astype(self._type, copy=False))))
        features, visibility = self._session.run(list(OUTPUT_NAMES), {"images": array})
        return torch.from_numpy(features), torch.from_numpy(visibility)

    def _vectors(self, images: np.ndarray) -> np.ndarray:
        """[N, D, ...] of somebody else's network, in batches of the size that it was exported for."""
        size = self._batch or len(images)
        rows = []
        for start in range(0, len(images), size):
            share = images[start : start + size]
            missing = np.zeros((size - len(share), *share.shape[1:]), share.dtype)
            found = self._session.run(None, {self._input: np.concatenate([share, missing])})[0]
            rows.append(found[: len(share)])
        return np.concatenate(rows)


class OpenVinoRuntime(FileRuntime):
    """An OpenVINO .xml file with the .bin beside it, on the CPU."""

    def __init__(
        self, path: Path, device: str | torch.device, precision: str, stated: VectorInput | None = None
    ) -> None:
        self._arguments = (path, device, precision, stated)
        openvino = library("openvino", path)
        if str(device) not in {"auto", "cpu"}:
            raise UsageError(f"{path}: OpenVINO files run on the CPU here, not on {device}")
        core = openvino_core(openvino)
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot read it ({one_line(error)})") from error
        where = [METADATA_KEY, "model"]
        self._ours = bool(model.has_rt_info(where))
        if self._ours:
            metadata = model.get_rt_info(where).astype(str)
        else:
            sides = [[known_sides(item) for item in items] for items in (model.inputs, model.outputs)]
            whole = any(item.get_element_type().is_integral() for item in model.inputs)
            takes = taken_by(path, OPEN_MODEL_ZOO, stated, whole)
            metadata = describe_one_vector(path, sides[0], sides[1], takes)
            self.flipped = takes.colours == "bgr"
        super().__init__(path, metadata)
        try:
            model.reshape([1, 3, *self.options.input_size])
        except RuntimeError as error:
            raise InputError(f"{path}: does not take pictures one by one ({one_line(error)})") from error
        if precision == "auto" and self.precision == "fp32":
            precision = checked_precision(core, model, path, self.options)
        if self.precision == "fp32" and precision == "bf16":
            self.precision = "bf16"
        else:
            _check_precision(path, precision, self.precision)
        threads = cpu_threads()
        self._network = OpenVinoStreams(core, [(model, self.precision)], threads, crop_streams(threads))
        self.device = torch.device("cpu")
        if not self._ours:
            self._try_out()

    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        outputs = [torch.from_numpy(output) for output in self._network(self.taken(images).numpy())]
        if not self._ours:
            return as_rows(outputs[0])
        features, visibility = outputs[: len(OUTPUT_NAMES)]
        return features, visibility


class TorchScriptRuntime(FileRuntime):
    """A TorchScript file, on any device of PyTorch. It is a program: open only those of makers you trust."""

    def __init__(self, path: Path, device: str | torch.device, precision: str) -> None:
        log.warning("%s: a TorchScript program, which is run: use it only if you trust its maker", path)
        self._arguments = (path, device, precision)
        self.device = resolve_device(device)
        extra = {METADATA_KEY: ""}
        try:
            self._module = torch.jit.load(str(path), map_location=self.device, _extra_files=extra)
        except RuntimeError as error:
            raise InputError(f"{path}: PyTorch cannot read it as TorchScript ({one_line(error)})") from error
        super().__init__(path, extra[METADATA_KEY])
        _check_precision(path, precision, self.precision)

    @torch.no_grad()
    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with exact_float32():
            features, visibility = self._module(self.taken(images))
        return features, visibility


def is_exported(path: Path) -> bool:
    """Whether ``path`` is for ``open_runtime``, judged by its name alone.

    What is in a file has no say: weights are never run as a program because they are one.
    """
    return path.suffix.lower() in {".onnx", ".xml", *PROGRAM_SUFFIXES}


def open_runtime(
    path: Path,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
    stated: VectorInput | None = None,
) -> Runtime:
    """An exported network, ready to run.

    Args:
        path: .onnx, .xml or a TorchScript .ts or .torchscript, written by ``export``. TorchScript is a
            program that is run: its maker must be trusted.
        device: ``auto`` takes CUDA where the library has it.
        precision: ``auto`` takes what the file holds; OpenVINO also runs fp32 files in ``bf16``.
        stated: what somebody else's network takes, where its file does not say so.

    Raises:
        InputError: not such a file, or a library is missing.
        UsageError: a device or precision the file cannot be run with.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}{did_you_mean(precision, PRECISIONS)}")
    if path.suffix.lower() == ".onnx":
        return OnnxRuntime(path, device, precision, stated)
    if path.suffix.lower() == ".xml":
        return OpenVinoRuntime(path, device, precision, stated)
    return TorchScriptRuntime(path, device, precision)


def known_sides(item: Any) -> list[int | None]:
    """The shape of an input or output of an ``openvino.Model``; None where it may be anything."""
    return [None if side.is_dynamic else side.get_length() for side in item.partial_shape]


def _check_precision(path: Path, wanted: str, held: str) -> None:
    if wanted not in {"auto", held}:
        raise UsageError(
            f"{path}: was exported with precision {held}, so it cannot run in {wanted}; export it anew"
        )


def library(name: str, needed_by: str | Path) -> Any:
    """The module ``name``, which comes with the extra ``export``.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{needed_by}: needs {name}; {install_extra('export')}") from error
