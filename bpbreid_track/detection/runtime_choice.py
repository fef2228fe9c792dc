"""What can run a detector's network, and what does where nobody chose."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from ..errors import InputError, UsageError

Runtime = Literal["torch", "openvino", "onnx"]
# What each needs beside Ultralytics, in the names of import and of pip alike.
PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "torch": (),
    "openvino": ("openvino",),
    "onnx": ("onnx", "onnxruntime"),
}
RUNTIME_NAMES: dict[Runtime, str] = {"torch": "PyTorch", "openvino": "OpenVINO", "onnx": "onnxruntime"}


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


def in_words(description: str, runtime: Runtime, precision: str) -> str:
    """``description`` of a detector, with what runs it on a CPU."""
    return f"{description} ({RUNTIME_NAMES[runtime]}{', bf16' if precision == 'bf16' else ''})"


def _missing(runtime: Runtime) -> list[str]:
    return [name for name in PACKAGES[runtime] if importlib.util.find_spec(name) is None]
