"""Detector and encoder of a run, from what the caller names, and what the report calls them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..config import DetectorConfig, RunConfig
from ..detection.detectors import Detector, load_detector
from ..errors import UsageError
from ..model.exported_encoder import open_exported_encoder

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder

PathLike = str | os.PathLike[str]


def detector_of(detector: PathLike | Detector, config: DetectorConfig, device: str) -> Detector:
    """The detector of a run; a ready one is that one.

    Raises:
        InputError: weights that cannot be found or loaded.
        UsageError: classes are asked of a ready one that does not say which it gives.
    """
    if isinstance(detector, str | os.PathLike):
        return load_detector(os.fspath(detector), config, device)
    if config.classes and not hasattr(detector, "by_motion"):
        raise UsageError(
            "detector.classes: a detector of your own chooses its classes itself; leave them out"
        )
    return detector


def load_encoder(
    encoder: PathLike | PartEncoder | None, settings: RunConfig, device: str, precision: str
) -> PartEncoder | None:
    """The encoder of a run, as ``track_video`` loads it; None for motion alone. A ready one is that one.

    Raises:
        InputError: no such file, or not an encoder's.
    """
    if encoder is None or encoder == "none":
        return None
    if not isinstance(encoder, str | os.PathLike):
        return encoder

    def exported() -> PartEncoder | None:
        if "parts" in settings.draw.overlay:  # only torch gives maps of them
            return None
        return open_exported_encoder(encoder, settings.encoder, device, precision)

    quick = exported()
    if quick is not None:
        return quick
    from ..model.encoder import Encoder

    loaded = Encoder.load(
        os.fspath(encoder),
        device=device,
        precision=precision,
        batch_size=settings.encoder.batch_size,
        mirror=settings.encoder.mirror,
        runtime=settings.encoder.runtime,
        input=settings.encoder.input,
    )
    # Where it has just been exported torch is left at once: the first run is what the second will be.
    return (exported() if loaded.runtime == "openvino" else None) or loaded


def encoder_in_words(asked: PathLike | PartEncoder | None, encoder: PartEncoder | None) -> str:
    """What the report says of ``encoder``, which was ``asked`` for."""
    if encoder is None:
        return "none (motion alone)"
    if not isinstance(asked, str | os.PathLike):
        return repr(encoder)
    how = ", OpenVINO" if encoder.runtime == "openvino" else ""
    return f"{os.fspath(asked)} ({encoder.device}, {encoder.precision}{how})"
