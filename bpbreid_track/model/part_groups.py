"""Body-part groupings over the 36 PifPaf fields: how many parts a network tells apart, and which.

A grouping names its K parts in order and lists for each the field channels it is made of: the 17 keypoint
confidences in COCO order, then the 19 connection confidences. Several groupings leave channels out or use one
twice; they are kept as the published checkpoints were trained on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

CHANNELS: tuple[str, ...] = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_ankle_to_left_knee",
    "left_knee_to_left_hip",
    "right_ankle_to_right_knee",
    "right_knee_to_right_hip",
    "left_hip_to_right_hip",
    "left_shoulder_to_left_hip",
    "right_shoulder_to_right_hip",
    "left_shoulder_to_right_shoulder",
    "left_shoulder_to_left_elbow",
    "right_shoulder_to_right_elbow",
    "left_elbow_to_left_wrist",
    "right_elbow_to_right_wrist",
    "left_eye_to_right_eye",
    "nose_to_left_eye",
    "nose_to_right_eye",
    "left_eye_to_left_ear",
    "right_eye_to_right_ear",
    "left_ear_to_left_shoulder",
    "right_ear_to_right_shoulder",
)

_HEAD = (0, 1, 2, 3, 4, 29, 30, 31, 32, 33, 34, 35)

_GROUPS: dict[str, dict[str, tuple[int, ...]]] = {
    "full": {
        "full_body": tuple(range(36)),
    },
    "one": {
        "full": tuple(range(36)),
    },
    "two_v": {
        "torso_arms_head": (
            0,
            1,
            2,
            3,
            4,
            29,
            30,
            31,
            32,
            33,
            34,
            35,
            5,
            6,
            22,
            23,
            24,
            7,
            8,
            9,
            10,
            25,
            26,
            27,
            28,
        ),
        "legs": (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
    },
    "three_v": {
        "head": _HEAD,
        "torso_arms": (5, 6, 22, 23, 24, 7, 8, 9, 10, 25, 26, 27, 28),
        "legs": (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
    },
    "four": {
        "head": _HEAD,
        "arms": (5, 6, 7, 8, 9, 10, 25, 26, 27, 28),
        "torso": (5, 6, 11, 12, 21, 22, 23, 24),
        "legs": (11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21),
    },
    "four_no": {
        "head": _HEAD,
        "arms": (7, 8, 9, 10, 25, 26, 27, 28),
        "torso": (5, 6, 11, 12, 21, 22, 23, 24),
        "legs": (13, 14, 15, 16, 17, 18, 19, 20, 21),
    },
    "four_v": {
        "head": _HEAD,
        "arms_torso": (7, 8, 9, 10, 25, 26, 27, 28, 5, 6, 11, 12, 21, 22, 23, 24),
        "legs": (11, 12, 13, 14, 17, 18, 19, 20),
        "feet": (15, 16),
    },
    "four_v_pif": {
        "head": (0, 1, 2, 3, 4),
        "arms_torso": (7, 8, 9, 10, 5, 6, 11, 12),
        "legs": (11, 12, 13, 14),
        "feet": (15, 16),
    },
    "five_v": {
        "head": _HEAD,
        "upper_arms_torso": (7, 8, 25, 26, 5, 6, 24),
        "lower_arms_torso": (9, 10, 27, 28, 11, 12, 23),
        "legs": (11, 12, 13, 14, 17, 18, 19, 20),
        "feet": (15, 16),
    },
    "five": {
        "head": _HEAD,
        "arms": (5, 7, 9, 25, 27, 6, 8, 10, 26, 28),
        "torso": (11, 12, 21, 22, 23, 24),
        "legs": (21, 11, 12, 13, 14, 17, 18, 19, 20),
        "feet": (15, 16),
    },
    "six": {
        "head": _HEAD,
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "torso": (11, 12, 21, 22, 23, 24),
        "left_leg": (13, 15, 17, 18, 21),
        "right_leg": (14, 16, 19, 20),
    },
    "six_v": {
        "head": _HEAD,
        "arms": (5, 7, 9, 25, 27, 6, 8, 10, 26, 28),
        "upper_torso": (22, 23, 24),
        "lower_torso": (11, 12, 21),
        "legs": (11, 12, 13, 14, 17, 18, 19, 20),
        "feet": (15, 16),
    },
    "six_new": {
        "head": _HEAD,
        "torso": (11, 12, 21, 22, 23, 24),
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "leg": (13, 17, 18, 21, 14, 19, 20),
        "feet": (15, 16),
    },
    "seven_v": {
        "head": _HEAD,
        "shoulders": (5, 6, 24),
        "elbow": (7, 8),
        "wrist": (9, 10),
        "hip": (11, 12, 21),
        "knee": (13, 14),
        "ankle": (15, 16),
    },
    "seven_new": {
        "head": _HEAD,
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "upper_torso": (22, 23, 24),
        "lower_torso": (11, 12, 21),
        "leg": (13, 17, 18, 21, 14, 19, 20),
        "feet": (15, 16),
    },
    "eight": {
        "head": _HEAD,
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "torso": (11, 12, 21, 22, 23, 24),
        "left_leg": (13, 17, 18, 21),
        "right_leg": (14, 19, 20),
        "left_feet": (15,),
        "right_feet": (16,),
    },
    "eight_v": {
        "head": _HEAD,
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "torso": (11, 12, 21, 22, 23, 24),
        "left_leg": (13, 17, 18, 21),
        "right_leg": (14, 19, 20),
        "left_feet": (15,),
        "right_feet": (16,),
    },
    "ten_ms": {
        "head": _HEAD,
        "left_arm": (5, 7, 9, 25, 27),
        "right_arm": (6, 8, 10, 26, 28),
        "torso": (11, 12, 21, 22, 23, 24),
        "left_leg": (13, 17, 18, 21),
        "right_leg": (14, 19, 20),
        "left_feet": (15,),
        "right_feet": (16,),
        "upper_body": (
            0,
            1,
            2,
            3,
            4,
            29,
            30,
            31,
            32,
            33,
            34,
            35,
            5,
            7,
            9,
            25,
            27,
            6,
            8,
            10,
            26,
            28,
            11,
            12,
            21,
            22,
            23,
            24,
        ),
        "lower_body": (13, 17, 18, 21, 14, 19, 20, 15, 16),
    },
    "eleven": {
        "head": _HEAD,
        "left_elbow": (5, 7, 25),
        "left_wrist": (9, 27),
        "right_elbow": (6, 8, 26),
        "right_wrist": (10, 28),
        "upper_torso": (22, 23, 24),
        "lower_torso": (11, 12, 21),
        "left_leg": (13, 18, 21),
        "right_leg": (14, 20),
        "left_feet": (17, 15),
        "right_feet": (19, 16),
    },
    "fourteen": {
        "head": (0, 1, 2, 3, 4, 29, 30, 31, 32, 33),
        "neck": (34, 35),
        "left_elbow": (5, 7, 25),
        "left_wrist": (9, 27),
        "right_elbow": (6, 8, 26),
        "right_wrist": (10, 28),
        "upper_torso": (22, 23, 24),
        "lower_torso": (11, 12, 21),
        "left_leg": (13, 18, 21),
        "right_leg": (14, 20),
        "left_tibia": (17,),
        "right_tibia": (19,),
        "left_feet": (15,),
        "right_feet": (16,),
    },
}
PART_GROUPS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {name: MappingProxyType(parts) for name, parts in _GROUPS.items()}
)
"""Name of a grouping -> {part name: its channels}, parts in the order of the network's outputs."""

# Groupings that several share a K with: those of the published configurations.
_USUAL = {1: "full", 4: "four", 5: "five_v", 6: "six", 7: "seven_v", 8: "eight"}


def part_names(grouping: str) -> tuple[str, ...]:
    """The K part names behind a grouping's name; ``strp_4`` (four equal stripes) and ``id`` included.

    Raises:
        KeyError: no such grouping.
    """
    if grouping == "id":
        return ("full",)
    if re.fullmatch(r"strp_[0-9]{1,2}", grouping):
        return stripe_names(int(grouping[5:]))
    return tuple(PART_GROUPS[grouping])


def stripe_names(count: int) -> tuple[str, ...]:
    """Names of ``count`` horizontal stripes, top to bottom."""
    return tuple(f"stripe_{index + 1}" for index in range(count))


def usual_part_names(count: int) -> tuple[str, ...]:
    """Part names where only K is known: those of the usual grouping, else ``part_1`` .. ``part_K``."""
    grouping = _USUAL.get(count)
    if grouping is None:
        matching = [name for name, parts in PART_GROUPS.items() if len(parts) == count]
        if len(matching) != 1:
            return tuple(f"part_{index + 1}" for index in range(count))
        grouping = matching[0]
    return part_names(grouping)


def mirrored_parts(part_names: Sequence[str]) -> tuple[int, ...]:
    """For each part the index of its mirror image: ``left_arm`` for ``right_arm``, itself for ``head``.

    Raises:
        ValueError: a left part without a right one, or the reverse.
    """
    order = []
    for name in part_names:
        words = [{"left": "right", "right": "left"}.get(word, word) for word in name.split("_")]
        mirror = "_".join(words)
        if mirror not in part_names:
            raise ValueError(f"part {name!r} has no mirror image {mirror!r} among {list(part_names)}")
        order.append(list(part_names).index(mirror))
    return tuple(order)
