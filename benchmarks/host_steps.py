"""One frame through a tracker of each package: boxes and vectors in, the rows to draw out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""ids int64 [M], xyxy [M, 4], scores [M] of the rows that have an identity."""

Step = Callable[[np.ndarray, np.ndarray, "np.ndarray | None", "np.ndarray | None"], Rows]
"""One frame: xyxy float32 [N, 4], scores float32 [N], vectors float32 [N, D] or None; a tracker of parts gets
vectors [N, P, D] with their visibility [N, P], which is None for the others."""


def as_rows(ids: Any, xyxy: Any, scores: Any) -> Rows:
    """Whatever a package gives back as ``Rows``."""
    return (
        np.asarray(ids, dtype=np.int64).reshape(-1),
        np.asarray(xyxy, dtype=np.float64).reshape(-1, 4),
        np.asarray(scores, dtype=np.float64).reshape(-1),
    )


def ultralytics_step(tracker: Any) -> Step:
    """A tracker of Ultralytics."""
    from ultralytics.engine.results import Boxes

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        table = np.column_stack([xyxy, scores, np.zeros(len(xyxy))]).astype(np.float32).reshape(-1, 6)
        # The shape of the frame serves normalised coordinates only, which no tracker reads.
        out = np.asarray(tracker.update(Boxes(table, orig_shape=(1080, 1920)), feats=features)).reshape(-1, 8)
        return as_rows(out[:, 4], out[:, :4], out[:, 5])

    return step


def boxmot_step(tracker: Any) -> Step:
    """A tracker of BoxMOT."""
    import torch
    from boxmot.structures import Boxes, Detections

    frame = 0

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        nonlocal frame
        frame += 1
        if features is None:
            table = np.column_stack([xyxy, scores, np.zeros(len(xyxy))]).astype(np.float32).reshape(-1, 6)
            out = np.asarray(tracker.update(table)).reshape(-1, 8)
            return as_rows(out[:, 4], out[:, :4], out[:, 5])
        tracks = tracker.update(
            Detections(
                geometry=Boxes(torch.from_numpy(xyxy)),
                scores=torch.from_numpy(scores),
                class_ids=torch.zeros(len(xyxy), dtype=torch.int64),
                sample_id=str(frame),
                embeddings=torch.from_numpy(features),
            )
        )
        return as_rows(tracks.track_ids, tracks.geometry.values, tracks.scores)

    return step


def norfair_step(tracker: Any) -> Step:
    """A tracker of norfair; tracks that are coasting are left out."""
    import norfair

    frame = 0

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        nonlocal frame
        frame += 1
        points = xyxy.astype(np.float64).reshape(-1, 2, 2)
        vectors = [None] * len(points) if features is None else features
        detections = [
            norfair.Detection(box, np.array([score, score], np.float64), frame, embedding=vector)
            for box, score, vector in zip(points, scores, vectors, strict=True)
        ]
        found = [item for item in tracker.update(detections) if item.last_detection.data == frame]
        return as_rows(
            [item.id for item in found],
            [item.estimate.reshape(-1) for item in found],
            [item.last_detection.scores[0] for item in found],
        )

    return step


def deep_sort_step(update: Callable[[list[Any], list[np.ndarray]], Any]) -> Step:
    """A tracker of deep-sort-realtime, by its update of boxes and vectors; coasting tracks are left out."""

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        if features is None:
            features = np.ones((len(xyxy), 1), dtype=np.float32)
        ltwh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        raw = [(box.tolist(), float(score), "person") for box, score in zip(ltwh, scores, strict=True)]
        tracks = update(raw, list(features))
        shown = [track for track in tracks if track.is_confirmed() and track.time_since_update == 0]
        return as_rows(
            [int(track.track_id) for track in shown],
            [track.to_ltrb(orig=True) for track in shown],
            [track.get_det_conf() for track in shown],
        )

    return step


def part_tracker_step(tracker: Any) -> Step:
    """``PartTracker`` fed with parts [N, P, D] and their visibility, or with boxes alone."""
    import supervision as sv
    import torch

    from bpbreid_track import PartEmbeddings

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, visibility: np.ndarray | None
    ) -> Rows:
        embeddings = None
        if features is not None and visibility is not None:
            names = [f"row{index}" for index in range(features.shape[1])]
            embeddings = PartEmbeddings(torch.from_numpy(features), torch.from_numpy(visibility), names)
        out = tracker.update(sv.Detections(xyxy, confidence=scores), embeddings=embeddings)
        known = out.tracker_id >= 0
        return as_rows(out.tracker_id[known], out.xyxy[known], out.confidence[known])

    return step
