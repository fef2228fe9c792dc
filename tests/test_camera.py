"""Camera motion on real photographs that are shifted, turned and zoomed by a known amount."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from bpbreid_track.tracking.camera_motion import CameraMotion, CameraStep

NOBODY = np.zeros((0, 4))


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    image = cv2.imread(str(Path(spec.origin).parent / "assets" / "bus.jpg"))
    assert image is not None
    return image


def turned(
    image: np.ndarray, degrees: float, zoom: float, shift: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    affine = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    affine[:, 2] += shift
    return cv2.warpAffine(image, affine, (width, height), borderMode=cv2.BORDER_REFLECT), affine


@pytest.mark.parametrize(
    ("degrees", "zoom", "shift"),
    [(0, 1.0, (12, -5)), (1.0, 1.0, (0, 0)), (0, 1.03, (-8, 3))],
    ids=["pan", "roll", "zoom"],
)
def test_known_motion_is_found_within_a_pixel(
    street: np.ndarray, degrees: float, zoom: float, shift: tuple[float, float]
) -> None:
    moved, truth = turned(street, degrees, zoom, shift)
    camera = CameraMotion()
    assert camera.estimate(street, NOBODY) == CameraStep()
    found = camera.estimate(moved, NOBODY).affine
    assert found is not None
    height, width = street.shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], float)
    assert np.abs(corners @ found.T - corners @ truth.T).max() < 2.0
    assert np.abs(np.array([width / 2, height / 2, 1]) @ (found - truth).T).max() < 1.0


def test_a_still_camera_moves_nothing(street: np.ndarray) -> None:
    camera = CameraMotion()
    camera.estimate(street, NOBODY)
    assert camera.estimate(street, NOBODY) == CameraStep()


def test_a_walking_crowd_is_not_taken_for_camera_motion(street: np.ndarray) -> None:
    people = np.array([[100.0, 350, 700, 1000]])
    moved = street.copy()
    moved[350:1000, 130:730] = street[350:1000, 100:700]
    camera = CameraMotion()
    camera.estimate(street, people)
    assert camera.estimate(moved, people) == CameraStep()


def test_nothing_to_follow_and_a_change_of_size_are_survived(street: np.ndarray) -> None:
    camera = CameraMotion()
    black = np.zeros((120, 160, 3), np.uint8)
    assert camera.estimate(black, NOBODY) == CameraStep()
    assert camera.estimate(black, NOBODY) == CameraStep()
    assert camera.estimate(street, NOBODY) == CameraStep()
    everywhere = np.array([[-10.0, -10, 5000, 5000]])
    assert camera.estimate(street, everywhere) == CameraStep()
    assert camera.estimate(street, NOBODY) == CameraStep()


def test_two_runs_find_the_same_motion(street: np.ndarray) -> None:
    moved, _ = turned(street, 0.5, 1.01, (6, 2))
    found = []
    for _ in range(2):
        camera = CameraMotion()
        camera.estimate(street, NOBODY)
        found.append(camera.estimate(moved, NOBODY).affine)
    assert np.array_equal(found[0], found[1])
