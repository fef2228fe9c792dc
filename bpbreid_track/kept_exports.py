"""Exported networks in the cache folder: made once, whole or not there, also where two processes make one."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .config import cache_folder

logger = logging.getLogger(__name__)


def sha256(path: Path) -> str:
    """Hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept_export(weights: Path, packages: Sequence[str], file: str, *more: object) -> Path:
    """Where an export of ``weights`` lies, whether it is there yet or not.

    Args:
        weights: a file; the folder is named after its content.
        packages: that take part, by the names of pip; the folder is named after their versions.
        file: name of the export.
        more: whatever else an export depends on.

    Raises:
        OSError: ``weights`` cannot be read.
        ImportError: one of ``packages`` is not installed.
    """
    versions = [f"{name}{importlib.metadata.version(name)}" for name in packages]
    folder = "-".join([sha256(weights)[:32], *versions, *map(str, more)])
    return cache_folder() / "exported" / folder / file


def make_once(target: Path, weights: Path, runtime: str, make: Callable[[Path], object]) -> None:
    """Make the export ``target`` where there is none; a warning says that it takes time.

    Args:
        target: of ``kept_export``; the file that makes its folder complete.
        weights: for the warning.
        runtime: likewise.
        make: fills a folder that is there and empty.

    Raises:
        Exception: whatever ``make`` raises, or OSError where the folder cannot be written.
    """
    if target.is_file():
        return
    logger.warning("exporting %s for %s, once; this takes some seconds", weights.name, runtime)
    folders = target.parent.parent
    folders.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folders) as work:
        whole = Path(work) / "whole"
        whole.mkdir()
        make(whole)
        _keep(whole, target)


def _keep(whole: Path, target: Path) -> None:
    """Give the folder ``whole`` the place of ``target``'s folder, unless somebody was faster.

    A folder there without ``target`` goes, with the temporary folder that holds ``whole``.
    """
    try:
        whole.rename(target.parent)
    except OSError:
        if target.is_file():
            return
        # In one step: whoever removes file by file may hit the folder of somebody who was faster.
        with suppress(OSError):
            target.parent.rename(whole.with_name("torn"))
        try:
            whole.rename(target.parent)
        except OSError:
            if not target.is_file():
                raise
