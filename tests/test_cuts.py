"""Cuts from one view to another, on real photographs, and what becomes of the people in them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import Scene, Walker

from bpbreid_track import PartTracker, TrackerConfig
from bpbreid_track.tracking.camera_motion import CameraMotion

NOBODY = np.zeros((0, 4))
CUT = 20  # the frame with which the other view begins
FRAMES = 40


def photograph(name: str) -> np.ndarray:
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    image = cv2.imread(str(Path(spec.origin).parent / "assets" / name))
    assert image is not None
    return cv2.resize(image, (960, 720), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, np.ndarray]:
    return photograph("bus.jpg"), photograph("zidane.jpg")


def cut(before: np.ndarray, after: np.ndarray) -> bool:
    camera = CameraMotion()
    assert not camera.estimate(before, NOBODY).cut
    return camera.estimate(after, NOBODY).cut


def test_another_view_is_a_cut_either_way(views: tuple[np.ndarray, np.ndarray]) -> None:
    street, bench = views
    assert cut(street, bench)
    assert cut(bench, street)


def brighter(image: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=1.6, beta=40)


def darker(image: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=0.3)


def blurred(image: np.ndarray) -> np.ndarray:
    return cv2.blur(image, (41, 1))


def panned(image: np.ndarray) -> np.ndarray:
    return np.roll(image, 40, axis=1)


def half_hidden(image: np.ndarray) -> np.ndarray:
    out = image.copy()
    out[:, :480] = 200  # somebody walks past the lens
    return out


@pytest.mark.parametrize("change", [brighter, darker, blurred, panned, half_hidden])
def test_flashes_fades_pans_and_what_passes_the_lens_are_no_cuts(change, views) -> None:  # type: ignore[no-untyped-def]
    for view in views:
        assert not cut(view, change(view))
        assert not cut(change(view), view)


def tracked(
    views: tuple[np.ndarray, np.ndarray], walkers: list[Walker], *, appearance: bool, **settings: str
) -> list[list[int]]:
    """Identities of each walker while seen, over ``CUT`` frames of one view and the rest of the other."""
    tracker = PartTracker(TrackerConfig(**settings))
    found: list[list[int]] = [[] for _ in walkers]
    for number, (detections, embeddings, truth) in enumerate(Scene(walkers, FRAMES)):
        out = tracker.update(detections, views[number >= CUT], embeddings=embeddings if appearance else None)
        for walker, identity in zip(truth, out.tracker_id.tolist(), strict=True):
            found[walker].append(identity)
    return found


BEFORE, AFTER = set(range(CUT)), set(range(CUT, FRAMES))


@pytest.mark.parametrize("appearance", [True, False], ids=["parts", "motion alone"])
def test_who_stands_where_another_stood_before_the_cut_is_somebody_else(
    views: tuple[np.ndarray, np.ndarray], appearance: bool
) -> None:
    first, second = Walker((300, 300), look=1, hidden=AFTER), Walker((302, 301), look=2, hidden=BEFORE)
    found = tracked(views, [first, second], appearance=appearance)
    assert set(found[0]) == {1}
    assert found[1] == [-1, -1, *[2] * 18]
    # The scene must be one in which the place misleads.
    uncut = tracked((views[0], views[0]), [first, second], appearance=False)
    assert set(uncut[1]) == {1}


def test_people_are_known_again_in_the_other_view_by_their_looks(
    views: tuple[np.ndarray, np.ndarray],
) -> None:
    walkers = [
        Walker((200, 300), look=1, path=dict.fromkeys(AFTER, (700, 400))),
        Walker((700, 400), look=2, path=dict.fromkeys(AFTER, (200, 300))),
    ]
    assert [set(ids) for ids in tracked(views, walkers, appearance=True)] == [{1}, {2}]
    by_motion = tracked(views, walkers, appearance=False)
    assert [ids[-1] for ids in by_motion] == [3, 4], "nothing tells who is who"


def test_a_person_known_again_is_followed_from_the_new_place(views: tuple[np.ndarray, np.ndarray]) -> None:
    runs_on = {frame: (700.0 - 6 * (frame - CUT), 400.0) for frame in AFTER}
    walker = Walker((200, 300), (6, 0), look=1, path=runs_on)
    assert set(tracked(views, [walker, Walker((500, 600), look=2)], appearance=True)[0]) == {1}


def test_cuts_are_not_looked_for_where_the_camera_is_not_followed(
    views: tuple[np.ndarray, np.ndarray],
) -> None:
    stays = Walker((300, 300), look=1)
    assert set(tracked(views, [stays], appearance=False, camera_motion="none")[0]) == {1}
    assert tracked(views, [stays], appearance=False)[0][-1] == 2
