"""Other trackers behind one small interface, each as its package gives it and with its own defaults.

A peer is fed boxes and gives back the rows it would let its user draw. No peer sees an image, so
camera-motion compensation is off where it would want one. What each gives back differs, and the tables say
so: the box of the detector or the box of its Kalman filter, of matched rows only.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from host_steps import (
    Rows,
    Step,
    as_rows,
    boxmot_step,
    deep_sort_step,
    norfair_step,
    part_tracker_step,
    ultralytics_step,
)


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
        compiled: whether it is there beyond its package; may compile it, with the package's own build.
    """

    name: str
    package: str
    box: str
    build: Callable[[float, bool], Step]
    takes_vectors: bool = False
    needs_vectors: bool = False
    settings: str = "defaults"
    compiled: Callable[[], bool] = lambda: True

    @property
    def installed(self) -> bool:
        return _version(self.package) is not None and self.compiled()

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
                return as_rows([], [], [])
            known = out.tracker_id >= 0
            return as_rows(out.tracker_id[known], out.xyxy[known], out.confidence[known])

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


@functools.cache
def _boxmot_compiles(name: str) -> bool:
    """Whether BoxMOT's C++ tracker is there: it builds it once, with CMake, OpenCV 4 and Eigen."""
    bindings = importlib.import_module(f"boxmot.native.trackers.{name}")
    try:
        getattr(bindings, f"ensure_{name}_cpp_library")()
    except RuntimeError:
        return False
    return True


def _visiontrack(frame_rate: float, vectors: bool) -> Step:
    import visiontrack_cpp

    tracker = visiontrack_cpp.ByteTracker()

    def step(xyxy: np.ndarray, scores: np.ndarray, *_: np.ndarray | None) -> Rows:
        ids, boxes, confidence, _ = tracker.update(xyxy, scores)
        return as_rows(ids, boxes, confidence)

    return step


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


def _part_tracker(**options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        from bpbreid_track import PartTracker, TrackerConfig

        return part_tracker_step(PartTracker(TrackerConfig(frame_rate=frame_rate, **options)))

    return build


def part_tracker_peer(**options: Any) -> Peer:
    """Ours, with settings of ``TrackerConfig`` changed."""
    return Peer("bpbreid_track", "bpbreid-track", DETECTOR, _part_tracker(**options), True)


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
    Peer(
        "boxmot ByteTrack, C++",
        "boxmot",
        KALMAN,
        _boxmot("bytetrack", "cpp", frame_rate=30),
        compiled=lambda: _boxmot_compiles("bytetrack"),
    ),
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
        "boxmot BoT-SORT, C++",
        "boxmot",
        KALMAN,
        _boxmot("botsort", "cpp", frame_rate=30, use_cmc=False, use_embeddings=False),
        True,
        settings="no camera motion",
        compiled=lambda: _boxmot_compiles("botsort"),
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
    Peer("visiontrack-cpp ByteTrack", "visiontrack-cpp", KALMAN, _visiontrack),
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

OURS = (part_tracker_peer(),)


def settings(peer: Peer) -> Any:
    """What ran, for the record: our settings in full, for the others what differs from their defaults."""
    if peer not in OURS:
        return peer.settings
    from bpbreid_track import TrackerConfig

    return TrackerConfig().model_dump(mode="json", exclude={"frame_rate"}) | {"frame_rate": "of the sequence"}
