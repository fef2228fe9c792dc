"""Frame numbers that file names carry, as ``000060.jpg`` or ``frame_60.png``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

# Larger ones are clock readings or checksums: at 30 frames a second this is more than a month.
_LARGEST = 10**8


def frame_numbers(paths: Sequence[Path]) -> list[int] | None:
    """The frame number of every picture, counted from 1, where all names carry one.

    It is the first number of the names that is not the same in all of them (``cam2_0041.jpg``); what stands
    before it has to be equal, what follows is passed over. Files numbered from 0 are frames from 1.

    Args:
        paths: pictures in their order. A single one has a number only if its name is nothing else.

    Returns:
        Strictly increasing numbers, or None where the names say none, say one twice, or say them in another
        order.

    >>> frame_numbers([Path("cam2_0041.jpg"), Path("cam2_0043.jpg")])
    [41, 43]
    >>> frame_numbers([Path("0.png"), Path("5.png")])
    [1, 6]
    """
    words = [re.split(r"([0-9]+)", path.stem.lower()) for path in paths]
    if len(words) == 1:
        found = [int(words[0][1])] if words[0][:1] + words[0][2:] == ["", ""] else None
    else:
        found = _first_that_varies(words)
    if not found or found[-1] > _LARGEST or any(b <= a for a, b in pairwise(found)):
        return None
    return [number + 1 for number in found] if found[0] == 0 else found


def _first_that_varies(words: list[list[str]]) -> list[int] | None:
    """``words`` hold text and digits by turns."""
    for place, column in enumerate(zip(*words, strict=False)):
        if len(set(column)) > 1:
            return [int(word) for word in column] if place % 2 else None
    return None


def same_number(paths: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two files of a folder whose names differ in letters alone: a frame, and its mask or a copy of it.

    >>> pair = same_number([Path("000001.jpg"), Path("000001_mask.png"), Path("000002.jpg")])
    >>> [path.name for path in pair or ()]
    ['000001.jpg', '000001_mask.png']
    """
    seen: dict[tuple[Path, tuple[str, ...]], Path] = {}
    for path in paths:
        digits = tuple(re.findall(r"[0-9]+", path.stem))
        if digits and (other := seen.setdefault((path.parent, digits), path)) is not path:
            return other, path
    return None


def describe_numbers(paths: Sequence[Path], numbers: Sequence[int]) -> str:
    """What the user should hear about the numbers; empty where they run 1, 2, 3, ... as the names say."""
    first, last = numbers[0], numbers[-1]
    absent = last - first + 1 - len(numbers)
    from_zero = first == 1 and not int((re.findall(r"[0-9]+", paths[0].stem) or ["1"])[-1])
    if first == 1 and not absent and not from_zero:
        return ""
    holes = f", {absent} of them absent" if absent else ""
    shift = f"; the names count from 0, so frame 1 is {paths[0].name}" if from_zero else ""
    return f"frames are numbered as the files are: {first} to {last}{holes}{shift}"
