"""Sequences with boxes, truth and pictures, as every benchmark of tracks looks at them.

A *view* is a sequence at a part of its frame rate, forwards or backwards. Embeddings are computed once for
the whole sequence and for each veil, since a view only picks frames.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from host_vectors import Vectors, boxes_of, cached, frames, store, stored
from in_hindsight import smooth
from occlusion_cases import Case, textures
from peers import Peer
from tracking import sequence_facts, write_frame

from bpbreid_track.config import SmoothConfig
from bpbreid_track.evaluation import evaluate_folder
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.tracking.boxes import intersections

COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "IDSW")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class View:
    """Every ``step``-th frame of a sequence, the last one first where it is seen backwards."""

    step: int = 1
    backwards: bool = False

    def frames(self, length: int) -> np.ndarray:
        """Numbers (from 1) of the frames that are shown, in the order in which they are."""
        shown = np.arange(1, length + 1, self.step)
        return shown[::-1] if self.backwards else shown


@dataclass(frozen=True)
class Model:
    """An encoder by name, and how it is made where the cache has no embeddings of it."""

    name: str
    build: Callable[[], Vectors]


class Footage:
    """One sequence with the boxes of one detection file.

    Attributes:
        folder, name, det: where it comes from.
        rate, length: frames a second, and their number.
        rows, frame, xyxy, scores: boxes that take part, sorted by frame.
        width: of the picture.
    """

    def __init__(self, folder: Path, det: str, minimum: float = 0.1) -> None:
        self.folder, self.name, self.det = folder, folder.name, det
        self.rate, self.length = sequence_facts(folder)
        self.rows = boxes_of(folder, det, minimum)
        self.frame = self.rows.frame
        self.xyxy = self.rows.xyxy.astype(np.float32)
        self.scores = self.rows.confidence.astype(np.float32)
        self.truth = read_mot(folder / "gt" / "gt.txt")
        self._lines = (folder / "gt" / "gt.txt").read_text(encoding="utf-8").splitlines()
        self.width = next(iter(frames(folder))).shape[1]

    def vectors(self, case: Case, model: Model, cache: Path) -> Arrays:
        """What a model sees of every box, from ``cache`` where it lies there. Gap and whole look alike."""
        name = model.name if self.det == "yolo11n.txt" else f"{model.name}-{Path(self.det).stem}"
        if not case.veil:
            return cached(self.folder, self.rows, name, model.build, cache)
        path = cache / f"{self.name}-{name}-veil{case.band:g}.npz"
        arrays = stored(path, self.rows)
        if arrays is None:
            arrays = self._veiled(case, model, self.vectors(Case("whole"), model, cache))
            store(path, self.rows, arrays)
        return arrays

    def _veiled(self, case: Case, model: Model, plain: Arrays) -> Arrays:
        """``plain`` with the boxes computed anew that show some of the veil."""
        compute, out, sides = model.build(), {key: array.copy() for key, array in plain.items()}, None
        for number, image in enumerate(itertools.islice(frames(self.folder), int(self.frame.max())), start=1):
            here = np.flatnonzero(self.frame == number)
            if not len(here):
                continue
            xyxy = self.xyxy[here].astype(np.float64)
            sides = sides or textures(image, xyxy)
            near = case.near(xyxy, self.width)
            touched = here[(intersections(xyxy, xyxy[near]) > 0).any(axis=1)]
            if not len(touched):
                continue
            painted = case.paint(image, xyxy, sides)
            for key, array in compute(painted, self.rows.xyxy[touched]).items():
                out[key][touched] = array
        return out

    def track(
        self,
        peer: Peer,
        case: Case,
        view: View,
        vectors: Arrays | None,
        out: Path,
        hindsight: SmoothConfig | None = None,
    ) -> None:
        """Run a tracker over the boxes that a case leaves, and write what it would show.

        With ``hindsight``, what our command line would write of it.
        """
        step = peer.build(self.rate / view.step, vectors is not None)
        kept = case.kept(self.xyxy, self.width)
        with out.open("w", encoding="utf-8") as handle:
            for number, here in enumerate(self.shown(view), start=1):
                here = here[kept[here]]
                ids, xyxy, scores = step(self.xyxy[here], self.scores[here], *appearance(vectors, here))
                write_frame(handle, number, ids, xyxy, scores)
        if hindsight is not None:
            rate, length = self.rate / view.step, len(view.frames(self.length))
            counted = functools.partial(case.kept, width=self.width)  # what is filled in at a gap is nobody's
            smooth(out, rate, length, hindsight.lag_seconds, out, hindsight.bridge_seconds, counted)

    def shown(self, view: View) -> list[np.ndarray]:
        """Rows of the boxes of each frame, in the order of the view."""
        bounds = np.searchsorted(self.frame, np.arange(1, self.length + 2))
        return [np.arange(bounds[number - 1], bounds[number]) for number in view.frames(self.length)]

    def write_truth(self, case: Case, view: View, out: Path) -> None:
        """The ground truth of a view, without the rows in the band of its gap."""
        (out / "gt").mkdir(parents=True)
        shown = view.frames(self.length)
        new = np.zeros(self.length + 1, int)
        new[shown] = np.arange(1, len(shown) + 1)
        kept = case.kept(self.truth.xyxy, self.width) & (new[self.truth.frame] > 0)
        lines = []
        for row in np.flatnonzero(kept):
            fields = self._lines[self.truth.line[row] - 1].split(",", 1)
            lines.append((new[self.truth.frame[row]], fields[1]))
        text = "".join(f"{number},{rest}\n" for number, rest in sorted(lines, key=lambda line: line[0]))
        (out / "gt" / "gt.txt").write_text(text, encoding="utf-8")
        info = f"[Sequence]\nname={self.name}\nframeRate={self.rate / view.step:g}\nseqLength={len(shown)}\n"
        (out / "seqinfo.ini").write_text(info, encoding="utf-8")


def appearance(vectors: Arrays | None, rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What the step of a tracker gets besides boxes: vectors and, of parts, their visibility."""
    if vectors is None:
        return None, None
    if "features" in vectors:
        return vectors["features"][rows], vectors["visibility"][rows]
    return vectors["vectors"][rows], None


def as_one_part(vectors: Arrays) -> Arrays:
    """One vector a box as a single part that always shows, for a tracker of parts."""
    flat = vectors["vectors"] if "vectors" in vectors else vectors["features"][:, 0]
    return {"features": flat[:, None], "visibility": np.ones((len(flat), 1), np.float32)}


def measure(
    run: Callable[[Case, View, Path], None], footage: Footage, looks: list[tuple[Case, View]]
) -> list[dict[str, Any]]:
    """Figures of one tracker on one sequence, one row for each case and view."""
    with tempfile.TemporaryDirectory() as place:
        truth, results = Path(place, "truth"), Path(place, "results")
        results.mkdir()
        names = [f"{footage.name}-{number:03}" for number in range(len(looks))]
        for name, (case, view) in zip(names, looks, strict=True):
            footage.write_truth(case, view, truth / name)
            run(case, view, results / f"{name}.txt")
        metrics = evaluate_folder(truth, results, sequences=names)
    return [{key: metrics.sequences[name].as_dict()[key] for key in COLUMNS} for name in names]
