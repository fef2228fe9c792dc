"""Fingerprints: short words that tell whether files or weights are the same as last time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..model.exported_encoder import ExportedEncoder

_BYTES = 8
_BLOCK = 1 << 20
_SAMPLE = 1 << 18  # bytes read at each of three places of a large file


def of_files(paths: Iterable[str | os.PathLike[str]]) -> str:
    """16 hexadecimal digits of all that is in ``paths`` (files, or folders with the files inside them).

    Raises:
        InputError: a file that cannot be read.
    """
    digest = hashlib.blake2b(digest_size=_BYTES)
    for path in _files_in(paths):
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()


def of_media(paths: Iterable[str | os.PathLike[str]]) -> str:
    """16 hexadecimal digits of pictures or videos: quick, for files that are too large to read twice.

    The sizes of all files, and the beginning, the middle and the end of the first, the middle and the last.

    Raises:
        InputError: a file that cannot be read.
    """
    files = list(_files_in(paths))
    digest = hashlib.blake2b(digest_size=_BYTES)
    looked_into = {0, len(files) // 2, len(files) - 1}
    for number, path in enumerate(files):
        try:
            size = path.stat().st_size
            digest.update(size.to_bytes(8, "little"))
            if number in looked_into:
                with path.open("rb") as file:
                    for place in _places(size):
                        file.seek(place)
                        digest.update(file.read(_SAMPLE))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest()


def of_ranges(size: int, read: Callable[[int, int], bytes]) -> str:
    """What ``of_media`` says of one file, of which ``read`` gives the bytes from one place to another."""
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=_BYTES)
    for place in _places(size):
        digest.update(read(place, min(size, place + _SAMPLE)) if size else b"")
    return digest.hexdigest()


def of_encoder(encoder: Any) -> str:
    """16 hexadecimal digits of an encoder's weights and options.

    Args:
        encoder: an ``Encoder``, live or exported; of any other object its ``repr`` has to do.
    """
    if isinstance(encoder, ExportedEncoder):
        return encoder.weights
    from ..model.network import BPBReID
    from ..model.network_weights import fingerprint_of
    from ..model.runtimes import Runtime

    network = getattr(encoder, "network", None)
    if isinstance(network, BPBReID):
        return fingerprint_of(network)
    if isinstance(network, Runtime):
        # OpenVINO keeps the weights in a second file.
        weights = network.path.with_suffix(".bin")
        content = of_files([network.path, *([weights] if network.path.suffix == ".xml" else [])])
        # Of other people's networks the input is stated beside the file.
        taken = f"{content}{network.options.model_dump_json()}{network.flipped}"
    else:
        taken = repr(encoder)
    return hashlib.blake2b(taken.encode(), digest_size=_BYTES).hexdigest()


def _places(size: int) -> tuple[int, int, int]:
    """Where a large file is looked into."""
    return 0, size // 2, max(0, size - _SAMPLE)


def _files_in(paths: Iterable[str | os.PathLike[str]]) -> Iterable[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(item for item in path.rglob("*") if item.is_file())
        else:
            yield path
