"""One process writes a file or folder: locks that end with their process, whatever ends it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from ..errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CAN_LOCK = fcntl is not None


class TakenError(InputError):
    """Another run writes ``path``."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: another run is writing it; wait for its end or give another path")


class FolderClaim:
    """A folder that this process alone writes, until ``release`` or the end of the process.

    Args:
        folder: made if it is missing; its parent must exist.

    Raises:
        InputError: another run writes it, or it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with writing(folder):
            try:
                folder.mkdir()
                self._made = True
            except FileExistsError:
                self._made = False
            if not CAN_LOCK:
                return
            handle = os.open(folder, os.O_RDONLY)
        self._close = weakref.finalize(self, os.close, handle)
        if not lock(handle):
            self._close()
            raise TakenError(folder)

    def release(self) -> None:
        """Let others have it; it goes if it was made here and is empty. May be called twice."""
        if self._made:
            with suppress(OSError):
                self._folder.rmdir()
        if CAN_LOCK:
            self._close()


def lock(file: FileIO | int) -> bool:
    """Whether nobody else holds it; true also where the file system knows no locks."""
    if not CAN_LOCK:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def is_locked(path: Path) -> bool:
    """Whether another run holds the file of this name; not so where there is none."""
    if not path.is_file():
        return False
    try:
        with FileIO(path) as file:
            return not lock(file)
    except OSError:
        return False


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of the system as one line.

    Raises:
        InputError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
