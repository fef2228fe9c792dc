"""Measures of quality: HOTA, IDF1 and MOTA for tracks, CMC and mAP for re-identification."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ranking import RankingMetrics, evaluate_ranking, rank_embeddings
    from .tracks import FolderMetrics, TrackingMetrics, evaluate_folder, evaluate_tracks

_HOMES = {
    "FolderMetrics": ".tracks",
    "RankingMetrics": ".ranking",
    "TrackingMetrics": ".tracks",
    "evaluate_folder": ".tracks",
    "evaluate_ranking": ".ranking",
    "evaluate_tracks": ".tracks",
    "rank_embeddings": ".ranking",
}

__all__ = [
    "FolderMetrics",
    "RankingMetrics",
    "TrackingMetrics",
    "evaluate_folder",
    "evaluate_ranking",
    "evaluate_tracks",
    "rank_embeddings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
