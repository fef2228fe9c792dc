"""Rows of track files in which somebody was out of sight and is known to have come back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import track_video
from bpbreid_track.identities.bridging import bridge
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.bridges import Bridges
from bpbreid_track.tracking.camera_motion import CameraStep

RATE = 10.0
IMAGE = np.zeros((4, 4, 3), np.uint8)


def walker(x: float, identity: int = 1) -> sv.Detections:
    return sv.Detections(
        xyxy=np.array([[x, 0, x + 40, 100]], np.float32),
        confidence=np.array([0.9], np.float32),
        class_id=np.array([0]),
        tracker_id=np.array([identity]),
    )


def run(scene: list[sv.Detections], bridges: Bridges, cut_at: int = -1) -> list[tuple[Frame, sv.Detections]]:
    out = []
    for index, found in enumerate(scene):
        frame = Frame(index, index / RATE, IMAGE)
        out += bridges.add(frame, found, index / RATE, CameraStep(cut=index == cut_at))
    return out + bridges.finish()


def hidden_walk(hidden: int, speed: float = 2.0) -> list[sv.Detections]:
    """Someone who walks for two seconds, is out of sight for so many frames, and walks on."""
    steps = range(40 + hidden)
    return [sv.Detections.empty() if 20 <= n < 20 + hidden else walker(speed * n) for n in steps]


@pytest.mark.parametrize(("seen", "filled"), [(3, 0), (5, 0), (6, 25), (12, 25)])
def test_who_was_seen_for_less_than_half_a_second_before_has_none(seen: int, filled: int) -> None:
    bridges = Bridges(3.0)
    before = [walker(2 * n) if n >= 20 - seen else sv.Detections.empty() for n in range(20)]
    run([*before, *hidden_walk(25)[20:]], bridges)
    assert bridges.filled == filled


def test_who_comes_back_has_boxes_in_between() -> None:
    bridges = Bridges(3.0)
    done = run(hidden_walk(25), bridges)
    assert [frame.index for frame, _ in done] == list(range(65))
    assert all(len(found) == 1 for _, found in done)
    np.testing.assert_allclose([found.xyxy[0, 0] for _, found in done], 2 * np.arange(65), atol=1e-3)
    filled = np.concatenate([found.data.get("filled", np.zeros(len(found), bool)) for _, found in done])
    assert np.flatnonzero(filled).tolist() == list(range(20, 45))
    assert bridges.filled == 25
    assert done[30][1].tracker_id.tolist() == [1]
    assert done[30][1].class_id.tolist() == [0]
    assert done[30][1].confidence.tolist() == pytest.approx([0.9])
    assert done[0][0].image.nbytes < IMAGE.nbytes  # pictures are not kept


@pytest.mark.parametrize(
    ("scene", "cut_at"),
    [
        (hidden_walk(35), -1),  # away for too long
        (hidden_walk(25), 30),  # another view in between
        (hidden_walk(25)[:45], -1),  # never back
        # Turned round while nobody looked: how far on is anybody's guess.
        ([*hidden_walk(25, 8.0)[:45], *(walker(8.0 * (19 - n)) for n in range(20))], -1),
    ],
)
def test_what_is_not_known_is_not_filled_in(scene: list[sv.Detections], cut_at: int) -> None:
    done = run(scene, Bridges(3.0), cut_at)
    assert [len(found) for _, found in done] == [len(found) for found in scene]


def test_classes_that_have_no_parts_are_left_alone() -> None:
    scene = hidden_walk(25)
    for found in scene:
        if len(found):
            found.class_id = np.array([32])
    assert sum(len(found) for _, found in run(scene, Bridges(3.0, {32}))) == 40
    assert sum(len(found) for _, found in run(scene, Bridges(3.0))) == 65


def test_rows_wait_only_while_somebody_may_come_back() -> None:
    bridges = Bridges(3.0)
    given = 0
    for index in range(200):
        left = 100 <= index < 160
        found = walker(index) if not left else walker(index, 2)
        given += len(bridges.add(Frame(index, index / RATE, IMAGE), found, index / RATE))
        waiting = index + 1 - given
        # Who is gone may come back for three seconds; then nobody waits for them.
        assert waiting == (index - 99 if 100 <= index <= 129 else index - 159 if 160 <= index <= 189 else 0)
    assert max(len(track) for track in bridges._seen.values()) <= 50


def test_two_people_behind_one_car_both_have_boxes() -> None:
    scene = [
        sv.Detections.merge([walker(2.0 * n), walker(400 - 3.0 * n, 2)])
        if not 20 <= n < 40
        else sv.Detections.empty()
        for n in range(60)
    ]
    done = run(scene, Bridges(3.0))
    assert all(sorted(found.tracker_id.tolist()) == [1, 2] for _, found in done)
    assert done[30][1].xyxy[done[30][1].tracker_id == 2][0, 0] == pytest.approx(310, abs=1e-3)


def test_line_and_curve_agree_at_any_scale_and_rate() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        before, after = rng.normal(0, 20, (2, 4, 4)) + np.array([0, 0, 60, 150])
        left, back = np.array([0.0, 0.1, 0.2, 0.3]), 2 + np.array([0.0, 0.1, 0.2, 0.3])
        at = np.array([1.0, 1.5])
        found = bridge(before, left, after, back, at)
        scaled = bridge(3 * before, left, 3 * after, back, at)
        slower = bridge(before, 4 * left, after, 4 * back, 4 * at)
        assert (found is None) == (scaled is None) == (slower is None)
        if found is not None and scaled is not None and slower is not None:
            np.testing.assert_allclose(3 * found, scaled)
            np.testing.assert_allclose(found, slower)


@pytest.fixture(scope="module")
def walk_behind_a_wall(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A real person who walks across a grey picture and is not found in it for one and a half seconds."""
    folder = tmp_path_factory.mktemp("wall")
    crop = cv2.imread(str(sorted((shared / "data/market1501-split/query").glob("*.jpg"))[0]))
    assert crop is not None
    rows = []
    for n in range(100):
        picture = np.full((160, 480, 3), 128, np.uint8)
        left = 10 + 4 * n
        if not 40 <= n < 55:
            picture[16:144, left : left + 64] = crop
            rows.append(f"{n + 1},-1,{left},16,64,128,0.9,-1,-1,-1\n")
        cv2.imwrite(str(folder / f"{n + 1:06d}.png"), picture)
    found = folder.parent / "found.txt"
    found.write_text("".join(rows))
    return folder, found


def test_a_run_with_parts_fills_in_a_long_absence_in_its_track_file(
    walk_behind_a_wall: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, found = walk_behind_a_wall
    settings = {"tracker": {"frame_rate": 10}}
    report = track_video(
        folder, tracks=tmp_path / "with.csv", detector=found, config=settings, out=tmp_path / "with.mp4"
    )
    lines = (tmp_path / "with.csv").read_text().splitlines()
    where = lines[0].split(",").index("filled")
    filled = [line.split(",")[0] for line in lines[1:] if line.split(",")[where] == "1"]
    assert filled == [str(n) for n in range(41, 56)]
    assert report.filled == 15
    off = {"smooth": {"bridge_seconds": 0}}
    track_video(folder, tracks=tmp_path / "off.txt", detector=found, config=settings | off)
    assert not set(range(41, 56)) & set(read_mot(tmp_path / "off.txt").frame.tolist())
    # By motion alone nobody knows that it is the same person.
    track_video(folder, tracks=tmp_path / "motion.txt", detector=found, config=settings, encoder="none")
    assert not set(range(41, 56)) & set(read_mot(tmp_path / "motion.txt").frame.tolist())


def test_linked_runs_fill_in_long_absences_too(walk_behind_a_wall: tuple[Path, Path], tmp_path: Path) -> None:
    folder, found = walk_behind_a_wall
    settings = {"tracker": {"frame_rate": 10}}
    plain = track_video(folder, tracks=tmp_path / "plain.txt", detector=found, config=settings)
    linked = track_video(folder, tracks=tmp_path / "linked.txt", detector=found, config=settings, link=True)
    assert (tmp_path / "linked.txt").read_bytes() == (tmp_path / "plain.txt").read_bytes()
    assert linked.filled == plain.filled == 15
