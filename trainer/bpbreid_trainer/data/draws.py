"""Draws from a torch generator, so that a sample is a function of its seed alone."""

from __future__ import annotations

import torch
from torch import Generator


def uniform(rng: Generator, low: float = 0.0, high: float = 1.0) -> float:
    """One draw from [low, high)."""
    return low + (high - low) * torch.rand((), generator=rng, dtype=torch.float64).item()


def integer(rng: Generator, stop: int) -> int:
    """One draw from 0 .. stop - 1."""
    return int(torch.randint(stop, (), generator=rng))
