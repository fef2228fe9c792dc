"""Other trackers behind one small interface, each with its own defaults.

A peer is fed boxes and gives back the rows it would let its user draw. No peer sees an image, so
camera-motion compensation is off where it would want one. What each gives back differs, and the tables say
so: the box of the detector or the box of its Kalman filter, of matched rows only.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        from ultralytics.engine.results import Boxes
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        settings = YAML.load(check_yaml(f"{name}.yaml")) | options
        if vectors:
            settings["with_reid"] = True  # model "auto" means: vectors come with the boxes
        tracker = TRACKER_MAP[name](args=IterableSimpleNamespace(**settings))

        def step(
            xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
        ) -> Rows:
            table = np.column_stack([xyxy, scores, np.zeros(len(xyxy))]).astype(np.float32).reshape(-1, 6)
            # The shape of the frame serves normalised coordinates only, which no tracker reads.
            out = np.asarray(tracker.update(Boxes(table, orig_shape=(1080, 1920)), feats=features)).reshape(
                -1, 8
            )
            return _rows(out[:, 4], out[:, :4], out[:, 5])

        return step

    return build


def _boxmot(name: str, backend: str = "python", **options: Any) -> Callable[[float, bool], Step]:
    def build(frame_rate: float, vectors: bool) -> Step:
        import torch
        from boxmot import create_tracker
        from boxmot.structures import Boxes, Detections
        from boxmot.trackers.specs import TrackerSpec

        chosen = dict(options)
        if "frame_rate" in chosen:
            chosen["frame_rate"] = round(frame_rate)
        if "use_embeddings" in chosen:
            chosen["use_embeddings"] = vectors
        tracker = create_tracker(TrackerSpec(name, options=tuple(sorted(chosen.items())), backend=backend))
        if name == "strongsort":  # it has no option for that
            tracker.cmc, tracker.requires_frame, tracker._requires_frame = None, False, False
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
    tracker = norfair.Tracker(distance_function="iou", distance_threshold=0.7, **appearance)
    frame = 0

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        nonlocal frame
        frame += 1
        detections = [
            norfair.Detection(
                points=box.reshape(2, 2),
                scores=np.array([score, score]),
                data=frame,
                embedding=None if features is None else features[index],
            )
            for index, (box, score) in enumerate(
                zip(xyxy.astype(np.float64), scores.astype(np.float64), strict=True)
            )
        ]
        objects = [item for item in tracker.update(detections) if item.last_detection.data == frame]
        return _rows(
            [item.id for item in objects],
            [item.estimate.reshape(-1) for item in objects],
            [item.last_detection.scores[0] for item in objects],
        )

    return step


def _deep_sort_realtime(frame_rate: float, vectors: bool) -> Step:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    # Without an encoder it demands vectors all the same; below 0 no pair agrees: only its IoU stage matches.
    tracker = DeepSort(embedder=None) if vectors else DeepSort(embedder=None, max_cosine_distance=-1.0)

    def step(
        xyxy: np.ndarray, scores: np.ndarray, features: np.ndarray | None, *_: np.ndarray | None
    ) -> Rows:
        if features is None:
            features = np.ones((len(xyxy), 1), dtype=np.float32)
        ltwh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        raw = [(box.tolist(), float(score), "person") for box, score in zip(ltwh, scores, strict=True)]
        tracks = tracker.update_tracks(raw, embeds=list(features))
        shown = [track for track in tracks if track.is_confirmed() and track.time_since_update == 0]
        return _rows(
            [int(track.track_id) for track in shown],
            [track.to_ltrb(orig=True) for track in shown],
            [track.get_det_conf() for track in shown],
        )

    return step


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
