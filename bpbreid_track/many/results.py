"""Where the results of a call lie: in a folder, or at an address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..io.locks import FolderClaim
from ..io.stores import Store
from .manifest import MANIFEST, Entry, ManifestWriter, last_entries, line_of, read_manifest


class Results(Protocol):
    """What is there already, and the manifest, which this process alone writes.

    Attributes:
        name: the folder or address, as it may be shown.
    """

    name: str

    def entries(self) -> dict[str, Entry]:
        """What the manifest says, as ``read_manifest`` has it."""

    def holds(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""

    def add(self, entry: Entry) -> None:
        """Write an entry into the manifest; it is there once this returns."""

    def close(self) -> None:
        """Let others write there. May be called twice."""


class FolderResults:
    """Results in a folder, which is claimed until ``close``.

    Args:
        folder: made if it is missing; its parent must exist.

    Raises:
        InputError: another run writes it, or it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder
        self._claim = FolderClaim(folder)
        self._writer: ManifestWriter | None = None

    def entries(self) -> dict[str, Entry]:
        if (self._folder / MANIFEST).is_dir():
            raise InputError(
                f"{self.name}: results that were copied from an address; go on there, or give another folder"
            )
        return read_manifest(self._folder / MANIFEST)

    def holds(self, name: str) -> bool:
        return os.path.exists(self._folder / name)

    def add(self, entry: Entry) -> None:
        if self._writer is None:
            self._writer = ManifestWriter(self._folder / MANIFEST)
        self._writer.add(entry)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._claim.release()


class StoreResults:
    """Results at an address. Nothing keeps other calls from writing there.

    Args:
        address: of a folder, in the words of fsspec.

    Raises:
        InputError: as ``Store``, or it cannot be listed.
    """

    def __init__(self, address: str) -> None:
        self._store = Store(address)
        self.name = self._store.name
        self._names = self._store.names()

    def entries(self) -> dict[str, Entry]:
        return entries_at(self._store)

    def holds(self, name: str) -> bool:
        return name in self._names

    def add(self, entry: Entry) -> None:
        self._store.write(f"{MANIFEST}/{entry.name}.jsonl", line_of(entry))

    def close(self) -> None:
        pass


def entries_at(store: Store) -> dict[str, Entry]:
    """What the manifest at an address says.

    Raises:
        InputError: it cannot be read, or is that of a folder.
    """
    if store.is_file(MANIFEST):
        raise InputError(
            f"{store.name}/{MANIFEST}: is a file, so these results were copied from a folder; go on there, "
            "or give another address"
        )
    files = store.read(MANIFEST)
    return last_entries({f"{store.name}/{MANIFEST}/{name}": data for name, data in files.items()})


def bring(address: str, folder: Path) -> None:
    """Copy what people of several videos are joined by into ``folder``: manifest, tracks and views.

    Args:
        address: where ``bpbreid-track --out-dir`` wrote.
        folder: a new one.

    Raises:
        InputError: there is no manifest, or something cannot be read.
    """
    store = Store(address)
    entries = entries_at(store)
    if not entries:
        raise InputError(f"{store.name}: no {MANIFEST} there; give the --out-dir of bpbreid-track")
    folder.mkdir()
    writer = ManifestWriter(folder / MANIFEST)
    for entry in entries.values():
        writer.add(entry)
        if entry.state != "done":
            continue
        if "tracks" in entry.outputs:
            store.get([entry.outputs["tracks"]], folder)
        if "gallery" in entry.outputs:
            views = folder / entry.outputs["gallery"]
            views.mkdir()
            names = sorted(store.names(views.name))
            store.get([f"{views.name}/{name}" for name in names if name.endswith(".npz")], views)
    writer.close()
