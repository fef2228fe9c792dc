"""Painting the region, zones and lines of a run, and what was counted: by supervision's annotators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import supervision as sv

from ..regions.areas import Area

_REGION = sv.Color(255, 255, 255)
_ZONE = sv.Color(255, 214, 10)
_LINE = sv.Color(0, 229, 255)


class RegionPainter:
    """Paints over frames of one size.

    Args:
        region: where people are looked for; None: everywhere.
        zones: areas by name.
        lines: supervision's, by name; they know their counts.
        width: of the frames.
        height: of the frames.
    """

    def __init__(
        self,
        region: Area | None,
        zones: Mapping[str, Area],
        lines: Mapping[str, sv.LineZone],
        width: int,
        height: int,
    ) -> None:
        self._region, self._zones, self._lines = region, zones, lines
        size = min(width, height)
        self._thickness = max(1, round(1 + size / 540))
        self._scale = max(0.4, size / 1500)
        weight, padding = max(1, round(2 * self._scale)), max(3, round(8 * self._scale))
        self._text = {"text_scale": self._scale, "text_thickness": weight, "text_padding": padding}
        self._line_annotators = {
            name: sv.LineZoneAnnotator(
                self._thickness,
                _LINE,
                custom_in_text=f"{name} in",
                custom_out_text=f"{name} out",
                text_orient_to_line=True,  # so that "in" stands on the side that it means
                **self._text,
            )
            for name in lines
        }

    def paint(self, image: np.ndarray, people: Mapping[str, int]) -> np.ndarray:
        """Paint on a frame.

        Args:
            image: uint8 [H, W, 3] BGR, changed in place.
            people: how many are in each zone.

        Returns:
            The painted frame.
        """
        for outline in [] if self._region is None else self._region.outlines:
            image = sv.draw_polygon(image, outline, _REGION, 1)
        for name, zone in self._zones.items():
            for outline in zone.outlines:
                image = sv.draw_polygon(image, outline, _ZONE, self._thickness)
                image = sv.draw_text(
                    image,
                    f"{name}: {people[name]}",
                    sv.get_polygon_center(outline),
                    background_color=_ZONE,
                    text_color=sv.Color.BLACK,
                    **self._text,
                )
        for name, line in self._lines.items():
            image = self._line_annotators[name].annotate(image, line)
        return image
