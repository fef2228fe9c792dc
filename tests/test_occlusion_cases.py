"""The gap and the veil of the occlusion benchmark take away what they say, and nothing else."""

from __future__ import annotations

import numpy as np

from benchmarks.occlusion_cases import CASES, textures

WHOLE, GAP, VEIL = CASES
# Boxes 40 wide in a picture 1000 wide: centres in the band, beside it on either side, and far away.
BOXES = np.array(
    [[480, 100, 520, 300], [400, 100, 440, 300], [560, 100, 600, 300], [100, 100, 140, 300]], float
)


def test_a_gap_deletes_the_boxes_whose_centre_lies_in_it() -> None:
    assert WHOLE.kept(BOXES, 1000).all()
    assert GAP.kept(BOXES, 1000).tolist() == VEIL.kept(BOXES, 1000).tolist() == [False, True, True, True]


def test_a_veil_paints_lower_bodies_beside_the_band_with_another_texture_on_either_side() -> None:
    image = np.full((400, 1000, 3), 100, np.uint8)
    sides = np.full_like(image, 10), np.full_like(image, 20)
    painted = VEIL.paint(image, BOXES, sides)
    assert (painted[190:300, 400:440] == 10).all()
    assert (painted[190:300, 560:600] == 20).all()
    assert (painted[100:190] == 100).all(), "upper bodies show"
    assert (painted[:, 100:140] == 100).all(), "far away nothing is painted"
    assert (GAP.paint(image, BOXES, sides) == 100).all()


def test_textures_show_the_scene_without_its_people() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 100, (300, 400, 3), dtype=np.uint8)
    people = np.array([[0, 0, 200, 300]], float)
    image[:, :200] = 255
    left, right = textures(image, people)
    assert left.shape == right.shape == image.shape
    assert max(left.max(), right.max()) < 100
    assert (left != right).any()
