"""The rows of ``integrations.py``: which host, with which appearance, and how it is fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from peers import OURS, PEERS, Rows, part_tracker_step

from bpbreid_track.integrations.report import AppearanceReport, appearance_report
from bpbreid_track.integrations.vectors import Vector, flat_vectors

Report = Callable[[], AppearanceReport]
Step = Callable[..., Rows]
"""One frame: xyxy float32 [N, 4], scores float32 [N], appearance as ``Row.appearance`` gives it."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        host: tracker.
        label: its appearance, in words.
        model: whose embeddings it gets; None: none.
        vector: how part embeddings are given to it; None: as they are.
        build: from frames a second, a fresh tracker and its report, where there is one.
    """

    host: str
    label: str
    model: str | None
    vector: Vector | None
    build: Callable[[float], tuple[Step, Report | None]]

    def appearance(self, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
        """What the step gets besides boxes: vectors [N, D] or None, and visibility or None."""
        if self.model is None:
            return None, None
        if self.model != "bpbreid":
            return arrays["vectors"], None
        features, visibility = arrays["features"], arrays["visibility"]
        if self.vector is None:
            return features, visibility
        import torch

        from bpbreid_track import PartEmbeddings

        names = [str(number) for number in range(visibility.shape[1])]
        people = PartEmbeddings(torch.from_numpy(features), torch.from_numpy(visibility), names)
        return flat_vectors(people, self.vector), None


def _peer(name: str) -> Callable[[float], tuple[Step, None]]:
    """A tracker of ``peers.py`` by motion alone."""
    peer = next(peer for peer in (*PEERS, *OURS) if peer.name == name)
    return lambda rate: (peer.build(rate, False), None)


def _boxmot(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        import torch
        from boxmot.structures import Boxes, Detections
        from boxmot.trackers.config import load_tracker_config

        from bpbreid_track.integrations import boxmot as ours
        from bpbreid_track.integrations.boxmot_parts import BotSort, PartBotSort

        options = {**load_tracker_config("botsort"), "use_cmc": False, "frame_rate": round(rate)}
        tracker = PartBotSort(**options) if exact else BotSort(**options)
        report = tracker.appearance if exact else ours.watch(tracker)
        frame = 0

        def step(xyxy: np.ndarray, scores: np.ndarray, vectors: np.ndarray, *_: Any) -> Rows:
            nonlocal frame
            frame += 1
            tracks = tracker.update(
                Detections(
                    geometry=Boxes(torch.from_numpy(xyxy)),
                    scores=torch.from_numpy(scores),
                    class_ids=torch.zeros(len(xyxy), dtype=torch.int64),
                    sample_id=str(frame),
                    embeddings=torch.from_numpy(vectors),
                )
            )
            return np.asarray(tracks.track_ids), np.asarray(tracks.geometry.values), np.asarray(tracks.scores)

        return step, lambda: report

    return build


def _ultralytics(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from ultralytics.engine.results import Boxes
        from ultralytics.utils import YAML, IterableSimpleNamespace

        from bpbreid_track.integrations import ultralytics as ours

        appearance = "parts" if exact else "foreground"
        settings = YAML.load(ours.TRACKER) | {"gmc_method": "none", "appearance": appearance}
        tracker = ours.BPBReIDTracker(IterableSimpleNamespace(**settings))

        def step(xyxy: np.ndarray, scores: np.ndarray, vectors: np.ndarray, *_: Any) -> Rows:
            table = np.column_stack([xyxy, scores, np.zeros(len(xyxy))]).astype(np.float32).reshape(-1, 6)
            out = np.asarray(tracker.update(Boxes(table, orig_shape=(1080, 1920)), feats=vectors))
            out = out.reshape(-1, 8)
            return out[:, 4].astype(int), out[:, :4], out[:, 5]

        return step, lambda: appearance_report(tracker)

    return build


def _deep_sort(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from bpbreid_track.integrations import deep_sort_realtime as ours

        tracker = ours.DeepSort(embedder=None)
        if exact:
            tracker.tracker.metric = ours.PartMetric(tracker.tracker.metric.matching_threshold)
        report = ours.watch(tracker)

        def step(xyxy: np.ndarray, scores: np.ndarray, vectors: np.ndarray, *_: Any) -> Rows:
            ltwh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
            raw = [(box.tolist(), float(score), "person") for box, score in zip(ltwh, scores, strict=True)]
            tracks = ours.update_tracks(tracker, raw, list(vectors))
            shown = [track for track in tracks if track.is_confirmed() and track.time_since_update == 0]
            return (
                np.array([int(track.track_id) for track in shown], int),
                np.array([track.to_ltrb(orig=True) for track in shown]).reshape(-1, 4),
                np.array([track.get_det_conf() for track in shown], float),
            )

        return step, lambda: report

    return build


def _norfair(vector: Vector) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        import norfair

        from bpbreid_track.integrations import norfair as ours

        tracker = ours.ReIDTracker(vector)
        frame = 0

        def step(xyxy: np.ndarray, scores: np.ndarray, vectors: np.ndarray, *_: Any) -> Rows:
            nonlocal frame
            frame += 1
            points = xyxy.astype(float).reshape(-1, 2, 2)
            detections = [
                norfair.Detection(box, np.array([score, score], float), frame, embedding=flat)
                for box, score, flat in zip(points, scores, vectors, strict=True)
            ]
            found = [item for item in tracker.update(detections) if item.last_detection.data == frame]
            return (
                np.array([item.id for item in found], int),
                np.array([item.estimate.reshape(-1) for item in found]).reshape(-1, 4),
                np.array([item.last_detection.scores[0] for item in found], float),
            )

        return step, lambda: appearance_report(tracker)

    return build


def _part_tracker(rate: float) -> tuple[Step, Report]:
    from bpbreid_track import PartTracker, TrackerConfig

    tracker = PartTracker(TrackerConfig(frame_rate=rate))
    return part_tracker_step(tracker), lambda: appearance_report(tracker)


NONE, FLAT, EXACT = "none", "foreground vector (drop-in)", "part distance (exact)"

HOSTS = (
    Row("boxmot BoT-SORT", NONE, None, None, _peer("boxmot BoT-SORT")),
    Row("boxmot BoT-SORT", "its own: OSNet x0.25", "osnet", None, _boxmot(exact=False)),
    Row("boxmot BoT-SORT", FLAT, "bpbreid", "foreground", _boxmot(exact=False)),
    Row("boxmot BoT-SORT", "concat vector (drop-in)", "bpbreid", "concat", _boxmot(exact=False)),
    Row("boxmot BoT-SORT", EXACT, "bpbreid", "parts", _boxmot(exact=True)),
    Row("ultralytics BoT-SORT", NONE, None, None, _peer("ultralytics BoT-SORT")),
    Row("ultralytics BoT-SORT", FLAT, "bpbreid", "foreground", _ultralytics(exact=False)),
    Row("ultralytics BoT-SORT", EXACT, "bpbreid", "parts", _ultralytics(exact=True)),
    Row("deep-sort-realtime", NONE, None, None, _peer("deep-sort-realtime")),
    Row("deep-sort-realtime", "its own: MobileNetV2", "mobilenet", None, _deep_sort(exact=False)),
    Row("deep-sort-realtime", FLAT, "bpbreid", "foreground", _deep_sort(exact=False)),
    Row("deep-sort-realtime", EXACT, "bpbreid", "parts", _deep_sort(exact=True)),
    Row("norfair", NONE, None, None, _peer("norfair")),
    Row("norfair", FLAT, "bpbreid", "foreground", _norfair("foreground")),
    Row("norfair", EXACT, "bpbreid", "parts", _norfair("parts")),
    Row("trackers BoT-SORT", NONE, None, None, _peer("trackers BoT-SORT")),
    Row("PartTracker", NONE, None, None, _peer("bpbreid_track")),
    Row("PartTracker", EXACT, "bpbreid", None, _part_tracker),
)
