"""Label Studio: a task with a video and, as predictions, a rectangle with keyframes for each identity."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .keyframes import keyframes, runs
from .tracks import Footage, Tracks


def labelstudio_json(tracks: Tracks, footage: Footage, tolerance: float) -> bytes:
    """One task of the labelling interface in docs/exports.md (``box`` on ``video``).

    Frames count from 1, lengths are per cent of the picture. A keyframe that is not ``enabled`` is the last
    box before a gap.

    Args:
        tracks: what is written.
        footage: its size, rate and length.
        tolerance: how far, in pixels, boxes between keyframes may be off; 0: all boxes are keyframes.
    """
    length, rate = max(len(footage.numbers), tracks.last), float(footage.frame_rate)
    results = []
    for identity, rows in tracks.by_identity():
        sequence = [
            frame for run in runs(tracks.frame[rows]) for frame in _run(tracks, footage, rows[run], tolerance)
        ]
        name = tracks.name_of(rows)
        about = f"identity {identity}" + (f", {name}" if name else "")
        value = {"framesCount": length, "duration": round(length / rate, 6), "sequence": sequence}
        results.append(
            {
                "id": f"track-{identity}",
                "type": "videorectangle",
                "from_name": "box",
                "to_name": "video",
                "origin": "prediction",
                "score": round(float(tracks.confidence[rows].mean()), 5),
                "value": value | {"labels": [tracks.label[identity]]},
                "meta": {"text": [about]},
            }
        )
    prediction = {"model_version": "bpbreid_track", "result": results}
    # The interface takes the rate from the task: with another one Label Studio counts other frames.
    task = {"data": {"video": footage.name, "frame_rate": rate}, "predictions": [prediction]}
    return (json.dumps([task], ensure_ascii=False) + "\n").encode()


def _run(tracks: Tracks, footage: Footage, rows: np.ndarray, tolerance: float) -> list[dict[str, Any]]:
    """The keyframes of an identity that is seen without interruption."""
    ltwh = tracks.ltwh[rows]
    xyxy = np.concatenate([ltwh[:, :2], ltwh[:, :2] + ltwh[:, 2:]], axis=1)
    share = 100 / np.array([footage.width, footage.height] * 2)
    kept = np.flatnonzero(keyframes(tracks.frame[rows], xyxy, tolerance))
    sequence = []
    for row in kept.tolist():
        frame = int(tracks.frame[rows[row]])
        x, y, width, height = (round(value, 6) for value in (ltwh[row] * share).tolist())
        place = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
        time = round(frame / float(footage.frame_rate), 6)
        sequence.append({"frame": frame, "enabled": row != len(rows) - 1, **place, "time": time})
    return sequence
