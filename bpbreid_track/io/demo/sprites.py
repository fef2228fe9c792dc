"""Material of the demo scene: persons, street and obstacles cut out of the photograph bus.jpg.

Ultralytics installs the photograph with its package, so the scene needs no download. The coordinates below
are facts about that photograph, in its pixels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ...errors import InputError

PHOTO_SHAPE = (1080, 810, 3)
HORIZON = 405  # row at which all heads stand, near or far: the camera is held at eye level
EDGE = 760  # columns from here on show a person whom the photograph cuts off

Points = list[tuple[int, int]]
Box = tuple[int, int, int, int]
WHOLE: Box = (0, 0, PHOTO_SHAPE[1], PHOTO_SHAPE[0])


@dataclass(frozen=True)
class Person:
    """Outline of a whole person in the photograph, and what moves and what is worn.

    Attributes:
        outline: polygon around the body.
        near_leg: polygon around the leg drawn last; the rest of the body below ``hip`` is the far leg.
        hip: row from which the legs swing.
        swing: pixels by which the feet of near and far leg move when the legs close.
        coat: polygon around the coat, hands included.
        foot: point on the ground between the feet.
        stranger: polygon around what a passer-by holds in front of the body.
    """

    outline: Points
    near_leg: Points
    hip: int
    swing: tuple[int, int]
    coat: Points
    foot: tuple[int, int]
    stranger: Points = field(default_factory=list)

    @property
    def box(self) -> Box:
        """Part of the photograph that holds the person at every stride, (x0, y0, x1, y1)."""
        left, top, width, height = cv2.boundingRect(np.array(self.outline))
        return max(left - 20, 0), top - 12, left + width + 20, top + height + 12


class Dye(NamedTuple):
    """New colour of a garment in CIELAB (8 bit): lightness * contrast + lift, and the colour axes a and b."""

    contrast: float
    lift: float
    a: float
    b: float


Outfit = Mapping[str, Dye]  # of "coat" and "trousers"


# fmt: off
CREAM = Person(
    outline=[
        (105, 407), (117, 400), (137, 399), (155, 405), (158, 417), (155, 432), (154, 450), (148, 462),
        (148, 470), (161, 482), (175, 492), (182, 510), (180, 525), (192, 545), (201, 565), (200, 580),
        (188, 592), (179, 600), (180, 620), (187, 650), (194, 680), (190, 691), (180, 692), (182, 710),
        (186, 745), (190, 775), (197, 815), (203, 850), (206, 858), (227, 867), (245, 875), (244, 884),
        (220, 892), (195, 899), (177, 898), (176, 880), (180, 862), (175, 850), (165, 815), (155, 780),
        (147, 740), (138, 710), (127, 705), (113, 710), (108, 760), (98, 780), (87, 815), (84, 850),
        (105, 885), (107, 895), (100, 900), (80, 896), (52, 883), (54, 867), (61, 852), (60, 815),
        (68, 780), (75, 740), (72, 705), (59, 700), (60, 660), (62, 605), (59, 555), (62, 505),
        (72, 487), (95, 472), (100, 455), (104, 445), (105, 435), (102, 422),
    ],
    near_leg=[(128, 690), (210, 690), (250, 910), (140, 910)],
    hip=700, swing=(-42, 46),
    coat=[(100, 440), (115, 470), (140, 478), (150, 470), (210, 520), (210, 700), (50, 702), (50, 480)],
    foot=(140, 893),
    stranger=[(40, 720), (78, 728), (86, 755), (84, 795), (70, 828), (40, 840)],
)
DARK = Person(
    outline=[
        (265, 420), (275, 408), (290, 406), (302, 412), (305, 427), (308, 442), (302, 460), (300, 475),
        (310, 482), (325, 487), (332, 500), (336, 525), (343, 550), (338, 562), (325, 569), (327, 590),
        (330, 620), (335, 660), (338, 687), (333, 694), (335, 700), (341, 720), (330, 740), (310, 755),
        (290, 772), (285, 780), (290, 795), (300, 815), (295, 820), (283, 815), (282, 822), (292, 842),
        (293, 853), (275, 858), (260, 850), (256, 842), (257, 822), (253, 815), (250, 780), (245, 740),
        (244, 705), (225, 700), (230, 665), (240, 620), (236, 590), (235, 545), (236, 515), (242, 500),
        (265, 485), (272, 475), (275, 468), (270, 448),
    ],
    near_leg=[(230, 690), (287, 690), (279, 790), (278, 818), (300, 826), (300, 870), (240, 870)],
    hip=700, swing=(14, -26),
    coat=[(225, 480), (265, 470), (310, 470), (350, 530), (345, 700), (220, 705)],
    foot=(278, 852),
)
CAST = (CREAM, DARK)
PASSERS_BY: list[Points] = [
    [(0, 550), (20, 580), (55, 690), (82, 740), (84, 790), (66, 822), (40, 830), (35, 870), (0, 880)],
    [(809, 385), (785, 400), (782, 460), (770, 480), (770, 540), (720, 540), (718, 565), (745, 600),
     (755, 620), (745, 690), (740, 730), (715, 830), (690, 820), (666, 825), (668, 845), (740, 885),
     (809, 760)],
]
SHADOWS: Points = [(0, 690), (300, 690), (300, 740), (345, 760), (345, 880), (250, 930), (0, 940)]
# fmt: on
PAVEMENT = 695  # rows from here on are ground


def read_photo() -> np.ndarray:
    """The photograph, uint8 [1080, 810, 3] BGR.

    Raises:
        InputError: this installation of Ultralytics does not carry it.
    """
    spec = importlib.util.find_spec("ultralytics")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("ultralytics")
    path = folder / "assets" / "bus.jpg"
    photo = cv2.imread(str(path)) if path.is_file() else None
    if photo is None or photo.shape != PHOTO_SHAPE:
        raise InputError(
            f"{path}: the demo's photograph is missing or another one; pip install -U ultralytics"
        )
    return photo


def cut_out(photo: np.ndarray, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """A person without the street.

    GrabCut finds the edge within a few pixels of the outline; colours at the edge are those of the nearest
    pixel well inside, so that no rim of the bus stays on.

    Returns:
        Colours uint8 [h, w, 3] and alpha float32 [h, w] in [0, 1] of ``person.box``.
    """
    x0, y0, x1, y1 = person.box
    photo = np.ascontiguousarray(photo[y0:y1, x0:x1])
    inside, stranger = _filled(person.outline, person.box), _filled(person.stranger, person.box)
    labels = np.full(inside.shape, cv2.GC_BGD, np.uint8)
    labels[_grown(inside, 4)] = cv2.GC_PR_BGD
    labels[inside] = cv2.GC_PR_FGD
    labels[~_grown(~inside, 5)] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(photo, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    body = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    body = _largest_component(cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, _disc(1)))
    body = (body & ~stranger) | (inside & stranger)
    colours = _spread(photo, ~_grown(~body, 2) & ~stranger)
    alpha = cv2.GaussianBlur((~_grown(~body, 1)).astype(np.float32), (0, 0), 1.0)
    return colours, alpha


def striding(
    colours: np.ndarray, alpha: np.ndarray, person: Person, closed: float
) -> tuple[np.ndarray, np.ndarray]:
    """The person with legs as photographed (``closed`` = 0) up to feet side by side (1).

    Returns:
        Colours and alpha as from ``cut_out``.
    """
    rows, columns = np.indices(alpha.shape, dtype=np.float32)
    hip, ground = person.hip - person.box[1], person.foot[1] - person.box[1]
    reach = np.clip((rows - hip) / (ground - hip), 0, 1) * closed
    near = _filled(person.near_leg, person.box) & (rows >= hip)
    layers = []
    for mask, swing in ((~near, person.swing[1]), (near, person.swing[0])):
        at = columns - reach * swing
        shade = cv2.remap(np.where(mask, alpha, 0).astype(np.float32), at, rows, cv2.INTER_LINEAR)
        layers.append((cv2.remap(colours, at, rows, cv2.INTER_LINEAR), shade))
    (far_colours, far_alpha), (near_colours, near_alpha) = layers
    mixed = far_colours * (1 - near_alpha[..., None]) + near_colours * near_alpha[..., None]
    return mixed.astype(np.uint8), far_alpha + near_alpha - far_alpha * near_alpha


def dressed(colours: np.ndarray, person: Person, outfit: Outfit) -> np.ndarray:
    """The person in other clothes, with the folds and light of the photographed ones.

    Returns:
        uint8 [H, W, 3] BGR.
    """
    hue, saturation, value = cv2.split(cv2.cvtColor(colours, cv2.COLOR_BGR2HSV))
    coat = _filled(person.coat, person.box)
    blue = (hue > 95) & (hue < 130) & (saturation > 50)
    red = ((hue < 10) | (hue > 168)) & (saturation > 90) & (value > 60)
    if person is DARK:
        # The hands lie on the coat, and are brighter.
        masks = {"coat": coat & ((value < 115) | ((saturation < 60) & (value < 170))) & ~red}
    else:
        masks = {"coat": coat & ~(blue & (value < 150)) & ~(red & (saturation > 150))}
    masks["trousers"] = blue & ~coat & (np.arange(len(coat))[:, None] > person.hip - 100 - person.box[1])
    lab = cv2.cvtColor(colours, cv2.COLOR_BGR2LAB).astype(np.float32)
    for garment, dye in outfit.items():
        weight = cv2.GaussianBlur(masks[garment].astype(np.float32), (0, 0), 1.2)[..., None]
        light = np.clip(lab[..., 0] * dye.contrast + dye.lift, 0, 255)
        target = np.dstack([light, np.full_like(light, 128 + dye.a), np.full_like(light, 128 + dye.b)])
        lab = lab * (1 - weight) + target * weight
    return cv2.cvtColor(lab.astype(np.uint8), cv2.COLOR_LAB2BGR)


def empty_street(photo: np.ndarray) -> np.ndarray:
    """The photograph's street without persons, continued to the right by its mirror image.

    Returns:
        uint8 [1080, 2 * EDGE, 3]; the far end is out of focus, which hides what was painted in.
    """
    persons = np.zeros(PHOTO_SHAPE[:2], bool)
    for points in (*(person.outline for person in CAST), *PASSERS_BY):
        persons |= _grown(_filled(points), 9)
    street = _bridged(photo, persons & (np.arange(len(photo))[:, None] < PAVEMENT))
    ground = persons | _filled(SHADOWS)
    ground[:PAVEMENT] = False
    # Pavement from the same rows, where nobody stands: equal rows are equally far away.
    columns = np.arange(PHOTO_SHAPE[1])
    source = np.where(columns < 70, 460 - columns, np.where(columns < 400, columns + 320, columns - 200))
    weight = cv2.GaussianBlur(ground.astype(np.float32), (0, 0), 4)[..., None]
    street = (street * (1 - weight) + street[:, source] * weight).astype(np.uint8)[:, :EDGE]
    street = np.hstack([street, street[:, ::-1]])
    rows = np.arange(PHOTO_SHAPE[0], dtype=np.float32)[:, None, None]
    far = np.clip((PAVEMENT + 120 - rows) / 200, 0, 1)
    soft = cv2.GaussianBlur(street, (0, 0), 3.0)
    return (street * (1 - far) + soft * far).astype(np.uint8)


def _filled(points: Points, box: Box = WHOLE) -> np.ndarray:
    """Mask of a polygon in a part of the photograph, bool [h, w]."""
    x0, y0, x1, y1 = box
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    if points:
        cv2.fillPoly(mask, [np.array(points, np.int32) - (x0, y0)], 1)
    return mask.astype(bool)


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), _disc(radius)).astype(bool)


def _spread(image: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The image with every pixel outside ``core`` replaced by the nearest one inside."""
    _, nearest = cv2.distanceTransformWithLabels(
        (~core).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    palette = np.zeros((nearest.max() + 1, 3), np.uint8)
    palette[nearest[core]] = image[core]
    return palette[nearest]


def _bridged(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The image with the hole filled along each row from side to side, as the stripes of a bus run."""
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    filled = image.copy()
    for row in np.flatnonzero(hole.any(axis=1)):
        inside, outside = np.flatnonzero(hole[row]), np.flatnonzero(~hole[row])
        for channel in range(3):
            filled[row, inside, channel] = np.interp(inside, outside, smooth[row, outside, channel])
    return filled


def _largest_component(mask: np.ndarray) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    return labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
