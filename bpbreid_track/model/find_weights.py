"""Encoder weights by name."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError, did_you_mean

_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def find_encoder_weights(source: str | os.PathLike[str]) -> Path:
    """The file behind the name of bundled weights or a path.

    Raises:
        InputError: neither; the message names what is bundled.
    """
    text = os.fspath(source)
    bundled = {path.stem: path for path in sorted(_WEIGHTS.glob("*.safetensors"))}
    if text in bundled:
        return bundled[text]
    path = Path(text)
    if path.is_file():
        return path
    if text == "default":
        raise InputError(
            "encoder 'default': this version bundles no weights; name a file (.safetensors, .pth, .onnx or "
            ".xml), or track without appearance (encoder 'none')"
        )
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"{text}: no such file")
    known = did_you_mean(text, bundled) if bundled else ""
    raise InputError(f"encoder {text!r}: neither a file nor bundled weights{known}")
