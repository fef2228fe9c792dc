"""Painting boxes, identities and paths on frames."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import supervision as sv

from ..config import PERSON_NAME, TEAM_NAMES, DrawConfig
from ..errors import UsageError

_COLORS = 36
_GOLDEN_RATIO = (1 + 5**0.5) / 2
_DARKEST = 85.0  # luma, 0 to 255
_NO_TEAM = (160, 160, 160)  # red, green, blue


def track_palette() -> tuple[sv.ColorPalette, sv.ColorPalette]:
    """Colours of boxes by track id, and of the text on them (black or white, whichever reads better).

    Hues advance by the golden ratio, so that ids which follow each other, as those of people seen together
    do, lie far apart; saturation and brightness alternate on top of it.
    """
    fills, texts = [], []
    for number in range(_COLORS):
        hue = (0.58 + number / _GOLDEN_RATIO) % 1.0
        saturation, value = ((0.85, 1.0), (0.5, 1.0), (0.95, 0.85))[number % 3]
        rgb = [round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, saturation, value)]
        if _luma(rgb) < _DARKEST:  # pure blue is lost on dark clothes
            rgb = [round(channel + (255 - channel) * 0.35) for channel in rgb]
        fills.append(sv.Color(*rgb))
        texts.append(sv.Color.BLACK if _luma(rgb) > 140 else sv.Color.WHITE)
    return sv.ColorPalette(fills), sv.ColorPalette(texts)


def _luma(rgb: list[int]) -> float:
    return float(np.dot(rgb, (0.299, 0.587, 0.114)))


class Painter:
    """Paints tracked people on frames: supervision's annotators, scaled to the frame, coloured by identity.

    Boxes without identity (``tracker_id`` -1) are not painted. Call it once for every frame, in order: paths
    are remembered from frame to frame.

    Args:
        config: what to paint.
        frame_rate: frames a second, for the length of paths.
        paint_parts: draws the body parts, needed for the overlay ``parts``: called as
            ``paint_parts(image, detections)`` with a copy of the frame that it may change, before boxes and
            labels; returns the image.

    Raises:
        UsageError: ``parts`` is asked for and there is nothing to draw them with.
    """

    def __init__(
        self,
        config: DrawConfig,
        frame_rate: float | Fraction,
        paint_parts: Callable[[np.ndarray, sv.Detections], np.ndarray] | None = None,
    ) -> None:
        if "parts" in config.overlay and paint_parts is None:
            raise UsageError("the overlay 'parts' needs an encoder that locates body parts; leave it out")
        self.config = config
        self._paint_parts = paint_parts if "parts" in config.overlay else None
        self._trace_length = max(2, round(config.trace_seconds * float(frame_rate)))
        self._annotators: _Annotators | None = None

    def paint(self, image: np.ndarray, detections: sv.Detections) -> np.ndarray:
        """A painted copy of a frame.

        Args:
            image: uint8 [H, W, 3] BGR, not changed.
            detections: boxes with ``tracker_id``; ``data["name"]``, ``data["team"]`` and, of what is no
                person, ``data["class_name"]``, where present, are written after the id. With teams the
                colours are theirs.
        """
        if self._annotators is None:
            self._annotators = _Annotators(self.config, min(image.shape[:2]), self._trace_length)
        painted = image.copy()
        if detections.tracker_id is None:
            known = sv.Detections(np.empty((0, 4), np.float32), tracker_id=np.empty(0, int))
        else:
            known = detections[detections.tracker_id >= 0]
        if self._paint_parts is not None:
            painted = self._paint_parts(painted, known)
        painted = self._annotators.annotate(painted, known)
        return paint_reasons(painted, detections) if "why" in self.config.overlay else painted


class _Annotators:
    """The annotators that an overlay asks for, with lines and letters that fit frames of one size."""

    def __init__(self, config: DrawConfig, size: int, trace_length: int) -> None:
        """``size``: shorter side of the frames in pixels."""
        thickness = max(1, round(1 + size / 540)) if config.thickness == "auto" else config.thickness
        fills, texts = track_palette()
        # One more, for those of no team.
        fills = sv.ColorPalette([*fills.colors, sv.Color(*_NO_TEAM)])
        texts = sv.ColorPalette([*texts.colors, sv.Color.BLACK])
        self._traces = self._boxes = self._labels = None
        if "traces" in config.overlay:
            feet = sv.Position.BOTTOM_CENTER
            self._traces = sv.TraceAnnotator(fills, feet, trace_length, thickness)
        if "boxes" in config.overlay:
            self._boxes = sv.BoxAnnotator(fills, thickness)
        if "labels" in config.overlay:
            scale = max(0.4, size / 1500)
            self._labels = sv.LabelAnnotator(
                color=fills,
                text_color=texts,
                text_scale=scale,
                text_thickness=max(1, round(2 * scale)),
                text_padding=max(3, round(8 * scale)),
            )

    def annotate(self, scene: np.ndarray, detections: sv.Detections) -> np.ndarray:
        """``scene``, painted in place; labels come last and stay readable."""
        colours = _colours(detections)
        if self._traces is not None:
            scene = self._traces.annotate(scene, detections, custom_color_lookup=colours)
        if self._boxes is not None:
            scene = self._boxes.annotate(scene, detections, custom_color_lookup=colours)
        if self._labels is not None and len(detections):
            labels = _labels(detections)
            scene = self._labels.annotate(
                scene,
                self._in_view(detections, labels, scene.shape),
                labels=labels,
                custom_color_lookup=colours,
            )
        return scene

    def _in_view(self, detections: sv.Detections, labels: list[str], shape: tuple[int, ...]) -> sv.Detections:
        """The boxes, with the corner that carries the label moved to where the label fits into the frame."""
        assert self._labels is not None
        font, scale, weight = cv2.FONT_HERSHEY_SIMPLEX, self._labels.text_scale, self._labels.text_thickness
        sizes = np.array([cv2.getTextSize(label, font, scale, weight)[0] for label in labels])
        sizes += 2 * self._labels.text_padding
        corners = detections.xyxy.copy()
        corners[:, 0] = np.clip(corners[:, 0], 0, np.maximum(0, shape[1] - 1 - sizes[:, 0]))
        corners[:, 1] = np.clip(corners[:, 1], sizes[:, 1], shape[0])
        return sv.Detections(xyxy=corners, tracker_id=detections.tracker_id)


def _labels(detections: sv.Detections) -> list[str]:
    """What is written on each box: its id, and name, team and class where ``data`` has them."""
    if detections.tracker_id is None:
        return []
    columns = [[str(identity) for identity in detections.tracker_id]]
    columns += [list(detections.data[column]) for column in ("name", "team") if column in detections.data]
    if "class_name" in detections.data:
        columns.append([name if name != PERSON_NAME else "" for name in detections.data["class_name"]])
    return [" ".join(filter(None, words)) for words in zip(*columns, strict=True)]


def _colours(detections: sv.Detections) -> np.ndarray:
    """Places in the palette int64 [N]: by team, or by identity where there are none."""
    teams = detections.data.get("team")
    if teams is None:
        ids: np.ndarray = np.asarray(detections.tracker_id, np.int64) % _COLORS
        return ids
    place = {name: number for number, name in enumerate(TEAM_NAMES)}
    return np.array([place.get(team, _COLORS) for team in teams], np.int64)


WHY = "why"  # column of ``Detections.data`` that holds the texts
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def paint_reasons(image: np.ndarray, detections: sv.Detections) -> np.ndarray:
    """Write ``data["why"]`` inside the lower edge of each box, also of boxes without identity.

    Args:
        image: uint8 [H, W, 3] BGR, painted in place and returned.
        detections: without the column nothing is painted; an empty text leaves its box alone.
    """
    height, width = image.shape[:2]
    scale = max(0.35, min(height, width) / 1900)
    weight = max(1, round(2 * scale))
    for (left, _, _, bottom), text in zip(detections.xyxy, detections.data.get(WHY, ()), strict=False):
        if not text or not np.isfinite([left, bottom]).all():
            continue
        (across, up), below = cv2.getTextSize(str(text), _FONT, scale, weight)
        x = int(np.clip(left + 2, 0, max(0, width - across)))
        y = int(np.clip(bottom - below, up, max(up, height - below)))
        # Dark under light is readable on any clothes.
        cv2.putText(image, str(text), (x, y), _FONT, scale, (0, 0, 0), weight + 2, cv2.LINE_AA)
        cv2.putText(image, str(text), (x, y), _FONT, scale, (255, 255, 255), weight, cv2.LINE_AA)
    return image
