"""Checks of paths before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError, UsageError


def check_writable(path: Path) -> None:
    """Fail early where no file could be made at ``path``.

    Raises:
        InputError: the folder is missing or not writable, or ``path`` is a folder.
    """
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{path}: there is no folder {folder}; create it first")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise InputError(f"{path}: not writable: permission denied")


def check_new_folder(path: Path) -> None:
    """Fail early where a folder of results could not be made, or would be mixed with what is there.

    Files are replaced once the new one is whole; a folder is never emptied and never added to.

    Raises:
        InputError: the folder above is missing, or this one is not writable.
        UsageError: it is a file, or holds something already; hidden files do not count.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; create it first")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file; give a folder")
    if path.is_dir() and any(not item.name.startswith(".") for item in path.iterdir()):
        raise UsageError(
            f"{path}: is not empty, and old and new would be mixed; empty it or give a new folder"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path}: not writable: permission denied")


def check_not_read(path: Path, inputs: Iterable[str | os.PathLike[str] | None]) -> None:
    """Fail where writing ``path`` would replace what is read; inputs that are no files are passed over.

    Raises:
        UsageError: it is one of them, under whatever name.
    """
    for given in inputs:
        if given is not None and os.path.exists(path) and os.path.exists(given) and path.samefile(given):
            raise UsageError(f"{path}: is read and would be overwritten; give another path")
