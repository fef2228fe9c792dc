"""A sheet of labels to look at: crops, each beside itself with its parts painted over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from bpbreid_track.model.part_groups import PART_GROUPS

from ..data.grouping import channels_of, group_fields, label_map
from ..data.mask_files import read_fields
from ..data.placement import Placement
from ..data.samples import read_image

_TILE = (256, 128)
_COLUMNS = 8
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def part_colours(count: int) -> np.ndarray:
    """``count`` RGB colours well apart, uint8 [count, 3]."""
    hues = (np.arange(count) * 179 / max(count, 1)).astype(np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 230), np.full_like(hues, 255)], axis=-1)
    return cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


def painted(image: np.ndarray, labels: np.ndarray, colours: np.ndarray, opacity: float = 0.55) -> np.ndarray:
    """Parts painted over an image.

    Args:
        image: uint8 [H, W, 3].
        labels: int [H, W], 0 for the background.
        colours: uint8 [K, 3].
    """
    result = image.copy()
    part = labels > 0
    result[part] = ((1 - opacity) * image[part] + opacity * colours[labels[part] - 1]).astype(np.uint8)
    return result


def write_contact_sheet(
    path: Path, pairs: Sequence[tuple[Path, Path]], part_group: str = "eight", columns: int = _COLUMNS
) -> None:
    """Draw images and their labels into one PNG, with a legend of the parts.

    Args:
        path: file to write.
        pairs: image and label file of each.
        part_group: how the 36 fields are grouped.
        columns: pairs a row.
    """
    names = list(PART_GROUPS[part_group])
    colours = part_colours(len(names))
    tiles = [_tile(image, mask, part_group, colours) for image, mask in pairs]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    sheet = np.vstack([*rows, _legend(names, colours, rows[0].shape[1])])
    ok, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert ok
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def _tile(image_path: Path, mask_path: Path, part_group: str, colours: np.ndarray) -> np.ndarray:
    """The crop, and the crop with its parts, side by side with a white margin."""
    height, width = _TILE
    image = cv2.resize(read_image(image_path), (width, height), interpolation=cv2.INTER_LINEAR)
    parts = group_fields(torch.from_numpy(read_fields(mask_path)), channels_of(part_group))
    labels = label_map(Placement(_TILE).sample(parts, _TILE, range(len(parts)))).numpy()
    both = np.hstack([image, painted(image, labels, colours)])
    return np.pad(both, ((0, 6), (0, 6), (0, 0)), constant_values=255)


def _legend(names: Sequence[str], colours: np.ndarray, width: int) -> np.ndarray:
    legend = np.full((36, width, 3), 255, np.uint8)
    left = 10
    for name, colour in zip(names, colours.tolist(), strict=True):
        cv2.rectangle(legend, (left, 10), (left + 16, 26), colour, -1)
        cv2.putText(legend, name, (left + 22, 24), _FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        left += 40 + 9 * len(name)
    return legend
