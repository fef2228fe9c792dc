"""Points as people write them: ``x,y x,y x,y`` or lists, in pixels or in fractions of the picture."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any

from ..errors import InputError

Points = tuple[tuple[float, float], ...]

_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)"
_TEXT = re.compile(rf"\s*{_NUMBER}\s*,\s*{_NUMBER}(\s+{_NUMBER}\s*,\s*{_NUMBER})*\s*")


def is_points(text: str) -> bool:
    """Whether ``text`` reads ``x,y x,y ...``."""
    return _TEXT.fullmatch(text) is not None


def read_polygon(value: Any) -> Points:
    """A polygon from ``x,y x,y x,y``, or from a list of at least three ``[x, y]``.

    Raises:
        ValueError: it is neither.

    >>> read_polygon("0,0 640,0 640.5,480")
    ((0.0, 0.0), (640.0, 0.0), (640.5, 480.0))
    """
    points = _read(value, "a polygon 'x,y x,y x,y'")
    if len(points) < 3:
        raise ValueError(f"a polygon needs at least 3 points x,y, got {len(points)}")
    return points


def read_line(value: Any) -> Points:
    """A line from ``x,y x,y``, or from a list of two ``[x, y]``.

    Raises:
        ValueError: it is neither, or both ends are one point.
    """
    points = _read(value, "a line 'x,y x,y'")
    if len(points) != 2:
        raise ValueError(f"a line has 2 points x,y, got {len(points)}")
    if points[0] == points[1]:
        raise ValueError("a line needs two ends; these are one point")
    return points


def read_region(value: Any) -> Points | str | None:
    """A polygon as ``read_polygon`` takes it, or else the path of a mask.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if value is None or (isinstance(value, str) and not is_points(value)):
        return value
    return read_polygon(value)


def read_names(values: Any) -> Any:
    """``values`` by names that are texts, also where YAML takes them for numbers.

    Raises:
        ValueError: a name of which nothing can be shown.
    """
    if not isinstance(values, dict):
        return values
    named = {str(name): value for name, value in values.items()}
    for name in named:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"{name!r}: a name needs letters that can be shown")
    return named


def _read(value: Any, expected: str) -> Points:
    if isinstance(value, str):
        if not is_points(value):
            raise ValueError(f"expected {expected}, got {value!r}")
        value = [pair.split(",") for pair in re.sub(r"\s*,\s*", ",", value.strip()).split()]
    try:
        points = tuple((float(x), float(y)) for x, y in value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected {expected} or a list of [x, y], got {value!r}") from error
    if not all(math.isfinite(number) for point in points for number in point):
        raise ValueError(f"expected {expected} of finite numbers")
    return points


def in_pixels(points: Sequence[tuple[float, float]], width: int, height: int, what: str) -> Points:
    """``points`` in pixels of a picture. Numbers that all lie in 0..1 are fractions of its sides.

    Args:
        points: as they were given.
        width: of the picture.
        height: of the picture.
        what: begins the message of the error.

    Raises:
        InputError: points that were made for another picture, as they lie farther outside than it is large.

    >>> in_pixels([(0, 0.5), (1, 0.5)], 640, 480, "line")
    ((0.0, 240.0), (640.0, 240.0))
    """
    if all(0 <= number <= 1 for point in points for number in point):
        return tuple((x * width, y * height) for x, y in points)
    for x, y in points:
        if not (-width <= x <= 2 * width and -height <= y <= 2 * height):
            raise InputError(
                f"{what}: the point {x:g},{y:g} lies far outside the picture of {width} x {height} pixels; "
                "give pixels from its upper left corner, or fractions from 0 to 1"
            )
    return tuple(points)
