"""Tracks and ground truth of every kind that is read: MOTChallenge, CVAT, and the files of our own runs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError, one_line
from .cvat_xml import read_cvat
from .mot_format import MotRows, parse_mot, read_ground_truth, read_mot, rows_of, with_labels
from .track_text import TrackText, read_track_text

_OWN = {".csv", ".jsonl"}
_TRUTH_SUFFIXES = {".xml", ".zip"}
# Most bytes of a file in an archive.
_LARGEST = 1 << 30


def truth_file(path: str | os.PathLike[str]) -> Path:
    """The file with the ground truth of a sequence.

    Args:
        path: the file itself; or a folder with ``gt/gt.txt``, or with what CVAT exported in its place: one
            ``.xml`` or ``.zip`` in ``gt/``, or ``annotations.xml`` right inside.

    Raises:
        InputError: a folder has none, or several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = _truths(path)
    if not found:
        raise InputError(
            f"{path}: no ground truth there; expected a sequence with gt/gt.txt, or with an .xml or .zip of "
            "CVAT in gt/"
        )
    if len(found) > 1:
        names = " and ".join(str(file.relative_to(path)) for file in found[:2])
        raise InputError(f"{path}: {names} are both ground truth; keep one of them there")
    return found[0]


def is_sequence(folder: Path) -> bool:
    """Whether a folder holds the ground truth of one sequence."""
    return bool(_truths(folder))


def _truths(folder: Path) -> list[Path]:
    inside = folder / "gt"
    packed = sorted(p for p in inside.glob("*") if p.suffix.lower() in _TRUTH_SUFFIXES and p.is_file())
    files = [inside / "gt.txt", *packed, folder / "annotations.xml"]
    return [file for file in files if file.is_file()]


def read_truth(path: str | os.PathLike[str]) -> MotRows:
    """Ground truth: what ``truth_file`` finds, CVAT's ``.xml`` or ``.zip``, a run's ``.csv``, ``.jsonl``.

    Everything else is MOTChallenge text. Boxes of CVAT state class and visibility, those of a run neither.

    Raises:
        InputError: it is missing or malformed; names file and line.
    """
    return _read(truth_file(path), read_ground_truth)


def read_result(path: str | os.PathLike[str]) -> tuple[MotRows, np.ndarray]:
    """Tracks of a run, or of anybody else, in the same formats.

    Returns:
        The rows, and int64 [F], the frames that the file speaks of: those with a box, in .jsonl those without
        one too.

    Raises:
        InputError: as ``read_truth``.
    """
    path = truth_file(path)
    if path.suffix.lower() in _OWN:
        text = read_track_text(path)
        return _own_rows(text, path), text.frames
    rows = _read(path, read_mot)
    return rows, np.unique(rows.frame)


def _read(path: Path, read_text: Callable[[Path], MotRows]) -> MotRows:
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return read_cvat(_bytes(path), path)
    if suffix == ".zip":
        return _read_zip(path)
    if suffix in _OWN:
        return _own_rows(read_track_text(path), path)
    return read_text(path)


def _own_rows(text: TrackText, path: Path) -> MotRows:
    """The rows of a .csv or .jsonl; classes are not looked at, as .txt of the same run has none."""
    table = np.full((len(text.id), 10), np.nan)
    table[:, 0], table[:, 1], table[:, 2:6], table[:, 6] = text.frame, text.id, text.ltwh, text.confidence
    return rows_of(table, text.line, path)


def _read_zip(path: Path) -> MotRows:
    """An export of CVAT as it was downloaded: XML for video, or MOT."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            tracks = [name for name in names if PurePosixPath(name).name == "annotations.xml"]
            tracks += [name for name in names if PurePosixPath(name).parts[-2:] == ("gt", "gt.txt")]
            if len(tracks) != 1:
                found = (
                    "neither annotations.xml nor gt/gt.txt" if not tracks else f"{tracks[0]} and {tracks[1]}"
                )
                raise InputError(
                    f'{path}: holds {found}; expected one task exported as "CVAT for video 1.1" or "MOT 1.1"'
                )
            name = tracks[0]
            where = f"{path}/{name}"
            data = _member(archive, name, where)
            if name.endswith(".xml"):
                return read_cvat(data, where)
            rows = parse_mot(data, where)
            labels = str(PurePosixPath(name).with_name("labels.txt"))
            return with_labels(rows, _member(archive, labels, where), where) if labels in names else rows
    except InputError:
        raise
    except Exception as error:  # damaged archives lead the readers of their compressions to any error
        raise InputError(f"{path}: a damaged or locked zip archive ({one_line(error)})") from error


def _member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """A file of an archive, not trusting the size that is stated."""
    with archive.open(name) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InputError(f"{where}: more than {_LARGEST >> 20} MiB; unpack it and give the file")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
