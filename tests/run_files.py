"""Runs in processes of their own, frames and boxes for sinks, and what a run left on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv

from bpbreid_track.io.sources.base import Frame

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = [sys.executable, "-c", "from bpbreid_track.cli.track import main; main()"]

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of POSIX")


def start(arguments: Sequence[str], folder: Path, **options: Any) -> subprocess.Popen[Any]:
    """``bpbreid-track`` in ``folder``, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    return subprocess.Popen([*PROGRAM, *arguments], cwd=folder, env=environment, **options)


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[Any]) -> None:
    """Wait until ``process`` has written so many lines into ``path``."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if path.is_file() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"{path.name} never had {count} lines")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files of more than ``size`` bytes are refused, as by a full disk."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def decoded_frames(path: Path) -> int:
    """How many frames of a video play."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def frame(index: int = 0, side: int = 64) -> Frame:
    """A grey frame of a video of 25 frames a second."""
    return Frame(index, index / 25, np.full((side, side, 3), index % 256, np.uint8))


def person(identity: int = 1) -> sv.Detections:
    """One box."""
    return sv.Detections(np.array([[5, 5, 40, 60]], np.float32), tracker_id=np.array([identity]))
