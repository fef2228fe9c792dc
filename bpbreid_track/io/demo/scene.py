"""The demo scene: who walks where, what hides whom, and the picture of each moment.

Places are points on the ground in pixels of the street picture, (x, y) of the feet. The camera is held at eye
level, so all heads stand on one row and a person's height follows from the row of the feet alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from . import sprites as cutouts
from .sprites import CREAM, DARK, Dye, Outfit, Person

WIDTH, HEIGHT = 1280, 720
FRAME_RATE = 25
FRAME_COUNT = 350
STREET_SCALE = 0.89  # street picture per photograph
HORIZON = cutouts.HORIZON * STREET_SCALE
TOP = 147  # row of the street picture at which the view begins
GAIT_STEPS = 8
BILLBOARD = (676, 762)  # place
BILLBOARD_SIZE = (310, 478)
BOLLARDS = ((205, 846), (1130, 846))
SHADOW = 0.5  # share of the light that a shadow takes


@dataclass(frozen=True)
class Waypoint:
    """Somebody's feet at a time. Between waypoints people walk straight and evenly."""

    seconds: float
    x: float
    y: float


@dataclass(frozen=True)
class Walker:
    """One of the cast: clothes, and the way through the scene."""

    person: Person
    outfit: Outfit
    path: Sequence[Waypoint]


@dataclass(frozen=True)
class Sprite:
    """A cut-out: colours uint8 [h, w, 3], alpha float32 [h, w], the point that stands on the ground."""

    colours: np.ndarray
    alpha: np.ndarray
    foot: tuple[float, float]

    @cached_property
    def solid_points(self) -> np.ndarray:
        """Corners of the convex hull of what is at least half opaque, float [n, 2]."""
        points = cv2.findNonZero((self.alpha >= 0.5).astype(np.uint8))
        return cv2.convexHull(points)[:, 0].astype(np.float64)

    @cached_property
    def solid_area(self) -> int:
        """Pixels that are at least half opaque."""
        return int(np.count_nonzero(self.alpha >= 0.5))


@dataclass(frozen=True)
class Placed:
    """A sprite in a frame: ``matrix`` float [2, 3] takes its pixels there; obstacles have identity 0."""

    sprite: Sprite
    matrix: np.ndarray
    depth: float
    identity: int = 0


@dataclass(frozen=True)
class Truth:
    """Where a person is in a frame.

    Attributes:
        identity: from 1.
        xyxy: box of the whole person, hidden parts included, clipped to the picture, in pixels.
        visibility: share of the person that shows, in [0, 1]; what lies outside the picture does not.
    """

    identity: int
    xyxy: tuple[float, float, float, float]
    visibility: float


def _path(*stops: tuple[float, float, float]) -> tuple[Waypoint, ...]:
    return tuple(Waypoint(*stop) for stop in stops)


# The first two cross behind the billboard; the fourth turns round behind it; the third and the sixth pass in
# front of everybody; the second leaves the picture and returns.
WALKERS = (
    Walker(CREAM, {}, _path((0, -60, 690), (10.8, 1460, 690))),
    Walker(DARK, {}, _path((0.3, 1440, 735), (10.3, -60, 735), (11.2, -60, 750), (14, 360, 750))),
    Walker(
        CREAM,
        {"coat": Dye(0.62, -20, 34, 14), "trousers": Dye(0.8, 0, 0, 4)},
        _path((1.8, -120, 800), (11.0, 1480, 800)),
    ),
    Walker(
        DARK,
        {"coat": Dye(1.8, 28, -10, 20), "trousers": Dye(0.55, 5, 0, 0)},
        _path(
            (0, 1010, 722),
            (2.7, 676, 722),
            (3.6, 680, 722),
            (9.6, 1440, 722),
            (10.6, 1440, 715),
            (14, 980, 715),
        ),
    ),
    Walker(
        CREAM,
        {"coat": Dye(0.55, -15, 4, -30), "trousers": Dye(1.4, 50, 2, 14)},
        _path((5.4, 1430, 670), (14, 320, 670)),
    ),
    Walker(
        DARK,
        {"coat": Dye(2.0, 72, 2, 4), "trousers": Dye(1.1, 0, 12, 18)},
        _path((4.3, 1460, 775), (10.6, 430, 775), (11.5, 425, 775), (14.4, -60, 775)),
    ),
)


class Scene:
    """Six people in front of a bus, for 14 seconds. Everything follows from the frame number alone."""

    def __init__(self) -> None:
        photo = cutouts.read_photo()
        street = cutouts.empty_street(photo)
        self._street = cv2.resize(
            street, None, fx=STREET_SCALE, fy=STREET_SCALE, interpolation=cv2.INTER_AREA
        )
        silhouettes = {id(person): cutouts.cut_out(photo, person) for person in cutouts.CAST}
        self._gaits = [_gait(walker, *silhouettes[id(walker.person)]) for walker in WALKERS]
        self._billboard = _billboard(photo)
        self._bollard = _bollard(photo)

    def render(self, index: int) -> np.ndarray:
        """Frame ``index`` (from 0), uint8 [720, 1280, 3] BGR."""
        left, top = camera(index)
        image = self._street[top : top + HEIGHT, left : left + WIDTH].copy()
        placed = self._placed(index)
        for item in placed:
            _shade(image, item)
        for item in placed:
            _paste(image, item)
        return image

    def truth(self, index: int) -> list[Truth]:
        """The persons in frame ``index``, by identity; who is outside the picture altogether is left out."""
        placed = self._placed(index)
        owner = np.zeros((HEIGHT, WIDTH), np.uint8)
        for item in placed:
            window = _window(item)
            if window:
                x0, y0, x1, y1 = window
                alpha = _warped(item.sprite.alpha, item.matrix, window)
                owner[y0:y1, x0:x1][alpha >= 0.5] = item.identity
        pixels = np.bincount(owner.ravel(), minlength=len(WALKERS) + 1)
        people = []
        for item in placed:
            if not item.identity or _window(item) is None:
                continue
            area = item.sprite.solid_area * abs(np.linalg.det(item.matrix[:, :2]))
            corners = _transformed(item.sprite.solid_points, item.matrix)
            # A pixel is a square: its far side is one further.
            low = np.clip(corners.min(axis=0), 0, (WIDTH, HEIGHT))
            high = np.clip(corners.max(axis=0) + 1, 0, (WIDTH, HEIGHT))
            if (high - low).min() >= 1:
                visibility = min(1.0, float(pixels[item.identity] / area))
                people.append(Truth(item.identity, (*low.tolist(), *high.tolist()), visibility))
        return sorted(people, key=lambda person: person.identity)

    def _placed(self, index: int) -> list[Placed]:
        """Everything in the frame from back to front."""
        left, top = camera(index)
        placed = [_standing(self._billboard, *BILLBOARD, left, top)]
        placed += [_standing(self._bollard, x, y, left, top) for x, y in BOLLARDS]
        for number, (walker, gait) in enumerate(zip(WALKERS, self._gaits, strict=True), start=1):
            step = _step(walker, index / FRAME_RATE)
            if step is None:
                continue
            scale = (step.y - HORIZON) / (walker.person.foot[1] - cutouts.HORIZON) / gait.scale
            closed = 0.5 - 0.5 * math.cos(2 * math.pi * step.strides)
            sprite = gait.sprites[round(closed * GAIT_STEPS)]
            # The body is highest, and leans least, with one leg upright under it.
            rise = 0.012 * closed * (step.y - HORIZON)
            lean = 0.012 * math.sin(math.pi * step.strides)
            flip = -1 if step.leftwards else 1
            linear = scale * np.array([[flip, flip * lean], [0, 1]])
            ground = np.array([step.x - left, step.y - top - rise])
            matrix = np.column_stack([linear, ground - linear @ sprite.foot])
            placed.append(Placed(sprite, matrix, step.y, number))
        return sorted(placed, key=lambda item: item.depth)


def camera(index: int) -> tuple[int, int]:
    """Top left corner of the view in the street picture: a slow pan with the tremble of a hand."""
    seconds = index / FRAME_RATE
    left = 36 + 22 * math.sin(2 * math.pi * seconds / 11) + 0.9 * math.sin(5.3 * seconds + 1)
    return round(left), round(TOP + 3 * math.sin(2 * math.pi * seconds / 7) + 0.8 * math.sin(6.1 * seconds))


@dataclass(frozen=True)
class _Gait:
    sprites: list[Sprite]
    scale: float  # of the sprites, against the photograph


@dataclass(frozen=True)
class _Step:
    x: float
    y: float
    strides: float
    leftwards: bool


def _step(walker: Walker, seconds: float) -> _Step | None:
    """Where the walker is, after how many strides, facing where; None outside the times of the path."""
    path = walker.path
    if not path[0].seconds <= seconds <= path[-1].seconds:
        return None
    strides, leftwards = 0.0, False
    for start, end in itertools.pairwise(path):
        share = min(1.0, (seconds - start.seconds) / (end.seconds - start.seconds))
        x, y = start.x + share * (end.x - start.x), start.y + share * (end.y - start.y)
        strides += abs(x - start.x) / (0.36 * (y - HORIZON))
        if abs(end.x - start.x) > 10:  # less is shifting one's weight
            leftwards = end.x < start.x
        if seconds <= end.seconds:
            break
    return _Step(x, y, strides, leftwards)


def _gait(walker: Walker, colours: np.ndarray, alpha: np.ndarray) -> _Gait:
    """The walker's cut-outs from legs open to legs closed, as large as they are shown at most."""
    person = walker.person
    colours = cutouts.dressed(colours, person, walker.outfit)
    scale = max((stop.y - HORIZON) / (person.foot[1] - cutouts.HORIZON) for stop in walker.path)
    foot = ((person.foot[0] - person.box[0]) * scale, (person.foot[1] - person.box[1]) * scale)
    sprites = []
    for step in range(GAIT_STEPS + 1):
        pose, shape = cutouts.striding(colours, alpha, person, step / GAIT_STEPS)
        sprites.append(Sprite(_scaled(pose, scale), _scaled(shape, scale), foot))
    return _Gait(sprites, scale)


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _billboard(photo: np.ndarray) -> Sprite:
    """An advertising pillar: the lettering from the bus in a steel frame, wide enough to hide a person."""
    width, height = BILLBOARD_SIZE
    colours = np.full((height, width, 3), (74, 70, 66), np.uint8)
    colours[:] = np.clip(colours * np.linspace(1.25, 0.7, width)[None, :, None], 0, 255)
    edge, poster_size = 16, (width - 32, height - 96)
    poster = cv2.resize(photo[372:560, 545:672], poster_size, interpolation=cv2.INTER_CUBIC)
    colours[edge : edge + poster_size[1], edge:-edge] = poster
    alpha = np.ones((height, width), np.float32)
    alpha[height - 34 :, 44:-44] = 0  # stands on two feet
    return Sprite(colours, cv2.GaussianBlur(alpha, (0, 0), 0.7), (width / 2, height - 4))


def _bollard(photo: np.ndarray) -> Sprite:
    """One of the bollards on the kerb, moved to the front."""
    x0, y0, x1, y1 = 426, 658, 462, 761
    scale = (BOLLARDS[0][1] - HORIZON) / (757 - cutouts.HORIZON)
    alpha = np.zeros((y1 - y0, x1 - x0), np.float32)
    cv2.rectangle(alpha, (2, 4), (x1 - x0 - 4, 85), 1.0, -1)
    cv2.rectangle(alpha, (6, 84), (x1 - x0 - 5, 96), 1.0, -1)
    cv2.ellipse(alpha, ((x1 - x0) // 2 - 1, 4), (14, 3), 0, 0, 360, 1.0, -1)
    size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
    colours = cv2.resize(photo[y0:y1, x0:x1], size, interpolation=cv2.INTER_CUBIC)
    alpha = cv2.GaussianBlur(cv2.resize(alpha, size), (0, 0), 1)
    return Sprite(colours, alpha, (size[0] / 2, 97 * scale))


def _standing(sprite: Sprite, x: float, y: float, left: int, top: int) -> Placed:
    shift = np.array([[1, 0, x - left - sprite.foot[0]], [0, 1, y - top - sprite.foot[1]]])
    return Placed(sprite, shift, y)


def _transformed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _window(item: Placed) -> tuple[int, int, int, int] | None:
    """The part of the frame that the sprite's rectangle touches, (x0, y0, x1, y1), if any."""
    height, width = item.sprite.alpha.shape
    corners = _transformed(np.array([[0, 0], [width, 0], [0, height], [width, height]]), item.matrix)
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (WIDTH, HEIGHT))
    return (int(x0), int(y0), int(x1), int(y1)) if x0 < x1 and y0 < y1 else None


def _warped(image: np.ndarray, matrix: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """``image`` under ``matrix``, as seen through ``window``; 0 outside it."""
    x0, y0, x1, y1 = window
    shifted = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    return cv2.warpAffine(image, shifted, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)


def _paste(image: np.ndarray, item: Placed) -> None:
    window = _window(item)
    if window is None:
        return
    x0, y0, x1, y1 = window
    alpha = _warped(item.sprite.alpha, item.matrix, window)
    colours = _warped(item.sprite.colours, item.matrix, window)
    below = image[y0:y1, x0:x1]
    below[:] = cv2.blendLinear(colours, below, alpha, 1 - alpha)


def _shade(image: np.ndarray, item: Placed) -> None:
    """Darken the ground towards the left and the viewer, where shadows fall in the photograph."""
    foot = item.matrix[:, :2] @ item.sprite.foot + item.matrix[:, 2]
    fall = np.array([[1, 0.55], [0, -0.16]])  # a point at height h falls 0.55 h to the left, 0.16 h down
    linear = fall @ item.matrix[:, :2]
    shadow = Placed(item.sprite, np.column_stack([linear, foot - linear @ item.sprite.foot]), item.depth)
    window = _window(shadow)
    if window is None:
        return
    x0, y0, x1, y1 = window
    light = 1 - SHADOW * cv2.GaussianBlur(_warped(item.sprite.alpha, shadow.matrix, window), (9, 9), 0)
    below = image[y0:y1, x0:x1]
    below[:] = cv2.multiply(below, cv2.merge([light] * 3), dtype=cv2.CV_8U)
