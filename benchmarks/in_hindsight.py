"""Tracks of a file as a run of the command line writes them: smoothed, gaps and absences filled in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import supervision as sv
from tracking import write_frame

from bpbreid_track.identities.hindsight import smooth_run
from bpbreid_track.identities.tracklets import TrackedRows
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.bridges import Bridges
from bpbreid_track.pipeline.replay import NO_PICTURE


def smooth(
    tracks: Path,
    rate: float,
    length: int,
    lag: float,
    out: Path,
    bridge: float = 0.0,
    kept: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Write the tracks of a file in hindsight.

    Args:
        tracks: MOTChallenge, may have no rows.
        rate, length: frames a second, and their number.
        lag: as ``smooth.lag_seconds``.
        out: file, may be ``tracks``.
        bridge: as ``smooth.bridge_seconds``.
        kept: says for boxes [N, 4] which are written, bool [N]; None: all.
    """
    found = read_mot(tracks)
    order = np.argsort(found.frame, kind="stable")
    frame, count = found.frame[order] - 1, len(order)
    rows = TrackedRows(
        frame=frame,
        time=frame / rate,
        id=found.id[order].astype(np.int64),
        xyxy=found.xyxy[order].astype(np.float64),
        confidence=found.confidence[order].astype(np.float32),
        class_id=np.zeros(count, np.int64),
        filled=np.zeros(count, bool),
    )
    times = np.arange(length) / rate
    done, bridges = smooth_run(rows, times, [None] * length, lag), Bridges(bridge)
    bounds = np.searchsorted(done.frame, np.arange(length + 1))
    written: list[tuple[Frame, sv.Detections]] = []
    for index, time in enumerate(times.tolist()):
        here = slice(bounds[index], bounds[index + 1])
        detections = sv.Detections(
            done.xyxy[here].astype(np.float32),
            confidence=done.confidence[here],
            tracker_id=done.id[here],
            data={"filled": done.filled[here]},
        )
        written += bridges.add(Frame(index, time, NO_PICTURE), detections, time)
    with out.open("w", encoding="utf-8") as handle:
        for shown, found_there in [*written, *bridges.finish()]:
            detections = found_there if kept is None else found_there[kept(found_there.xyxy)]
            assert detections.tracker_id is not None
            assert detections.confidence is not None
            number = shown.index + 1
            write_frame(handle, number, detections.tracker_id, detections.xyxy, detections.confidence)
