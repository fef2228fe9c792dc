"""What a cache belongs to: one source, detector, encoder and version of this program."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..config import DetectorConfig
from ..errors import UsageError
from ..io.sources.base import Source
from . import fingerprint
from .cache import Cache
from .cached_networks import StoredDetector, StoredEncoder, described

if TYPE_CHECKING:
    from ..detection.detectors import Detector
    from ..model.part_encoder import PartEncoder


def open_cache(
    path: str | os.PathLike[str],
    source: Source,
    detector: Detector,
    encoder: PartEncoder | StoredEncoder | None,
    settings: DetectorConfig,
    others: Iterable[Path] = (),
    asked: dict[str, Any] | None = None,
) -> Cache:
    """The cache of a run.

    Args:
        path: the file.
        source: must not be live.
        detector: any detector, or the stand-in for one; weights and box files are told by their content.
        encoder: any encoder, or the stand-in for one; None for none.
        settings: of the detector. The batch size has no part in what it finds.
        others: paths that the run writes as well.
        asked: what detector and encoder were loaded by, see ``asked_for``; None: nobody knows.

    Raises:
        UsageError: a live source, or a path that is written by something else.
        InputError: as for ``Cache``.
    """
    if source.live:
        raise UsageError(f"{source.name}: a live source is never the same twice and cannot have a --cache")
    if os.path.realpath(path) in {os.path.realpath(other) for other in others}:
        raise UsageError(f"{path}: named for two outputs; give each its own path")
    files = list(getattr(source, "files", ()))
    identity: dict[str, dict[str, Any]] = {
        "program": {"version": __version__},
        "source": {
            "name": source.name,
            "size": [source.width, source.height],
            "frame count": source.frame_count,
            "content": fingerprint.of_media(files) if files else None,
            "frame numbers": _numbers(source.frame_numbers),
        },
        "detector": _found_by(detector, settings),
        "encoder": _encoded_by(encoder),
    }
    networks = None
    if (
        asked is not None
        and not isinstance(detector, StoredDetector)
        and not isinstance(encoder, StoredEncoder)
    ):
        networks = described(asked, detector, encoder, identity)
    return Cache(path, identity, networks)


def _found_by(detector: Detector, settings: DetectorConfig) -> dict[str, Any]:
    """How a cache tells detectors apart."""
    if isinstance(detector, StoredDetector):
        return detector.section
    found_by: dict[str, Any] = {"name": detector.name}
    if hasattr(detector, "files"):
        found_by["content"] = fingerprint.of_files(detector.files)
    # What runs the network, and what in, moves boxes by fractions of a pixel; ``auto`` says not which it is.
    found_by |= settings.model_dump(mode="json", exclude={"batch_size", "classes"})
    if settings.classes:
        found_by["classes"] = list(settings.classes)
    return found_by | {name: getattr(detector, name, None) for name in ("runtime", "precision")}


def _encoded_by(encoder: PartEncoder | StoredEncoder | None) -> dict[str, Any]:
    """How a cache tells encoders apart."""
    if encoder is None:
        return {"weights": None, "precision": None, "mirrored": None, "parts": None}
    if isinstance(encoder, StoredEncoder):
        return encoder.section
    return {
        "weights": fingerprint.of_encoder(encoder),
        "precision": getattr(encoder, "precision", None),
        "mirrored": getattr(encoder, "mirror", None),
        "parts": list(getattr(encoder, "part_names", ())),
    }


def _numbers(numbers: Sequence[int]) -> str | None:
    """The frame numbers in short; None for 1, 2, 3, ..."""
    if list(numbers) == list(range(1, len(numbers) + 1)):
        return None
    return f"{numbers[0]} to {numbers[-1]}, {zlib.crc32(str(list(numbers)).encode()):08x}"
