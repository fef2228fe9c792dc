"""Ground truth as CVAT exports it, and track files of runs, wherever ground truth is read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import evaluate_folder, evaluate_tracks
from bpbreid_track.evaluation.coverage import coverage
from bpbreid_track.evaluation.pairs import read_pair
from bpbreid_track.exports.export import export_tracks
from bpbreid_track.io.cvat_xml import read_cvat
from bpbreid_track.io.mot_format import mot_text, parse_mot, read_ground_truth
from bpbreid_track.io.read_tracks import read_result, read_truth
from bpbreid_trainer.crops import cut_crops

# As CVAT writes a task of every second frame from frame 10 on; the second track was drawn as a single shape.
EXPORT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <start_frame>10</start_frame>
      <frame_filter>{filter}</frame_filter>
      <labels>
        <label><name>car</name><attributes></attributes></label>
        <label><name>Person</name>
          <attributes><attribute><name>pose</name></attribute></attributes>
        </label>
      </labels>
    </task>
  </meta>
  <track id="0" label="Person" source="manual">
    <box frame="10" keyframe="1" outside="0" occluded="0" xtl="10.00" ytl="20.00" xbr="40.50" ybr="90.25">
      <attribute name="pose">up</attribute>
    </box>
    <box frame="14" keyframe="1" outside="0" occluded="1" xtl="18.00" ytl="24.00" xbr="48.50" ybr="94.25">
    </box>
    <box frame="16" keyframe="1" outside="1" occluded="0" xtl="18.00" ytl="24.00" xbr="48.50" ybr="94.25">
    </box>
    <box frame="20" keyframe="1" outside="0" occluded="0" xtl="1.00" ytl="2.00" xbr="3.00" ybr="4.00">
    </box>
  </track>
  <track id="1" label="car" source="manual">
    <box frame="12" keyframe="1" outside="0" occluded="0" xtl="5.00" ytl="5.00" xbr="9.00" ybr="9.00">
    </box>
  </track>
</annotations>
"""


def cvat(text: str, *changes: tuple[str, str], step: str = "") -> bytes:
    text = text.replace("{filter}", step)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def test_cvat_shows_a_track_between_its_keyframes_and_not_while_it_is_outside() -> None:
    rows = read_cvat(cvat(EXPORT), "export.xml")
    assert list(zip(rows.frame.tolist(), rows.id.tolist(), strict=True)) == [
        (11, 0),
        (12, 0),
        (13, 0),
        (13, 1),
        (14, 0),
        (15, 0),
        (16, 0),
        (21, 0),
    ]
    assert rows.ltwh[rows.id == 0].tolist() == [
        [10, 20, 30.5, 70.25],
        [12, 21, 30.5, 70.25],
        [14, 22, 30.5, 70.25],
        [16, 23, 30.5, 70.25],
        [18, 24, 30.5, 70.25],
        [18, 24, 30.5, 70.25],
        [1, 2, 2, 2],
    ]
    assert rows.extra[:, 0].tolist() == [1, 1, 1, 3, 1, 1, 1, 1]
    assert rows.extra[:, 1].tolist() == [1, 1, 1, 1, 1, 0, 0, 1]
    assert rows.confidence.tolist() == [1] * 8


def test_frames_that_a_task_of_cvat_leaves_out_get_no_boxes() -> None:
    rows = read_cvat(cvat(EXPORT, step="step=2"), "export.xml")
    assert rows.frame[rows.id == 0].tolist() == [11, 13, 15, 21]


def test_the_only_label_of_a_file_means_people_whatever_it_is_called() -> None:
    only = EXPORT.split('  <track id="1"')[0] + "</annotations>"
    changes = [("<label><name>car</name><attributes></attributes></label>", ""), ("Person", "Spieler")]
    rows = read_cvat(cvat(only, *changes), "export.xml")
    assert set(rows.extra[:, 0]) == {1}


def test_a_track_without_boxes_is_nobody() -> None:
    rows = read_cvat(
        cvat(EXPORT, ("</annotations>", '<track id="9" label="car"></track></annotations>')), "e"
    )
    assert set(rows.id.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("utf-8", "utf-99"), "not XML as CVAT writes it"),
        (("<annotations>", "<dataset>"), "line 2: <dataset>, expected <annotations>"),
        (("</annotations>", ""), "not XML as CVAT writes it"),
        (("<version>", '<image id="0"/><version>'), "line 3: holds boxes by picture, without tracks"),
        (
            ('<?xml version="1.0" encoding="utf-8"?>', '<!DOCTYPE a [<!ENTITY b "c">]>'),
            "line 1: declares entities",
        ),
        (('<track id="1"', '<track id="x"'), "line 27: id: expected a number, got 'x'"),
        (('<track id="1"', '<track id="-1"'), "line 27: id: expected a whole number from 0"),
        (('xtl="5.00"', 'xtl="nan"'), "line 28: xtl: expected a number, got 'nan'"),
        (('xtl="5.00"', 'xtl="9.00"'), "line 28: width and height must be above 0"),
        (('xtl="5.00" ', ""), "line 28: an element without xtl"),
        (('xtl="5.00"', 'rotation="4.5" xtl="5.00"'), "line 28: a box that is turned"),
        (('<box frame="12"', '<polygon frame="12"/><box frame="12"'), "line 28: a polygon in a track"),
        (('<box frame="14"', '<box frame="90000000000"'), "line 20: .* frames between two boxes"),
        (("Person", "Spieler"), "labels Spieler, car: none of them says person"),
    ],
)
def test_what_cvat_would_not_write_is_named_with_its_line(change: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=rf"^export\.xml.*{message}"):
        read_cvat(cvat(EXPORT, change), "export.xml")


def test_two_tasks_in_one_file_are_refused() -> None:
    data = cvat(
        EXPORT, ('<track id="0"', '<track id="0" task_id="3"'), ('<track id="1"', '<track id="1" task_id="4"')
    )
    with pytest.raises(InputError, match="line 27: a second task"):
        read_cvat(data, "export.xml")


@pytest.fixture
def sequence(pets: Path, tmp_path: Path) -> Path:
    """A sequence whose ground truth lies in a zip of CVAT, that of the first frames of a real one."""
    folder = tmp_path / "truths" / "pets"
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").symlink_to(pets / "img1")
    (folder / "seqinfo.ini").write_text((pets / "seqinfo.ini").read_text())
    rows = [row for row in (pets / "gt/gt.txt").read_text().splitlines() if int(row.split(",")[0]) <= 40]
    rows = [row for row in rows if row.split(",")[6] != "0"]
    (tmp_path / "truth.txt").write_text("\n".join(rows) + "\n")
    export_tracks(tmp_path / "truth.txt", "cvat", folder / "gt" / "task_1.zip", video=pets)
    return folder


def test_a_folder_of_sequences_goes_by_what_cvat_exported_into_gt(sequence: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    rows = read_ground_truth(tmp_path / "truth.txt")
    lines = ["frame,id,left,top,width,height,confidence"]
    lines += [
        f"{frame},{identity},{','.join(map(str, box))},0.5"
        for frame, identity, box in zip(
            rows.frame.tolist(), rows.id.tolist(), rows.ltwh.tolist(), strict=True
        )
    ]
    (results / "pets.csv").write_text("\n".join(lines) + "\n")
    metrics = evaluate_folder(sequence.parent, results).sequences["pets"]
    assert (metrics.FP, metrics.FN, metrics.IDSW) == (0, 0, 0)
    assert pytest.approx(100) == metrics.MOTA
    assert evaluate_tracks(sequence, results / "pets.csv") == metrics
    (results / "pets.txt").write_text("")
    with pytest.raises(InputError, match=r"pets\.txt and pets\.csv are both the result of pets"):
        evaluate_folder(sequence.parent, results)


def test_crops_are_those_of_the_boxes_that_cvat_exported(sequence: Path, tmp_path: Path) -> None:
    report = cut_crops(sequence, None, tmp_path / "a", stride=10, min_images=2, quiet=True)
    plain = cut_crops(
        sequence,
        tmp_path / "truth.txt",
        tmp_path / "b",
        stride=10,
        min_images=2,
        min_visibility=0,
        quiet=True,
    )
    assert (report.identities, report.images) == (plain.identities, plain.images)
    assert report.images >= 10
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        path.name for path in (tmp_path / "b").iterdir()
    }


def test_two_truths_of_one_sequence_are_refused(sequence: Path, tmp_path: Path) -> None:
    (sequence / "gt" / "gt.txt").write_text((tmp_path / "truth.txt").read_text())
    with pytest.raises(InputError, match=r"gt/gt\.txt and gt/task_1\.zip are both ground truth"):
        read_truth(sequence)
    with pytest.raises(InputError, match=r"no ground truth there; expected a sequence with gt/gt\.txt, or"):
        read_truth(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds neither annotations.xml nor gt/gt.txt"),
        ({"a/annotations.xml": "x", "b/gt/gt.txt": "x"}, "holds a/annotations.xml and b/gt/gt.txt"),
        ({"annotations.xml": "x"}, r"e\.zip/annotations.xml, line 1: not XML"),
        ({"gt/gt.txt": "1,1,0,0\n"}, r"e\.zip/gt/gt.txt, line 1: expected frame,id"),
        (None, "a damaged or locked zip archive"),
    ],
)
def test_an_archive_that_is_no_export_is_named(
    tmp_path: Path, files: dict[str, str] | None, message: str
) -> None:
    path = tmp_path / "e.zip"
    path.write_bytes(b"PK\x03\x04 and no more")
    if files is not None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    with pytest.raises(InputError, match=message):
        read_truth(path)


def test_scores_below_one_do_not_take_rows_out_of_the_truth(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1,1,0,0,9,9,0.4,-1,-1,-1\n2,1,0,0,9,9,0.9,-1,-1,-1\n")
    metrics = evaluate_tracks(tmp_path / "t.txt", tmp_path / "t.txt")
    assert (0, pytest.approx(100)) == (metrics.FP, metrics.MOTA)


def test_rows_as_text_are_read_as_the_same_rows(pets: Path) -> None:
    rows = read_ground_truth(pets / "gt" / "gt.txt")
    again = parse_mot(mot_text(rows).encode(), "again")
    for column in ("frame", "id", "ltwh", "confidence", "extra"):
        assert getattr(again, column).tolist() == getattr(rows, column).tolist(), column
    nine = parse_mot(b"1,2,3,4,5,6,1,1,0.5\n2,2,3,4,5,6,1\n", "nine")
    assert mot_text(nine) == "1,2,3,4,5,6,1,1,0.5\n2,2,3,4,5,6,1\n"


ROW = '{"frame": %d, "timestamp": 0.0, "tracks": [%s]}'
TRACK = '{"id": 1, "left": 0, "top": 0, "width": 9, "height": 9, "confidence": 0.5}'


def test_a_result_that_ends_early_says_what_part_it_covers(tmp_path: Path) -> None:
    truth, result, spoken = tmp_path / "gt.txt", tmp_path / "r.txt", tmp_path / "r.jsonl"
    truth.write_text("".join(f"{frame},1,0,0,9,9,1\n" for frame in range(1, 11)))
    result.write_text("".join(f"{frame},1,0,0,9,9,1\n" for frame in (2, 3, 5)))
    assert coverage(read_pair(truth, result)) == (
        f"{result}: covers 3 of the truth's 10 frames, 2 to 5 of 1 to 10, and people of the others count as "
        "missed; --frames 2:5 judges those alone"
    )
    assert "--frames" not in coverage(read_pair(truth, result), frames=(2, 5))
    assert coverage(read_pair(truth, result), frames=(2, 3)) == ""
    assert coverage(read_pair(truth, truth)) == ""
    late = coverage(read_pair(truth, result), frames=(6, None))
    assert "has none of the truth's 5 frames (6 to 10)" in late
    spoken.write_text("\n".join(ROW % (frame, TRACK if frame == 4 else "") for frame in range(1, 11)) + "\n")
    assert coverage(read_pair(truth, spoken)) == "", "frames in which nobody was seen were looked at"
    assert read_result(spoken)[0].frame.tolist() == [4]
