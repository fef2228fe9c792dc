"""Data sets in their own layouts: who is on which image, where labels are, what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.part_groups import part_names
from bpbreid_trainer.data import TrainImages, build_transforms, load_dataset
from bpbreid_trainer.data.mask_files import read_fields, write_fields


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((32, 16, 3), 128, np.uint8))
    return path


def make(root: Path, names: str) -> Path:
    for name in names.split():
        picture(root / name)
    return root


def people(samples: list) -> list[tuple[str, int, int]]:
    return [(sample.path.name, sample.person_id, sample.camera) for sample in samples]


def test_market1501_as_it_lies_on_the_disk(shared: Path) -> None:
    dataset = load_dataset(shared / "data" / "market1501-split")
    assert dataset.name == "market1501"
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (9335, 443, 1360)
    assert len({sample.person_id for sample in dataset.train}) == 551
    assert len({sample.person_id for sample in dataset.gallery}) == 100
    assert {sample.camera for sample in dataset.train} == set(range(6))


def test_another_folder_can_be_the_query(shared: Path) -> None:
    dataset = load_dataset(shared / "data" / "market1501-split", query="occluded_query")
    assert len(dataset.query) == 443
    assert {sample.path.parent.name for sample in dataset.query} == {"occluded_query"}
    with pytest.raises(InputError, match="ocluded_query: no images"):
        load_dataset(shared / "data" / "market1501-split", query="ocluded_query")


def test_market_junk_is_left_out_and_distractors_stay_in_the_gallery(tmp_path: Path) -> None:
    make(tmp_path, "bounding_box_train/0002_c1s1_000451_03.jpg bounding_box_train/0007_c6s1_1_1.jpg")
    make(tmp_path, "query/0001_c1s1_1_1.jpg query/0000_c1s1_2_1.jpg")
    make(
        tmp_path,
        "bounding_box_test/-1_c1_1.jpg bounding_box_test/0000_c2_1.jpg bounding_box_test/0001_c2_1.jpg",
    )
    dataset = load_dataset(tmp_path)
    assert people(dataset.train) == [("0002_c1s1_000451_03.jpg", 2, 0), ("0007_c6s1_1_1.jpg", 7, 5)]
    assert people(dataset.query) == [("0001_c1s1_1_1.jpg", 1, 0)]
    assert people(dataset.gallery) == [("0000_c2_1.jpg", 0, 1), ("0001_c2_1.jpg", 1, 1)]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("dukemtmc", "DukeMTMC-reID"),
        ("occluded_duke", "Occluded_Duke"),
        ("market1501", "Market-1501-v15.09.15"),
    ],
)
def test_a_named_data_set_is_found_inside_the_folder_of_data_sets(
    tmp_path: Path, name: str, folder: str
) -> None:
    make(tmp_path / folder, "bounding_box_train/0001_c2_f0046182.jpg bounding_box_train/0005_c8_f0046182.jpg")
    dataset = load_dataset(tmp_path, name)
    assert (dataset.name, dataset.root) == (name, tmp_path / folder)
    assert people(dataset.train)[1] == ("0005_c8_f0046182.jpg", 5, 7)


def test_occluded_reid_queries_the_occluded_in_the_whole(tmp_path: Path) -> None:
    make(tmp_path, "occluded_body_images/001/001_01.tif whole_body_images/001/001_06.tif")
    dataset = load_dataset(tmp_path)
    assert dataset.name == "occluded_reid"
    assert dataset.train == []
    assert people(dataset.query) == [("001_01.tif", 1, 0)]
    assert people(dataset.gallery) == [("001_06.tif", 1, 1)]


def test_p_duke_trains_on_both_kinds_of_images(tmp_path: Path) -> None:
    for split, ids in (("train", "0010 0011"), ("test", "0020")):
        for person in ids.split():
            make(tmp_path / split, f"occluded_body_images/{person}/{person}_c1_f1.jpg")
            make(tmp_path / split, f"whole_body_images/{person}/{person}_c3_f2.jpg")
    dataset = load_dataset(tmp_path)
    assert dataset.name == "p_dukemtmc"
    assert {(s.person_id, s.camera) for s in dataset.train} == {(10, 0), (10, 1), (11, 0), (11, 1)}
    assert people(dataset.query) == [("0020_c1_f1.jpg", 20, 0)]
    assert people(dataset.gallery) == [("0020_c3_f2.jpg", 20, 1)]


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_msmt17_follows_its_lists(tmp_path: Path, train: str, test: str) -> None:
    names = {
        "list_train.txt": "0000/0000_000_01_0303morning_0015_0.jpg 0",
        "list_val.txt": "0001/0001_000_15_0303noon_0015_0.jpg 1",
        "list_query.txt": "0000/0000_000_07_0303morning_0008_0.jpg 0",
        "list_gallery.txt": "0000/0000_001_08_0303morning_0008_0.jpg 0",
    }
    for file, row in names.items():
        (tmp_path / file).write_text(row + "\n")
        picture(tmp_path / (train if file in {"list_train.txt", "list_val.txt"} else test) / row.split()[0])
    dataset = load_dataset(tmp_path)
    assert dataset.name == "msmt17"
    assert [(s.person_id, s.camera) for s in dataset.train] == [(0, 0), (1, 14)]
    assert [(s.person_id, s.camera) for s in dataset.query] == [(0, 6)]
    assert all(s.path.is_file() for s in (*dataset.train, *dataset.query, *dataset.gallery))
    (tmp_path / "list_query.txt").write_text("0000.jpg\n")
    with pytest.raises(InputError, match=r"list_query.txt, line 1: expected '0000/0000_"):
        load_dataset(tmp_path)


def test_soccernet_keeps_the_action_as_scene(tmp_path: Path) -> None:
    game = "england_epl/2014-2015/2015-02-21/0"
    make(
        tmp_path / "reid" / "train" / game,
        "0-0-11-0-Player_team_left-8-0-200x90.png 1-0-12-1-Player-9-1-200x90.png",
    )
    for split in ("valid", "test"):
        make(tmp_path / "reid" / split / "query" / game, "5-3-70-0-Player-8-0-200x90.png")
        make(tmp_path / "reid" / split / "gallery" / game, "6-3-70-2-Player-8-0-200x90.png")
    dataset = load_dataset(tmp_path)
    assert dataset.name == "soccernet"
    assert [(s.person_id, s.camera, s.scene) for s in dataset.train] == [(11, 0, 0), (12, 1, 0)]
    assert [(s.person_id, s.camera, s.scene) for s in dataset.gallery] == [(70, 2, 3)]
    assert "test" in dataset.query[0].path.parts


def test_deepsportradar_queries_the_first_frame(tmp_path: Path) -> None:
    make(tmp_path / "data_reid", "reid_training/0001_003_005.jpeg reid_training/0002_004_005.jpeg")
    make(tmp_path / "data_reid" / "reid_test", "query/0500_010_000.jpeg gallery/0500_010_007.jpeg")
    dataset = load_dataset(tmp_path)
    assert dataset.name == "deepsportradar"
    assert people(dataset.train) == [("0001_003_005.jpeg", 1, 3), ("0002_004_005.jpeg", 2, 4)]
    assert people(dataset.query) == [("0500_010_000.jpeg", 500, 0)]
    assert people(dataset.gallery) == [("0500_010_007.jpeg", 500, 1)]


def test_plain_folders_take_any_names(tmp_path: Path) -> None:
    make(tmp_path / "all", "anna/cam2_1.jpg anna/cam1_000001.jpg bert/cam2_7.png .hidden/cam1_1.jpg")
    (tmp_path / "all" / "anna" / "notes.txt").write_text("no image")
    dataset = load_dataset(tmp_path / "all")
    assert people(dataset.train)[:3] == [
        ("cam1_000001.jpg", 0, 0),
        ("cam2_1.jpg", 0, 1),
        ("cam2_7.png", 1, 1),
    ]

    make(tmp_path / "split", "train/3/5_1.jpg train/4/5_1.jpg query/9/5_1.jpg gallery/9/6_1.jpg")
    dataset = load_dataset(tmp_path / "split")
    assert [people(samples) for samples in (dataset.train, dataset.query, dataset.gallery)] == [
        [("5_1.jpg", 3, 5), ("5_1.jpg", 4, 5)],
        [("5_1.jpg", 9, 5)],
        [("6_1.jpg", 9, 6)],
    ]


def test_labels_are_found_where_they_were_published(tmp_path: Path) -> None:
    make(
        tmp_path / "market",
        "bounding_box_train/0002_c1_1.jpg bounding_box_train/0003_c1_1.jpg query/0009_c1_1.jpg",
    )
    (tmp_path / "market" / "bounding_box_test").mkdir()
    fields = np.random.default_rng(0).random((36, 17, 9), dtype=np.float32)
    masks = tmp_path / "market" / "masks" / "pifpaf_maskrcnn_filtering" / "bounding_box_train"
    write_fields(masks / "0002_c1_1.npy", fields)
    write_fields(masks / "0003_c1_1.jpg.confidence_fields.npy", fields)
    train = load_dataset(tmp_path / "market").train
    assert [sample.mask_path.name for sample in train if sample.mask_path] == [
        "0002_c1_1.npy",
        "0003_c1_1.jpg.confidence_fields.npy",
    ]
    assert load_dataset(tmp_path / "market").query[0].mask_path is None
    assert np.abs(read_fields(masks / "0002_c1_1.npy") - fields).max() < 1e-3

    # Published labels of data sets with a folder for each identity leave that folder out.
    make(
        tmp_path / "p", "train/whole_body_images/0010/0010_c1.jpg train/occluded_body_images/0011/0011_c1.jpg"
    )
    write_fields(tmp_path / "p" / "masks" / "x" / "train" / "whole_body_images" / "0010_c1.npy", fields)
    assert [bool(s.mask_path) for s in load_dataset(tmp_path / "p", "p_dukemtmc", masks="x").train] == [
        False,
        True,
    ]


def test_several_sets_of_labels_must_be_chosen_from(tmp_path: Path) -> None:
    make(tmp_path, "bounding_box_train/0002_c1_1.jpg bounding_box_train/0003_c1_1.jpg")
    for name in ("pifpaf", "yolo-pose"):
        write_fields(tmp_path / "masks" / name / "bounding_box_train" / "0002_c1_1.npy", np.ones((36, 4, 2)))
    with pytest.raises(InputError, match=r"several sets of labels \(pifpaf, yolo-pose\)"):
        load_dataset(tmp_path)
    assert load_dataset(tmp_path, masks="pifpaf").train[0].mask_path is not None
    with pytest.raises(InputError, match="no such folder of labels"):
        load_dataset(tmp_path, masks="maskrcnn")


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        pytest.param("", "auto", "no images in the layout of any known data set", id="empty"),
        pytest.param(
            "0001_c1.jpg 0002_c1.jpg", "auto", "2 images right in this folder; put each", id="loose images"
        ),
        pytest.param("anna/c1_1.jpg anna/c2_1.jpg", "auto", "show one identity", id="one identity"),
        pytest.param(
            "bounding_box_train/a.jpg", "auto", "expected a name such as 0002_c1s1", id="market name"
        ),
        pytest.param("anna/c1_1.jpg bert/c2_1.jpg", "msmt17", "in the layout of msmt17", id="another layout"),
    ],
)
def test_a_folder_that_cannot_be_used_gets_one_clear_line(
    tmp_path: Path, files: str, name: str, message: str
) -> None:
    make(tmp_path, files)
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(tmp_path, name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'market1501'"):
        load_dataset(tmp_path, "market150")
    with pytest.raises(InputError, match="no such folder"):
        load_dataset(tmp_path / "nothing")


def broken_set(tmp_path: Path, what: str) -> tuple[TrainImages, Path]:
    make(tmp_path, "bounding_box_train/0002_c1_1.jpg bounding_box_train/0003_c1_1.jpg")
    bad = tmp_path / "bounding_box_train" / "0003_c1_1.jpg"
    masks = tmp_path / "masks" / "x" / "bounding_box_train"
    write_fields(masks / "0002_c1_1.npy", np.ones((36, 4, 2)))
    write_fields(masks / "0003_c1_1.npy", np.ones((36, 4, 2)))
    if what == "image":
        bad.write_bytes(b"not a picture")
    else:
        bad = masks / "0003_c1_1.npy"
        if what == "shape":
            np.save(bad, np.ones((7, 4, 2), np.float32))
        elif what == "dtype":
            np.save(bad, np.ones((36, 4, 2), np.int64))
        else:
            bad.write_bytes(b"")
    transform = build_transforms((64, 32), part_names("five"))
    return TrainImages(load_dataset(tmp_path).train, transform, "five"), bad


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("image", "not a readable image"),
        ("shape", r"expected confidence fields \[36, h, w\], got \[7, 4, 2\]"),
        ("dtype", r"expected floats in \[0, 1\], got int64"),
        ("empty", "not a readable label file"),
    ],
)
def test_a_bad_file_is_named_in_one_line_also_by_a_worker(
    tmp_path: Path, what: str, message: str, workers: int
) -> None:
    images, bad = broken_set(tmp_path, what)
    with pytest.raises(InputError, match=message) as caught:
        list(DataLoader(images, batch_size=1, num_workers=workers))
    assert str(caught.value).startswith(str(bad))
    assert "\n" not in str(caught.value)
