"""Identities of the videos of a manifest, and who of one video is who of another."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..embedding_files import maker_of
from ..embeddings import PartEmbeddings
from ..errors import InputError, UsageError
from ..identities.across import Seen, impossible, join, mean_views
from .clocks import Clock
from .manifest import MANIFEST, Entry, read_manifest
from .track_files import Boxes, read_boxes

# Mean part distance above which two groups stay apart: see docs/across_videos.md.
MAX_DISTANCE = 0.75


@dataclass(frozen=True)
class Tracked:
    """A video of a manifest with its tracks and views.

    Attributes:
        folder: of the manifest.
        entry: what it says.
        boxes: the track file.
        views: views of identities by their number.
        weights: fingerprint of the encoder that made them; empty where the files do not say.
    """

    folder: Path
    entry: Entry
    boxes: Boxes
    views: dict[int, PartEmbeddings]
    weights: str = ""

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return float(self.entry.figures["frame_rate"])

    @property
    def tracks(self) -> Path:
        """The track file."""
        return self.folder / self.entry.outputs["tracks"]


@dataclass(frozen=True)
class Person:
    """Some identities that are one person: pairs of the number of a video and an identity in it."""

    number: int
    members: tuple[tuple[int, int], ...]


def find_runs(paths: Sequence[Path]) -> list[tuple[Path, Entry]]:
    """The finished runs that ``paths`` mean, in the order of the manifests.

    Args:
        paths: folders of results, manifests, or outputs in such folders, as a shell makes of ``tracked/*``:
            then those runs alone of which one is named, or all if the manifest is among them.

    Raises:
        InputError: no manifest there, or no finished run.
    """
    # Folders under their real names: one that is named twice must not be joined with itself.
    called: dict[Path, Path] = {}
    wanted: dict[Path, set[str] | None] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        inside = path.is_dir() and (path / MANIFEST).exists()
        folder = path if inside else path.absolute().parent
        if not (folder / MANIFEST).exists():
            raise InputError(f"{path}: no {MANIFEST} there; give the --out-dir of bpbreid-track")
        folder = called.setdefault(folder.resolve(), folder)
        if inside or path.name == MANIFEST:
            wanted[folder] = None
        elif (names := wanted.setdefault(folder, set())) is not None:
            names.add(path.name)
    found = [
        (folder, entry)
        for folder, names in wanted.items()
        for entry in read_manifest(folder / MANIFEST).values()
        if entry.state == "done" and (names is None or names & set(entry.outputs.values()))
    ]
    if not found:
        raise InputError(f"{paths[0]}: its {MANIFEST} names no video that was tracked to its end")
    return found


def read_tracked(folder: Path, entry: Entry) -> Tracked:
    """A video with its tracks and views.

    Raises:
        InputError: it was tracked without views or tracks, or they cannot be read.
    """
    missing = [kind for kind in ("gallery", "tracks") if kind not in entry.outputs]
    if missing:
        raise InputError(
            f"{folder / entry.name}: has no {' and no '.join(missing)}; people are compared by saved views: "
            "track with --write txt,gallery"
        )
    if not (folder / entry.outputs["gallery"]).is_dir():
        raise InputError(f"{folder / entry.outputs['gallery']}: no such folder; track this video again")
    views, weights = {}, ""
    named: dict[str, list[int]] = entry.figures.get("named", {})
    for path in sorted((folder / entry.outputs["gallery"]).glob("*.npz")):
        # A person of --gallery goes by name, everybody else by number, with "-2" where that is a name.
        number = re.fullmatch(r"(\d+)(-\d+)?", path.stem)
        for identity in named.get(path.stem, [int(number[1])] if number else []):
            views[identity] = PartEmbeddings.load(path)
            weights = maker_of(path)
    return Tracked(folder, entry, read_boxes(folder / entry.outputs["tracks"]), views, weights)


def link_videos(
    videos: Sequence[Tracked],
    clocks: Sequence[Clock],
    *,
    max_distance: float = MAX_DISTANCE,
    min_seconds: int = 1,
    max_seconds: float = math.inf,
) -> list[Person]:
    """Who of the videos is who; every identity with views is in one person, most alone.

    Args:
        videos: V of them.
        clocks: V, where and when each was taken.
        max_distance: mean part distance above which groups stay apart.
        min_seconds: least time from one camera to another, at least 1. Cameras look at different places.
        max_seconds: longest time from one to the next.

    Raises:
        InputError: views of different encoders.
        UsageError: a limit that makes no sense.
    """
    if not 0 < max_distance <= 2:
        raise UsageError(f"--max-distance: expected above 0 and at most 2, got {max_distance:g}")
    owners = [(number, identity) for number, video in enumerate(videos) for identity in video.views]
    if not owners:
        return []
    views = [videos[number].views[identity] for number, identity in owners]
    for (number, identity), view in zip(owners, views, strict=True):
        if (view.part_names, view.dim) != (views[0].part_names, views[0].dim):
            raise InputError(
                f"{videos[number].folder / videos[number].entry.name}: views of identity {identity} were "
                "made by another encoder; track all videos with the same"
            )
    made = {video.weights: video for video in videos if video.weights}
    if len(made) > 1:
        one, other = (video.folder / video.entry.name for video in list(made.values())[:2])
        raise InputError(
            f"{one} and {other}: views made by different weights; track both with the same encoder"
        )
    seen, together = _seen(videos, clocks, owners)
    forbidden = impossible(seen, together, min_seconds, max_seconds)
    groups = join(mean_views(views), forbidden, max_distance)
    return [
        Person(group + 1, tuple(owners[row] for row in np.flatnonzero(groups == group)))
        for group in range(int(groups.max()) + 1)
    ]


def _seen(
    videos: Sequence[Tracked], clocks: Sequence[Clock], owners: list[tuple[int, int]]
) -> tuple[Seen, np.ndarray]:
    """When and where everybody was seen, and rows of ``owners`` that were seen in one frame."""
    seconds = [np.zeros(0, np.int64)] * len(owners)
    cameras = {name: number for number, name in enumerate(dict.fromkeys(clock.camera for clock in clocks))}
    pairs = [np.zeros((0, 2), np.int64)]
    for number, (video, clock) in enumerate(zip(videos, clocks, strict=True)):
        rows = {identity: row for row, (owner, identity) in enumerate(owners) if owner == number}
        pairs.append(
            np.array(
                [[rows[a], rows[b]] for a, b in video.boxes.together() if a in rows and b in rows], np.int64
            ).reshape(-1, 2)
        )
        if math.isnan(clock.start):
            continue
        for identity, row in rows.items():
            frames = video.boxes.frame[video.boxes.id == identity]
            times = clock.start + (frames - 1) / video.frame_rate
            seconds[row] = np.unique(np.floor(times).astype(np.int64))
    camera = np.array([cameras[clocks[number].camera] for number, _ in owners])
    return Seen(camera, seconds), np.concatenate(pairs)
