"""Files that lie at an address such as ``s3://bucket/run``, read and written through fsspec.

An object store has no folders, no locks and nothing to append to: an object is put there whole. So nothing
here needs more than that.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError, install_extra, one_line
from .addresses import public_name, without_secrets

# Stands for a folder without files, which an object store cannot hold.
_EMPTY = ".empty"


class Store:
    """What lies under an address.

    Args:
        address: of a folder, in the words of fsspec; it need not exist.

    Attributes:
        name: the address as it may be shown.

    Raises:
        UsageError: nobody knows such addresses.
        InputError: fsspec, or the package behind this kind of address, is not installed.
    """

    def __init__(self, address: str) -> None:
        self.name = public_name(address).rstrip("/")
        self._fs, root = _opened(address)
        self._root = root.rstrip("/")

    def names(self, folder: str = "") -> set[str]:
        """Names of the files and folders in ``folder``; none where there is no such folder.

        Raises:
            InputError: it cannot be listed.
        """
        path = self._path(folder)
        with _said(f"{self.name}/{folder}".rstrip("/")):
            self._fs.invalidate_cache()  # others write there too
            try:
                found = self._fs.ls(path, detail=False)
            except FileNotFoundError:
                return set()
        return {_last(item) for item in found if item.strip("/") != path.strip("/")} - {"", _EMPTY}

    def is_file(self, name: str) -> bool:
        """Whether ``name`` is a file there.

        Raises:
            InputError: that cannot be found out.
        """
        with _said(f"{self.name}/{name}"):
            return bool(self._fs.isfile(self._path(name)))

    def read(self, folder: str) -> dict[str, bytes]:
        """What is in each file of ``folder``, by name.

        Raises:
            InputError: they cannot be read.
        """
        paths = [self._path(folder, name) for name in sorted(self.names(folder))]
        with _said(f"{self.name}/{folder}"):
            found = self._fs.cat(paths) if paths else {}
        return {_last(path): data for path, data in found.items()}

    def write(self, name: str, data: bytes) -> None:
        """Make or replace the file ``name``.

        Raises:
            InputError: it cannot be written.
        """
        path = self._path(name)
        with _said(f"{self.name}/{name}"):
            self._make_folders([path])
            self._fs.pipe_file(path, data)

    def put(self, local: Path, name: str) -> None:
        """Copy a file there, or a folder with all that is in it, in place of what has its name.

        Raises:
            InputError: it cannot be written.
        """
        if local.is_file():
            sources, targets = [local], [self._path(name)]
        else:
            sources = sorted(path for path in local.rglob("*") if path.is_file())
            targets = [self._path(name, path.relative_to(local).as_posix()) for path in sources]
            self._remove(name)
            if not sources:
                self.write(f"{name}/{_EMPTY}", b"")
                return
        with _said(f"{self.name}/{name}"):
            self._make_folders(targets)
            self._fs.put([str(source) for source in sources], targets)

    def get(self, names: Sequence[str], folder: Path) -> None:
        """Copy files from there into ``folder``, which exists, under their last names.

        Raises:
            InputError: one cannot be read.
        """
        with _said(self.name):
            if names:
                self._fs.get([self._path(name) for name in names], [str(folder / _last(n)) for n in names])

    def _path(self, *names: str) -> str:
        return "/".join([self._root, *filter(None, names)])

    def _make_folders(self, paths: Sequence[str]) -> None:
        """Folders for files, where there are real ones: a store of objects might make a bucket instead."""
        inside = self._fs
        while hasattr(inside, "fs"):  # one that changes the paths of another
            inside = inside.fs
        if not getattr(inside, "async_impl", False):
            for folder in {path.rpartition("/")[0] for path in paths}:
                self._fs.makedirs(folder, exist_ok=True)

    def _remove(self, name: str) -> None:
        with _said(f"{self.name}/{name}"):
            self._fs.invalidate_cache()
            with suppress(FileNotFoundError):
                self._fs.rm(self._path(name), recursive=True)


def files_at(address: str) -> list[str]:
    """Addresses of files, sorted: ``address`` itself, those in that folder, or those of that pattern.

    Args:
        address: its last part may be a pattern with ``*`` or ``[``. Names that begin with a dot are left out.

    Raises:
        UsageError: nobody knows such addresses.
        InputError: it cannot be listed, or fsspec or the package behind it is not installed.
    """
    head, _, last = address.rstrip("/").rpartition("/")
    if "*" in last or "[" in last:
        inside, pattern = head, last
    else:
        fs, path = _opened(address)
        with _said(public_name(address)):
            fs.invalidate_cache()
            if fs.isfile(path):
                return [address]
        inside, pattern = address.rstrip("/"), "*"
    fs, path = _opened(inside)
    with _said(public_name(address)):
        try:
            found = [item for item in fs.ls(path, detail=True) if item["type"] == "file"]
        except FileNotFoundError:
            return []
    names = sorted(_last(item["name"]) for item in found if item["name"].strip("/") != path.strip("/"))
    kept = [name for name in names if not name.startswith(".") and fnmatch.fnmatchcase(name, pattern)]
    return [f"{inside}/{name}" for name in kept]


def fetch(address: str, folder: Path) -> Path:
    """Copy the file at ``address`` into ``folder``, under its own name.

    Raises:
        InputError: it cannot be read.
    """
    fs, path = _opened(address)
    local = folder / _last(path)
    with _said(public_name(address)):
        fs.get_file(path, str(local))
    return local


@contextmanager
def called(local: Path, address: str) -> Iterator[None]:
    """Errors name ``address`` where they would name ``local``, a copy of what lies there."""
    try:
        yield
    except InputError as error:
        error.args = (str(error).replace(str(local), public_name(address).rstrip("/")),)
        raise


def ranges_of(address: str) -> tuple[int, Callable[[int, int], bytes]]:
    """The size of the file at ``address`` in bytes, and what reads some of them: from, to.

    Raises:
        InputError: it is not there; the reader raises it too.
    """
    fs, path = _opened(address)

    def read(start: int, end: int) -> bytes:
        with _said(public_name(address)):
            data: bytes = fs.cat_file(path, start=start, end=end)
        return data

    with _said(public_name(address)):
        fs.invalidate_cache()
        size = int(fs.size(path))
    return size, read


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    shown = public_name(address)
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise InputError(f"{shown}: addresses need fsspec; {install_extra('cluster')}") from error
    with _said(shown):
        try:
            fs, path = url_to_fs(address)
        except ImportError as error:
            kinds = address.partition("://")[0].split("::")
            known = [known_implementations[kind]["class"] for kind in kinds if kind in known_implementations]
            packages = {name.partition(".")[0] for name in known} - {"fsspec"}
            mend = f"pip install {' '.join(sorted(packages))}" if packages else "install what is named"
            raise InputError(f"{shown}: {one_line(error)}; {mend}") from error
        except ValueError as error:
            if "Protocol not known" not in str(error):
                raise
            raise UsageError(f"{shown}: fsspec knows no addresses of this kind") from error
    return fs, path


@contextmanager
def _said(shown: str) -> Iterator[None]:
    """Errors of whichever library stands behind an address as one line, without what it keeps secret."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each of them has errors of its own
        why = without_secrets(one_line(error)) or type(error).__name__
        raise InputError(f"{shown}: {why}") from error


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
