"""Track measures must be TrackEval's own, and bad files must be named with their line."""

from __future__ import annotations

import builtins
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import trackeval

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation import TrackingMetrics, evaluate_folder, evaluate_tracks
from bpbreid_track.io.mot_format import read_mot

FRAMES = 60
IN_HOTA = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
IN_CLEAR = {"MOTA": "MOTA", "MOTP": "MOTP", "IDSW": "IDSW", "Frag": "Frag", "MT": "MT", "ML": "ML"}
IN_CLEAR |= {"FP": "CLR_FP", "FN": "CLR_FN"}
COUNTS = ("IDSW", "Frag", "MT", "ML", "FP", "FN")


def scene(seed: int, kind: str) -> tuple[str, str]:
    """Ground truth and a middling result of 14 walkers, as text. ``kind``: MOT15 or classes."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 900, (14, 2)), rng.uniform(-6, 6, (14, 2))
    gt, result = [], []
    for frame in range(1, FRAMES + 1):
        for person in range(14):
            left, top = start[person] + speed[person] * frame
            number = person + 1
            if kind == "MOT15":
                tail = f"{0 if person == 13 else 1},-1,-1,-1"
            else:
                tail = f"{1 if person < 10 else 0},{(1, 7, 8, 6, 12)[max(0, person - 9)]},{rng.random():.3f}"
            gt.append(f"{frame},{number},{left:.2f},{top:.2f},40.5,110.25,{tail}")
            if rng.random() < 0.85 and not 20 < frame < 24:
                identity = 100 * number + frame // (25 + person)
                dx, dy = rng.normal(0, 6, 2)
                result.append(
                    f"{frame},{identity},{left + dx:.3f},{top + dy:.3f},41,108.5,{rng.random():.4f},-1,-1,-1"
                )
    return "\n".join(gt) + "\n", "\n".join(result) + "\n"


def lay_out(folder: Path, scenes: dict[str, tuple[str, str]], length: int = FRAMES) -> tuple[Path, Path]:
    """Write scenes as a MOTChallenge folder and a folder of results."""
    results = folder / "results"
    results.mkdir(parents=True)
    for name, (gt, result) in scenes.items():
        (folder / "gt" / name / "gt").mkdir(parents=True)
        (folder / "gt" / name / "gt" / "gt.txt").write_text(gt)
        (folder / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={length}\n")
        (results / f"{name}.txt").write_text(result)
    return folder / "gt", results


def own_evaluator(
    gt: Path, results: Path, names: list[str], benchmark: str, capsys: pytest.CaptureFixture[str]
):
    """TrackEval's Evaluator on the very same files, as its run script drives it."""
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            "GT_FOLDER": str(gt),
            "TRACKERS_FOLDER": str(results.parent),
            "TRACKERS_TO_EVAL": [results.name],
            "TRACKER_SUB_FOLDER": "",
            "BENCHMARK": benchmark,
            "SEQ_INFO": dict.fromkeys(names),
            "SKIP_SPLIT_FOL": True,
        }
    )
    switches = ("PRINT_RESULTS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES", "TIME_PROGRESS")
    evaluator = trackeval.Evaluator(dict.fromkeys(switches, False) | {"LOG_ON_ERROR": None})
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(), trackeval.metrics.Identity()]
    output, _ = evaluator.evaluate([dataset], metrics)
    capsys.readouterr()
    return {name: values["pedestrian"] for name, values in output["MotChallenge2DBox"][results.name].items()}


def assert_same(ours: TrackingMetrics, theirs: dict) -> None:
    expected = {name: 100 * float(np.mean(theirs["HOTA"][name])) for name in IN_HOTA}
    expected |= {name: 100 * float(theirs["Identity"][name]) for name in ("IDF1", "IDP", "IDR")}
    expected |= {
        name: float(theirs["CLEAR"][key]) * (1 if name in COUNTS else 100) for name, key in IN_CLEAR.items()
    }
    assert ours.as_dict() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "benchmark", "names"),
    [
        ("MOT15", "MOT15", ["Street", "Square"]),
        ("classes", "MOT17", ["MOT17-02", "DanceHall"]),
        ("classes", "MOT20", ["MOT20-01", "MOT20-02"]),
    ],
)
def test_figures_are_those_of_trackeval(tmp_path, capsys, kind, benchmark, names):
    gt, results = lay_out(tmp_path, {name: scene(seed, kind) for seed, name in enumerate(names)})
    ours = evaluate_folder(gt, results)
    assert capsys.readouterr().out == "", "TrackEval must be kept quiet"
    theirs = own_evaluator(gt, results, names, benchmark, capsys)
    assert_same(ours.combined, theirs["COMBINED_SEQ"])
    assert list(ours.sequences) == sorted(names)
    for name, metrics in ours.sequences.items():
        assert_same(metrics, theirs[name])
        assert evaluate_tracks(gt / name / "gt" / "gt.txt", results / f"{name}.txt") == metrics


def test_figures_on_real_ground_truth_are_those_of_trackeval(shared, tmp_path, capsys):
    names = ["KITTI-13", "PETS09-S2L1-300"]  # both with boxes that do not count
    rng = np.random.default_rng(3)
    for name in names:
        rows = (shared / "data" / "mot" / name / "gt" / "gt.txt").read_text().splitlines()
        kept = [row.split(",") for row in rows if rng.random() < 0.8]
        (tmp_path / f"{name}.txt").write_text(
            "".join(
                f"{w[0]},{int(w[1]) + 50 * (int(w[0]) > 120)},{','.join(w[2:6])},1,-1,-1,-1\n" for w in kept
            )
        )
    ours = evaluate_folder(shared / "data" / "mot", tmp_path, sequences=names)
    theirs = own_evaluator(shared / "data" / "mot", tmp_path, names, "MOT15", capsys)
    assert_same(ours.combined, theirs["COMBINED_SEQ"])
    for name in names:
        assert_same(ours.sequences[name], theirs[name])
    assert 0 < ours.combined.HOTA < 100


def test_the_truth_itself_scores_everything(tmp_path):
    gt, _ = scene(0, "MOT15")
    counted = "".join(row + "\n" for row in gt.splitlines() if ",1,-1,-1,-1" in row)
    (tmp_path / "gt.txt").write_text(counted)
    metrics = evaluate_tracks(tmp_path / "gt.txt", tmp_path / "gt.txt")
    perfect = dict.fromkeys((*IN_HOTA, "IDF1", "IDP", "IDR", "MOTA", "MOTP"), pytest.approx(100.0))
    assert metrics.as_dict() == perfect | dict.fromkeys(COUNTS, 0) | {"MT": 13}


def test_a_result_without_rows_misses_everybody(tmp_path):
    (tmp_path / "gt.txt").write_text(scene(0, "MOT15")[0])
    (tmp_path / "none.txt").write_text("")
    metrics = evaluate_tracks(tmp_path / "gt.txt", tmp_path / "none.txt")
    assert (metrics.HOTA, metrics.MOTA, metrics.IDF1, metrics.FN, metrics.ML) == (0, 0, 0, 13 * FRAMES, 13)


def test_loca_rises_when_boxes_get_bad_and_motp_does_not(tmp_path):
    gt, result = tmp_path / "gt.txt", tmp_path / "result.txt"
    found = []
    for left in (0, 10, 30):
        for path, place in ((gt, 0), (result, left)):
            path.write_text("".join(f"{frame},1,{place},0,40,100,1,-1,-1,-1\n" for frame in range(1, 6)))
        found.append(evaluate_tracks(gt, result))
    perfect, middling, bad = found
    assert [metrics.MOTP for metrics in found] == pytest.approx([100, 60, 0])
    assert perfect.HOTA > middling.HOTA > bad.HOTA
    assert perfect.LocA == pytest.approx(100)
    assert bad.LocA > middling.LocA


def test_distractors_are_forgiven_only_where_classes_say_so(tmp_path):
    gt = "1,1,0,0,40,100,1,1,1\n1,2,300,0,40,100,0,7,1\n"
    (tmp_path / "gt.txt").write_text(gt)
    (tmp_path / "result.txt").write_text("1,1,0,0,40,100,1,-1,-1,-1\n1,2,300,0,40,100,1,-1,-1,-1\n")
    assert evaluate_tracks(tmp_path / "gt.txt", tmp_path / "result.txt").FP == 0
    assert evaluate_tracks(tmp_path / "gt.txt", tmp_path / "result.txt", benchmark="MOT15").FP == 1


def test_huge_identities_white_space_and_unsorted_rows_do_no_harm(tmp_path):
    gt, result = scene(1, "MOT15")
    (tmp_path / "gt.txt").write_text(gt)
    (tmp_path / "plain.txt").write_text(result)
    rows = [row.split(",") for row in result.splitlines()]
    odd = [" ".join([w[0], str(int(w[1]) * 10**9), *w[2:]]) for w in rows]
    (tmp_path / "odd.txt").write_text("\n\n".join(reversed(odd)))
    assert evaluate_tracks(tmp_path / "gt.txt", tmp_path / "odd.txt") == evaluate_tracks(
        tmp_path / "gt.txt", tmp_path / "plain.txt"
    )


GOOD = "1,1,10,10,40,100,1,-1,-1,-1\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2,1,10,10,40", "line 2: expected frame,id,left,top,width,height,confidence, got 5 column"),
        ("2,1,10,x,40,100,1", "line 2: expected numbers"),
        ("2,1,10,,40,100,1", "line 2: expected numbers"),
        ("2,1,10,nan,40,100,1,-1,-1,-1", "line 2: expected finite numbers"),
        ("2,1,10,inf,40,100,1", "line 2: expected finite numbers"),
        ("2,1,10,10,0,100,1,-1,-1,-1", "line 2: width and height must be above 0"),
        ("2,1,10,10,40,-1,1,-1,-1,-1", "line 2: width and height must be above 0"),
        ("0,1,10,10,40,100,1,-1,-1,-1", "line 2: frames are whole numbers from 1"),
        ("1.5,1,10,10,40,100,1,-1,-1,-1", "line 2: frames are whole numbers from 1"),
        ("2,1.5,10,10,40,100,1,-1,-1,-1", "line 2: an id is a whole number"),
        ("2,1e300,10,10,40,100,1,-1,-1,-1", "line 2: .*too large"),
        ("1,1,300,10,40,100,1,-1,-1,-1", "line 2: id 1 occurs twice in frame 1"),
        ("2,-1,10,10,40,100,1,-1,-1,-1", "line 2: id -1; a track needs an id"),
        ("2,1,10,10,40,100,1,3,-1,-1", "line 2: class 3 in column 8"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path, row, message):
    (tmp_path / "gt.txt").write_text(GOOD)
    (tmp_path / "result.txt").write_text(GOOD + row + "\n")
    with pytest.raises(InputError, match=rf"result\.txt, {message}"):
        evaluate_tracks(tmp_path / "gt.txt", tmp_path / "result.txt")


def test_missing_empty_and_binary_files_are_named(tmp_path):
    (tmp_path / "good.txt").write_text(GOOD)
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match=r"gone\.txt: No such file"):
        evaluate_tracks(tmp_path / "good.txt", tmp_path / "gone.txt")
    with pytest.raises(InputError, match=r"empty\.txt: no rows"):
        evaluate_tracks(tmp_path / "empty.txt", tmp_path / "good.txt")
    with pytest.raises(InputError, match=r"binary\.txt: not a text file"):
        evaluate_tracks(tmp_path / "good.txt", tmp_path / "binary.txt")


def test_a_frame_beyond_the_sequence_is_named(tmp_path):
    gt, results = lay_out(tmp_path, {"Street": (GOOD, GOOD + "9,1,10,10,40,100,1,-1,-1,-1\n")}, length=8)
    with pytest.raises(InputError, match=r"Street\.txt, line 2: frame 9 of a sequence of 8"):
        evaluate_folder(gt, results)
    (gt / "Street" / "seqinfo.ini").write_text("[Sequence]\nseqLength=many\n")
    with pytest.raises(InputError, match=r"seqinfo\.ini: frameRate and seqLength must be numbers"):
        evaluate_folder(gt, results)


def test_folders_must_fit_each_other(tmp_path):
    gt, results = lay_out(tmp_path, {"Street": (GOOD, GOOD), "Square": (GOOD, GOOD)}, length=1)
    (results / "Square.txt").unlink()
    with pytest.raises(InputError, match=r"Square\.txt: no such file; every sequence needs a result"):
        evaluate_folder(gt, results)
    assert list(evaluate_folder(gt, results, sequences=["Street"]).sequences) == ["Street"]
    with pytest.raises(UsageError, match="no sequence 'Stret'; did you mean 'Street'"):
        evaluate_folder(gt, results, sequences=["Stret"])
    with pytest.raises(InputError, match="no ground truth there"):
        evaluate_folder(results, results)


def test_classes_are_demanded_where_the_benchmark_has_them(tmp_path):
    (tmp_path / "gt.txt").write_text(GOOD)
    with pytest.raises(InputError, match=r"gt\.txt, line 1: MOT17 wants a class"):
        evaluate_tracks(tmp_path / "gt.txt", tmp_path / "gt.txt", benchmark="MOT17")
    with pytest.raises(UsageError, match="MOT18"):
        evaluate_tracks(tmp_path / "gt.txt", tmp_path / "gt.txt", benchmark="MOT18")


def test_without_trackeval_the_mend_is_named(tmp_path, monkeypatch):
    (tmp_path / "gt.txt").write_text(GOOD)
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "trackeval":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "trackeval")
    with pytest.raises(InputError, match=r"pip install 'bpbreid-track\[eval\]'"):
        evaluate_tracks(tmp_path / "gt.txt", tmp_path / "gt.txt")


def test_metrics_cannot_be_changed():
    fields = {field.name: 0 for field in dataclasses.fields(TrackingMetrics)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrackingMetrics(**fields).HOTA = 1.0


def test_rows_are_read_as_written_and_sorted_by_frame(tmp_path):
    path = tmp_path / "det.txt"
    path.write_text("\ufeff2,-1,1.5,2,3,4,0.5\n\n1,7,5,6,7,8,0.25,1,2,3,\n", encoding="utf-8")
    rows = read_mot(path)
    assert rows.frame.tolist() == [1, 2]
    assert rows.id.tolist() == [7, -1]
    assert rows.ltwh.tolist() == [[5, 6, 7, 8], [1.5, 2, 3, 4]]
    assert rows.xyxy.tolist() == [[5, 6, 12, 14], [1.5, 2, 4.5, 6]]
    assert rows.xyxy.dtype == np.float32
    assert rows.confidence.tolist() == [0.25, 0.5]
    np.testing.assert_array_equal(rows.extra, [[1, 2, 3], [np.nan] * 3])
    assert rows.line.tolist() == [3, 1]


def cvat(folder: Path, labels: str | None, tail: str, ids: int = 1, first: int = 1) -> tuple[Path, Path]:
    """Ground truth as CVAT's export "MOT 1.1" writes it, and a perfect result."""
    (folder / "gt").mkdir(parents=True)
    rows = [f"{f},{ids},{10 * f + 5},20,40,100" for f in range(first, first + 8)]
    (folder / "gt" / "gt.txt").write_text("".join(f"{row},{tail}\n" for row in rows))
    if labels is not None:
        (folder / "gt" / "labels.txt").write_text(labels)
    (folder / "result.txt").write_text("".join(f"{row},0.9,-1,-1,-1\n" for row in rows))
    return folder / "gt" / "gt.txt", folder / "result.txt"


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        ("car\nperson\n", 2),
        ("Pedestrian", 1),
        ("ball\r\ncar\r\nperson\r\n", 3),
        ("x\n" * 40 + "person\n", 41),
    ],
    ids=["second", "only", "third", "41st"],
)
def test_labels_beside_the_ground_truth_say_which_class_is_a_person(
    tmp_path: Path, labels: str, number: int
) -> None:
    metrics = evaluate_tracks(*cvat(tmp_path / "s", labels, f"1,{number},1.0"))
    assert pytest.approx(100) == metrics.HOTA
    assert (metrics.FP, metrics.FN) == (0, 0)


def test_boxes_of_other_labels_do_not_count_and_forgive_nothing(tmp_path: Path) -> None:
    gt, result = cvat(tmp_path / "s", "dog\nperson\n", "1,2,1.0")
    gt.write_text(gt.read_text() + "".join(f"{f},7,{10 * f + 5},300,40,100,1,1,1.0\n" for f in range(1, 9)))
    result.write_text(
        result.read_text() + "".join(f"{f},7,{10 * f + 5},300,40,100,1,-1,-1,-1\n" for f in range(1, 9))
    )
    metrics = evaluate_tracks(gt, result)
    assert (metrics.FN, metrics.FP) == (0, 8)


@pytest.mark.parametrize(
    ("labels", "tail", "complaint"),
    [
        (None, "1,2,1.0", "class 2, and only class 1"),
        ("car\nvan\n", "1,2,1.0", "class 2, and only class 1"),
        (None, "1,7,1.0", "class 7, and only class 1"),
        (None, "0,1,1.0", "column 7 is 0 throughout"),
        (None, "0,-1,-1,-1", "column 7 is 0 throughout"),
    ],
    ids=["class 2", "no person", "class 7", "flag 0", "flag 0 of MOT15"],
)
def test_ground_truth_of_which_no_row_counts_is_an_error(
    tmp_path: Path, labels: str | None, tail: str, complaint: str
) -> None:
    with pytest.raises(InputError, match=rf"gt\.txt: none of its 8 rows counts: .*{complaint}"):
        evaluate_tracks(*cvat(tmp_path / "s", labels, tail))


def test_frames_from_0_and_boxes_without_track_are_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gt\.txt, line 1: .*from 1, got 0; .* add 1 to every frame"):
        evaluate_tracks(*cvat(tmp_path / "zero", None, "1,1,1.0", first=0))
    with pytest.raises(InputError, match=r"gt\.txt, line 1: id -1; .*CVAT holds as shapes"):
        evaluate_tracks(*cvat(tmp_path / "shapes", None, "1,1,1.0", ids=-1))
