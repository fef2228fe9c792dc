"""``runs.jsonl``: what was done with every source of a folder of results, a line for each event.

Lines are only ever added, so a call that is killed loses at most the line it was writing, and that one is
passed over. Of several lines on one source the last one counts. At an address, where nothing can be added to
a file, ``runs.jsonl`` is a folder with a file for each source, which holds the last line alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

from .._version import __version__
from ..errors import InputError, one_line
from ..io.locks import writing
from ..io.names import escaped_utf8

MANIFEST = "runs.jsonl"
State = Literal["begun", "done", "failed", "interrupted"]


def now() -> str:
    """Date and time, UTC, as entries have them."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        state: ``begun`` stays the last word on a source whose run was killed.
        source: absolute path.
        name: what its outputs are called.
        outputs: file or folder of each kind, relative to the folder of the manifest.
        fingerprint: of the source's content.
        settings: what the results depend on besides.
        figures: of the report: frames, seconds, identities, milliseconds a frame of each stage, ...
        error: why it failed.
        version: of this program.
        time: when that was, UTC.
    """

    state: State
    source: str
    name: str
    outputs: dict[str, str]
    fingerprint: str | None = None
    settings: dict[str, Any] | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    version: str = __version__
    time: str = field(default_factory=now)


def read_manifest(path: Path) -> dict[str, Entry]:
    """The last entry of every source, in the order of their first ones; nothing where there is no file.

    Args:
        path: the file, or a copy of the folder that it is at an address.

    Raises:
        InputError: it cannot be read, or a line is no entry.
    """
    try:
        if path.is_dir():
            return last_entries({str(item): item.read_bytes() for item in path.iterdir()})
        return last_entries({str(path): path.read_bytes()} if path.exists() else {})
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def last_entries(files: dict[str, bytes]) -> dict[str, Entry]:
    """The last entry of every source, in the order of their first ones.

    Args:
        files: what is in each of the files that are the manifest, by the names that errors call them.

    Raises:
        InputError: a line is no entry.
    """
    entries = [entry for name in sorted(files) for entry in _entries(name, files[name])]
    if len(files) > 1:
        entries.sort(key=lambda entry: entry.time)
    return {entry.source: entry for entry in entries}


def _entries(path: str, data: bytes) -> Iterator[Entry]:
    # What follows the last line break was being written when its writer was killed.
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            values = json.loads(line)
            known = {key: values[key] for key in Entry.__dataclass_fields__ if key in values}
            entry = Entry(**known)
            names = [entry.name, *entry.outputs.values()]
            texts = [entry.source, *names]
            if entry.state not in get_args(State) or not all(isinstance(text, str) for text in texts):
                raise ValueError("not an entry")
            if any(Path(name).name != name or name in {"", ".."} for name in names):
                raise ValueError("outputs lie beside the manifest")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number}: not an entry of a manifest ({one_line(error)}); "
                "remove the line, or give another folder"
            ) from error
        yield entry


def line_of(entry: Entry) -> bytes:
    """An entry as it is written."""
    return escaped_utf8(json.dumps(asdict(entry), ensure_ascii=False)) + b"\n"


class ManifestWriter:
    """Adds lines to a manifest; each is there whole once ``add`` returns.

    Args:
        path: the file; made if it is missing. A line that a killed call left unfinished is removed.

    Raises:
        InputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close
            # A killed call may have left half a line.
            self._file.truncate(path.read_bytes().rfind(b"\n") + 1)

    def add(self, entry: Entry) -> None:
        """Append a line.

        Raises:
            InputError: it cannot be written.
        """
        line = line_of(entry)
        with writing(self._path):
            if self._file.write(line) != len(line):
                raise OSError(None, "no space left")

    def close(self) -> None:
        """May be called twice."""
        self._file.close()
