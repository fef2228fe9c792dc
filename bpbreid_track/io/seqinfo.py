"""``seqinfo.ini`` of a MOTChallenge sequence, read in one place for tracking and for evaluation."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import InputError

_FASTEST = 10_000
_LONGEST = 1 << 53
_LONGEST_PATH = 255


@dataclass(frozen=True)
class SequenceInfo:
    """What the file states.

    Attributes:
        name: of the sequence; that of the folder where none is stated.
        image_folder: folder of the pictures beside the file.
        frame_rate: frames a second, above 0; None where not stated.
        length: number of frames; None where not stated.
    """

    name: str
    image_folder: str
    frame_rate: Fraction | None
    length: int | None


def read_seqinfo(path: Path) -> SequenceInfo:
    """Read ``path``, with or without a byte order mark.

    Raises:
        InputError: no [Sequence] section, or a rate or length that is none.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        section = parser["Sequence"]
    except (configparser.Error, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: expected a [Sequence] section: {' '.join(str(error).split())}") from error
    rate, length = section.get("frameRate"), section.get("seqLength")
    try:
        frame_rate = None if rate is None else _rate(rate)
        frames = None if length is None else int(length)
    except (ValueError, OverflowError, ZeroDivisionError):
        raise InputError(f"{path}: frameRate and seqLength must be numbers") from None
    if frame_rate is not None and not 0 < frame_rate <= _FASTEST:
        raise InputError(f"{path}: frameRate must be above 0 and at most {_FASTEST}, got {rate}")
    if frames is not None and not 1 <= frames < _LONGEST:
        raise InputError(f"{path}: seqLength must be at least 1 and below 2^53, got {length}")
    name = section.get("name", path.parent.resolve().name)
    name = "".join(letter if letter.isprintable() else "?" for letter in name)  # it is shown on terminals
    folder = section.get("imDir", "img1")
    if not folder.isprintable() or len(folder) > _LONGEST_PATH:
        raise InputError(f"{path}: imDir is no name of a folder: {folder[:60]!r}")
    return SequenceInfo(name, folder, frame_rate, frames)


def _rate(text: str) -> Fraction:
    """``text`` as frames a second: a decimal number or a fraction such as 30000/1001."""
    above, _, below = text.partition("/")
    # By way of floats: Fraction would work 1e999999999 out digit by digit.
    return Fraction(float(above) / float(below or 1)).limit_denominator(1001)
