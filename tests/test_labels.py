"""Human-parsing labels from poses: where parts end up, whose they are, what a run of the command leaves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.part_groups import CHANNELS, PART_GROUPS, part_names
from bpbreid_trainer import cli
from bpbreid_trainer.data import TrainImages, build_transforms, group_fields, label_map, load_dataset
from bpbreid_trainer.data.mask_files import read_fields
from bpbreid_trainer.parsing import make_labels
from bpbreid_trainer.parsing.skeleton import CONNECTIONS, draw_fields, stature, target_person
from bpbreid_trainer.parsing.yolo_pose import Persons, fields_of

FACING = np.array(  # somebody facing the camera, 200 px tall in a 210 x 100 crop: his left is on our right
    [
        *[(50, 20), (53, 17), (47, 17), (57, 19), (43, 19), (67, 45), (33, 45), (75, 75), (25, 75)],
        *[(78, 103), (22, 103), (60, 105), (40, 105), (61, 153), (39, 153), (62, 197), (38, 197)],
    ],
    dtype=float,
)
BOX = np.array([15.0, 5, 85, 205])
CROP = (210, 100)


def pose(points: np.ndarray = FACING, confidence: float = 0.95) -> np.ndarray:
    return np.column_stack([points, np.full(17, confidence)])


def moved(points: np.ndarray, *by: float) -> np.ndarray:
    return points + np.array(by)


def labels_of(fields: np.ndarray, group: str = "eight") -> np.ndarray:
    return label_map(group_fields(torch.from_numpy(fields), list(PART_GROUPS[group].values()))).numpy()


def cells(labels: np.ndarray, part: str, group: str = "eight") -> np.ndarray:
    """Rows and columns of a part as shares of the crop, [cells, 2]."""
    where = np.argwhere(labels == 1 + part_names(group).index(part))
    return (where + 0.5) / labels.shape


def test_connections_are_those_of_the_channels() -> None:
    assert len(CONNECTIONS) == 19
    names = [f"{CHANNELS[a]}_to_{CHANNELS[b]}" for a, b in CONNECTIONS]
    assert names == list(CHANNELS[17:])


def test_every_part_lies_where_the_body_has_it() -> None:
    labels = labels_of(draw_fields(pose(), BOX, CROP))
    heights = {part: cells(labels, part)[:, 0].mean() for part in part_names("eight")}
    assert heights["head"] < heights["torso"] < heights["left_leg"] < heights["left_feet"]
    for part in ("arm", "leg", "feet"):
        assert cells(labels, f"right_{part}")[:, 1].max() < cells(labels, f"left_{part}")[:, 1].min()
    assert (cells(labels, "head")[:, 0] < 0.23).all()
    assert (cells(labels, "left_feet")[:, 0] > 0.85).all()
    shares = {part: len(cells(labels, part)) / labels.size for part in part_names("eight")}
    assert shares["torso"] > shares["left_leg"] > shares["left_feet"] > 0
    assert 0.2 < (labels > 0).mean() < 0.5


def test_a_broad_torso_has_no_hole() -> None:
    broad = FACING.copy()
    broad[[5, 7, 9, 11], 0] += 15
    broad[[6, 8, 10, 12], 0] -= 15
    labels = labels_of(draw_fields(pose(broad), moved(BOX, -15, 0, 15, 0), CROP))
    top, bottom = (round(y / CROP[0] * len(labels)) for y in (55, 95))
    torso = 1 + part_names("eight").index("torso")
    assert (labels[top:bottom, 5:11] == torso).all()


def test_an_arm_before_the_torso_is_an_arm() -> None:
    crossed = FACING.copy()
    crossed[9] = (40, 80)  # left forearm across the body
    labels = labels_of(draw_fields(pose(crossed), BOX, CROP))
    arm = 1 + part_names("eight").index("left_arm")
    assert labels[int(78 / 210 * 32), int(52 / 100 * 16)] == arm


def test_unsure_joints_make_no_labels() -> None:
    unsure = pose()
    unsure[[13, 14, 15, 16], 2] = 0.1
    labels = labels_of(draw_fields(unsure, BOX, CROP), "five")
    assert not len(cells(labels, "feet", "five"))
    assert (cells(labels, "legs", "five")[:, 0] < 0.65).all()


def test_the_back_of_a_head_is_a_head() -> None:
    behind = pose()
    behind[:5, 2] = 0.2  # a network doubts the face it cannot see
    assert len(cells(labels_of(draw_fields(behind, BOX, CROP)), "head"))
    cut = behind.copy()
    cut[:5, 1] -= 40  # but a head above the crop is not in it
    assert not len(cells(labels_of(draw_fields(cut, BOX, CROP)), "head"))


def test_a_half_hidden_person_is_as_broad_as_a_whole_one() -> None:
    half = pose()
    half[13:, 2] = 0
    assert stature(half, moved(BOX, 0, 0, 0, -90)) == pytest.approx(stature(pose(), BOX), rel=0.1)


def persons(*found: tuple[np.ndarray, np.ndarray, float]) -> Persons:
    poses, boxes, scores = zip(*found, strict=True)
    return Persons(np.stack(poses), np.stack(boxes), np.array(scores))


@pytest.mark.parametrize(
    ("by", "scale", "score"),
    [
        pytest.param((35, 30), 1.0, 0.9, id="beside"),
        pytest.param((40, 0), 0.2, 0.9, id="small, far behind"),
        pytest.param((0, -15), 1.0, 0.2, id="doubtful"),
        pytest.param((0, -30), 1.0, 0.9, id="head outside the crop"),
    ],
)
def test_the_target_has_its_head_nearest_to_the_top_centre(
    by: tuple[float, float], scale: float, score: float
) -> None:
    other = (pose(moved(FACING * scale, *by)), moved(BOX * scale, *by, *by), score)
    found = persons(other, (pose(), BOX, 0.8))
    assert target_person(*found, CROP) == 1
    np.testing.assert_array_equal(fields_of(found, CROP), draw_fields(pose(), BOX, CROP))


def test_nobody_found_leaves_zeros() -> None:
    assert not fields_of(Persons(np.zeros((0, 17, 3)), np.zeros((0, 4)), np.zeros(0)), CROP).any()


# ------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def crops(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty real crops, evenly spread, as a data set that can be written to."""
    root = tmp_path_factory.mktemp("market")
    (root / "bounding_box_train").mkdir()
    images = sorted((shared / "data/market1501-split/bounding_box_train").glob("*.jpg"))
    for path in images[:: len(images) // 60][:60]:
        shutil.copy(path, root / "bounding_box_train")
    return root


@pytest.fixture(scope="module")
def labelled(crops: Path) -> Path:
    assert cli.run(["labels", str(crops), "--quiet"]) == 0
    return crops


def test_people_are_found_on_real_crops(labelled: Path) -> None:
    train = load_dataset(labelled).train
    labels = [labels_of(read_fields(sample.mask_path), "five") for sample in train if sample.mask_path]
    assert len(labels) == 60
    found = [label for label in labels if label.any()]
    assert len(found) >= 57
    for part, share in (("head", 0.9), ("torso", 0.95), ("legs", 0.9)):
        assert np.mean([len(cells(label, part, "five")) > 0 for label in found]) >= share
    middles = {
        part: np.concatenate([cells(label, part, "five")[:, 0] for label in found]).mean()
        for part in part_names("five")
    }
    assert middles["head"] < 0.25 < middles["torso"] < 0.5 < middles["legs"] < middles["feet"]
    assert 0.15 < np.mean([(label > 0).mean() for label in found]) < 0.5


def test_labels_lie_beside_the_images_and_are_small(labelled: Path) -> None:
    image = next((labelled / "bounding_box_train").glob("*.jpg"))
    path = labelled / "masks" / "yolo-pose" / "bounding_box_train" / f"{image.stem}.npy"
    stored = np.load(path)
    assert stored.shape[0] == 36
    assert stored.dtype == np.float16
    assert path.stat().st_size < 50_000
    assert 0 <= stored.min() <= stored.max() <= 1


def test_a_sheet_shows_the_labels_in_colour(labelled: Path) -> None:
    sheet = cv2.imread(str(labelled / "masks" / "yolo-pose" / "contact_sheet.png"))
    assert sheet.shape[0] > 1000
    assert sheet.shape[1] > 1000
    saturation = cv2.cvtColor(sheet, cv2.COLOR_BGR2HSV)[..., 1]
    assert 0.05 < (saturation > 150).mean() < 0.5


def test_training_reads_what_was_made(labelled: Path) -> None:
    images = TrainImages(
        load_dataset(labelled).train,
        build_transforms((256, 128), part_names("five"), crop_padding=0, erase=0),
        "five",
        map_size=(16, 8),
    )
    shares = [(images[index][1] > 0).float().mean().item() for index in range(len(images))]
    assert 0.15 < np.median(shares) < 0.5


def test_a_second_run_makes_only_what_is_missing(labelled: Path) -> None:
    folder = labelled / "masks" / "yolo-pose" / "bounding_box_train"
    missing, kept = sorted(folder.glob("*.npy"))[:2]
    before = missing.read_bytes()
    missing.unlink()
    (folder / f".{missing.name}.1.part").write_bytes(b"of a run that was killed")
    stamp = kept.stat().st_mtime_ns
    report = make_labels(labelled, quiet=True)
    assert (report.made, report.kept) == (1, 59)
    np.testing.assert_allclose(np.load(missing), np.load(_written(before, folder)), atol=0.02)
    assert kept.stat().st_mtime_ns == stamp
    assert re.search(r"1 labels? made", report.lines()[0])


def test_any_folder_can_be_labelled_as_queries(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "bounding_box_train").mkdir()
    covered = tmp_path / "occluded_query"
    covered.mkdir()
    for path in sorted((shared / "data" / "market1501-split" / "occluded_query").glob("*.jpg"))[:3]:
        shutil.copy(path, covered)
    out = tmp_path / "labels"
    arguments = ["--splits", "query", "--query", "occluded_query", "--out", str(out), "--quiet"]
    assert cli.run(["labels", str(tmp_path), *arguments]) == 0
    assert len(list((out / "occluded_query").glob("*.npy"))) == 3


def _written(data: bytes, folder: Path) -> Path:
    path = folder.parent / "before.npy"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["--backend", "pifpa"], 2, "did you mean 'pifpaf'", id="backend"),
        pytest.param(["--splits", "trein"], 2, "did you mean 'train'", id="split"),
        pytest.param(["--splits", "query"], 1, "no images in query", id="empty split"),
        pytest.param(["--parts", "nine", "--out", "x"], 2, "part group 'nine' is unknown", id="grouping"),
        pytest.param(
            ["--backend", "pifpaf", "--python", "/no/python", "--fresh"], 1, "no environment", id="python"
        ),
        pytest.param(
            ["--weights", "yolo11n.pt", "--fresh"], 1, "detect network; expected a pose", id="no pose"
        ),
        pytest.param(["--dataset", "msmt17"], 1, "no images in the layout of msmt17", id="layout"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    crops: Path,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(shared / "weights")  # where yolo11n.pt lies
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "out")]
    arguments = [str(tmp_path / "x") if word == "x" else word for word in arguments]
    assert cli.run(["labels", str(crops), *arguments, *out]) == code
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_bad_image_stops_the_run_and_what_was_made_stays(crops: Path, tmp_path: Path) -> None:
    images = sorted((crops / "bounding_box_train").glob("*.jpg"))[:3]
    root = tmp_path / "bounding_box_train"
    root.mkdir()
    for path in images:
        shutil.copy(path, root)
    make_labels(tmp_path, quiet=True)
    (root / "9999_c1_1.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"9999_c1_1\.jpg: not a readable image"):
        make_labels(tmp_path, quiet=True)
    assert len(list((tmp_path / "masks" / "yolo-pose").rglob("*.npy"))) == 3


def test_unknown_back_end_is_wrong_usage(crops: Path) -> None:
    with pytest.raises(UsageError, match="backend 'densepose' is unknown"):
        make_labels(crops, backend="densepose")
