"""Short training runs on a CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bpbreid_trainer.options import TrainOptions

ROOT = Path(__file__).resolve().parent.parent

SMALL = {"backbone": "efficientnet_lite0", "input_size": (64, 32), "dim": 32}


def options(root: Path, folder: Path, **changes: Any) -> TrainOptions:
    """A run of two epochs of three steps on a ``make_reid_set``, but for ``changes``."""
    settings = {
        "data": {"root": str(root)},
        "output": str(folder),
        "model": SMALL,
        "pretrained": False,
        "identities_per_batch": 2,
        "epochs": 2,
        "evaluate_every": 0,
        "workers": 0,
        "device": "cpu",
    }
    return TrainOptions.model_validate({**settings, **changes})


def same_weights(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same weights, bit for bit."""
    first, second = load_file(a / "last.safetensors"), load_file(b / "last.safetensors")
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def environment() -> dict[str, str]:
    """For a process that computes what this one does."""
    threads = str(torch.get_num_threads())
    path = os.pathsep.join([str(ROOT), str(ROOT / "trainer"), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads}


# A program that trains by the recipe it is given, and is killed before the end.
KILLED_IN_STEP_5 = """
import os, signal, sys
from bpbreid_trainer import engine
from bpbreid_trainer.options import read_options

class LossLog(engine.LossLog):
    def add(self, step, terms):
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        super().add(step, terms)

engine.LossLog = LossLog
engine.fit(read_options(sys.argv[1]), quiet=True)
"""
