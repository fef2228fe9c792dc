"""CVAT for video 1.1: tracks of boxes in XML, as CVAT itself exports them."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

import numpy as np

from .keyframes import as_shown, keyframes, runs
from .tracks import Footage, Tracks

FILE = "annotations.xml"


def cvat_xml(tracks: Tracks, footage: Footage | None, tolerance: float) -> bytes:
    """The tracks as CVAT imports them, frames from 0, corners to 1/100 pixel.

    Where an identity is not seen, a box marked ``outside`` ends it. Boxes that are no keyframes stand where
    CVAT draws them.

    Args:
        tracks: what is written.
        footage: None: the video ends with the last box.
        tolerance: how far, in pixels, boxes between keyframes may be off; 0: all boxes are keyframes.
    """
    length = max(tracks.last, len(footage.numbers) if footage else 0)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    lines += _meta(tracks, footage, length)
    for identity, rows in tracks.by_identity():
        label = quoteattr(tracks.label[identity])
        lines.append(f'  <track id="{identity}" label={label} source="auto">')
        name = tracks.name_of(rows)
        for run in runs(tracks.frame[rows]):
            lines += _run(tracks, rows[run], name, length, tolerance)
        lines.append("  </track>")
    return "\n".join([*lines, "</annotations>", ""]).encode()


def _run(tracks: Tracks, rows: np.ndarray, name: str, length: int, tolerance: float) -> list[str]:
    """The boxes of an identity that is seen without interruption, and its end."""
    frame = tracks.frame[rows] - 1
    xyxy = np.concatenate([tracks.ltwh[rows, :2], tracks.ltwh[rows, :2] + tracks.ltwh[rows, 2:]], axis=1)
    key = keyframes(frame, xyxy, tolerance)
    boxes = list(zip(frame.tolist(), key.tolist(), as_shown(frame, xyxy, key).tolist(), strict=True))
    lines = [_box(at, 0, is_key, corners, name) for at, is_key, corners in boxes]
    last = boxes[-1]
    return [*lines, _box(last[0] + 1, 1, True, last[2], name)] if last[0] + 1 < length else lines


def _box(frame: int, outside: int, key: bool, corners: list[float], name: str) -> str:
    left, top, right, bottom = corners
    given = f'frame="{frame}" keyframe="{int(key)}" outside="{outside}" occluded="0"'
    place = f'xtl="{left:.2f}" ytl="{top:.2f}" xbr="{right:.2f}" ybr="{bottom:.2f}"'
    if not name:
        return f'    <box {given} {place} z_order="0"/>'
    attribute = f'<attribute name="name">{escape(name)}</attribute>'
    return f'    <box {given} {place} z_order="0">{attribute}</box>'


def _meta(tracks: Tracks, footage: Footage | None, length: int) -> list[str]:
    named = any(tracks.name)
    attribute = (
        "<attribute><name>name</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
    )
    lines = ["  <meta>", "    <task>", f"      <name>{escape(footage.name if footage else '')}</name>"]
    lines += [f"      <size>{length}</size>", "      <mode>interpolation</mode>"]
    lines += ["      <start_frame>0</start_frame>", f"      <stop_frame>{max(0, length - 1)}</stop_frame>"]
    lines += ["      <labels>"]
    for label in tracks.labels:
        lines += [
            "        <label>",
            f"          <name>{escape(label)}</name>",
            "          <type>rectangle</type>",
        ]
        lines += [f"          <attributes>{attribute if named else ''}</attributes>", "        </label>"]
    lines += ["      </labels>"]
    if footage:
        size = f"<width>{footage.width}</width><height>{footage.height}</height>"
        lines += [f"      <original_size>{size}</original_size>"]
    return [*lines, "    </task>", "  </meta>"]
