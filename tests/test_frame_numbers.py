"""Pictures named by frame number: boxes, results and crops go with the frame that the name says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bpbreid_track import track_video
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.frame_numbers import frame_numbers
from bpbreid_trainer.crops import cut_crops

NUMBERINGS = {
    "whole": list(range(1, 13)),
    "deleted": [1, 2, 3, 4, 9, 10, 11, 12, 13, 14],
    "later": list(range(41, 53)),
    "fifth": list(range(3, 50, 5)),
}


def sequence(folder: Path, numbers: list[int]) -> Path:
    """Two people, red and blue, who walk towards each other; 4 px a frame."""
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    truth, boxes = [], []
    for n in numbers:
        picture = np.full((160, 320, 3), 90, np.uint8)
        for person, colour, x, y in ((1, (0, 0, 255), 10 + 4 * n, 5), (2, (255, 0, 0), 270 - 4 * n, 82)):
            picture[y : y + 70, x : x + 30] = colour
            truth.append(f"{n},{person},{x},{y},30,70,1,1,1.0")
            boxes.append(f"{n},-1,{x},{y},30,70,0.9")
        cv2.imwrite(str(folder / "img1" / f"{n:06d}.png"), picture)
    (folder / "gt" / "gt.txt").write_text("\n".join(truth) + "\n")
    (folder / "det.txt").write_text("\n".join(boxes) + "\n")
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nimDir=img1\nframeRate=25\nseqLength={max(numbers)}\n")
    return folder


@pytest.mark.parametrize("kind", NUMBERINGS)
def test_results_are_numbered_as_the_files_and_agree_with_the_truth(kind: str, tmp_path: Path) -> None:
    numbers = NUMBERINGS[kind]
    folder = sequence(tmp_path / kind, numbers)
    result = tmp_path / "tracks.txt"
    report = track_video(folder, detector=folder / "det.txt", encoder=None, tracks=result)
    assert sorted({int(line.split(",")[0]) for line in result.read_text().splitlines()}) == numbers
    metrics = evaluate_tracks(folder / "gt" / "gt.txt", result)
    assert pytest.approx(100) == metrics.HOTA
    assert (metrics.FP, metrics.FN) == (0, 0)
    words = f"numbered as the files are: {numbers[0]} to {numbers[-1]}"
    assert any(words in note for note in report.notes) == (kind != "whole")
    assert not any("seqLength" in note for note in report.notes)


@pytest.mark.parametrize("kind", NUMBERINGS)
def test_crops_show_the_person_whose_folder_they_lie_in(kind: str, tmp_path: Path) -> None:
    folder = sequence(tmp_path / kind, NUMBERINGS[kind])
    report = cut_crops(folder, None, tmp_path / "out", stride=1, min_images=1, quiet=True)
    assert report.images == 2 * len(NUMBERINGS[kind])
    for path in (tmp_path / "out").glob("*/*.jpg"):
        blue, _, red = cv2.imread(str(path)).mean((0, 1))
        assert (red > 200 and blue < 60) if path.parent.name.endswith("-0001") else (blue > 200 and red < 60)
        assert int(path.stem[-6:]) in NUMBERINGS[kind]
    assert any("numbered" in line for line in report.lines()) == (kind != "whole")


def test_absent_frames_are_time_that_passes(tmp_path: Path) -> None:
    with open_source(sequence(tmp_path / "fifth", [6, 11, 21])) as source:
        assert [(frame.index, frame.timestamp) for frame in source] == [(5, 0.0), (10, 0.2), (20, 0.6)]


def test_boxes_of_other_frames_than_the_pictures_are_an_error(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "later", NUMBERINGS["later"])
    (folder / "det.txt").write_text("1,-1,50,5,30,70,0.9\n12,-1,50,5,30,70,0.9\n")
    with pytest.raises(InputError, match=r"det\.txt: has boxes of the frames 1 to 12, but .* 41 to 52"):
        track_video(folder, detector=folder / "det.txt", encoder=None)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["000041", "000042"], [41, 42]),
        (["frame_7", "frame_9"], [7, 9]),
        (["cam2_0041", "cam2_0043"], [41, 43]),
        (["IMG_20240101_5", "IMG_20240101_7"], [5, 7]),
        (["frame_0001_jpg.rf.3a9f", "frame_0002_jpg.rf.b7"], [1, 2]),
        (["000000", "000005"], [1, 6]),
        (["60"], [60]),
        (["bus1080"], None),
        (["street", "walk"], None),
        (["a1", "b2"], None),
        (["1", "x"], None),
        (["1403636579763555584", "1403636579813555456"], None),
    ],
)
def test_numbers_are_those_that_all_names_carry(names: list[str], numbers: list[int] | None) -> None:
    assert frame_numbers([Path(f"{name}.jpg") for name in names]) == numbers


def test_one_number_twice_is_none(tmp_path: Path) -> None:
    assert frame_numbers([Path("a/1.jpg"), Path("a/2.jpg"), Path("b/1.jpg")]) is None


@pytest.mark.parametrize(
    ("names", "word"),
    [
        pytest.param(["1.jpg", "1.png", "2.jpg", "2.png"], "1.jpg and 1.png have", id="copies"),
        pytest.param(["1.jpg", "2.jpg", "2_mask.jpg"], "2.jpg and 2_mask.jpg have", id="a mask"),
        pytest.param(["left_1.png", "right_1.png"], "left_1.png and right_1.png have", id="two cameras"),
        pytest.param(["12-58-59.jpg", "12-59-58.jpg", "12-59-59.jpg"], "", id="times of day"),
    ],
)
def test_what_may_be_no_frame_of_its_own_is_said(names: list[str], word: str, tmp_path: Path) -> None:
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    with open_source(tmp_path) as source:
        assert len(list(source)) == len(names)
        notes = [note for note in source.notes if "have the same number" in note]
        assert bool(notes) == bool(word)
        assert word in "".join(notes)


@pytest.mark.parametrize("ending", ["webp", "png", "tif"])
def test_an_image_file_of_several_pictures_is_not_taken_for_one(ending: str, tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 200))
    first.save(tmp_path / f"several.{ending}", save_all=True, append_images=[second])
    with pytest.raises(InputError, match=rf"several\.{ending}: holds 2 pictures; save them as a video or"):
        open_source(tmp_path / f"several.{ending}")
    first.save(tmp_path / f"single.{ending}")
    with open_source(tmp_path) as source:
        assert len(list(source)) == 2
        assert "holds 2 pictures, and of each file the first alone is a frame" in source.notes[0]


def test_files_from_0_are_frames_from_1_and_said_so(tmp_path: Path) -> None:
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.zeros((8, 8, 3), np.uint8))
    with open_source(tmp_path) as source:
        assert [frame.index for frame in source] == [0, 1, 2]
        assert "frame 1 is 0.png" in source.notes[0]


def test_crops_go_by_the_labels_beside_the_ground_truth(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "cvat", NUMBERINGS["whole"])
    gt = folder / "gt" / "gt.txt"
    gt.write_text(gt.read_text().replace(",1,1,1.0", ",1,2,1.0"))
    with pytest.raises(InputError, match="not a counted person"):
        cut_crops(folder, None, tmp_path / "none", quiet=True)
    (folder / "gt" / "labels.txt").write_text("car\nperson\n")
    assert cut_crops(folder, None, tmp_path / "out", stride=1, quiet=True).images == 24
