"""COCO instances of a video: an image for each frame, with the identity of every box."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .tracks import Footage, Tracks

_VIDEO = 1


def coco_json(tracks: Tracks, footage: Footage) -> bytes:
    """COCO with a list ``videos``; images have ``video_id`` and ``frame_id`` (from 0), boxes ``track_id``.

    The id of an image is its frame number. Frames of a video are named as CVAT names them,
    ``frame_000000.PNG``. What COCO has no word for stands in ``attributes`` too, where CVAT and others look.
    """
    names = list(footage.files) or [f"frame_{number - 1:06d}.PNG" for number in footage.numbers]
    size = {"width": footage.width, "height": footage.height}
    images = [
        {"id": number, "file_name": name, **size, "video_id": _VIDEO, "frame_id": place}
        for place, (number, name) in enumerate(zip(footage.numbers, names, strict=True))
    ]
    categories = [{"id": n, "name": label, "supercategory": ""} for n, label in enumerate(tracks.labels, 1)]
    number_of = {label: number for number, label in enumerate(tracks.labels, 1)}
    order = np.lexsort((tracks.id, tracks.frame))
    annotations = []
    for place, row in enumerate(order.tolist(), start=1):
        identity = int(tracks.id[row])
        box = [round(value, 2) for value in tracks.ltwh[row].tolist()]
        attributes: dict[str, Any] = {"track_id": identity, "filled": bool(tracks.filled[row])}
        attributes |= {"name": tracks.name[row]} if tracks.name[row] else {}
        annotation = {"id": place, "image_id": int(tracks.frame[row]), "video_id": _VIDEO}
        annotation |= {"category_id": number_of[tracks.label[identity]], "track_id": identity}
        shape = {"bbox": box, "area": round(box[2] * box[3], 2), "segmentation": [], "iscrowd": 0}
        score = {"score": round(float(tracks.confidence[row]), 5)}
        annotations.append(annotation | shape | score | {"attributes": attributes})
    video = {"id": _VIDEO, "name": footage.name, **size, "fps": round(float(footage.frame_rate), 6)}
    content = {"info": {}, "licenses": [], "videos": [video], "images": images}
    content |= {"annotations": annotations, "categories": categories}
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()
