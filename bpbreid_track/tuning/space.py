"""What ``bpbreid-tune`` may change: a range for each setting of the tracker, and why some are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..config import TrackerConfig


@dataclass(frozen=True)
class Range:
    """Values that are tried for one setting.

    Attributes:
        low, high: first and last value.
        log: spread the tries evenly over ratios, for times and gates.
        appearance: the setting does nothing without embeddings.
    """

    low: float
    high: float
    log: bool = False
    appearance: bool = False


SPACE: dict[str, Range] = {
    "high_score": Range(0.3, 0.7),
    "low_score": Range(0.05, 0.3),
    "birth_score": Range(0.4, 0.9),
    "confirm_seconds": Range(0, 0.6),
    "lost_seconds": Range(0.5, 5, log=True),
    "appearance_seconds": Range(2, 60, log=True, appearance=True),
    "max_cover": Range(0.2, 1, appearance=True),
}

LEFT_OUT = {
    "frame_rate": "is the footage's",
    "camera_motion": "follows from whether the camera moves",
    "encode": "changes how much is computed",
    "refresh_seconds": "changes how much is computed",
    "class_agnostic": "follows from what is tracked",
}


def suggest(trial: Any, *, appearance: bool) -> dict[str, float | int]:
    """The settings that an ``optuna`` trial tries, three significant digits each.

    Args:
        trial: asked for each setting.
        appearance: whether there are embeddings; without, their settings are not touched.
    """
    values: dict[str, float | int] = {}
    for name, bounds in SPACE.items():
        if bounds.appearance and not appearance:
            continue
        if TrackerConfig.model_fields[name].annotation is int:
            values[name] = trial.suggest_int(name, int(bounds.low), int(bounds.high))
        else:
            values[name] = float(f"{trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log):.3g}")
    return values
