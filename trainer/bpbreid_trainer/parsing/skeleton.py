"""A pose drawn as the 36 confidence fields that parts are grouped from: blobs for joints, bars for limbs."""

from __future__ import annotations

import numpy as np

from bpbreid_track.model.part_groups import CHANNELS

FIELD_SIZE = (32, 16)
"""Cells of a label file in height and width, a quarter of a Market-1501 crop's pixels."""

JOINTS = CHANNELS[:17]
"""The 17 keypoints in COCO order."""
CONNECTIONS = [tuple(JOINTS.index(end) for end in name.split("_to_")) for name in CHANNELS[17:]]
"""The two keypoints behind each of the 19 connections."""
HEAD = range(5)

# Half the width of what a channel stands for, in statures. Hips and shoulders lie inside the torso.
_JOINT_RADII = {"shoulder": 0.04, "elbow": 0.028, "wrist": 0.03, "hip": 0.05, "knee": 0.038, "ankle": 0.042}
_HEAD_RADIUS = 0.05
_NECK_RADIUS = 0.035
_CONNECTION_RADII = {
    ("ankle", "knee"): 0.032,
    ("knee", "hip"): 0.045,
    ("hip", "hip"): 0.05,
    ("shoulder", "hip"): 0.05,
    ("shoulder", "shoulder"): 0.045,
    ("shoulder", "elbow"): 0.03,
    ("elbow", "wrist"): 0.028,
    ("ear", "shoulder"): _NECK_RADIUS,
}
# Lengths of limbs in statures. A limb that points at the camera looks shorter, never longer.
_LIMB_LENGTHS = {("shoulder", "hip"): 0.29, ("knee", "hip"): 0.245, ("ankle", "knee"): 0.246}
_SURE = 0.5
_SURE_HEAD = 0.05  # sum over its five keypoints
# Arms in front of the torso are to win over it.
_TORSO_STRENGTH = 0.9
_HAIR = 0.015  # the head's centre lies above the face's, in statures


def _kind(joint: int) -> str:
    return JOINTS[joint].removeprefix("left_").removeprefix("right_")


def _radii() -> np.ndarray:
    joints = [_JOINT_RADII.get(_kind(joint), _HEAD_RADIUS) for joint in range(len(JOINTS))]
    bars = [_CONNECTION_RADII.get((_kind(a), _kind(b)), _HEAD_RADIUS) for a, b in CONNECTIONS]
    return np.array(joints + bars)


_RADII = _radii()
_STARTS = np.array([*range(len(JOINTS)), *(a for a, _ in CONNECTIONS)])
_ENDS = np.array([*range(len(JOINTS)), *(b for _, b in CONNECTIONS)])
_SIDES = tuple(CHANNELS.index(f"{side}_shoulder_to_{side}_hip") for side in ("left", "right"))
_STRENGTHS = np.ones(len(CHANNELS))
_STRENGTHS[[*_SIDES, *(CHANNELS.index(f"left_{part}_to_right_{part}") for part in ("hip", "shoulder"))]] = (
    _TORSO_STRENGTH
)


def head_position(keypoints: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Where the head is: the mean of its keypoints, the surer the heavier; else the top of the box.

    A pose network doubts the face of somebody it sees from behind, though it places it well.

    Args:
        keypoints: float [17, 3], x and y in pixels and confidence in [0, 1].
        box: float [4], x1, y1, x2, y2 in pixels.
    """
    head = keypoints[HEAD]
    weight = float(head[:, 2].sum())
    if weight < _SURE_HEAD:
        return np.array([(box[0] + box[2]) / 2, box[1]])
    return (head[:, :2] * head[:, 2:]).sum(0) / weight


def target_person(
    poses: np.ndarray, boxes: np.ndarray, scores: np.ndarray, image_size: tuple[int, int]
) -> int:
    """The person a crop was made for: the head nearest to the top centre.

    Bystanders are passed over: persons less than half as tall or half as sure as the tallest and the surest,
    and those with the head outside the crop, unless nobody else is left.

    Args:
        poses: float [N, 17, 3]; N > 0.
        boxes: float [N, 4].
        scores: float [N], how sure each person is.
        image_size: height and width of the crop.
    """
    height, width = image_size
    heights = boxes[:, 3] - boxes[:, 1]
    heads = np.array([head_position(pose, box) for pose, box in zip(poses, boxes, strict=True)])
    away = np.hypot(heads[:, 0] - width / 2, heads[:, 1])
    fit = (heights >= 0.5 * heights.max()) & (scores >= 0.5 * scores.max())
    inside = (heads >= 0).all(1) & (heads < [width, height]).all(1)
    for wanted in (fit & inside, fit):
        if wanted.any():
            return int(np.where(wanted, away, np.inf).argmin())
    return int(scores.argmax())


def stature(keypoints: np.ndarray, box: np.ndarray) -> float:
    """Height of the whole person in pixels, hidden legs included.

    The largest of what box and sure limbs say, because foreshortening only makes them smaller.
    """
    height = float(box[3] - box[1])
    estimates = [height]
    for a, b in CONNECTIONS:
        length = _LIMB_LENGTHS.get((_kind(a), _kind(b)))
        if length and min(keypoints[a, 2], keypoints[b, 2]) >= _SURE:
            estimates.append(float(np.hypot(*(keypoints[a, :2] - keypoints[b, :2]))) / length)
    return min(max(estimates), 2.5 * height)


def complete_head(keypoints: np.ndarray, box: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """The pose with its nose moved to the middle of the head, seen as surely as the shoulders below.

    Args:
        keypoints: float [17, 3].
        box: the person's box in pixels.
        image_size: height and width of the crop.
    """
    centre = head_position(keypoints, box)
    centre[1] -= _HAIR * stature(keypoints, box)
    confidence = keypoints[HEAD, 2].max()
    if 0 <= centre[1] < image_size[0] and 0 <= centre[0] < image_size[1]:
        confidence = max(confidence, keypoints[5:7, 2].min())
    completed = keypoints.copy()
    completed[0] = [*centre, confidence]
    return completed


def draw_fields(
    keypoints: np.ndarray,
    box: np.ndarray,
    image_size: tuple[int, int],
    field_size: tuple[int, int] = FIELD_SIZE,
) -> np.ndarray:
    """One person as confidence fields.

    A channel is ``confidence * 2 ** -(d / r) ** 4``, d the distance to its joint or limb: nearly all the
    confidence inside the body part, half of it at the edge, r. A limb is as sure as its less sure end.

    Args:
        keypoints: float [17, 3], x and y in pixels and confidence in [0, 1].
        box: the person's box in pixels.
        image_size: height and width of the crop.
        field_size: height and width of the fields.

    Returns:
        float32 [36, *field_size] in [0, 1].
    """
    (height, width), (rows, columns) = image_size, field_size
    keypoints = complete_head(keypoints, box, image_size)
    y, x = (np.arange(rows) + 0.5) * height / rows, (np.arange(columns) + 0.5) * width / columns
    cells = np.stack(np.broadcast_arrays(x, y[:, None]), axis=-1).reshape(-1, 2)
    start, end = keypoints[_STARTS, :2], keypoints[_ENDS, :2]
    distance2 = _squared_distances(cells, start, end)
    for side, other in (_SIDES, _SIDES[::-1]):
        # A broad torso is filled up to its middle.
        for share in (0.25, 0.5):
            inner = [(1 - share) * line[side] + share * line[other] for line in (start, end)]
            filled = _squared_distances(cells, inner[0][None], inner[1][None])[0]
            distance2[side] = np.minimum(distance2[side], filled)
    # Nothing thinner than the grid can show.
    radius = np.maximum(_RADII * stature(keypoints, box), 0.7 * max(height / rows, width / columns))
    confidence = np.minimum(keypoints[_STARTS, 2], keypoints[_ENDS, 2]) * _STRENGTHS
    fields = confidence[:, None] * np.exp2(-((distance2 / radius[:, None] ** 2) ** 2))
    return fields.reshape(-1, rows, columns).astype(np.float32)


def _squared_distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From P points [P, 2] to S segments [S, 2] each: [S, P]."""
    along = end - start
    away = points[None] - start[:, None]
    share = (away * along[:, None]).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)[:, None]
    return ((away - share.clip(0, 1)[..., None] * along[:, None]) ** 2).sum(-1)
