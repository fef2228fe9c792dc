"""Training data out of one's own footage: the crops of every tracked person, a folder an identity."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import MotRows
from bpbreid_track.io.part_file import put
from bpbreid_track.io.read_tracks import is_sequence, read_truth, truth_file

if TYPE_CHECKING:
    from bpbreid_track.io.sources.base import Frame, Source

_JPEG_QUALITY = 95
_PEDESTRIAN = 1


@dataclass(frozen=True)
class CropsReport:
    """What a run of ``cut_crops`` did.

    Attributes:
        folder: where the identities' folders lie.
        identities: how many got a folder.
        images: crops written.
        left_out: reason -> how many boxes.
        notes: what the source has to say, such as how its frames are numbered.
    """

    folder: Path
    identities: int
    images: int
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report in words."""
        text = [f"{self.images} crops of {self.identities} identities in {self.folder}", *self.notes]
        if self.left_out:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            text.append(f"left out: {reasons}")
        return text


def cut_crops(
    source: str | os.PathLike[str],
    tracks: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    *,
    camera: str | None = None,
    stride: int = 5,
    min_height: int = 48,
    min_visibility: float = 0.5,
    min_images: int = 4,
    holdout: float = 0.0,
    quiet: bool = False,
) -> CropsReport:
    """Cut ``<out>/<camera>-<id>/<camera>_<frame>.jpg`` out of a video, the layout that training reads.

    With ``holdout`` identities go to ``<out>/train/``; of those kept back the earlier half of their crops go
    to ``<out>/gallery/`` and the later half, as if of another camera, to ``<out>/query/``. Several videos may
    be cut into one folder: identities are kept apart by the camera's name.

    Args:
        source: what ``open_source`` takes: a video, a folder of images, a MOTChallenge sequence.
        tracks: the tracks of it: MOTChallenge text with frames from 1, an .xml or .zip of CVAT, a .csv or
            .jsonl of a run; None: gt/gt.txt of the sequence, or what CVAT exported in its place.
        out: folder to write into.
        camera: name of the camera; by default the source's name. Underscores become dashes.
        stride: take every so many frames of a person; neighbouring frames show the same thing.
        min_height: boxes lower than this, in pixels, are left out.
        min_visibility: boxes of which less than this can be seen are left out: the ground truth's visibility
            where there is one, else what lies inside the frame and behind no box in front of it.
        min_images: identities with fewer crops are left out.
        holdout: share of the identities to test on, evenly spread over the order of their numbers.
        quiet: no progress.

    Raises:
        InputError: source or tracks cannot be read, or no crop is left.
        UsageError: a setting out of range, or ``out`` holds crops of this camera already.
    """
    if stride < 1 or min_images < 1 or not 0 <= min_visibility <= 1:
        raise UsageError("stride and min-images must be 1 at least, min-visibility between 0 and 1")
    if not 0 <= holdout < 1:
        raise UsageError(f"holdout: expected a share from 0 to below 1, got {holdout}")
    from bpbreid_track.io.open_source import open_source

    if tracks is None and not is_sequence(Path(source)):
        raise InputError(
            f"{source}: no gt/gt.txt in it; give the tracks, as bpbreid-track --tracks writes them"
        )
    path = truth_file(source if tracks is None else tracks)
    rows = read_truth(path)
    with open_source(source) as frames:
        left_out: Counter[str] = Counter()
        chosen = _chosen(
            rows, (frames.height, frames.width), stride, min_height, min_visibility, min_images, left_out
        )
        if not chosen.any():
            reasons = (
                ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the file is empty"
            )
            raise InputError(f"{path}: no box left to cut out ({reasons})")
        cut = np.flatnonzero(chosen)
        later = _held_out(rows, cut, holdout)
        name = _file_name(camera or frames.name)
        _check_new_camera(Path(out), name)
        written = _cut(frames, rows, cut, Path(out), name, later, quiet)
    missing = int(chosen.sum()) - sum(written.values())
    if not written:
        numbers = frames.frame_numbers
        have = f"; it has {numbers[0]} to {numbers[-1]}" if numbers else ""
        raise InputError(
            f"{source}: has none of the frames of {path} ({rows.frame[chosen].min()}, ...){have}"
        )
    if missing:
        left_out["in frames that the source does not have"] += missing
    return CropsReport(Path(out), len(written), sum(written.values()), dict(left_out), tuple(frames.notes))


def _chosen(
    rows: MotRows,
    frame_size: tuple[int, int],
    stride: int,
    min_height: int,
    min_visibility: float,
    min_images: int,
    left_out: Counter[str],
) -> np.ndarray:
    """bool [N], which boxes to cut out; counts in ``left_out`` why the others are not."""
    keep = (rows.id >= 0) & (rows.confidence != 0)
    has_visibility = bool(len(rows)) and bool(
        np.isnan(rows.extra[:, 2]).all() and (rows.extra[:, 1] >= 0).all()
    )
    # Ground truth since MOT16: class and visibility end the row. Track files of nine columns end in -1.
    if has_visibility:
        keep &= rows.extra[:, 0] == _PEDESTRIAN
    _count(left_out, "without identity or not a counted person", ~keep)
    visible = rows.extra[:, 1] if has_visibility else box_visibility(rows, keep, frame_size)
    height, width = frame_size
    x1, y1, x2, y2 = rows.xyxy.T
    tests = {
        "outside the frame": (x2 > 0) & (y2 > 0) & (x1 < width) & (y1 < height),
        f"lower than {min_height} px": rows.ltwh[:, 3] >= min_height,
        f"less than {min_visibility:.0%} visible": visible >= min_visibility,
    }
    for reason, passed in tests.items():
        _count(left_out, reason, keep & ~passed)
        keep &= passed
    spaced = keep & _every(rows, keep, stride)
    _count(left_out, f"within {stride} frames of another", keep & ~spaced)
    counts = Counter(rows.id[spaced].tolist())
    enough = spaced & np.array([counts[i] >= min_images for i in rows.id.tolist()], dtype=bool)
    _count(left_out, f"of persons with fewer than {min_images} crops", spaced & ~enough)
    return enough


def _count(left_out: Counter[str], reason: str, boxes: np.ndarray) -> None:
    if boxes.any():
        left_out[reason] += int(boxes.sum())


def _every(rows: MotRows, keep: np.ndarray, stride: int) -> np.ndarray:
    """bool [N]: the kept boxes of a person that lie ``stride`` frames or more after the one taken before."""
    taken = np.zeros(len(rows), dtype=bool)
    last: dict[int, int] = {}
    for row in np.flatnonzero(keep):
        person, frame = int(rows.id[row]), int(rows.frame[row])
        if person not in last or frame - last[person] >= stride:
            taken[row] = True
            last[person] = frame
    return taken


def box_visibility(rows: MotRows, persons: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
    """How much of each box can be seen, as far as boxes tell.

    Args:
        rows: N boxes.
        persons: bool [N], boxes that can hide others.
        frame_size: height and width of the frames.

    Returns:
        float [N] in [0, 1]: the share inside the frame, times what the one box hides least of all that stand
        before it leaves; of two boxes the one that reaches further down stands before the other.
    """
    height, width = frame_size
    x1, y1 = rows.ltwh[:, 0], rows.ltwh[:, 1]
    x2, y2 = x1 + rows.ltwh[:, 2], y1 + rows.ltwh[:, 3]
    area = rows.ltwh[:, 2] * rows.ltwh[:, 3]
    inside = (x2.clip(0, width) - x1.clip(0, width)) * (y2.clip(0, height) - y1.clip(0, height)) / area
    hidden = np.zeros(len(rows))
    for frame in np.unique(rows.frame):
        here = np.flatnonzero(rows.frame == frame)
        front = here[persons[here]]
        wide = np.minimum(x2[here][:, None], x2[front]) - np.maximum(x1[here][:, None], x1[front])
        high = np.minimum(y2[here][:, None], y2[front]) - np.maximum(y1[here][:, None], y1[front])
        cover = wide.clip(0) * high.clip(0) / area[here][:, None]
        hidden[here] = np.where(y2[front] > y2[here][:, None], cover, 0).max(axis=1, initial=0)
    return inside * (1 - hidden)


def _held_out(rows: MotRows, cut: np.ndarray, share: float) -> dict[int, int] | None:
    """For each identity kept back the frame from which on its crops are queries; None where none are.

    Raises:
        UsageError: too few identities to train on some and to test on others.
    """
    if not share:
        return None
    people = np.unique(rows.id[cut])
    count = max(2, round(share * len(people)))  # one alone is nobody to be told from
    if len(people) < count + 2:
        raise UsageError(
            f"holdout {share:g}: {len(people)} identities are too few to keep {count} back; "
            "cut more footage, or leave it out"
        )
    held = people[np.linspace(0, len(people) - 1, count).round().astype(int)]
    return {int(person): int(np.median(rows.frame[cut[rows.id[cut] == person]])) for person in held}


def _file(row_id: int, frame: int, camera: str, later: dict[int, int] | None) -> Path:
    """Where the crop of an identity in a frame (from 1) goes, relative to the folder of all."""
    folder = f"{camera}-{row_id:04d}"
    if later is None:
        return Path(folder, f"{camera}_{frame:06d}.jpg")
    if row_id not in later:
        return Path("train", folder, f"{camera}_{frame:06d}.jpg")
    if frame < later[row_id]:
        return Path("gallery", folder, f"{camera}_{frame:06d}.jpg")
    return Path("query", folder, f"{camera}-later_{frame:06d}.jpg")


def _check_new_camera(out: Path, camera: str) -> None:
    """Raise UsageError where ``out`` has crops of this camera: those of two runs would be mixed."""
    for part in (out, out / "train", out / "gallery", out / "query"):
        there = part.iterdir() if part.is_dir() else ()
        if any(re.fullmatch(rf"{re.escape(camera)}-\d+", item.name) for item in there):
            raise UsageError(
                f"{part}: holds crops of {camera} already, and old and new would be mixed; remove them, give "
                "another folder, or another --camera"
            )


def _cut(
    frames: Source,
    rows: MotRows,
    chosen: np.ndarray,
    out: Path,
    camera: str,
    later: dict[int, int] | None,
    quiet: bool,
) -> Counter[int]:
    """Write the chosen boxes; how many images each identity got."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for row in chosen:
        wanted[int(rows.frame[row]) - 1].append(int(row))
    last = max(wanted)
    total = sum(number <= last + 1 for number in frames.frame_numbers) or last + 1
    written: Counter[int] = Counter()
    try:
        for frame in _with_progress(frames, total, quiet):
            for row in wanted.get(frame.index, ()):
                person = int(rows.id[row])
                _write(frame.image, rows.xyxy[row], out / _file(person, frame.index + 1, camera, later))
                written[person] += 1
            if frame.index >= last:
                break
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}") from error
    return written


def _with_progress(frames: Source, total: int, quiet: bool) -> Iterator[Frame]:
    console = Console(stderr=True)
    columns = (TextColumn("crops"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        yield from bar.track(frames, total=total, description="crops")


def _write(image: np.ndarray, xyxy: np.ndarray, path: Path) -> None:
    height, width = image.shape[:2]
    x1, y1 = np.floor(xyxy[:2]).astype(int).clip(0)
    x2, y2 = np.minimum(np.ceil(xyxy[2:]).astype(int), [width, height])
    ok, data = cv2.imencode(".jpg", image[y1:y2, x1:x2], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert ok
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, data.tobytes())


def _file_name(camera: str) -> str:
    """A camera's name that the layout can hold: no underscore, nothing a file system minds."""
    return re.sub(r"[^\w.-]|_", "-", Path(camera).stem if "." in camera else camera).strip("-.") or "camera"
