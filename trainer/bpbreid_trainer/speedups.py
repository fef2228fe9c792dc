"""What makes a training step cheaper: stages that stay as they are, and compiled layers."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from bpbreid_track.errors import UsageError
from bpbreid_track.model.backbones.base import Backbone

T = TypeVar("T")
_POLL_SECONDS = 0.2
_COMPILERS = ("c++", "g++", "clang++", "cl")


def freeze_stages(backbone: Backbone, count: int) -> None:
    """Keep the first ``count`` stages of a backbone as they are: weights, and BatchNorm statistics too.

    Early filters change little when a network trained on ImageNet learns to tell people apart, but they work
    at the highest resolution, where the backward pass costs most.

    Raises:
        UsageError: more stages than there are.
    """
    stages = backbone.stages()
    if count > len(stages):
        raise UsageError(f"freeze: this backbone has {len(stages)} stages, got {count}")
    for module in (module for stage in stages[:count] for module in stage):
        module.eval()
        module.requires_grad_(False)


def preferred_format(device: torch.device, compiled: bool) -> torch.memory_format:
    """The memory format that training is fastest in: channels last on GPUs, and where layers are compiled."""
    return torch.channels_last if device.type == "cuda" or compiled else torch.contiguous_format


def compile_backbone(backbone: Backbone, device: torch.device) -> None:
    """Compile a backbone in place, for batches of one shape at a time.

    Raises:
        UsageError: a CPU without the C++ compiler that this needs.
    """
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", ""), *_COMPILERS))):
        raise UsageError("compile: no C++ compiler on this machine; install g++, or set compile=false")
    nn.Module.compile(backbone, dynamic=False)


def with_flushed_denormals(work: Callable[[], T]) -> T:
    """What ``work`` returns, computed by a processor that takes numbers below 1e-38 for 0.

    The gradients of a network that has learnt its people well are full of such numbers, and arithmetic on
    them is many times slower: a step took 1.8 times as long.

    ``work`` runs in a thread of its own. The switch is that of a thread, and PyTorch's pool takes it from the
    thread that starts it: a pool that runs already would go on as before, and one that was started with it
    would keep it for whatever the process computes later. Ctrl-C is handed to ``work``.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        torch.set_flush_denormal(True)
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="training", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
    except KeyboardInterrupt:
        number = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(KeyboardInterrupt))
        thread.join()
        raise
    if failure:
        raise failure[0]
    return result[0]
