"""Detector networks exported for other runtimes than torch, in the cache folder, and facts about them."""

from __future__ import annotations

import importlib.metadata
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

from ..config import cache_folder
from ..whole_export import keep_whole
from .runtime_choice import PACKAGES, Precision, Runtime
from .weights import import_ultralytics, safe_loading, sha256

logger = logging.getLogger(__name__)

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

    Its folder is named after the content of the weights and the versions of all that took part. It appears
    whole or not at all, also where two processes make it at once.
    """
    target = exported_file(runtime, weights, max_detections)
    if target.is_file():
        return target
    logger.warning("exporting %s for %s, once; this takes some seconds", weights.name, runtime)
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as work:
        made, whole = Path(work) / "network.pt", Path(work) / "whole"
        shutil.copyfile(weights, made)
        _export(runtime, made, max_detections)
        whole.mkdir()
        for file in Path(work).rglob("network.*"):
            if file.suffix in {".xml", ".bin", ".onnx"}:
                file.rename(whole / file.name)
        keep_whole(whole, target)
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
    digest = sha256(weights)
    packages = ("ultralytics", "torch", *PACKAGES[runtime])
    versions = [f"{name}{importlib.metadata.version(name)}" for name in packages]
    folder = cache_folder() / "exported" / "-".join([digest[:32], *versions, str(max_detections)])
    return folder / f"network{_SUFFIX[runtime]}"


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
