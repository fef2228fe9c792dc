"""Part attention as a sheet of crops (the paper's Figure 5)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from bpbreid_track.errors import InputError
from bpbreid_track.io.part_file import write_whole
from bpbreid_track.io.paths import check_not_read
from bpbreid_track.io.sources.images import IMAGE_SUFFIXES, read_image
from bpbreid_track.model.encoder import Encoder

_GREEN, _RED, _WHITE, _BLACK = (60, 180, 60), (50, 50, 220), (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MARGIN, _BORDER = 3, 3
_CELL = (192, 96)  # height and width of one picture of a sheet, pixels


def attention_sheet(
    encoder: Encoder, folder: str | os.PathLike[str], out: str | os.PathLike[str], *, limit: int = 16
) -> Path:
    """A picture of what the network looks at in the crops of a folder.

    One row for each crop: the crop, its foreground, each part; a green border where the part is visible, a
    red one where it is not.

    Args:
        encoder: a live network's.
        folder: images of single persons, in it or in folders inside; of more than ``limit``, some spread
            evenly over the paths.
        out: the .png or .jpg to write.
        limit: most rows.

    Returns:
        ``out``.

    Raises:
        InputError: no such folder, no image in it, an unreadable image, or ``out`` cannot be written.
        UsageError: ``out`` is one of the images.
    """
    if limit < 1:
        raise ValueError(f"limit: expected at least 1, got {limit}")
    target = Path(out)
    if target.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise InputError(f"{target}: expected a name that ends in .png or .jpg")
    paths = _images_in(Path(folder))
    check_not_read(target, paths)
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, limit).astype(int))]
    crops = [_read(path) for path in chosen]
    maps, visibility = (values.cpu().numpy() for values in encoder.attend_crops(crops))
    names = ["", "foreground", *encoder.options.part_names]
    rows = [_header(names)]
    for crop, crop_maps, seen in zip(crops, maps, visibility, strict=True):
        small = cv2.resize(crop, _CELL[::-1], interpolation=cv2.INTER_AREA)
        pictures = [_framed(small, _WHITE), _framed(_heat(small, crop_maps.max(0)), _GREEN)]
        for part_map, visible in zip(crop_maps, seen, strict=True):
            pictures.append(_framed(_heat(small, part_map), _GREEN if visible > 0 else _RED))
        rows.append(np.hstack(pictures))
    _, encoded = cv2.imencode(target.suffix, np.vstack(rows))
    write_whole(target, encoded.tobytes())
    return target


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise InputError(f"{folder}: no images in it or in its folders")
    return paths


def _heat(picture: np.ndarray, part_map: np.ndarray) -> np.ndarray:
    """``picture`` under a heat map: blue where ``part_map`` is 0, red where it is 1."""
    grown = cv2.resize(part_map.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(np.rint(255 * grown.clip(0, 1)).astype(np.uint8), cv2.COLORMAP_JET)
    return cv2.addWeighted(picture, 0.5, heat, 0.5, 0)


def _framed(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    for width, shade in ((_BORDER, colour), (_MARGIN, _WHITE)):
        picture = cv2.copyMakeBorder(picture, width, width, width, width, cv2.BORDER_CONSTANT, value=shade)
    return picture


def _header(names: Sequence[str]) -> np.ndarray:
    width = _CELL[1] + 2 * (_BORDER + _MARGIN)
    header = np.full((24, width * len(names), 3), 255, dtype=np.uint8)
    for column, name in enumerate(names):
        size = cv2.getTextSize(name, _FONT, 0.45, 1)[0][0]
        scale = 0.45 * min(1.0, (width - 6) / max(size, 1))
        left = column * width + round((width - size * scale / 0.45) / 2)
        cv2.putText(header, name, (left, 17), _FONT, scale, _BLACK, 1, cv2.LINE_AA)
    return header


def _read(path: Path) -> np.ndarray:
    image = read_image(path)
    if image is None:
        raise InputError(f"{path}: not an image that OpenCV reads")
    return image
