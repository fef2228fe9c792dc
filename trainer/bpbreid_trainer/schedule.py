"""Learning rate by epoch: linear warm-up, then steps (Sec. 4.2)."""

from __future__ import annotations

import math

from .options import ScheduleOptions


def learning_rate(epoch: int, base: float, options: ScheduleOptions, epochs: int) -> float:
    """The learning rate of an epoch.

    Args:
        epoch: from 0.
        base: the learning rate after the warm-up.
        options: length and start of the warm-up, and how the rate falls after it.
        epochs: of the whole run; a cosine ends there.

    >>> paper = ScheduleOptions()
    >>> [float(f"{learning_rate(epoch, 3.5e-4, paper, 120):.4g}") for epoch in (0, 10, 40, 70)]
    [3.5e-05, 0.00035, 3.5e-05, 3.5e-06]
    """
    if epoch < options.warmup_epochs:
        share = epoch / options.warmup_epochs
        return base * (options.warmup_factor * (1 - share) + share)
    if options.shape == "cosine":
        done = (epoch - options.warmup_epochs) / max(1, epochs - options.warmup_epochs)
        return base * 0.5 * (1 + math.cos(math.pi * done))
    return base * options.decay ** sum(epoch >= step for step in options.steps)
