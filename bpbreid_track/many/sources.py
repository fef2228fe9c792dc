"""What a call with many sources asks for: files, folders of videos, patterns, lists."""

from __future__ import annotations

import glob
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import Notice, UsageError
from ..io.addresses import is_stored, public_name
from ..io.sources.images import IMAGE_SUFFIXES, natural_key
from ..io.stores import files_at

LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Asked:
    """One source.

    Attributes:
        source: what ``open_source`` is given, or an address, from which it is fetched before.
        key: what tells it from others: its absolute path, or the address as it may be shown.
        why: why nothing can be tracked there, where that is known already; else empty.
    """

    source: str
    key: str
    why: str = ""

    @property
    def shown(self) -> str:
        """The source as it may be shown."""
        return public_name(self.source)

    @property
    def stored(self) -> bool:
        """Whether it lies at an address."""
        return is_stored(self.source)


def expand(sources: Sequence[str], out_dir: Path) -> list[Asked]:
    """Every source that is asked for, once, in the order given; inside folders in natural order.

    A folder of pictures (or ``img1``, or a MOTChallenge sequence) is one source, as for a single run. Of any
    other folder every file is one, whatever its name: what is no video shall be said, not passed over. Hidden
    files are left out. A file ``.txt`` is a list: a path a line, relative to its own folder; empty lines and
    those that begin with ``#`` are passed over. An address means a file, a folder of files, or a pattern.

    Args:
        sources: as on the command line.
        out_dir: the folder of the results.

    Raises:
        UsageError: a stream or a camera, which have no end; a folder that is written as well.
    """
    found: dict[str, Asked] = {}
    for text in sources:
        for asked in _expanded(text, out_dir, lists=True):
            found.setdefault(asked.key, asked)
    return list(found.values())


def _expanded(text: str, out_dir: Path, *, lists: bool) -> Iterator[Asked]:
    if not text:
        raise UsageError("SOURCE is empty; give a video file, a folder or a list of them")
    if text == "demo":
        yield Asked(text, text)
        return
    if is_stored(text):
        yield from _at_address(text)
        return
    if "://" in text or (text.isdecimal() and not os.path.exists(text)):
        raise UsageError(
            f"{public_name(text)}: a stream or a camera has a run of its own; leave it or --out-dir out"
        )
    # Those of os.path, which answer no where a folder above may not be entered.
    path = Path(text)
    if os.path.isdir(text):
        yield from _folder(path, out_dir)
    elif lists and path.suffix.lower() == LIST_SUFFIX and os.path.isfile(text):
        yield from _list(path, out_dir)
    elif not os.path.exists(text) and glob.has_magic(text):
        yield from _matches(text, out_dir)
    else:
        yield _one(path)


def _one(path: Path, why: str = "") -> Asked:
    return Asked(str(path), os.path.abspath(path), why or _why_not(path))


def _why_not(path: Path) -> str:
    """Why nothing can be read there; empty where that is not known."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "a link that leads nowhere" if os.path.islink(path) else "no such file or folder"
    except OSError as error:
        return error.strerror or str(error)
    # To open a pipe would be to wait for whoever writes into it.
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "neither a file nor a folder"


def _at_address(address: str) -> Iterator[Asked]:
    found = files_at(address)
    if not found:
        yield Asked(address, public_name(address), "no such file, and no files in such a folder")
    for each in sorted(found, key=lambda file: natural_key(Path(file))):
        picture = Path(each).suffix.lower() in IMAGE_SUFFIXES
        yield Asked(each, public_name(each), "pictures are read from folders only" if picture else "")


def _folder(folder: Path, out_dir: Path) -> Iterator[Asked]:
    if os.path.isfile(folder / "seqinfo.ini"):
        yield _one(folder)
        return
    try:
        items = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        yield _one(folder, error.strerror or str(error))
        return
    if os.path.isdir(folder / "img1") or any(path.suffix.lower() in IMAGE_SUFFIXES for path in items):
        yield _one(folder)
        return
    if _same(folder, out_dir):
        raise UsageError(f"{folder}: is read by this call and would be written into; give another --out-dir")
    passed_over = [path for path in items if os.path.isdir(path) and not _same(path, out_dir)]
    if passed_over:
        some = ", ".join(path.name for path in sorted(passed_over, key=natural_key)[:3])
        warnings.warn(
            f"{folder}: folders inside it are passed over ({some}{', ...' if len(passed_over) > 3 else ''}); "
            "name them to have them tracked",
            Notice,
            stacklevel=2,
        )
    files = sorted((path for path in items if not os.path.isdir(path)), key=natural_key)
    if not files:
        yield _one(folder, "no videos and no images in this folder")
    yield from map(_one, files)


def _same(path: Path, other: Path) -> bool:
    return os.path.exists(other) and path.samefile(other)


def _list(path: Path, out_dir: Path) -> Iterator[Asked]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        yield _one(path, f"not a list of paths, one a line: {reason}")
        return
    named = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not named:
        yield _one(path, "a list without a single path")
    for line in named:
        inside = "://" in line or line == "demo" or line.isdecimal()
        yield from _expanded(line if inside else str(path.parent / line), out_dir, lists=False)


def _matches(pattern: str, out_dir: Path) -> Iterator[Asked]:
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)), key=natural_key)
    if any(match.suffix.lower() in IMAGE_SUFFIXES for match in matches):
        yield Asked(pattern, os.path.abspath(pattern))  # pictures of one source
    elif not matches:
        yield Asked(pattern, os.path.abspath(pattern), "matches no file")
    else:
        for match in matches:
            yield from _expanded(str(match), out_dir, lists=False)
