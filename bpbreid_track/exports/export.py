"""Which formats there are, and the writing of one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, UsageError, did_you_mean
from ..io.part_file import check_free, write_whole
from ..io.paths import check_new_folder, check_not_read
from ..io.whole_folder import write_folder, write_zip
from . import cvat
from .coco import coco_json
from .labelstudio import labelstudio_json
from .mot import mot_files, soccernet_files
from .tracks import Footage, Tracks, load_tracks, look_at

_ZIP = ".zip"
_FILE_SUFFIXES = {".xml", ".json", ".jsonl", ".txt", ".csv"}


@dataclass(frozen=True)
class Format:
    """A format that tracks are exported to.

    Attributes:
        suffix: of the file; empty for a folder. All but .json can be packed as .zip.
        files: content by name. A format of one file has one.
        wants_video: whether it states the size of the pictures.
        counts_pictures: frames are told by their place, so the pictures must be numbered 1, 2, 3, ....
        has_keyframes: whether boxes between keyframes can be left to the tool.
        has_names: whether it can say what people are called.
    """

    suffix: str
    files: Callable[[Tracks, Footage | None, float], Mapping[str, bytes]]
    wants_video: bool = True
    counts_pictures: bool = False
    has_keyframes: bool = False
    has_names: bool = True


def _known(footage: Footage | None) -> Footage:
    assert footage is not None
    return footage


FORMATS = {
    "cvat": Format(
        ".xml",
        lambda t, f, px: {cvat.FILE: cvat.cvat_xml(t, f, px)},
        False,
        counts_pictures=True,
        has_keyframes=True,
    ),
    "mot": Format("", lambda t, _f, _px: mot_files(t), False, counts_pictures=True, has_names=False),
    "coco": Format(".json", lambda t, f, _px: {"instances.json": coco_json(t, _known(f))}),
    "soccernet": Format("", lambda t, f, _px: soccernet_files(t, _known(f))),
    "labelstudio": Format(
        ".json",
        lambda t, f, px: {"tasks.json": labelstudio_json(t, _known(f), px)},
        counts_pictures=True,
        has_keyframes=True,
    ),
}


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        out: file or folder.
        identities: how many.
        boxes: how many.
        notes: what the format has no place for, or the user should do.
    """

    out: Path
    identities: int
    boxes: int
    notes: tuple[str, ...]


def export_tracks(
    tracks: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    tolerance: float = 0.0,
) -> ExportReport:
    """Write a track file in the format of an annotation tool, whole or not at all.

    Args:
        tracks: .txt, .csv or .jsonl.
        to: a name of ``FORMATS``.
        out: a file, which is replaced, or a new folder; ``.zip`` packs what is a folder, and CVAT's XML.
        video: what was tracked. ``coco``, ``soccernet`` and ``labelstudio`` need it for the size of the
            pictures; ``cvat`` ends tracks by it that last to the end of the tracks but not of the video.
        tolerance: for ``cvat`` and ``labelstudio``: how far, in pixels, an edge may be off where the tool
            draws a straight line between keyframes; 0: every box is a keyframe.

    Raises:
        UsageError: an unknown format, a wrong suffix, or an option that the format has no use for or needs.
        InputError: something cannot be read or written, or the pictures are not numbered as the tool counts.
    """
    if to not in FORMATS:
        raise UsageError(f"unknown format {to!r}{did_you_mean(to, FORMATS)}")
    kind, path = FORMATS[to], Path(out)
    if not 0 <= tolerance < 1e6:
        raise UsageError(f"tolerance: expected pixels from 0, got {tolerance:g}")
    if tolerance and not kind.has_keyframes:
        raise UsageError(f"{to} states every box, so there is no tolerance; it is for cvat and labelstudio")
    if video is None and kind.wants_video:
        raise UsageError(f"{to} states the size of the pictures; give --video, what was tracked")
    _check_out(path, to, kind, [tracks, video])
    read = load_tracks(tracks)
    footage = None if video is None else look_at(video, read.frame)
    if (
        footage
        and kind.counts_pictures
        and footage.numbers[:1]
        and footage.numbers[-1] != len(footage.numbers)
    ):
        first, last = footage.numbers[0], footage.numbers[-1]
        raise InputError(
            f"{video}: {len(footage.numbers)} pictures, numbered {first} to {last}; {to} counts them from 1, "
            "so boxes would lie on other pictures; number the files 1, 2, 3, ... and track them again"
        )
    files = kind.files(read, footage, tolerance)
    if path.suffix.lower() == _ZIP:
        write_zip(path, files)
    elif kind.suffix:
        write_whole(path, next(iter(files.values())))
    else:
        write_folder(path, files)
    return ExportReport(path, len(read.label), len(read.frame), tuple(_notes(read, footage, to, kind)))


def _check_out(path: Path, to: str, kind: Format, inputs: list[str | os.PathLike[str] | None]) -> None:
    """Fail before anything is read where ``path`` does not suit the format, or would replace an input."""
    suffix = path.suffix.lower()
    packed = suffix == _ZIP and kind.suffix != ".json"
    if kind.suffix and suffix != kind.suffix and not packed:
        also = " or .zip" if kind.suffix == ".xml" else ""
        raise UsageError(f"{path}: {to} is written as {kind.suffix}{also}")
    if not kind.suffix and suffix in _FILE_SUFFIXES:
        raise UsageError(f"{path}: {to} is written as a folder or as .zip")
    check_not_read(path, inputs)
    if kind.suffix or packed:
        check_free(path)
    else:
        check_new_folder(path)


def _notes(tracks: Tracks, footage: Footage | None, to: str, kind: Format) -> list[str]:
    notes = []
    if tracks.nameless:
        notes.append(f"{tracks.nameless} boxes without identity are left out")
    if tracks.uncounted:
        notes.append(f"{tracks.uncounted} boxes of confidence 0, which do not count, are left out")
    if any(tracks.name) and not kind.has_names:
        notes.append(f"{to} has no place for names; they are left out")
    if to == "cvat" and footage is None:
        notes.append(
            "without --video tracks that last to the last box have no end; give it if more frames follow"
        )
    return notes
