"""Learning rate by epoch: linear warm-up, then steps (Sec. 4.2)."""

from __future__ import annotations

from .options import ScheduleOptions


def learning_rate(epoch: int, base: float, options: ScheduleOptions) -> float:
    """The learning rate of an epoch.

    Args:
        epoch: from 0.
        base: the learning rate after the warm-up.
        options: length and start of the warm-up, and the epochs at which the rate falls.

    >>> paper = ScheduleOptions()
    >>> [float(f"{learning_rate(epoch, 3.5e-4, paper):.4g}") for epoch in (0, 10, 40, 70)]
    [3.5e-05, 0.00035, 3.5e-05, 3.5e-06]
    """
    if epoch < options.warmup_epochs:
        share = epoch / options.warmup_epochs
        return base * (options.warmup_factor * (1 - share) + share)
    return base * options.decay ** sum(epoch >= step for step in options.steps)
