"""Where people stood: the map on the page of a run."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
from report_data import shown

from bpbreid_track import track_video
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.io.track_text import read_track_text
from bpbreid_track.report_page.places import Places, painted

ZONE = "<b>Weg & Süd"


def decoded(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(int)


@pytest.mark.parametrize("link", [False, True])
def test_the_page_counts_every_box_where_it_stands_and_draws_the_zones(
    pets: Path, det: Path, tmp_path: Path, link: bool
) -> None:
    zones = {ZONE: [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]}
    config = {
        "tracker": {"camera_motion": "none"},
        "regions": {"zones": zones, "lines": {"door": "9,9 90,9"}},
    }
    files = {"tracks": tmp_path / "t.csv", "report_page": tmp_path / "run.html"}
    report = track_video(pets, detector=det, encoder=None, config=config, max_frames=40, link=link, **files)
    data, tracks = shown(tmp_path / "run.html"), read_track_text(tmp_path / "t.csv")
    places = data["places"]
    assert places["boxes"] == len(tracks.id)
    assert places["frame"] is None, "this camera stands still"
    assert report.zones is not None
    zone = report.zones[ZONE]
    assert data["zones"] == [[ZONE, str(zone["people"]), str(zone["most"]), f"{zone['seconds']:.1f} s"]]
    assert data["lines"] == [["door", "0", "0"]]
    wide, high = places["size"]
    (kind, name, corners), (_, _, line) = places["shapes"]
    assert (kind, name) == ("zones", ZONE)
    assert corners == [[0, 0], [wide, 0], [wide, high / 2], [0, high / 2]]
    assert line == pytest.approx(np.array([[9, 9], [90, 9]]) * wide / 768, abs=0.1)
    # Red is where most stood: by a count that knows nothing of the map.
    picture = decoded(base64.b64decode(places["picture"]))
    assert picture.shape == (high, wide, 3)
    feet = np.stack(
        [tracks.ltwh[:, 0] + tracks.ltwh[:, 2] / 2, tracks.ltwh[:, 1] + tracks.ltwh[:, 3]], axis=1
    )
    feet = feet * wide / 768
    near = (np.hypot(*(feet[:, None] - feet[None]).transpose(2, 0, 1)) < 8).sum(axis=1)
    x, y = feet[near.argmax()].round().astype(int)
    blue, _, red = picture[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).T
    assert (red - blue).max() > 100


def test_heat_lies_at_the_feet_and_only_people_with_an_identity_have_any() -> None:
    grey = np.full((300, 400, 3), 128, np.uint8)
    boxes = np.array([[90, 20, 110, 200], [290, 20, 310, 100], [290, 150, 310, 250], [380, 250, 460, 400]])
    people = sv.Detections(
        boxes.astype(np.float32), tracker_id=np.array([1, -1, 2, 3]), class_id=np.array([0, 0, 32, 0])
    )
    places = Places(by_motion=[32])
    for index in range(3):
        places.add(Frame(index, index / 10, grey), people)
    assert places.boxes == 6
    found = places.map()
    assert found is not None
    changed = np.abs(decoded(found.jpeg) - 128).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    left = columns < 200
    assert (columns[left].mean(), rows[left].mean()) == pytest.approx((100, 200), abs=1.5)
    assert rows[~left].min() > 280, "who is cut off by the edge stands on the last row"
    assert columns[~left].min() > 380
    assert Places().map() is None


def test_who_walks_by_is_seen_beside_who_stands_for_minutes() -> None:
    counts = np.zeros((300, 400), np.float32)
    counts[200, 100] = 3000
    counts[100, 50:350] = 10
    picture = painted(np.full((300, 400, 3), 128, np.uint8), counts).astype(int)
    assert np.abs(picture[100, 200] - 128).max() > 20
    assert (picture[20, 20] == 128).all()


def test_a_camera_that_moves_is_told_from_one_that_stands(pets: Path) -> None:
    pictures = [cv2.imread(str(path)) for path in sorted((pets / "img1").glob("*.jpg"))[:60:4]]
    box = sv.Detections(np.array([[100, 100, 140, 200]], np.float32), tracker_id=np.array([1]))
    still, moving = Places(), Places()
    for index, picture in enumerate(pictures):
        still.add(Frame(index, float(index), picture[:, :400]), box)
        moving.add(Frame(index, float(index), np.ascontiguousarray(picture[:, 20 * index :][:, :400])), box)
    found, other = still.map(), moving.map()
    assert found is not None
    assert other is not None
    assert found.frame is None
    assert other.frame in range(1, len(pictures) + 1)
    # Nobody stands at the top: what is seen there is that frame itself.
    assert (
        np.abs(
            decoded(other.jpeg)[:60] - pictures[other.frame - 1][:60, 20 * (other.frame - 1) :][:, :400]
        ).mean()
        < 8
    )
