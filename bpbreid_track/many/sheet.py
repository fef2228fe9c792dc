"""Sheets of pictures on which a user checks at a glance who was joined with whom."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from ..errors import InputError
from ..io.addresses import is_stored
from ..io.open_source import open_source
from ..io.part_file import write_whole
from ..io.stores import called, fetch
from .link import Person, Tracked

_TILE_HEIGHT, _TILE_WIDTH, _CAPTION, _GAP = 160, 80, 16, 6
# Tiles beside each other, and people one below the other, on a page.
_COLUMNS, _ROWS = 12, 12
_PAPER, _INK, _ABSENT = 255, (40, 40, 40), 200


def write_sheets(
    out: Path, videos: Sequence[Tracked], people: Sequence[Person]
) -> tuple[list[Path], list[str]]:
    """Pages ``sheet-001.jpg``, ... with everybody who was joined from several identities, a row each.

    Args:
        out: folder.
        videos: those that ``people`` count.
        people: whoever has one member only is left out.

    Returns:
        The pages, and what the user should hear: videos that could not be read again have grey tiles.

    Raises:
        InputError: a page cannot be written.
    """
    joined = [person for person in people if len(person.members) > 1]
    shown = {member for person in joined for member in person.members[:_COLUMNS]}
    tiles: dict[tuple[int, int], np.ndarray] = {}
    notes: list[str] = []
    for number, video in enumerate(videos):
        wanted = [identity for owner, identity in shown if owner == number]
        try:
            found = _pictures(video, wanted) if wanted else {}
        except InputError as error:
            found = {}
            notes.append(f"{video.entry.name}: no pictures: {error}")
        tiles |= {(number, identity): tile for identity, tile in found.items()}
    pages = list[Path]()
    for start in range(0, len(joined), _ROWS):
        rows = [_row(person, videos, tiles) for person in joined[start : start + _ROWS]]
        width = max(row.shape[1] for row in rows)
        padded = [
            np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=_PAPER) for row in rows
        ]
        path = out / f"sheet-{len(pages) + 1:03d}.jpg"
        write_whole(path, cv2.imencode(".jpg", np.concatenate(padded))[1].tobytes())
        pages.append(path)
    return pages, notes


def _pictures(video: Tracked, identities: Sequence[int]) -> dict[int, np.ndarray]:
    """The clearest view of each of ``identities``, out of one reading of the video, uint8 [h, w, 3] BGR."""
    best = video.boxes.clearest()
    by_frame: dict[int, list[int]] = {}
    for identity in identities:
        if identity in best:
            by_frame.setdefault(int(video.boxes.frame[best[identity]]), []).append(identity)
    found: dict[int, np.ndarray] = {}
    with ExitStack() as stack:
        where = video.entry.source
        if is_stored(where):
            place = Path(stack.enter_context(TemporaryDirectory(prefix="bpbreid-")))
            local = fetch(where, place)
            stack.enter_context(called(local, where))
            where = str(local)
        for frame in stack.enter_context(open_source(where)):
            if not by_frame:
                break
            for identity in by_frame.pop(frame.index + 1, ()):
                height, width = frame.image.shape[:2]
                box = video.boxes.xyxy[best[identity]]
                left, top, right, bottom = box.round().astype(int).clip(0, [width, height, width, height])
                if right > left and bottom > top:
                    found[identity] = _fitted(frame.image[top:bottom, left:right])
    return found


def _fitted(crop: np.ndarray) -> np.ndarray:
    """A crop in the middle of a tile, uint8 [160, 80, 3]."""
    scale = min(_TILE_HEIGHT / crop.shape[0], _TILE_WIDTH / crop.shape[1])
    size = tuple(max(1, round(side * scale)) for side in crop.shape[1::-1])
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    tile = np.full((_TILE_HEIGHT, _TILE_WIDTH, 3), _PAPER, np.uint8)
    top, left = (_TILE_HEIGHT - small.shape[0]) // 2, (_TILE_WIDTH - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile


def _row(person: Person, videos: Sequence[Tracked], tiles: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    """One person: the number, then a tile for each member with the video and the number there."""
    height, step = _CAPTION + _TILE_HEIGHT + _GAP, _TILE_WIDTH + _GAP
    members = person.members[:_COLUMNS]
    row = np.full((height, 60 + step * len(members) + 40, 3), _PAPER, np.uint8)
    _text(row, str(person.number), (4, height // 2), 0.7)
    for place, member in enumerate(members):
        left = 60 + place * step
        tile = tiles.get(member)
        row[_CAPTION : _CAPTION + _TILE_HEIGHT, left : left + _TILE_WIDTH] = _ABSENT if tile is None else tile
        name = videos[member[0]].entry.name
        _text(row, f"{name[-9:]} {member[1]}", (left, _CAPTION - 4), 0.32)
    if len(person.members) > _COLUMNS:
        _text(row, f"+{len(person.members) - _COLUMNS}", (60 + step * len(members), height // 2), 0.5)
    return row


def _text(image: np.ndarray, text: str, place: tuple[int, int], size: float) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
