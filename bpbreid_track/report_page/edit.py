"""A track file put right by a file of corrections; no network, no picture."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, UsageError
from ..io.track_text import TrackText, read_track_text
from .corrections import Corrected, apply, read_corrections
from .lives import Fingerprint


@dataclass(frozen=True)
class Edited:
    """Tracks and what corrections make of them.

    Attributes:
        tracks: as they were read.
        corrected: identity of each of their rows, and whether it stays.
        steps: how many corrections there were.
        text: the new file.
    """

    tracks: TrackText
    corrected: Corrected
    steps: int
    text: bytes


def edited(tracks: str | os.PathLike[str], corrections: str | os.PathLike[str]) -> Edited:
    """The track file ``tracks`` under ``corrections``; nothing is written.

    Raises:
        UsageError: a track file of an unknown suffix.
        InputError: one of the files cannot be read, they do not belong together, or a correction is not
            possible.
    """
    text = read_track_text(tracks)
    asked = read_corrections(corrections)
    if asked.tracks and asked.tracks != fingerprint(text):
        raise InputError(
            f"{corrections}: was made for other tracks than {tracks}; give the track file of that run, or "
            'take the line "tracks" out of the corrections'
        )
    result = apply(text.frame, text.id, asked.steps, where=f"{corrections}: ")
    return Edited(text, result, len(asked.steps), text.rewritten(result.id, result.kept, result.names))


def fingerprint(tracks: TrackText) -> str:
    """The word by which a page knows these tracks; boxes without identity have no part in it."""
    word = Fingerprint()
    for frame, identity, box in zip(
        tracks.frame.tolist(), tracks.id.tolist(), tracks.ltwh.tolist(), strict=True
    ):
        if identity >= 0:
            word.add(frame, identity, *box)
    return word.word()


def check_suffix(tracks: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Fail where ``out`` is of another kind than ``tracks``.

    Raises:
        UsageError: it is.
    """
    kinds = [os.path.splitext(os.fspath(path))[1].lower() for path in (tracks, out)]
    if kinds[0] != kinds[1]:
        raise UsageError(f"{out}: corrected tracks keep their format; give a name that ends in {kinds[0]}")


def names_of(result: Edited) -> list[str]:
    """What the person of each row is called after the corrections, str [R]."""
    names = result.corrected.names
    return [
        names.get(identity, name)
        for identity, name in zip(result.corrected.id.tolist(), result.tracks.name, strict=True)
    ]


def identities(ids: np.ndarray) -> int:
    """How many people these rows are of."""
    return len(np.unique(ids[ids >= 0]))
