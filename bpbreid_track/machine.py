"""What this machine has, told without loading torch, which takes a second and half a gigabyte."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Literal

import psutil

# Where Linux tells of a processor, and where AMD's driver shows a GPU.
_PROCESSOR, _AMD_GPU = Path("/proc/cpuinfo"), Path("/dev/kfd")
# Of NVIDIA's driver, which torch needs to see a GPU: on Linux and on Windows.
_NVIDIA_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
_limit: int | None = None


def cpu_threads() -> int:
    """Threads for a network on the CPU: as many as torch takes, whether it is loaded or not.

    That is what ``limit_threads`` says, else one for each core, or what ``OMP_NUM_THREADS`` or
    ``MKL_NUM_THREADS`` says where that is less.
    """
    # Another thread may be loading torch just now: then it has no such function yet.
    of_torch = getattr(sys.modules.get("torch"), "get_num_threads", None)
    if of_torch is not None:
        return int(of_torch())
    if _limit is not None:
        return _limit
    asked = (os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    return min([_cores(), *(int(count) for count in asked if count.isdecimal() and int(count))])


def limit_threads(count: int) -> None:
    """Let networks on the CPU take ``count`` threads from now on, in torch as well, once it is loaded."""
    global _limit
    _limit = count
    os.environ["OMP_NUM_THREADS"] = str(count)  # torch reads it when it is loaded
    of_torch = getattr(sys.modules.get("torch"), "set_num_threads", None)
    if of_torch is not None:
        of_torch(count)


def is_cpu(device: str) -> bool:
    """Whether ``device``, as the user names it, is the CPU for certain; False: only torch can tell."""
    return device == "cpu" or (device == "auto" and not may_have_gpu())


def may_have_gpu() -> bool:
    """Whether torch could find a GPU here. No means no; yes means that only torch can tell."""
    if sys.platform == "darwin" or _AMD_GPU.exists():
        return True
    return any(map(_loads, _NVIDIA_DRIVERS))


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in tiles (AMX). Elsewhere fp32 is exact and hardly slower.

    With AVX512-BF16 alone bf16 had 0.9 to 1.1 times the speed of fp32 (docs/results.md).
    """
    try:
        words = _PROCESSOR.read_text().split()
    except OSError:  # not Linux
        import torch

        return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return {"amx_tile", "amx_bf16"} <= set(words)


def quickest_precision() -> Literal["bf16", "fp32"]:
    """What networks are computed in on this CPU, where that does them no harm."""
    return "bf16" if cpu_has_bf16() else "fp32"


def _cores() -> int:
    """Cores that this process may use. Two threads of one core get in each other's way."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


@functools.cache
def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
