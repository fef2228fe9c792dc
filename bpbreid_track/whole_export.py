"""Folders of exported networks appear whole or not at all, also where two processes make one at once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def keep_whole(whole: Path, target: Path) -> None:
    """Give the folder ``whole`` the place of ``target``'s folder, unless somebody was faster.

    Args:
        whole: on the same disk, in a temporary folder, which takes what has to go with it.
        target: the file that makes a folder complete; one that is there without it goes.

    Raises:
        OSError: the folder cannot be written.
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
