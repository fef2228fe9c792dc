"""Boxes of a MOTChallenge file as they are tracked, and what speaks against their being those of a source."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..io.mot_format import read_mot

if TYPE_CHECKING:
    from ..io.sources.base import Source

logger = logging.getLogger(__name__)

BOX_SUFFIXES = {".txt", ".csv"}
# Of the boxes of one source few have their middle beyond the edge of the picture.
_ASTRAY = 0.1


class FileBoxes(NamedTuple):
    """The boxes of a file. N rows, by frame.

    Attributes:
        frame: int64 [N], from 1, ascending.
        xyxy: float32 [N, 4] pixels, not clipped.
        confidence: float32 [N], as stated; 1 where the file states none.
    """

    frame: np.ndarray
    xyxy: np.ndarray
    confidence: np.ndarray


def read_boxes(path: str | os.PathLike[str], least: float) -> FileBoxes:
    """The boxes of a file that score ``least`` or more, each once.

    Warns of scores that are none (-1 throughout), of scores above 1, and of boxes that are there twice.

    Raises:
        InputError: unreadable file, boxes in fractions of a picture, or all score below ``least``.
    """
    rows = read_mot(path)
    frame, xyxy, confidence = rows.frame, rows.xyxy, rows.confidence
    if len(confidence) and (confidence == -1).all():
        logger.warning("%s has no scores: every box is taken at confidence 1", path)
        confidence = np.ones_like(confidence)
    elif confidence.max(initial=0) > 1:
        logger.warning(
            "%s has scores up to %.3g: a score is a share from 0 to 1, so what is above counts as sure; "
            "divide them where they are of another scale",
            path,
            confidence.max(),
        )
    if len(xyxy) and xyxy[:, 2:].max() <= 2:
        raise InputError(
            f"{path}: no box reaches beyond 2 pixels; expected pixels, so multiply fractions by the width "
            "and height of the picture"
        )
    keep = confidence >= least
    if len(keep) and not keep.any():
        raise InputError(
            f"{path}: all {len(keep)} boxes score below {least:g} (best {confidence.max():.3g}); lower "
            "detector.confidence"
        )
    once = _best_of_each(frame, xyxy, confidence)
    if not once[keep].all():
        logger.warning("%s: %d boxes stand there twice; each counts once", path, (~once[keep]).sum())
    keep &= once
    return FileBoxes(frame[keep], xyxy[keep], confidence[keep])


def _best_of_each(frame: np.ndarray, xyxy: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """bool [N]: of equal boxes of a frame the one of the highest score, and the first of these."""
    keys = np.column_stack([frame, xyxy.astype(np.float64)])
    order = np.lexsort((-confidence, *keys.T))
    again = (np.diff(keys[order], axis=0) == 0).all(axis=1)
    once = np.ones(len(frame), bool)
    once[order[1:][again]] = False
    return once


def inside_sequence(detector: Any, source: Any) -> Any:
    """``detector``, or the file of boxes that it names inside the folder ``source``, as ``det/det.txt``."""
    if not isinstance(detector, str | os.PathLike) or not isinstance(source, str | os.PathLike):
        return detector
    named, inside = Path(detector), Path(source) / detector
    is_boxes = named.suffix.lower() in BOX_SUFFIXES and not named.exists() and inside.is_file()
    return inside if is_boxes else detector


def check_against(boxes: FileBoxes, path: str, source: Source) -> None:
    """Tell boxes of other pictures before they are tracked on these.

    Raises:
        InputError: frames are numbered otherwise than in ``source``, so that none has a box, or all boxes lie
            beside its pictures.
    """
    if not len(boxes.frame):
        return
    numbers, first, last = source.frame_numbers, boxes.frame[0], boxes.frame[-1]
    if numbers and not np.isin(boxes.frame, numbers).any():
        raise InputError(
            f"{path}: has boxes of the frames {first} to {last}, but {source.name} has the frames "
            f"{numbers[0]} to {numbers[-1]}; rename the pictures or number the boxes as they are"
        )
    end = numbers[-1] if numbers else source.frame_count
    if end and last > end + max(2, end // 100):  # how many there are is known when all are decoded
        logger.warning(
            "%s: has boxes up to frame %d, and %s ends about frame %d; are they of a longer recording?",
            path,
            last,
            source.name,
            end,
        )
    middle = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2
    astray = ((middle < 0) | (middle > [source.width, source.height])).any(axis=1)
    size = f"{source.width}x{source.height}"
    if astray.all():
        raise InputError(f"{path}: all boxes lie beside the pictures of {source.name}, which are {size}")
    if astray.mean() > _ASTRAY:
        logger.warning(
            "%s: %d of %d boxes have their middle beside the pictures of %s, which are %s; were they found "
            "in larger ones?",
            path,
            astray.sum(),
            len(astray),
            source.name,
            size,
        )
