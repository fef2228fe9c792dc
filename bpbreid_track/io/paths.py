"""Checks of paths before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError


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
