"""What this machine has, told without loading torch, which takes a second and half a gigabyte."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

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
    """Whether the CPU multiplies bf16 in tiles (AMX), which is far quicker than fp32."""
    try:
        words = _PROCESSOR.read_text().split()
    except OSError:  # not Linux
        import torch

        return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return {"amx_tile", "amx_bf16"} <= set(words)


@functools.cache
def cpu_has_wide_bf16() -> bool:
    """Whether the CPU has AVX512-BF16, which is quicker than fp32 on some; known on Linux only."""
    try:
        return "avx512_bf16" in _PROCESSOR.read_text().split()
    except OSError:
        return False


def cpu_kind() -> list[str]:
    """Lines of Linux that say which kind of CPU this is, whatever runs on it."""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags")
    try:
        lines = _PROCESSOR.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return []
    return [line for line in lines if line.split(":")[0].strip() in wanted]


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
