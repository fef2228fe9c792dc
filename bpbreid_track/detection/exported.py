"""Detector networks exported for other runtimes than torch, in the cache folder, and facts about them."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..kept_exports import kept_export, make_once
from ..quick_precision import Precision
from .runtime_choice import PACKAGES, Runtime
from .weights import import_ultralytics, safe_loading

_SUFFIX = {"openvino": ".xml", "onnx": ".onnx"}
_FACTS = "facts.json"


class Facts(BaseModel):
    """What is known of an exported network, so that it can be run without torch and Ultralytics.

    Attributes:
        task: what it was trained for.
        names: of its classes, by number.
        stride: both sides of its input are multiples of it, pixels.
        suppressed: it drops overlapping boxes itself.
        precision: what it computes in, by what was wanted of it: found by looking, see ``runtimes.run_by``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["detect", "pose"]
    names: dict[int, str] = Field(min_length=1)
    stride: int = Field(ge=1, le=1024)
    suppressed: bool
    precision: dict[Precision, Precision]


def exported(runtime: Runtime, weights: Path, max_detections: int) -> Path:
    """The exported network in the cache folder, for every size of input and batch; made where there is none.

    It appears whole or not at all, also where two processes make it at once.
    """

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = Path(work) / "network.pt"
            shutil.copyfile(weights, made)
            _export(runtime, made, max_detections)
            for file in Path(work).rglob("network.*"):
                if file.suffix in {".xml", ".bin", ".onnx"}:
                    file.rename(folder / file.name)

    target = exported_file(runtime, weights, max_detections)
    make_once(target, weights, runtime, make)
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


def exported_file(runtime: Runtime, weights: Path, max_detections: int) -> Path:
    """Where ``exported`` puts the network, whether it is there yet or not."""
    packages = ("ultralytics", "torch", *PACKAGES[runtime])
    return kept_export(weights, packages, f"network{_SUFFIX[runtime]}", max_detections)


def write_facts(network: Path, facts: Facts) -> None:
    """Keep ``facts`` beside an exported ``network``, whole or not at all, with precisions known before."""
    known = read_facts(network)
    if known is not None:
        facts = facts.model_copy(update={"precision": known.precision | facts.precision})
    part = network.parent / f"{_FACTS}.{os.getpid()}.part"
    try:
        part.write_text(facts.model_dump_json())
        os.replace(part, network.parent / _FACTS)
    finally:
        part.unlink(missing_ok=True)


def read_facts(network: Path) -> Facts | None:
    """What is known of an exported ``network``; None where that is nothing, or cannot be read."""
    try:
        return Facts.model_validate_json((network.parent / _FACTS).read_bytes())
    except (OSError, ValueError):
        return None


@contextmanager
def _torch_threads() -> Iterator[None]:
    """Inside, Ultralytics may set torch's threads as it does on a CPU, for the whole process."""
    import torch

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
