"""How often people are put into the right team: by embedding, by colour, and by both.

    python benchmarks/teams.py SNMOT-060 --truth benchmarks/teams_of_SNMOT-060.csv [--tracks FILE.csv]

The sequence needs ground truth in gt/gt.txt, the truth a line ``id,team`` for each of its people, ``other``
for those of no team. Without ``--tracks`` the tracks are those of the ground truth. With it they are what
``bpbreid-track SNMOT-060 --teams 2 --tracks FILE.csv`` wrote, and each box belongs to the person of the truth
whose box it overlaps most, by half or more; boxes of nobody are left out. What the file itself says of
teams is judged too, as ``run``.

What a torso looks like is taken from clear boxes of every ``--step``-th frame:

* embedding: torso part of the encoder;
* colour: square roots of the shares of colours (``torso_colours``);
* both: as ``--teams`` puts one beside the other (``side_by_side``).

``views`` bounds how many boxes an identity shows, drawn by ``--seed``. Teams have no names, so they are
called as suits the truth best.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import supervision as sv

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from report import as_text, circumstances  # noqa: E402

from bpbreid_track import Encoder  # noqa: E402
from bpbreid_track.config import OTHERS, TEAM_NAMES, TrackerConfig  # noqa: E402
from bpbreid_track.identities.teams import find_teams, side_by_side, torso_rows  # noqa: E402
from bpbreid_track.identities.torso_colours import torso_colours  # noqa: E402
from bpbreid_track.io.mot_format import read_mot  # noqa: E402
from bpbreid_track.io.open_source import open_source  # noqa: E402
from bpbreid_track.io.track_text import read_track_text  # noqa: E402
from bpbreid_track.tracking.boxes import clear_boxes  # noqa: E402

_LEAST_OVERLAP = 0.5


class Tracks(NamedTuple):
    """R boxes: frame from 1, identity, corners, score, person of the truth (-1: nobody), team as written."""

    frame: np.ndarray
    id: np.ndarray
    xyxy: np.ndarray
    score: np.ndarray
    person: np.ndarray
    team: list[str]


def true_tracks(sequence: Path) -> Tracks:
    rows = read_mot(sequence / "gt" / "gt.txt")
    return Tracks(rows.frame, rows.id, rows.xyxy, np.ones(len(rows)), rows.id, [""] * len(rows))


def written_tracks(path: Path, sequence: Path) -> Tracks:
    """The tracks of a file, each box with the person it overlaps most."""
    read, truth = read_track_text(path), true_tracks(sequence)
    xyxy = np.hstack([read.ltwh[:, :2], read.ltwh[:, :2] + read.ltwh[:, 2:]]).astype(np.float32)
    person = np.full(len(xyxy), -1)
    for frame in np.unique(read.frame):
        rows, theirs = np.flatnonzero(read.frame == frame), np.flatnonzero(truth.frame == frame)
        if len(theirs):
            overlap = sv.box_iou_batch(xyxy[rows], truth.xyxy[theirs])
            best = overlap.argmax(axis=1)
            near = overlap.max(axis=1) >= _LEAST_OVERLAP
            person[rows[near]] = truth.id[theirs[best[near]]]
    return Tracks(read.frame, read.id, xyxy, read.confidence, person, read.team)


def looks(source: str, tracks: Tracks, step: int) -> tuple[np.ndarray, dict[str, list[np.ndarray]]]:
    """Rows of ``tracks`` that are looked at, and by kind the sets of unit vectors that tell them."""
    encoder, config = Encoder.load("default"), TrackerConfig()
    torso = torso_rows(encoder.part_names)
    used, embeddings, colours = list[int](), list[np.ndarray](), list[np.ndarray]()
    for frame in open_source(source):
        rows = np.flatnonzero(tracks.frame == frame.index + 1) if frame.index % step == 0 else []
        if not len(rows):
            continue
        rows = rows[clear_boxes(tracks.xyxy[rows], tracks.score[rows], config.max_cover, config.high_score)]
        features, visibility = encoder.encode(frame.image, tracks.xyxy[rows]).numpy()
        for at, row in enumerate(rows):
            colour = torso_colours(frame.image, tracks.xyxy[row])
            if colour is not None and (visibility[at, torso] > 0).all():
                used.append(int(row))
                embeddings.append(features[at, torso].ravel() / np.sqrt(len(torso)))
                colours.append(colour)
    embedding, colour = np.array(embeddings), np.array(colours)
    kinds = {"embedding": [embedding], "colour": [colour], "both": [embedding, colour]}
    return np.array(used), kinds


def sorted_into(sets: list[np.ndarray], ids: np.ndarray, count: int) -> dict[int, str]:
    """Team of each identity, by sets of unit vectors [K, D] of its views."""
    every, views = np.unique(ids, return_counts=True)
    means = [np.stack([vectors[ids == identity].mean(axis=0) for identity in every]) for vectors in sets]
    teams = find_teams(side_by_side(means, views), views, count)
    if teams is None:
        return {}
    names = [*TEAM_NAMES[:count], OTHERS]
    return {int(identity): names[team] for identity, team in zip(every, teams.team, strict=True)}


def accuracy(tracks: Tracks, team: list[str], truth: dict[int, str]) -> dict[str, Any]:
    """Share of boxes in the right team, and people whose boxes mostly are; ``team`` is that of each box."""
    rows = [row for row, person in enumerate(tracks.person.tolist()) if person in truth]
    true_names = sorted(set(truth.values()) - {OTHERS})
    best: dict[str, Any] = {}
    for names in permutations(true_names):
        called = {**dict(zip(TEAM_NAMES, names, strict=False)), OTHERS: OTHERS}
        right = np.array([called.get(team[row]) == truth[int(tracks.person[row])] for row in rows])
        person = tracks.person[rows]
        people = [right[person == each].mean() > 0.5 for each in np.unique(person)]
        if not best or right.mean() > best["boxes"]:
            best = {"boxes": float(right.mean()), "people": int(sum(people)), "of": len(people)}
    return best | {"judged": len(rows)}


def measured(
    sequence: Path, tracks: Tracks, truth: dict[int, str], step: int, seed: int
) -> list[dict[str, Any]]:
    """A row for each kind and number of views."""
    count = len(set(truth.values()) - {OTHERS})
    used, kinds = looks(str(sequence), tracks, step)
    rng = np.random.default_rng(seed)
    table = []
    for most in (None, 5, 2, 1):
        chosen = np.arange(len(used))
        if most is not None:
            order = rng.permutation(len(used))
            ids = tracks.id[used[order]]
            kept = [order[np.flatnonzero(ids == identity)[:most]] for identity in np.unique(ids)]
            chosen = np.concatenate(kept)
        for kind, sets in kinds.items():
            found = sorted_into([vectors[chosen] for vectors in sets], tracks.id[used[chosen]], count)
            team = [found.get(identity, "") for identity in tracks.id.tolist()]
            table.append({"by": kind, "views": most or "all"} | accuracy(tracks, team, truth))
    if any(tracks.team):
        table.append({"by": "run", "views": "all"} | accuracy(tracks, tracks.team, truth))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sequence", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--tracks", type=Path)
    parser.add_argument("--step", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with asked.truth.open(encoding="utf-8") as file:
        truth = {int(row["id"]): row["team"] for row in csv.DictReader(file)}
    tracks = (
        true_tracks(asked.sequence) if asked.tracks is None else written_tracks(asked.tracks, asked.sequence)
    )
    table = measured(asked.sequence, tracks, truth, asked.step, asked.seed)
    facts = circumstances(["supervision"], seed=asked.seed, config={"step": asked.step})
    if asked.json:
        print(json.dumps({"about": facts, "results": table}))
        return
    print(as_text(facts))
    print(f"{'by':10} {'views':>5} {'people':>8} {'boxes':>7} {'judged':>7}")
    for row in table:
        people = f"{row['people']}/{row['of']}"
        print(f"{row['by']:10} {row['views']:>5} {people:>8} {row['boxes']:7.3f} {row['judged']:7d}")


if __name__ == "__main__":
    main()
