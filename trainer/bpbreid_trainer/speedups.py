"""What makes a training step cheaper: stages that stay as they are, and compiled layers."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bpbreid_track.errors import UsageError
from bpbreid_track.model.backbones.base import Backbone

_COMPILERS = ("c++", "g++", "clang++", "cl")
_TORCH = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
_SOFT = 1  # omp_pause_soft


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


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let the processor take numbers below 1e-38 for 0 in what this thread computes, while the context lasts.

    The gradients of a network that has learnt its people well are full of such numbers, and arithmetic on
    them is many times slower: a step took 1.8 times as long.

    The setting is one of each thread, and threads begin with that of the one that starts them. So the threads
    that torch computes with are ended here and at the end, for it to start others. Where that cannot be done
    (a torch without OpenMP), those that ran already keep theirs.
    """
    before = _flushes()
    torch.set_flush_denormal(True)
    _end_helpers()
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
        _end_helpers()


def _flushes() -> bool:
    return not float(np.float32(1e-40) * np.float32(1))


def _end_helpers() -> None:
    """End the threads that help this one to compute; the next computation starts new ones."""
    # torch binds the function of OpenMP 5.0 nowhere; its library knows the one it was linked to.
    library = Path(torch.__file__).parent / "lib" / _TORCH
    with suppress(OSError, AttributeError):
        ctypes.CDLL(str(library)).omp_pause_resource_all(_SOFT)
