"""What is painted on frames, and what is left alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from bpbreid_track.config import DrawConfig
from bpbreid_track.errors import UsageError
from bpbreid_track.io.annotate import Painter, track_palette
from bpbreid_track.io.open_source import open_source

GREY = np.full((480, 640, 3), 90, np.uint8)


def person(identity: int, left: float, top: float, right: float, bottom: float) -> sv.Detections:
    return sv.Detections(np.array([[left, top, right, bottom]], np.float32), tracker_id=np.array([identity]))


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """bool [H, W]: pixels that differ."""
    return (before != after).any(axis=2)


def test_frame_itself_is_not_painted_on(shared: Path) -> None:
    with open_source(shared / "data/video/basketball-broadcast.mp4") as source:
        image = next(iter(source)).image
    copy = image.copy()
    painted = Painter(DrawConfig(), 30).paint(image, person(3, 300, 100, 380, 300))
    np.testing.assert_array_equal(image, copy)
    assert painted.shape == image.shape
    assert painted.dtype == np.uint8
    assert changed(image, painted).any()


def test_box_is_painted_on_its_border_alone() -> None:
    painted = Painter(DrawConfig(overlay=("boxes",)), 30).paint(GREY, person(3, 300, 100, 380, 300))
    mask = changed(GREY, painted)
    assert mask[100, 300:381].all()
    assert mask[100:301, 380].all()
    assert not mask[105:296, 305:376].any()
    mask[97:304, 297:384] = False
    assert not mask.any()


def test_boxes_without_identity_are_not_painted() -> None:
    painter = Painter(DrawConfig(), 30)
    np.testing.assert_array_equal(painter.paint(GREY, person(-1, 300, 100, 380, 300)), GREY)
    np.testing.assert_array_equal(painter.paint(GREY, sv.Detections.empty()), GREY)
    untracked = sv.Detections(np.array([[1, 2, 50, 60]], np.float32))
    np.testing.assert_array_equal(painter.paint(GREY, untracked), GREY)


def test_colour_belongs_to_the_identity() -> None:
    painter = Painter(DrawConfig(overlay=("boxes",)), 30)
    first = painter.paint(GREY, person(3, 300, 100, 380, 300))[200, 300]
    pair = sv.Detections.merge([person(4, 20, 30, 90, 200), person(3, 200, 200, 280, 300)])
    second = painter.paint(GREY, pair)
    np.testing.assert_array_equal(first, second[250, 200])
    assert np.abs(second[100, 20].astype(int) - second[250, 200]).max() > 80


def test_ids_seen_together_have_colours_far_apart_that_show_on_dark_clothes() -> None:
    colours = np.array([colour.as_rgb() for colour in track_palette()[0].colors], int)
    for near in range(1, 5):
        distances = np.abs(colours - np.roll(colours, near, axis=0)).max(axis=1)
        assert distances.min() >= 50
    assert (colours @ [0.299, 0.587, 0.114]).min() > 80
    assert len({tuple(colour) for colour in colours}) == len(colours)


@pytest.mark.parametrize(
    "box",
    [(-30, -20, 80, 200), (300, 0, 380, 200), (630, 100, 700, 300), (300, 478, 380, 520)],
    ids=["top left", "top", "right", "bottom"],
)
def test_label_is_readable_at_the_border_of_the_frame(box: tuple[float, float, float, float]) -> None:
    def painted_pixels(position: tuple[float, float, float, float]) -> int:
        painter = Painter(DrawConfig(overlay=("labels",)), 30)
        return int(changed(GREY, painter.paint(GREY, person(1234, *position))).sum())

    assert painted_pixels(box) == painted_pixels((300, 200, 380, 400))


def test_label_carries_the_name_where_there_is_one() -> None:
    def label_width(name: str | None) -> int:
        detections = person(7, 200, 200, 300, 400)
        if name is not None:
            detections.data["name"] = np.array([name])
        painted = Painter(DrawConfig(overlay=("labels",)), 30).paint(GREY, detections)
        return int(changed(GREY, painted).any(axis=0).sum())

    assert label_width("Ann") > label_width("") == label_width(None)


def test_path_follows_the_feet_and_ends_after_its_time() -> None:
    painter = Painter(DrawConfig(overlay=("traces",), trace_seconds=1.0), 10)
    for step in range(30):
        painted = painter.paint(GREY, person(3, 100 + 10 * step, 100, 140 + 10 * step, 300))
    columns = np.flatnonzero(changed(GREY, painted).any(axis=0))
    rows = np.flatnonzero(changed(GREY, painted).any(axis=1))
    assert columns.max() == pytest.approx(120 + 290, abs=3)
    assert columns.min() == pytest.approx(120 + 290 - 10 * 9, abs=13)
    assert rows.min() >= 297
    assert rows.max() <= 303


def test_lines_grow_with_the_frame() -> None:
    def line_width(height: int, config: DrawConfig) -> int:
        image = np.zeros((height, height * 16 // 9, 3), np.uint8)
        painted = Painter(config, 30).paint(image, person(1, 50, 50, 90, 190))
        return int(changed(image, painted)[120, 30:70].sum())

    boxes = DrawConfig(overlay=("boxes",))
    assert line_width(240, boxes) < line_width(720, boxes) < line_width(1080, boxes) < line_width(2160, boxes)
    assert line_width(240, DrawConfig(overlay=("boxes",), thickness=9)) == pytest.approx(9, abs=2)


def test_parts_need_something_that_paints_them() -> None:
    config = DrawConfig(overlay=("boxes", "parts"))
    with pytest.raises(UsageError, match="parts"):
        Painter(config, 30)

    def paint_parts(image: np.ndarray, detections: sv.Detections) -> np.ndarray:
        assert detections.tracker_id is not None
        assert detections.tracker_id.tolist() == [3]
        image[150:160, 320:330] = 255
        return image

    pair = sv.Detections.merge([person(3, 300, 100, 380, 300), person(-1, 20, 30, 90, 200)])
    painted = Painter(config, 30, paint_parts).paint(GREY, pair)
    assert (painted[155, 325] == 255).all()
    assert changed(GREY, painted)[100, 300:380].all()
    without = Painter(DrawConfig(overlay=("boxes",)), 30, paint_parts).paint(GREY, pair)
    assert not changed(GREY, without)[155, 325]


def test_identities_are_painted_the_same_in_every_run(shared: Path) -> None:
    with open_source(shared / "data/video/basketball-broadcast.mp4") as source:
        images = [frame.image for frame in itertools.islice(source, 4)]
    runs = []
    for _ in range(2):
        painter = Painter(DrawConfig(), 30)
        runs.append(
            [painter.paint(im, person(5, 10 * n, 50, 60 + 10 * n, 200)) for n, im in enumerate(images)]
        )
    np.testing.assert_array_equal(runs[0], runs[1])


def test_sources_and_video_sinks_do_not_import_supervision() -> None:
    code = (
        "import sys, bpbreid_track.io.open_source, bpbreid_track.io.sinks.tracks;"
        "assert 'supervision' not in sys.modules, 'supervision was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
