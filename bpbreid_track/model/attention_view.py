"""Part attention made visible: painted onto frames, and as a sheet of crops (the paper's Figure 5)."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InputError, UsageError
from .crops import check_boxes, pixel_boxes
from .encoder import Encoder
from .network import BPBReID

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_STRENGTH = 0.6  # share of the colour where a map is 1
_GREEN, _RED, _WHITE, _BLACK = (60, 180, 60), (50, 50, 220), (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CELL = (192, 96)  # height and width of one picture of a sheet, pixels
_MARGIN, _BORDER = 3, 3


def part_colours(parts: int) -> np.ndarray:
    """``parts`` colours far apart from each other: uint8 [parts, 3], BGR."""
    hues = [(0.02 + index / parts) % 1 for index in range(parts)]
    rgb = [colorsys.hsv_to_rgb(hue, 0.9 if index % 2 == 0 else 0.6, 1.0) for index, hue in enumerate(hues)]
    return np.rint(255 * np.array(rgb)[:, ::-1]).astype(np.uint8)


def paint_attention(
    image: np.ndarray,
    xyxy: Any,
    maps: np.ndarray,
    visibility: np.ndarray,
    part_names: Sequence[str] = (),
) -> np.ndarray:
    """The visible parts of every person tinted in their colours; beside each box a square for every part.

    Squares stand from the first part at the top to the last, filled where the part is visible. Pure function.

    Args:
        image: uint8 [H, W, 3] BGR, not changed.
        xyxy: [N, 4] pixels.
        maps: float [N, K, h, w] in [0, 1], as from ``Encoder.attend``, of any h and w.
        visibility: [N, K] in [0, 1].
        part_names: K names for a legend in the upper left corner; none, no legend.

    Returns:
        uint8 [H, W, 3], a new image.
    """
    painted = image.copy()
    boxes, usable = pixel_boxes(check_boxes(xyxy), *image.shape[:2])
    colours = part_colours(maps.shape[1])
    for index in np.flatnonzero(usable):
        x1, y1, x2, y2 = boxes[index].tolist()
        _tint(painted[y1:y2, x1:x2], maps[index] * visibility[index][:, None, None], colours)
    side = max(3, round(min(image.shape[:2]) / 90))
    for index in np.flatnonzero(usable):
        x1, y1, _, _ = boxes[index].tolist()
        for part, seen in enumerate(visibility[index].tolist()):
            corner = (max(x1 - side - 2, 0), y1 + part * (side + 2))
            opposite = (corner[0] + side, corner[1] + side)
            colour = tuple(colours[part].tolist())
            cv2.rectangle(painted, corner, opposite, colour if seen > 0 else _BLACK, cv2.FILLED)
            cv2.rectangle(painted, corner, opposite, colour, 1)
    if len(part_names):
        _legend(painted, part_names, colours)
    return painted


def part_painter(encoder: Encoder) -> Callable[[np.ndarray, Any], np.ndarray]:
    """What the overlay ``parts`` of a video calls: ``(image, detections) -> image``, boxes in ``.xyxy``.

    Costs a pass of the network over the boxes of the frame.

    Raises:
        UsageError: the network was exported and gives no maps.
    """
    if not isinstance(encoder.network, BPBReID):
        raise UsageError("the overlay 'parts': exported networks give no maps; load the checkpoint instead")

    def paint(image: np.ndarray, detections: Any) -> np.ndarray:
        maps, visibility = (values.cpu().numpy() for values in encoder.attend(image, detections.xyxy))
        return paint_attention(image, detections.xyxy, maps, visibility, encoder.options.part_names)

    return paint


def attention_sheet(
    encoder: Encoder, folder: str | os.PathLike[str], out: str | os.PathLike[str], *, limit: int = 16
) -> Path:
    """A picture of what the network looks at in the crops of a folder.

    One row for each crop: the crop, its foreground, each part; a green border where the part is visible, a
    red one where it is not.

    Args:
        encoder: a live network's.
        folder: images of single persons; of more than ``limit``, some spread evenly over the names.
        out: the .png or .jpg to write.
        limit: most rows.

    Returns:
        ``out``.

    Raises:
        InputError: no such folder, no image in it, an unreadable image, or ``out`` cannot be written.
    """
    paths = _images_in(Path(folder))
    if limit < 1:
        raise ValueError(f"limit: expected at least 1, got {limit}")
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, limit).astype(int))]
    crops = [read_image(path) for path in chosen]
    maps, visibility = (values.cpu().numpy() for values in encoder.attend_crops(crops))
    names = ["", "foreground", *encoder.options.part_names]
    rows = [_header(names)]
    for crop, crop_maps, seen in zip(crops, maps, visibility, strict=True):
        small = cv2.resize(crop, _CELL[::-1], interpolation=cv2.INTER_AREA)
        pictures = [_framed(small, _WHITE), _framed(_heat(small, crop_maps.max(0)), _GREEN)]
        for part_map, visible in zip(crop_maps, seen, strict=True):
            pictures.append(_framed(_heat(small, part_map), _GREEN if visible > 0 else _RED))
        rows.append(np.hstack(pictures))
    target = Path(out)
    if target.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise InputError(f"{target}: expected a name that ends in .png or .jpg")
    _, encoded = cv2.imencode(target.suffix, np.vstack(rows))
    try:
        target.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def read_image(path: Path) -> np.ndarray:
    """An image file as uint8 [H, W, 3] BGR, whatever letters its path has.

    Raises:
        InputError: missing, or not an image.
    """
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if image is None:
        raise InputError(f"{path}: not an image that OpenCV reads")
    return image


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no images in it")
    return paths


def _tint(region: np.ndarray, maps: np.ndarray, colours: np.ndarray) -> None:
    """Blends ``colours`` [K, 3], weighed by ``maps`` [K, h, w], into ``region`` in place."""
    total = maps.sum(0)
    colour = np.einsum("khw,kc->hwc", maps, colours) / np.maximum(total, 1e-6)[..., None]
    alpha = _STRENGTH * maps.max(0)
    # Blended premultiplied: colours of cells without attention must not bleed over the borders.
    layer = np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)
    layer = cv2.resize(layer, region.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    region[:] = np.rint(region * (1 - layer[..., 3:]) + layer[..., :3]).clip(0, 255).astype(np.uint8)


def _legend(image: np.ndarray, names: Sequence[str], colours: np.ndarray) -> None:
    scale = max(0.4, min(image.shape[:2]) / 1500)
    step = round(30 * scale)
    for row, (name, colour) in enumerate(zip(names, colours.tolist(), strict=True)):
        foot = (step // 2 + step, (row + 1) * step)
        cv2.rectangle(image, (step // 3, foot[1] - step + 6), (step, foot[1]), colour, cv2.FILLED)
        for shade, width in ((_BLACK, 3), (_WHITE, 1)):
            cv2.putText(image, name, foot, _FONT, scale, shade, max(1, round(width * scale)), cv2.LINE_AA)


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
