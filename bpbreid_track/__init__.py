"""Multi-object tracking with body-part embeddings (BPBReID, Somers et al., WACV 2023).

>>> from bpbreid_track import track_video
>>> report = track_video("video.mp4", "tracked.mp4")  # doctest: +SKIP

Names are imported on first use, so that ``import bpbreid_track`` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .config import TrackerConfig
    from .embeddings import PartEmbeddings, part_distance
    from .exports.export import export_tracks
    from .many.api import track_videos
    from .model.encoder import Encoder
    from .pipeline.api import TrackingReport, track_video
    from .tracking.tracker import PartTracker

_HOMES = {
    "Encoder": ".model.encoder",
    "PartEmbeddings": ".embeddings",
    "PartTracker": ".tracking.tracker",
    "TrackerConfig": ".config",
    "TrackingReport": ".pipeline.api",
    "export_tracks": ".exports.export",
    "part_distance": ".embeddings",
    "track_video": ".pipeline.api",
    "track_videos": ".many.api",
}

__all__ = [
    "Encoder",
    "PartEmbeddings",
    "PartTracker",
    "TrackerConfig",
    "TrackingReport",
    "__version__",
    "export_tracks",
    "part_distance",
    "track_video",
    "track_videos",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
