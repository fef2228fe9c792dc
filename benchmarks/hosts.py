"""Other trackers behind one small interface, each with its own defaults.

A peer is fed boxes and gives back the rows it would let its user draw. No peer sees an image, so
camera-motion compensation is off where it would want one. What each gives back differs, and the tables say
so: the box of the detector or the box of its Kalman filter, of matched rows only. ``PEERS`` run as their
packages give them, ``HOSTS`` with our appearance in them.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bpbreid_track.integrations.report import AppearanceReport, appearance_report
from bpbreid_track.integrations.vectors import Vector, flat_vectors

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""ids int64 [M], xyxy [M, 4], scores [M] of the rows that have an identity."""
Step = Callable[[np.ndarray, np.ndarray, "np.ndarray | None", "np.ndarray | None"], Rows]
"""One frame: xyxy float32 [N, 4], scores float32 [N], vectors float32 [N, D] or None; a tracker of parts gets
vectors [N, P, D] with their visibility [N, P], which is None for the others."""


@dataclass(frozen=True)
class Peer:
    """One tracker of one package.

    Attributes:
        name: how tables call it.
        package: distribution on the package index.
        box: which box it gives back.
        build: makes a fresh tracker from frames a second and whether vectors will come.
        takes_vectors: whether it can use one appearance vector a box.
        needs_vectors: whether it is nothing without one.
        settings: what was set beside its defaults.
    """

    name: str
    package: str
    box: str
    build: Callable[[float, bool], Step]
    takes_vectors: bool = False
    needs_vectors: bool = False
    settings: str = "defaults"

    @property
    def installed(self) -> bool:
        return _version(self.package) is not None

    @property
    def version(self) -> str:
        return _version(self.package) or "not installed"


def _version(package: str) -> str | None:
    if package == "bpbreid-track":  # from the checkout, installed or not
        from bpbreid_track import __version__

        return __version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rows(ids: Any, xyxy: Any, scores: Any) -> Rows:
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
        return _rows(out[:, 4], out[:, :4], out[:, 5])

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
            return _rows(out[:, 4], out[:, :4], out[:, 5])
        tracks = tracker.update(
            Detections(
                geometry=Boxes(torch.from_numpy(xyxy)),
                scores=torch.from_numpy(scores),
                class_ids=torch.zeros(len(xyxy), dtype=torch.int64),
                sample_id=str(frame),
                embeddings=torch.from_numpy(features),
            )
        )
        return _rows(tracks.track_ids, tracks.geometry.values, tracks.scores)

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
        return _rows(
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
        return _rows(
            [int(track.track_id) for track in shown],
            [track.to_ltrb(orig=True) for track in shown],
            [track.get_det_conf() for track in shown],
        )

    return step


def _roboflow(name: str, **options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        import supervision as sv
        import trackers

        tracker = getattr(trackers, name)(frame_rate=frame_rate, **options)

        def step(xyxy: np.ndarray, scores: np.ndarray, *_: np.ndarray | None) -> Rows:
            out = tracker.update(
                sv.Detections(xyxy, confidence=scores, class_id=np.zeros(len(xyxy), dtype=int))
            )
            if out.tracker_id is None:
                return _rows([], [], [])
            known = out.tracker_id >= 0
            return _rows(out.tracker_id[known], out.xyxy[known], out.confidence[known])

        return step

    return build


def _ultralytics(name: str, **options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        settings = YAML.load(check_yaml(f"{name}.yaml")) | options
        if vectors:
            settings["with_reid"] = True  # model "auto" means: vectors come with the boxes
        return ultralytics_step(TRACKER_MAP[name](args=IterableSimpleNamespace(**settings)))

    return build


def _boxmot(name: str, backend: str = "python", **options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        from boxmot import create_tracker
        from boxmot.trackers.specs import TrackerSpec

        chosen = dict(options)
        if "frame_rate" in chosen:
            chosen["frame_rate"] = round(frame_rate)
        if "use_embeddings" in chosen:
            chosen["use_embeddings"] = vectors
        tracker = create_tracker(TrackerSpec(name, options=tuple(sorted(chosen.items())), backend=backend))
        if name == "strongsort":  # it has no option for that
            tracker.cmc, tracker.requires_frame, tracker._requires_frame = None, False, False
        return boxmot_step(tracker)

    return build


def _norfair(frame_rate: float, vectors: bool) -> Step:
    import norfair

    appearance: dict[str, Any] = {}
    if vectors:

        def reid_distance(new: Any, old: Any) -> float:
            return 1.0 - float(new.last_detection.embedding @ old.last_detection.embedding)

        appearance = {
            "reid_distance_function": reid_distance,
            "reid_distance_threshold": 0.5,
            "reid_hit_counter_max": 30,
        }
    # The package has no default for these two; its own detector demos use iou and 0.7.
    return norfair_step(norfair.Tracker(distance_function="iou", distance_threshold=0.7, **appearance))


def _deep_sort_realtime(frame_rate: float, vectors: bool) -> Step:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    # Without an encoder it demands vectors all the same; below 0 no pair agrees: only its IoU stage matches.
    tracker = DeepSort(embedder=None) if vectors else DeepSort(embedder=None, max_cosine_distance=-1.0)
    return deep_sort_step(lambda raw, vectors: tracker.update_tracks(raw, embeds=vectors))


DETECTOR, KALMAN = "detector", "Kalman"

PEERS = (
    Peer("trackers ByteTrack", "trackers", DETECTOR, _roboflow("ByteTrackTracker")),
    Peer("trackers OC-SORT", "trackers", DETECTOR, _roboflow("OCSORTTracker")),
    Peer(
        "trackers BoT-SORT",
        "trackers",
        DETECTOR,
        _roboflow("BoTSORTTracker", enable_cmc=False),
        settings="no camera motion",
    ),
    Peer("trackers C-BIoU", "trackers", DETECTOR, _roboflow("CBIoUTracker")),
    Peer("trackers SORT", "trackers", DETECTOR, _roboflow("SORTTracker")),
    Peer("ultralytics ByteTrack", "ultralytics", KALMAN, _ultralytics("bytetrack")),
    Peer(
        "ultralytics BoT-SORT",
        "ultralytics",
        KALMAN,
        _ultralytics("botsort", gmc_method="none"),
        True,
        settings="no camera motion",
    ),
    Peer("ultralytics OC-SORT", "ultralytics", KALMAN, _ultralytics("ocsort")),
    Peer("ultralytics FastTrack", "ultralytics", KALMAN, _ultralytics("fasttrack")),
    Peer("boxmot ByteTrack", "boxmot", KALMAN, _boxmot("bytetrack", frame_rate=30)),
    Peer("boxmot OC-SORT", "boxmot", DETECTOR, _boxmot("ocsort")),
    Peer(
        "boxmot BoT-SORT",
        "boxmot",
        KALMAN,
        _boxmot("botsort", frame_rate=30, use_cmc=False, use_embeddings=False),
        True,
        settings="no camera motion",
    ),
    Peer(
        "boxmot BoostTrack",
        "boxmot",
        KALMAN,
        _boxmot("boosttrack", use_cmc=False, use_embeddings=False),
        True,
        settings="no camera motion",
    ),
    Peer(
        "boxmot OccluBoost",
        "boxmot",
        KALMAN,
        _boxmot("occluboost", use_cmc=False, use_embeddings=False),
        True,
        settings="no camera motion",
    ),
    Peer(
        "boxmot StrongSORT",
        "boxmot",
        KALMAN,
        _boxmot("strongsort"),
        True,
        True,
        settings="no camera motion",
    ),
    Peer(
        "norfair",
        "norfair-enough",
        KALMAN,
        _norfair,
        True,
        settings="distance iou, threshold 0.7; vectors: cosine distance below 0.5",
    ),
    Peer(
        "deep-sort-realtime",
        "deep-sort-realtime",
        DETECTOR,
        _deep_sort_realtime,
        True,
        settings="no embedder",
    ),
)


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
        return _rows(out.tracker_id[known], out.xyxy[known], out.confidence[known])

    return step


def _part_tracker(**options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        from bpbreid_track import PartTracker, TrackerConfig

        return part_tracker_step(PartTracker(TrackerConfig(frame_rate=frame_rate, **options)))

    return build


def part_tracker_peer(**options: Any) -> Peer:
    """Ours, with settings of ``TrackerConfig`` changed."""
    return Peer("bpbreid_track", "bpbreid-track", DETECTOR, _part_tracker(**options), True)


def settings(peer: Peer) -> Any:
    """What ran, for the record: our settings in full, for the others what differs from their defaults."""
    if peer not in OURS:
        return peer.settings
    from bpbreid_track import TrackerConfig

    return TrackerConfig().model_dump(mode="json", exclude={"frame_rate"}) | {"frame_rate": "of the sequence"}


OURS = (part_tracker_peer(),)

Report = Callable[[], AppearanceReport]


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


def _by_motion(name: str) -> Callable[[float], tuple[Step, None]]:
    """A tracker of ``PEERS`` or ``OURS`` by motion alone."""
    peer = next(peer for peer in (*PEERS, *OURS) if peer.name == name)
    return lambda rate: (peer.build(rate, False), None)


def _boxmot_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from boxmot.trackers.config import load_tracker_config

        from bpbreid_track.integrations import boxmot as ours
        from bpbreid_track.integrations.boxmot_parts import BotSort, PartBotSort

        options = {**load_tracker_config("botsort"), "use_cmc": False, "frame_rate": round(rate)}
        tracker = PartBotSort(**options) if exact else BotSort(**options)
        report = tracker.appearance if exact else ours.watch(tracker)
        return boxmot_step(tracker), lambda: report

    return build


def _ultralytics_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from ultralytics.utils import YAML, IterableSimpleNamespace

        from bpbreid_track.integrations import ultralytics as ours

        appearance = "parts" if exact else "foreground"
        settings = YAML.load(ours.TRACKER) | {"gmc_method": "none", "appearance": appearance}
        tracker = ours.BPBReIDTracker(IterableSimpleNamespace(**settings))
        return ultralytics_step(tracker), lambda: appearance_report(tracker)

    return build


def _deep_sort_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from bpbreid_track.integrations import deep_sort_realtime as ours

        tracker = ours.DeepSort(embedder=None)
        if exact:
            tracker.tracker.metric = ours.PartMetric(tracker.tracker.metric.matching_threshold)
        report = ours.watch(tracker)
        return deep_sort_step(lambda raw, vectors: ours.update_tracks(tracker, raw, vectors)), lambda: report

    return build


def _norfair_host(vector: Vector) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from bpbreid_track.integrations import norfair as ours

        tracker = ours.ReIDTracker(vector)
        return norfair_step(tracker), lambda: appearance_report(tracker)

    return build


def _part_tracker_host(rate: float) -> tuple[Step, Report]:
    from bpbreid_track import PartTracker, TrackerConfig

    tracker = PartTracker(TrackerConfig(frame_rate=rate))
    return part_tracker_step(tracker), lambda: appearance_report(tracker)


NONE, FLAT, EXACT = "none", "foreground vector (drop-in)", "part distance (exact)"

HOSTS = (
    Row("boxmot BoT-SORT", NONE, None, None, _by_motion("boxmot BoT-SORT")),
    Row("boxmot BoT-SORT", "its own: OSNet x0.25", "osnet", None, _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", FLAT, "bpbreid", "foreground", _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", "concat vector (drop-in)", "bpbreid", "concat", _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", EXACT, "bpbreid", "parts", _boxmot_host(exact=True)),
    Row("ultralytics BoT-SORT", NONE, None, None, _by_motion("ultralytics BoT-SORT")),
    Row("ultralytics BoT-SORT", FLAT, "bpbreid", "foreground", _ultralytics_host(exact=False)),
    Row("ultralytics BoT-SORT", EXACT, "bpbreid", "parts", _ultralytics_host(exact=True)),
    Row("deep-sort-realtime", NONE, None, None, _by_motion("deep-sort-realtime")),
    Row("deep-sort-realtime", "its own: MobileNetV2", "mobilenet", None, _deep_sort_host(exact=False)),
    Row("deep-sort-realtime", FLAT, "bpbreid", "foreground", _deep_sort_host(exact=False)),
    Row("deep-sort-realtime", EXACT, "bpbreid", "parts", _deep_sort_host(exact=True)),
    Row("norfair", NONE, None, None, _by_motion("norfair")),
    Row("norfair", FLAT, "bpbreid", "foreground", _norfair_host("foreground")),
    Row("norfair", EXACT, "bpbreid", "parts", _norfair_host("parts")),
    Row("trackers BoT-SORT", NONE, None, None, _by_motion("trackers BoT-SORT")),
    Row("PartTracker", NONE, None, None, _by_motion("bpbreid_track")),
    Row("PartTracker", EXACT, "bpbreid", None, _part_tracker_host),
)
