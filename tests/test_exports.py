"""bpbreid-export: what is written for annotation tools is read back as the same boxes and identities."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import supervision as sv
from pycocotools.coco import COCO

from bpbreid_track import export_tracks, track_video
from bpbreid_track.cli import evaluate as eval_cli
from bpbreid_track.cli import export as cli
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.exports.keyframes import as_shown, keyframes
from bpbreid_track.exports.tracks import load_tracks
from bpbreid_track.io.mot_format import MotRows, read_mot
from bpbreid_track.io.read_tracks import read_truth
from bpbreid_track.io.seqinfo import read_seqinfo
from bpbreid_track.io.track_text import read_track_text
from bpbreid_track.report_page.edit import edited

FRAMES = 60
Boxes = dict[tuple[int, int], list[float]]


@pytest.fixture(scope="module")
def run(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracks of a real run over the first frames."""
    path = tmp_path_factory.mktemp("run") / "tracks.jsonl"
    track_video(pets, tracks=path, detector=pets / "det/yolo11n.txt", encoder=None, max_frames=FRAMES)
    return path


def boxes_of(path: Path) -> Boxes:
    """Left, top, width and height by frame and identity."""
    text = read_track_text(path)
    return dict(zip(zip(text.frame.tolist(), text.id.tolist(), strict=True), text.ltwh.tolist(), strict=True))


def boxes_in(rows: MotRows) -> Boxes:
    return dict(zip(zip(rows.frame.tolist(), rows.id.tolist(), strict=True), rows.ltwh.tolist(), strict=True))


def assert_same(found: Boxes, expected: Boxes, within: float = 0.0051) -> None:
    assert found.keys() == expected.keys()
    assert np.abs([np.subtract(found[key], expected[key]) for key in expected]).max() <= within


@pytest.mark.parametrize(
    ("to", "name", "back"),
    [
        ("cvat", "annotations.xml", "annotations.xml"),
        ("cvat", "cvat.zip", "cvat.zip"),
        ("mot", "mot", "mot"),
        ("mot", "mot.zip", "mot.zip"),
        ("soccernet", "sequence", "sequence"),
        ("soccernet", "sequence.zip", "sequence.zip"),
    ],
)
def test_what_is_exported_is_read_back_and_judged_as_the_same(
    run: Path, pets: Path, tmp_path: Path, to: str, name: str, back: str
) -> None:
    report = export_tracks(run, to, tmp_path / name, video=pets)
    expected = boxes_of(run)
    assert (report.boxes, report.notes) == (len(expected), ())
    assert report.boxes > 200
    assert_same(boxes_in(read_truth(tmp_path / back)), expected)
    metrics = evaluate_tracks(tmp_path / back, run)
    assert (pytest.approx(100), 0, 0, 0) == (metrics.HOTA, metrics.FP, metrics.FN, metrics.IDSW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_cvat_ends_a_track_where_nobody_is_seen_and_keeps_it_open_at_the_end(
    tmp_path: Path, pets: Path
) -> None:
    rows = [f"{frame},7,10,20,30,40,0.9,-1,-1,-1" for frame in (1, 2, 5, 299, 300)]
    (tmp_path / "t.txt").write_text("\n".join(rows) + "\n")
    export_tracks(tmp_path / "t.txt", "cvat", tmp_path / "t.xml", video=pets)
    lines = [line for line in (tmp_path / "t.xml").read_text().splitlines() if "<box" in line]
    states = [(int(line.split('"')[1]), 'outside="1"' in line) for line in lines]
    assert states == [
        (0, False),
        (1, False),
        (2, True),
        (4, False),
        (5, True),
        (298, False),
        (299, False),
    ]
    assert all('keyframe="1"' in line for line in lines)


def test_with_a_tolerance_cvat_gets_fewer_keyframes_and_every_edge_stays_within_it(
    run: Path, pets: Path, tmp_path: Path
) -> None:
    export_tracks(run, "cvat", tmp_path / "t.xml", video=pets, tolerance=4)
    text = (tmp_path / "t.xml").read_text()
    found = read_truth(tmp_path / "t.xml")
    expected = boxes_of(run)
    assert text.count('keyframe="0"') > len(expected) / 4
    edges = {key: [box[0], box[1], box[0] + box[2], box[1] + box[3]] for key, box in expected.items()}
    shown = dict(zip(boxes_in(found), found.xyxy.tolist(), strict=True))
    assert_same(shown, edges, 4.01)
    # CVAT imports keyframes alone; the boxes between are those that the file states.
    alone = "\n".join(line for line in text.splitlines() if 'keyframe="0"' not in line)
    (tmp_path / "alone.xml").write_text(alone)
    assert_same(boxes_in(read_truth(tmp_path / "alone.xml")), boxes_in(found), 0.021)


def test_lines_between_keyframes_are_within_the_tolerance() -> None:
    rng = np.random.default_rng(0)
    frame = np.arange(5, 205)
    xyxy = rng.normal(0, 1, (200, 4)).cumsum(axis=0)
    for tolerance in (0.5, 2, 8):
        key = keyframes(frame, xyxy, tolerance)
        assert 2 <= key.sum() < 200
        assert np.abs(as_shown(frame, xyxy, key) - xyxy).max() <= tolerance
    assert keyframes(frame, xyxy, 0).all()


def test_coco_is_read_by_pycocotools_and_supervision(run: Path, pets: Path, tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    export_tracks(run, "coco", path, video=pets)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert len(coco.imgs) == 300
    assert coco.imgs[7] == {
        "id": 7,
        "file_name": "000007.jpg",
        "width": 768,
        "height": 576,
        "video_id": 1,
        "frame_id": 6,
    }
    found = {(each["image_id"], each["attributes"]["track_id"]): each["bbox"] for each in coco.anns.values()}
    assert_same(found, boxes_of(run))
    assert all(each["track_id"] == each["attributes"]["track_id"] for each in coco.anns.values())
    dataset = sv.DetectionDataset.from_coco(str(pets / "img1"), str(path))
    assert dataset.classes == ["person"]
    assert sum(map(len, dataset.annotations.values())) == len(found)


def test_label_studio_shows_a_rectangle_from_its_first_to_its_last_box_without_the_gaps(
    run: Path, pets: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tasks.json"
    export_tracks(run, "labelstudio", path, video=pets)
    (task,) = json.loads(path.read_text())
    # What the labelling interface of the docs asks a task for is there.
    docs = (Path(__file__).parents[1] / "docs/exports.md").read_text(encoding="utf-8")
    interface = ElementTree.fromstring(docs.partition("```xml")[2].partition("```")[0])
    asked = [value[1:] for tag in interface.iter() for value in tag.attrib.values() if value[:1] == "$"]
    assert {name: task["data"][name] for name in asked} == {"video": pets.name, "frame_rate": 7}
    found: Boxes = {}
    for region in task["predictions"][0]["result"]:
        assert (region["type"], region["value"]["labels"], region["value"]["framesCount"]) == (
            "videorectangle",
            ["person"],
            300,
        )
        sequence = region["value"]["sequence"]
        for keyframe, after in zip(sequence, [*sequence[1:], None], strict=True):
            share = [keyframe["x"], keyframe["y"], keyframe["width"], keyframe["height"]]
            found[keyframe["frame"], int(region["id"].removeprefix("track-"))] = (
                np.array(share) * [7.68, 5.76, 7.68, 5.76]
            ).tolist()
            follows = after is not None and after["frame"] == keyframe["frame"] + 1
            assert keyframe["enabled"] is follows, "a rectangle that is enabled goes on to the next keyframe"
            assert keyframe["time"] == pytest.approx(keyframe["frame"] / 7, abs=1e-6)
    assert_same(found, boxes_of(run), 1e-4)


def test_soccernet_has_the_files_of_a_sequence(run: Path, pets: Path, tmp_path: Path) -> None:
    export_tracks(run, "soccernet", tmp_path / "s", video=pets)
    names = sorted(str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("*.*"))
    assert names == ["gameinfo.ini", "gt/gt.txt", "seqinfo.ini"]
    info = read_seqinfo(tmp_path / "s/seqinfo.ini")
    assert (info.length, float(info.frame_rate or 0)) == (300, 7)
    game = (tmp_path / "s/gameinfo.ini").read_text().splitlines()
    ids = sorted({identity for _, identity in boxes_of(run)})
    assert game[:3] == ["[Sequence]", f"name={pets.name}", f"num_tracklets={len(ids)}"]
    assert game[3:] == [f"trackletID_{identity}= person;{identity}" for identity in ids]


def test_classes_names_and_filled_boxes_go_where_the_format_has_a_place(pets: Path, tmp_path: Path) -> None:
    head = "frame,timestamp,id,left,top,width,height,class,confidence,name,filled"
    rows = [
        '1,0.0,1,10,20,30,40,person,0.9,"<Ann & ""B"">",0',
        '2,0.1,1,11,20,30,40,person,0.9,"<Ann & ""B"">",1',
    ]
    rows += ["1,0.0,2,90,20,8,8,ball,0.7,,0", "1,0.0,-1,9,9,9,9,0,0.3,,0"]
    (tmp_path / "t.csv").write_text("\n".join([head, *rows]) + "\n")
    report = export_tracks(tmp_path / "t.csv", "cvat", tmp_path / "t.xml", video=pets)
    assert report.notes == ("1 boxes without identity are left out",)
    truth = read_truth(tmp_path / "t.xml")
    assert [(i, kind) for i, kind in zip(truth.id.tolist(), truth.extra[:, 0].tolist(), strict=True)] == [
        (1, 1),
        (2, 3),
        (1, 1),
    ]
    assert '<attribute name="name">&lt;Ann &amp; "B"&gt;</attribute>' in (tmp_path / "t.xml").read_text()
    export_tracks(tmp_path / "t.csv", "coco", tmp_path / "t.json", video=pets)
    annotations = json.loads((tmp_path / "t.json").read_text())["annotations"]
    assert [each["attributes"] for each in annotations] == [
        {"track_id": 1, "filled": False, "name": '<Ann & "B">'},
        {"track_id": 2, "filled": False},
        {"track_id": 1, "filled": True, "name": '<Ann & "B">'},
    ]
    report = export_tracks(tmp_path / "t.csv", "mot", tmp_path / "mot")
    assert "no place for names" in report.notes[1]
    assert (tmp_path / "mot/gt/labels.txt").read_text() == "person\nball\n"
    assert read_mot(tmp_path / "mot/gt/gt.txt").extra[:, 0].tolist() == [1, 2, 1]


def test_a_file_without_tracks_is_exported(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("")
    for to, name in (
        ("cvat", "t.xml"),
        ("mot", "m"),
        ("coco", "c.json"),
        ("soccernet", "s"),
        ("labelstudio", "l.json"),
    ):
        assert export_tracks(tmp_path / "t.txt", to, tmp_path / name, video=pets).boxes == 0
    assert len(read_truth(tmp_path / "t.xml")) == 0


def test_an_export_that_fails_leaves_nothing_and_what_was_there(
    run: Path, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.xml").write_text("earlier")
    written = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "labels.txt":
            raise OSError(28, "No space left on device")
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        export_tracks(run, "mot", tmp_path / "mot")
    bad = tmp_path / "bad.txt"
    bad.write_text("1,1,0,0,9,9,1\n1,1,5,5,9,9,1\n")
    with pytest.raises(InputError, match=r"bad\.txt, line 2: id 1 occurs twice in frame 1"):
        export_tracks(bad, "cvat", tmp_path / "t.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "t.xml"]
    assert (tmp_path / "t.xml").read_text() == "earlier"


def test_boxes_that_ground_truth_does_not_count_are_left_out_and_said(pets: Path, tmp_path: Path) -> None:
    report = export_tracks(pets / "gt/gt.txt", "cvat", tmp_path / "t.xml", video=pets)
    truth = read_mot(pets / "gt/gt.txt")
    counted = int((truth.confidence != 0).sum())
    assert report.boxes == counted < len(truth)
    assert report.notes == (
        f"{len(truth) - counted} boxes of confidence 0, which do not count, are left out",
    )


def test_equal_tracks_give_equal_archives(run: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        export_tracks(run, "mot", tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["gt/gt.txt", "gt/labels.txt"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "coco", "--out", "{tmp}/c.json"], 2, "coco states the size of the pictures; give --video"),
        (["--to", "cvta", "--out", "{tmp}/c.xml"], 2, "'cvta' is not one of"),
        (["--to", "cvat", "--out", "{tmp}/c.json"], 2, "cvat is written as .xml or .zip"),
        (["--to", "coco", "--out", "{tmp}/c.zip", "--video", "{pets}"], 2, "coco is written as .json"),
        (["--to", "mot", "--out", "{tmp}/m.txt"], 2, "mot is written as a folder or as .zip"),
        (["--to", "mot", "--out", "{pets}"], 2, "is not empty"),
        (["--to", "mot", "--out", "{tmp}/m", "--tolerance", "2"], 2, "mot states every box"),
        (["--to", "cvat", "--out", "{tmp}/c.xml", "--tolerance", "nan"], 2, "expected pixels from 0"),
        (["--to", "cvat", "--out", "{tmp}/no/c.xml"], 1, "create it first"),
        (["--to", "mot", "--out", "{tmp}/no/m"], 1, "create it first"),
        (["--to", "cvat", "--out", "{tmp}/c.xml", "--video", "gone.mp4"], 1, "gone.mp4: no such file"),
    ],
)
def test_mistakes_give_one_line_and_leave_nothing(
    run: Path,
    pets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    assert cli.run([str(run), *(word.format(tmp=tmp_path, pets=pets) for word in arguments)]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("bpbreid-export: error: ")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_tracks_that_would_be_replaced_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("1,0,0,0,9,9,1\n")
    link = tmp_path / "t.xml"
    link.symlink_to(tmp_path / "t.txt")
    assert cli.run([str(tmp_path / "t.txt"), "--to", "cvat", "--out", str(link)]) == 2
    assert cli.run([str(tmp_path / "t.txt"), "--to", "mot", "--out", str(tmp_path / "m")]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "would be overwritten" in first
    assert "identity 0" in second


def test_pictures_that_a_tool_would_count_otherwise_are_refused(pets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "late"
    folder.mkdir()
    for number in (41, 42, 44):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "t.txt").write_text("41,1,0,0,4,4,1\n")
    (tmp_path / "gap.txt").write_text("43,1,0,0,4,4,1\n")
    with pytest.raises(InputError, match="numbered 41 to 44; cvat counts them from 1"):
        export_tracks(tmp_path / "t.txt", "cvat", tmp_path / "t.xml", video=folder)
    with pytest.raises(InputError, match="has no frame 43"):
        export_tracks(tmp_path / "gap.txt", "coco", tmp_path / "t.json", video=folder)
    export_tracks(tmp_path / "t.txt", "coco", tmp_path / "t.json", video=folder)
    content = json.loads((tmp_path / "t.json").read_text())
    assert [(each["id"], each["file_name"]) for each in content["images"]] == [
        (41, "41.png"),
        (42, "42.png"),
        (44, "44.png"),
    ]


def test_the_command_writes_what_the_others_read(
    run: Path, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cvat.zip"
    assert cli.run([str(run), "--to", "cvat", "--out", str(out), "--video", str(pets)]) == 0
    assert f"{out}: {len(boxes_of(run))} boxes of " in capsys.readouterr().err
    assert eval_cli.run([str(out), str(run), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["HOTA"] == pytest.approx(100)
    assert printed.err == ""


def test_names_of_a_table_lose_the_apostrophe_that_made_them_text(tmp_path: Path) -> None:
    head = "frame,id,left,top,width,height,confidence,name"
    (tmp_path / "t.csv").write_text(f"{head}\n1,1,0,0,9,9,1,'=Ann\n")
    assert load_tracks(tmp_path / "t.csv").name == ["=Ann"]


def test_null_is_no_name_and_no_team(tmp_path: Path) -> None:
    box = {"left": 1, "top": 2, "width": 3, "height": 4, "confidence": 0.9, "name": None, "team": None}
    lines = [json.dumps({"frame": n, "timestamp": 0.0, "tracks": [{"id": 1, **box}]}) for n in (1, 2)]
    (tmp_path / "tracks.jsonl").write_text("\n".join(lines))
    export_tracks(tmp_path / "tracks.jsonl", "cvat", tmp_path / "a.xml")
    assert "None" not in (tmp_path / "a.xml").read_text()
    (tmp_path / "corrections.json").write_text('{"corrections": [{"split": {"id": 1, "frame": 2}}]}')
    assert "None" not in edited(tmp_path / "tracks.jsonl", tmp_path / "corrections.json").text.decode()
