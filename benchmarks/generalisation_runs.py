"""Trackers on many looks at sequences, side by side, as ``generalisation.py`` wants them."""

from __future__ import annotations

import csv
import functools
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from footage import COLUMNS, Arrays, Footage, Model, View, as_one_part, measure
from generalisation_tables import KEY, Row, Who, key_of, mean
from occlusion_cases import Case
from peers import PEERS, Peer, part_tracker_peer

from bpbreid_track.config import SmoothConfig

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Look = tuple[Case, View]


@dataclass(frozen=True)
class Entry:
    """A tracker with its appearance.

    Attributes:
        tracker, appearance: how tables call it.
        model: whose vectors it gets; None: none.
        changed: settings of ours that are not the defaults; None for a peer.
        hindsight: how its tracks are smoothed and filled; None: they are not.
    """

    tracker: str
    appearance: str
    model: Model | None
    changed: dict[str, Any] | None = None
    hindsight: SmoothConfig | None = None

    @property
    def peer(self) -> Peer:
        if self.changed is not None:
            return part_tracker_peer(**self.changed)
        return next(peer for peer in PEERS if peer.name == self.tracker)

    def vectors(self, footage: Footage, case: Case, cache: Path) -> Arrays | None:
        """What it gets of every box."""
        if self.model is None:
            return None
        arrays = footage.vectors(case, self.model, cache)
        return as_one_part(arrays) if self.changed is not None and "features" not in arrays else arrays


@dataclass(frozen=True)
class Job:
    """One tracker on one sequence."""

    entry: Entry
    folder: Path
    det: str
    looks: list[Look]
    cache: Path

    @property
    def title(self) -> str:
        return f"{self.entry.tracker}, {self.entry.appearance}, {self.folder.name} {self.det}"

    def row(self, look: Look) -> Row:
        """The columns that say what was measured."""
        case, view = look
        band = "" if case.band is None else case.band
        values = (self.entry.tracker, self.entry.appearance, self.folder.name, self.det)
        return dict(zip(KEY, (*values, case.name, band, view.step, int(view.backwards)), strict=True))


class Figures:
    """Rows that were measured, in a CSV file too where one is given, and found there again."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._columns = path, [*KEY, *COLUMNS]
        self.rows: dict[tuple[Any, ...], Row] = {}
        if path is None:
            return
        known = list(self._read(path)) if path.is_file() else []
        with path.open("w", newline="", encoding="utf-8") as handle:
            csv.DictWriter(handle, self._columns).writeheader()
        self.add(known)

    def _read(self, path: Path) -> Iterator[Row]:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            if reader.fieldnames != self._columns:
                raise SystemExit(f"{path}: not figures of this benchmark; name another file")
            for row in reader:
                if None in row.values() or not row["IDSW"]:  # a run ended while it wrote this row
                    continue
                numbers: Row = {name: float(row[name]) for name in COLUMNS}
                numbers |= {name: int(row[name]) for name in ("step", "backwards", "IDSW")}
                yield row | numbers | {"band": float(row["band"]) if row["band"] else ""}

    def add(self, rows: list[Row]) -> None:
        """Keep rows."""
        self.rows |= {key_of(row): row for row in rows}
        if self._path is not None:
            with self._path.open("a", newline="", encoding="utf-8") as handle:
                csv.DictWriter(handle, self._columns).writerows(rows)


def pending(jobs: list[Job], figures: Figures) -> list[Job]:
    """The jobs with looks that are not measured yet, and those looks alone."""
    left = []
    for job in jobs:
        looks = [look for look in job.looks if key_of(job.row(look)) not in figures.rows]
        if looks:
            left.append(replace(job, looks=looks))
    return left


@functools.lru_cache(maxsize=2)
def footage_of(folder: Path, det: str) -> Footage:
    return Footage(folder, det)


def done(job: Job) -> list[Row]:
    """The rows of a job, in a process of its own."""
    footage = footage_of(job.folder, job.det)
    vectors = functools.cache(lambda case: job.entry.vectors(footage, case, job.cache))

    def run(case: Case, view: View, out: Path) -> None:
        seen = vectors(case if case.veil else Case("whole"))
        footage.track(job.entry.peer, case, view, seen, out, job.entry.hindsight)

    figures = measure(run, footage, job.looks)
    return [job.row(look) | found for look, found in zip(job.looks, figures, strict=True)]


def _quiet() -> None:
    """Begin a process that shares the machine with its like."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.disable(logging.INFO)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what peers print is no part of the tables


def run_all(jobs: list[Job], figures: Figures, processes: int) -> set[Who]:
    """Measure ``jobs`` side by side; trackers that failed somewhere are given back."""
    encoded = set()
    for job in jobs:
        for case in dict.fromkeys(case if case.veil else Case("whole") for case, _ in job.looks):
            model = job.entry.model
            if model is not None and (job.folder, job.det, case, model.name) not in encoded:
                encoded.add((job.folder, job.det, case, model.name))
                footage_of(job.folder, job.det).vectors(case, model, job.cache)
    os.environ |= dict.fromkeys(THREADS, "1")
    failed = set()
    # Fresh processes: one that is forked from a process with threads of torch can stand still.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _quiet)
    with pool:
        began = time.monotonic()
        running = {pool.submit(done, job): job for job in jobs}
        for number, future in enumerate(as_completed(running), start=1):
            job = running[future]
            try:
                rows = future.result()
            except Exception as error:  # of a peer, hours into a run: the others still count
                failed.add((job.entry.tracker, job.entry.appearance))
                outcome = f"failed: {type(error).__name__}: {error}"
            else:
                figures.add(rows)
                outcome = f"HOTA {mean(rows):.1f}"
            minutes = (time.monotonic() - began) / 60
            print(f"[{number}/{len(jobs)}, {minutes:.1f} min] {job.title}: {outcome}", file=sys.stderr)
    return failed
