"""Networks of a run of which a complete cache has every result: known by name, never loaded.

Loading torch and two networks takes longer than tracking a short video again. A cache says what was asked for
when it was made, and which files that came to. Where the same is asked for again, and the files are what they
were, stand-ins that know no more than names take the place of the networks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..config import RunConfig
from ..errors import InputError
from ..io.part_file import part_name
from ..model.find_weights import find_encoder_weights
from ..model.part_encoder import NamedDevice, PartEncoder
from . import fingerprint
from .cache_file import CacheReader

if TYPE_CHECKING:
    import supervision as sv

    from ..detection.detectors import Detector
    from ..io.sources.base import Frame

PathLike = str | os.PathLike[str]
Files = list[list[str]]
"""Paths, each with the fingerprint of its content."""


class StoredDetector:
    """What is known of a detector from a cache.

    Args:
        path: of the cache.
        facts: what the cache says of it.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path = path
        self.name: str = facts["name"]
        self.description: str = facts["description"]
        self.batch_size: int = facts["batch_size"]
        self.section: dict[str, Any] = facts["section"]

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        _lacks(self._path, frames[0].index)


class StoredEncoder:
    """What is known of an encoder from a cache.

    Args:
        path: of the cache.
        facts: what the cache says of it.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path = path
        self.device = NamedDevice(facts["device"])
        self.precision: str = facts["precision"]
        self.runtime: str = facts["runtime"]
        self.section: dict[str, Any] = facts["section"]

    def encode(self, frames: Any, xyxy: Any) -> NoReturn:
        _lacks(self._path, 0)


def weights_of(encoder: Any) -> str:
    """Fingerprint of an encoder, loaded or known from a cache."""
    return (
        str(encoder.section["weights"])
        if isinstance(encoder, StoredEncoder)
        else fingerprint.of_encoder(encoder)
    )


def asked_for(
    detector: object, encoder: object, settings: RunConfig, device: str, precision: str
) -> dict[str, Any] | None:
    """What the caller asked for, JSON-able; None where that is an object, which no file can name."""
    if not isinstance(detector, str | os.PathLike):
        return None
    if encoder is not None and not isinstance(encoder, str | os.PathLike):
        return None
    free = {"batch_size"}
    return {
        "detector": os.fspath(detector),
        "encoder": "none" if encoder is None else os.fspath(encoder),
        "device": device,
        "precision": precision,
        "detector settings": settings.detector.model_dump(mode="json", exclude=free),
        "encoder settings": settings.encoder.model_dump(mode="json", exclude=free),
    }


def described(
    asked: dict[str, Any], detector: Detector, encoder: PartEncoder | None, sections: dict[str, Any]
) -> dict[str, Any]:
    """What a cache keeps of loaded networks, for ``stored_networks``.

    Args:
        asked: what they were asked for by.
        detector: loaded.
        encoder: loaded; None for motion alone.
        sections: how the cache tells them from others, see ``open_cache``.
    """
    files = [Path(path) for path in getattr(detector, "files", ())]
    kept: dict[str, Any] = {
        "asked": asked,
        "detector": {
            "name": detector.name,
            "description": getattr(detector, "description", detector.name),
            "batch_size": getattr(detector, "batch_size", 1),
            "section": sections["detector"],
            "files": _with_content(files),
        },
        "encoder": None,
    }
    if encoder is not None:
        weights = find_encoder_weights(asked["encoder"])
        files = [path for path in (weights, weights.with_suffix(".bin")) if path.is_file()]
        kept["encoder"] = {
            "device": str(encoder.device),
            "precision": encoder.precision,
            "runtime": encoder.runtime,
            "section": sections["encoder"],
            "files": _with_content(files),
        }
    return kept


def stored_networks(
    path: PathLike, asked: dict[str, Any], max_frames: int | None
) -> tuple[StoredDetector, StoredEncoder | None] | None:
    """Stand-ins for the networks of a run; None where they have to be loaded.

    Args:
        path: of the cache.
        asked: what ``asked_for`` says of this run.
        max_frames: frames that will be asked for; None for all.
    """
    path = Path(path)
    if not path.is_file() or part_name(path).exists():
        return None
    try:
        reader = CacheReader(path)
    except InputError:  # is said where the cache is opened
        return None
    facts, frames = reader.facts, len(reader.index)
    reader.close()
    kept = facts.get("networks")
    if not (facts["complete"] or (max_frames is not None and frames >= max_frames)) or kept is None:
        return None
    try:
        if kept["asked"] != asked:
            return None
        for role in ("detector", "encoder"):
            if kept[role] is not None and not _as_they_were(kept[role]["files"], asked[role]):
                return None
        encoder = None if kept["encoder"] is None else StoredEncoder(path, kept["encoder"])
        return StoredDetector(path, kept["detector"]), encoder
    except (KeyError, TypeError, ValueError, InputError):  # not ours, or a file that is gone
        return None


def _with_content(files: Sequence[Path]) -> Files:
    return [[os.path.realpath(path), fingerprint.of_files([path])] for path in files]


def _as_they_were(files: Files, name: str) -> bool:
    """Whether the files have their content still, and ``name``, where it is a path, is one of them."""
    if os.path.exists(name) and os.path.realpath(name) not in {path for path, _ in files}:
        return False
    return all(fingerprint.of_files([path]) == content for path, content in files)


def _lacks(path: Path, index: int) -> NoReturn:
    raise InputError(f"{path}: has no frame {index + 1}, though it says that it is complete; delete the file")
