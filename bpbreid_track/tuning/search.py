"""The search itself: optuna proposes settings, the judge measures them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..config import TrackerConfig
from ..errors import InputError, install_extra
from ..evaluation import TrackingMetrics
from .footage import Judge
from .space import SPACE, suggest

Metric = Literal["HOTA", "IDF1", "AssA"]


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        settings: of the tracker, those that differ from the defaults; empty if nothing was better.
        trials: how many settings were tried.
        metric: what was searched for.
        searched, held_out: measures of ``default`` and ``tuned`` settings on both parts.
        interrupted: the search was cut short.
    """

    settings: dict[str, Any]
    trials: int
    metric: Metric
    searched: dict[str, TrackingMetrics]
    held_out: dict[str, TrackingMetrics]
    interrupted: bool

    @property
    def holds(self) -> bool:
        """Whether the tuned settings are no worse than the defaults where they were not searched for."""
        return getattr(self.held_out["tuned"], self.metric) >= getattr(self.held_out["default"], self.metric)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self) | {"holds": self.holds}


def search(
    searched: Judge,
    held_out: Judge,
    *,
    trials: int,
    metric: Metric,
    seed: int,
    appearance: bool,
    on_trial: Callable[[int, float], object] = lambda number, best: None,
) -> Outcome:
    """Look for settings that do well on one part, and see how they do on the other.

    The first trial is the defaults. Equal arguments give equal results. Ctrl-C ends the search with the best
    settings so far.

    Args:
        searched: judges the trials.
        held_out: judges defaults and winner once, at the end.
        trials: at least 1.
        metric: what to make large.
        seed: of the sampler.
        appearance: whether there are embeddings.
        on_trial: told the number of trials done and the best value so far.

    Raises:
        InputError: optuna is not installed.
    """
    optuna = require_optuna()
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    default = TrackerConfig()
    names = [name for name, bounds in SPACE.items() if appearance or not bounds.appearance]
    study.enqueue_trial({name: getattr(default, name) for name in names})
    best, best_metrics, done, interrupted = default, searched(default), 0, False
    default_metrics = best_metrics
    try:
        for number in range(trials):
            trial = study.ask()
            config = TrackerConfig(**suggest(trial, appearance=appearance))
            metrics = default_metrics if number == 0 else searched(config)
            study.tell(trial, getattr(metrics, metric))
            if getattr(metrics, metric) > getattr(best_metrics, metric):
                best, best_metrics = config, metrics
            done += 1
            on_trial(done, getattr(best_metrics, metric))
    except KeyboardInterrupt:
        interrupted = True
    held_default = held_out(default)
    return Outcome(
        settings=best.changed(),
        trials=done,
        metric=metric,
        searched={"default": default_metrics, "tuned": best_metrics},
        held_out={"default": held_default, "tuned": held_default if best == default else held_out(best)},
        interrupted=interrupted,
    )


def require_optuna() -> Any:
    """The module ``optuna``, told to be quiet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError(f"tuning needs the package optuna; {install_extra('tune')}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
