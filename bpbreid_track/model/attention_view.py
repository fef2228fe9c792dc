"""Part attention made visible: painted onto frames."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import Any, cast

import cv2
import numpy as np

from ..errors import UsageError
from .encoder import Encoder
from .host_crops import check_boxes, pixel_boxes
from .network import BPBReID
from .part_encoder import PartEncoder

_STRENGTH = 0.6  # share of the colour where a map is 1
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


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


def part_painter(encoder: PartEncoder) -> Callable[[np.ndarray, Any], np.ndarray]:
    """What the overlay ``parts`` of a video calls: ``(image, detections) -> image``, boxes in ``.xyxy``.

    Costs a pass of the network over the boxes of the frame.

    Raises:
        UsageError: the network was exported and gives no maps.
    """
    if not isinstance(getattr(encoder, "network", None), BPBReID):
        raise UsageError("the overlay 'parts': exported networks give no maps; load the checkpoint instead")
    loaded = cast("Encoder", encoder)

    def paint(image: np.ndarray, detections: Any) -> np.ndarray:
        maps, visibility = (values.cpu().numpy() for values in loaded.attend(image, detections.xyxy))
        return paint_attention(image, detections.xyxy, maps, visibility, loaded.options.part_names)

    return paint


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
