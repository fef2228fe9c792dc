"""Files that replace others only when they are finished, and that one process at a time writes.

A run writes ``tracked.part.mp4`` and names it ``tracked.mp4`` at its end. So an earlier file stays until the
new one is complete, and a process that is killed leaves what it had, under a name that says so. A file that
can be read at any moment, as text can, need not wait for its name where there is no earlier one.

What is being written is locked (``flock``) as long as its process lives: another run is refused, and a part
that nobody holds is known to be a dead one's. Windows has no such lock, but replaces no file that is open.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
import warnings
from contextlib import suppress
from io import FileIO
from pathlib import Path

from ..errors import InputError, Notice
from .locks import CAN_LOCK, TakenError, is_locked, lock, writing
from .paths import check_writable

_LOOK = 1.0  # seconds between two looks whether the folder is still there


class PartFile:
    """A file that is being written.

    Where ``path`` is no regular file but a pipe or a device, it is written itself.

    Args:
        path: the name it gets; what is there stays until ``finish``. A link stays one.
        resume: go on with what a killed run has left, to be read and cut by the caller; else it is put
            aside until this one is finished.

    Attributes:
        path: as given.
        part: the name it has until then.
        failed: something could not be written; what was there before it is whole.

    Raises:
        InputError: another run writes it, or it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], resume: bool = False) -> None:
        self.path = Path(path)
        check_writable(self.path)
        self._target = Path(os.path.realpath(self.path))
        self._special = self._target.exists() and not self._target.is_file()
        self.part = self._target if self._special else part_name(self._target)
        self._resume = resume
        self._rescued: Path | None = None
        self._looked = time.monotonic()
        self.failed = False
        with writing(self.path):
            self._file = FileIO(self.part, "w") if self._special else self._claim()

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``, whole or not at all.

        Raises:
            InputError: the disk is full, or the folder is gone. Nothing more can be written then.
        """
        if self.failed:
            raise InputError(f"{self.path}: cannot be written")
        start = 0 if self._special else self._file.tell()
        try:
            with writing(self.path):
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
            self._check_place()
        except InputError:
            self.failed = True
            self.cut(start)
            raise
        return len(data)

    def appear(self) -> None:
        """Take the name now, unless another file has it. For files that can be read at any moment."""
        if not CAN_LOCK or self._special or self.part == self._target or os.path.lexists(self._target):
            return
        with writing(self.path):
            os.replace(self.part, self._target)
        self.part = self._target

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes."""
        if not self._special:
            with suppress(OSError, ValueError):
                self._file.truncate(size)
                self._file.seek(size)

    @property
    def successor(self) -> Path:
        """The name of another version of the file, which ``finish`` may take in its place."""
        return self.part.with_name(f"{self.part.stem}2{self.part.suffix}")

    def finish(self, successor: bool = False) -> None:
        """Give the file its name, and remove what a killed run left of it. May be called twice.

        Raises:
            InputError: it cannot be done. Where the folder has gone, it is made anew and holds the file.
        """
        if self._file.closed:
            return
        if self._special:
            with writing(self.path):
                self._file.close()
            return
        try:
            with writing(self.path):
                gone = not self.in_place
                if gone:
                    self._restore()
                if not CAN_LOCK:
                    self._file.close()
                if successor and not gone:
                    os.replace(self.successor, self._target)
                    self.part.unlink()
                elif self.part != self._target:
                    os.replace(self.part, self._target)
                if self._rescued is not None:
                    self._rescued.unlink(missing_ok=True)
            if gone and not self.failed:
                raise InputError(_gone(self.path))
        finally:
            self._file.close()

    def discard(self) -> None:
        """Leave nothing behind but what was there before. May be called twice."""
        if self._file.closed:
            return
        if not CAN_LOCK:
            self._file.close()
        if not self._special:
            with suppress(OSError):
                self.part.unlink()
        self._file.close()

    def leave(self) -> None:
        """Let go of the file as it is. May be called twice."""
        self._file.close()

    def _claim(self) -> FileIO:
        while True:
            file = FileIO(
                os.open(self.part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+"
            )
            try:
                if not lock(file):
                    raise TakenError(self.path)
                if not _is(file, self.part):  # finished or moved between the two
                    file.close()
                    continue
                if self._resume:
                    return file
                if os.fstat(file.fileno()).st_size == 0:
                    if is_locked(self._target):  # it has its name already
                        self.part.unlink()
                        raise TakenError(self.path)
                    with suppress(OSError):  # what is written keeps the rights of what it replaces
                        os.chmod(self.part, stat.S_IMODE(self._target.stat().st_mode))
                    with suppress(OSError):
                        self.successor.unlink(missing_ok=True)
                    return file
                self._rescue(file)
            except BaseException:
                file.close()
                raise

    def _rescue(self, file: FileIO) -> None:
        """Put aside what a killed run has left, until this one has finished."""
        rescued = kept_names(self._target)[1]
        if not CAN_LOCK:
            file.close()
        os.replace(self.part, rescued)
        file.close()
        self._rescued = rescued
        warnings.warn(
            f"{self.part} was left by a run that was killed; it is {rescued} until this one has finished",
            Notice,
            stacklevel=4,
        )

    def _check_place(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK or self._special:
            return
        self._looked = now
        if not self.in_place:
            raise InputError(_gone(self.path))

    @property
    def in_place(self) -> bool:
        """Whether the part is where it was made; not so once its folder is removed or moved."""
        return _is(self._file, self.part)

    def _restore(self) -> None:
        """The file anew, from what is still open, where its folder was removed or moved away."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._file.seek(0)
        with self.part.open("wb") as copy:
            shutil.copyfileobj(self._file, copy)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """
    file = PartFile(path)
    try:
        file.write(data)
    except BaseException:
        file.discard()
        raise
    file.finish()


def put(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all, in a folder that nobody else writes.

    Raises:
        OSError: it cannot be written; what was there before stays.
    """
    part = path.with_name(f".{path.name}.part")  # no suffix under which it would be taken for a whole one
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def check_free(path: str | os.PathLike[str]) -> None:
    """Fail early where a ``PartFile`` would.

    Raises:
        InputError: it cannot be written, or another run writes it.
    """
    path = Path(path)
    check_writable(path)
    target = Path(os.path.realpath(path))
    if is_locked(target) or is_locked(part_name(target)):
        raise TakenError(path)


def part_name(path: Path) -> Path:
    """The name of ``path`` while it is being written: players go by the suffix, so it stays the last."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def kept_names(path: Path) -> tuple[Path, Path]:
    """Where a killed run leaves what it had of ``path``, and where the next one keeps it."""
    return part_name(path), path.with_name(f"{path.stem}.killed{path.suffix}")


def _is(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _gone(path: Path) -> str:
    return f"{path}: its folder was removed or moved during the run; it was made anew, with what there was"
