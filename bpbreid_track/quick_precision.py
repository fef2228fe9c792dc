"""What networks are computed in on this CPU: bf16 where that is quicker, which some have to be asked."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from . import machine
from .config import cache_folder

logger = logging.getLogger(__name__)

Precision = Literal["bf16", "fp32"]
# bf16 rounds, so it has to be worth it. Between CPUs that were measured there is nothing near this share:
# 0.55 to 0.6 of fp32's time, or 0.9 to 1.2 (docs/results.md).
_WORTH = 0.8
_ROUNDS = 7
_CHANNELS, _SIDE, _LAYERS = 64, 48, 3


def quickest_precision() -> Precision:
    """What networks are computed in on this CPU, where that does them no harm.

    With tiles (AMX) that is bf16, without instructions for it fp32. With AVX512-BF16 alone it is measured,
    once, and kept in the cache folder: some such CPUs take longer for it than for fp32, others half as long.
    """
    if machine.cpu_has_bf16():
        return "bf16"
    return _asked() if machine.cpu_has_wide_bf16() and importlib.util.find_spec("openvino") else "fp32"


@functools.cache
def _asked() -> Precision:
    """What this CPU was found to be quicker in, by this process or one before it."""
    return kept_answer("", _quicker)


def kept_answer(about: str, ask: Callable[[], Precision]) -> Precision:
    """What ``ask`` says on this kind of CPU with this OpenVINO: asked once, and kept in the cache folder.

    Args:
        about: what is asked, as a part of a file name; empty for the CPU itself.
        ask: may fail, and is asked again another time then; until it answers it is ``fp32``.
    """
    kind = hashlib.sha256("\n".join(machine.cpu_kind()).encode()).hexdigest()[:16]
    name = "-".join(filter(None, (f"openvino{importlib.metadata.version('openvino')}", kind, about)))
    kept = cache_folder() / "precision" / f"{name}.txt"
    with suppress(OSError):
        found = kept.read_text(encoding="utf-8").strip()
        if found in {"bf16", "fp32"}:
            return found  # type: ignore[return-value]
    try:
        answer = ask()
    except Exception as error:  # OpenVINO's errors share no base class
        logger.info("bf16 was not tried: %s", error)
        return "fp32"
    with suppress(OSError):  # without a cache folder it is asked anew each time
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(f".{os.getpid()}")
        beside.write_text(answer + "\n", encoding="utf-8")
        beside.replace(kept)
    return answer


def _quicker() -> Precision:
    share = _share()
    precision: Precision = "bf16" if share < _WORTH else "fp32"
    logger.info("bf16 takes %.2f of the time of fp32 here: %s", share, precision)
    return precision


def _share() -> float:
    """Time of a few convolutions in bf16 as a share of that in fp32, in turn, one thread each."""
    # Loaded here: with most CPUs nobody asks.
    import numpy as np
    import openvino

    operations = openvino.opset13
    picture = operations.parameter([1, _CHANNELS, _SIDE, _SIDE], np.float32)
    layer: Any = picture
    for _ in range(_LAYERS):
        weights = operations.constant(np.full((_CHANNELS, _CHANNELS, 3, 3), 0.01, np.float32))
        layer = operations.relu(operations.convolution(layer, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    model = openvino.Model([operations.result(layer)], [picture])
    core = openvino.Core()  # no AMX here, so ``openvino_core`` is not needed
    requests = {}
    for hint in ("f32", "bf16"):
        settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": hint}
        requests[hint] = core.compile_model(model, "CPU", settings).create_infer_request()
    data = np.ones((1, _CHANNELS, _SIDE, _SIDE), np.float32)
    best = dict.fromkeys(requests, float("inf"))
    for _ in range(_ROUNDS):
        for hint, request in requests.items():
            began = time.perf_counter()
            request.infer([data])
            best[hint] = min(best[hint], time.perf_counter() - began)
    return best["bf16"] / best["f32"]
