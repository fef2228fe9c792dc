"""MOT 1.1 as CVAT imports it, and SoccerNet-Tracking: both are rows in ``gt/gt.txt``, and files beside it."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .tracks import Footage, Tracks


def mot_files(tracks: Tracks) -> dict[str, bytes]:
    """``frame,id,left,top,width,height,1,class,1.0``, classes numbered by the lines of labels.txt.

    Raises:
        InputError: an identity 0, which CVAT takes for boxes without a track.
    """
    if (tracks.id == 0).any():
        raise InputError(f"{tracks.path}: has an identity 0, which CVAT takes for none; use cvat")
    number = {label: place for place, label in enumerate(tracks.labels, start=1)}
    ends = {identity: f"1,{number[label]},1.0" for identity, label in tracks.label.items()}
    return {
        "gt/gt.txt": _rows(tracks, ends),
        "gt/labels.txt": "".join(f"{label}\n" for label in tracks.labels).encode(),
    }


def soccernet_files(tracks: Tracks, footage: Footage) -> dict[str, bytes]:
    """SoccerNet-Tracking: besides ``gt/gt.txt`` a ``seqinfo.ini`` and a ``gameinfo.ini`` of the sequence.

    A tracklet is called ``class;name``, with its number where no name is known.
    """
    ends = dict.fromkeys(tracks.label, "1,-1,-1,-1")
    length = max(footage.numbers[-1], tracks.last)
    suffix = "." + footage.files[0].rpartition(".")[2] if footage.files else ".jpg"
    rate = f"{float(footage.frame_rate):.6g}"
    sequence = [
        "[Sequence]",
        f"name={footage.name}",
        "imDir=img1",
        f"frameRate={rate}",
        f"seqLength={length}",
    ]
    sequence += [f"imWidth={footage.width}", f"imHeight={footage.height}", f"imExt={suffix}", ""]
    game = ["[Sequence]", f"name={footage.name}", f"num_tracklets={len(tracks.label)}"]
    for identity, rows in tracks.by_identity():
        game.append(f"trackletID_{identity}= {tracks.label[identity]};{tracks.name_of(rows) or identity}")
    return {
        "gt/gt.txt": _rows(tracks, ends),
        "seqinfo.ini": "\n".join(sequence).encode(),
        "gameinfo.ini": "\n".join([*game, ""]).encode(),
    }


def _rows(tracks: Tracks, ends: dict[int, str]) -> bytes:
    """The boxes by frame, lengths to 1/100 pixel, each row with the last columns of its identity."""
    order = np.lexsort((tracks.id, tracks.frame))
    columns = (tracks.frame[order].tolist(), tracks.id[order].tolist(), tracks.ltwh[order].tolist())
    return "".join(
        f"{frame},{identity},{','.join(f'{value:.2f}' for value in box)},{ends[identity]}\n"
        for frame, identity, box in zip(*columns, strict=True)
    ).encode()
