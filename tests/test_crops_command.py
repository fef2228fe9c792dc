"""Crops out of tracked footage: whose they are, which are worth training on, and that training reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import read_mot
from bpbreid_trainer import cli
from bpbreid_trainer.crops import box_visibility, cut_crops
from bpbreid_trainer.data import load_dataset

FRAMES, HEIGHT, WIDTH = 20, 120, 160


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Frames in which person p is a grey block of brightness 40 p, moving one pixel a frame."""
    folder = tmp_path / "hall_1"
    folder.mkdir()
    for index in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for person in (1, 2):
            x = 10 + 70 * (person - 1) + index
            image[20:90, x : x + 30] = 40 * person
        cv2.imwrite(str(folder / f"{index + 1:06d}.png"), image)
    return folder


def row(
    frame: int, person: int, x: float, y: float = 20, w: float = 30, h: float = 70, rest: str = "1,-1,-1,-1"
) -> str:
    return f"{frame},{person},{x},{y},{w},{h},{rest}"


def tracks_file(tmp_path: Path, rows: list[str]) -> Path:
    path = tmp_path / "tracks.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def both(frames: int = FRAMES) -> list[str]:
    return [row(f + 1, p, 10 + 70 * (p - 1) + f) for f in range(frames) for p in (1, 2)]


def test_each_person_gets_a_folder_of_what_the_boxes_show(footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = cut_crops(footage, tracks_file(tmp_path, both()), out, stride=4, quiet=True)
    assert (report.identities, report.images) == (2, 10)
    assert sorted(path.name for path in out.iterdir()) == ["hall-1-0001", "hall-1-0002"]
    for person in (1, 2):
        files = sorted((out / f"hall-1-{person:04d}").iterdir())
        assert [file.name for file in files] == [f"hall-1_{f:06d}.jpg" for f in (1, 5, 9, 13, 17)]
        for file in files:
            crop = cv2.imread(str(file))
            assert crop.shape == (70, 30, 3)
            assert np.abs(crop.astype(int) - 40 * person).max() <= 3


@pytest.mark.parametrize("rest", ["0.9", "0.9,0", "0.9,0,-1", "0.9,1,-1", "0.9,-1,-1", "0.9,-1,-1,-1"])
def test_track_files_of_seven_to_ten_columns_give_the_same_crops(
    rest: str, footage: Path, tmp_path: Path
) -> None:
    rows = [row(f + 1, p, 10 + 70 * (p - 1) + f, rest=rest) for f in range(FRAMES) for p in (1, 2)]
    report = cut_crops(footage, tracks_file(tmp_path, rows), tmp_path / "out", stride=1, quiet=True)
    assert (report.identities, report.images) == (2, 2 * FRAMES)


def test_training_reads_the_crops_of_several_cameras(footage: Path, tmp_path: Path) -> None:
    for camera in ("hall", "door"):
        cut_crops(footage, tracks_file(tmp_path, both()), tmp_path / "out", camera=camera, quiet=True)
    train = load_dataset(tmp_path / "out").train
    assert len({sample.person_id for sample in train}) == 4
    assert Counter(sample.camera for sample in train) == {0: 8, 1: 8}


def test_boxes_of_no_use_are_left_out_and_counted(footage: Path, tmp_path: Path) -> None:
    rows = both()
    rows += [row(f, -1, 100) for f in range(1, 4)]  # no identity yet
    rows += [row(f, 7, 100, h=20) for f in range(1, 9)]  # too small
    rows += [row(f, 8, -20) for f in range(1, 9)]  # two thirds outside the frame
    rows += [row(f, 10, 200) for f in range(1, 9)]
    rows += [row(f, 9, 120, y=0, w=20, h=50) for f in (1, 9)]  # seen too seldom
    report = cut_crops(footage, tracks_file(tmp_path, rows), tmp_path / "out", stride=4, quiet=True)
    assert (report.identities, report.images) == (2, 10)
    assert report.left_out == {
        "without identity or not a counted person": 3,
        "outside the frame": 8,
        "lower than 48 px": 8,
        "less than 50% visible": 8,
        "within 4 frames of another": 30,
        "of persons with fewer than 4 crops": 2,
    }
    assert "8 lower than 48 px" in report.lines()[1]


def test_of_two_overlapping_boxes_the_one_behind_is_hidden(tmp_path: Path) -> None:
    rows = read_mot(
        tracks_file(
            tmp_path,
            [
                row(1, 1, 0, 0, 40, 100),
                row(1, 2, 10, 10, 40, 100),
                row(2, 1, 0, 0, 40, 100),
                row(2, 3, -10, 0, 40, 80),
            ],
        )
    )
    visible = box_visibility(rows, np.ones(4, dtype=bool), (120, 160))
    np.testing.assert_allclose(visible, [1 - 30 * 90 / 4000, 1, 1, 0.75 * (1 - 30 * 80 / 3200)])


def test_ground_truth_says_itself_who_counts_and_is_visible(footage: Path, tmp_path: Path) -> None:
    rows = [row(f, 1, 9 + f, rest="1,1,0.9") for f in range(1, 21)]
    rows += [row(f, 2, 79 + f, rest="1,1,0.2") for f in range(1, 21)]  # hidden
    rows += [row(f, 3, 79 + f, rest="1,3,1.0") for f in range(1, 21)]  # a car
    rows += [row(f, 4, 79 + f, rest="0,1,1.0") for f in range(1, 21)]  # not to be counted
    report = cut_crops(footage, tracks_file(tmp_path, rows), tmp_path / "out", quiet=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hall-1-0001"]
    assert report.left_out["without identity or not a counted person"] == 40
    assert report.left_out["less than 50% visible"] == 20


def test_a_challenge_sequence_brings_its_own_truth(shared: Path, tmp_path: Path) -> None:
    sequence = shared / "data" / "mot" / "PETS09-S2L1-300"
    assert cli.run(["crops", str(sequence), "--out", str(tmp_path), "--quiet"]) == 0
    dataset = load_dataset(tmp_path)
    truth = read_mot(sequence / "gt" / "gt.txt")
    assert len({sample.person_id for sample in dataset.train}) == len(set(truth.id[truth.confidence > 0]))
    assert len(dataset.train) > 250
    shapes = np.array([cv2.imread(str(sample.path)).shape[:2] for sample in dataset.train])
    assert (shapes[:, 0] >= 48).all()
    assert np.median(shapes[:, 0] / shapes[:, 1]) > 1.5


@pytest.mark.parametrize(
    ("rows", "options", "code", "message"),
    [
        pytest.param([], [], 1, "no box left to cut out (the file is empty)", id="no tracks"),
        pytest.param(
            [row(1, 1, 0, h=10)], [], 1, "no box left to cut out (1 lower than 48 px)", id="all small"
        ),
        pytest.param(["1,2,x"], [], 1, "line 1: expected frame,id", id="malformed"),
        pytest.param(
            [row(f, 1, 5) for f in range(90, 130)], [], 1, "has none of the frames", id="other video"
        ),
        pytest.param(both(), ["--stride", "0"], 2, "--stride", id="stride"),
        pytest.param(both(), ["--min-visibility", "7"], 2, "--min-visibility", id="visibility"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    footage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    tracks = tracks_file(tmp_path, rows)
    command = ["crops", str(footage), str(tracks), "--out", str(tmp_path / "out"), *options]
    assert cli.run(command) == code
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_tracks_longer_than_the_video_are_mentioned(footage: Path, tmp_path: Path) -> None:
    rows = both() + [row(f, 1, 30) for f in range(21, 41)]
    report = cut_crops(footage, tracks_file(tmp_path, rows), tmp_path / "out", quiet=True)
    assert report.left_out["in frames that the source does not have"] == 4


def test_footage_without_truth_needs_tracks(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the tracks"):
        cut_crops(footage, None, tmp_path / "out")
    with pytest.raises(UsageError, match="stride"):
        cut_crops(footage, None, tmp_path / "out", stride=0)


def test_people_kept_back_are_queries_and_gallery_of_their_own(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sequence = shared / "data/mot/KITTI-17"
    report = cut_crops(sequence, None, out, stride=3, holdout=0.3, quiet=True)
    found = load_dataset(out)
    people = {name: {s.person_id for s in getattr(found, name)} for name in ("train", "query", "gallery")}
    assert people["query"] == people["gallery"]
    assert len(people["query"]) == max(2, round(0.3 * report.identities))
    assert not people["query"] & people["train"]
    assert len(people["query"] | people["train"]) == report.identities
    assert len(found.train) + len(found.query) + len(found.gallery) == report.images
    assert not {s.camera for s in found.query} & {s.camera for s in found.gallery}
    for person in people["query"]:
        before = max(int(s.path.stem[-6:]) for s in found.gallery if s.person_id == person)
        after = min(int(s.path.stem[-6:]) for s in found.query if s.person_id == person)
        assert before < after


def test_two_runs_over_one_camera_are_not_mixed(footage: Path, tmp_path: Path) -> None:
    tracks, out = tracks_file(tmp_path, both()), tmp_path / "out"
    cut_crops(footage, tracks, out, camera="north", quiet=True)
    with pytest.raises(UsageError, match="holds crops of north already"):
        cut_crops(footage, tracks, out, camera="north", stride=4, quiet=True)
    cut_crops(footage, tracks, out, camera="north-2", quiet=True)
    assert {path.name.rpartition("-")[0] for path in out.iterdir()} == {"north", "north-2"}


def test_too_few_people_to_keep_some_back_are_said(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 identities are too few to keep 2 back"):
        cut_crops(footage, tracks_file(tmp_path, both()), tmp_path / "out", holdout=0.5, quiet=True)
