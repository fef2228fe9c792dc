"""Several files that belong together, written all or not at all: into a folder or a zip archive."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from .locks import writing
from .part_file import write_whole
from .paths import check_new_folder

# Equal content gives equal archives.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """A new folder with these files, by their names in it; it has its name when all are written.

    Raises:
        InputError: it cannot be written; nothing is left then.
        UsageError: it holds files already, or is a file.
    """
    check_new_folder(path)
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            for name, data in files.items():
                file = part / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            if path.is_dir():
                path.rmdir()
            part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """A zip archive of these files; whole or not there.

    Raises:
        InputError: it cannot be written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    write_whole(path, buffer.getvalue())
