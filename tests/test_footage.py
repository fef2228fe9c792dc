"""Benchmarks look at sequences at part of their rate, backwards and veiled, and choose settings fairly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

# Benchmarks are scripts: they find one another in their own folder.
sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

from footage import Footage, Model, View
from generalisation_runs import Entry, Figures, Job, pending
from generalisation_tables import choose_without, held_out, shortfalls
from in_hindsight import smooth
from occlusion_cases import Case

from bpbreid_track.io.mot_format import read_mot

WIDTH, HEIGHT, LENGTH = 400, 120, 6
# Left edges of three boxes 20 wide: in the band of a gap at 0.5, beside it, and far away.
LEFT = (190, 230, 20)
VEIL = Case("veil", 0.5, True)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """Six frames of noise with the three boxes in each, as detections and as truth."""
    folder = tmp_path / "tiny"
    for name in ("img1", "det", "gt"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    boxes, truth = [], []
    for frame in range(1, LENGTH + 1):
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "img1" / f"{frame:06}.jpg"), image)
        boxes += [f"{frame},-1,{left},10,20,40,0.9,-1,-1,-1" for left in LEFT]
        truth += [f"{frame},{person},{left},10,20,40,1,-1,-1,-1" for person, left in enumerate(LEFT, 1)]
    (folder / "det" / "yolo11n.txt").write_text("\n".join(boxes), encoding="utf-8")
    (folder / "gt" / "gt.txt").write_text("\n".join(truth), encoding="utf-8")
    info = f"[Sequence]\nname=tiny\nframeRate=10\nseqLength={LENGTH}\nimWidth={WIDTH}\nimHeight={HEIGHT}\n"
    (folder / "seqinfo.ini").write_text(info, encoding="utf-8")
    return folder


def test_a_view_backwards_at_half_the_rate_shows_every_second_frame_from_the_end(sequence: Path) -> None:
    assert View(2, True).frames(LENGTH).tolist() == [5, 3, 1]
    footage = Footage(sequence, "yolo11n.txt")
    assert [footage.frame[rows].tolist() for rows in footage.shown(View(2, True))] == [
        [5] * 3,
        [3] * 3,
        [1] * 3,
    ]


def test_the_truth_of_a_view_is_renumbered_and_loses_the_rows_in_the_gap(
    sequence: Path, tmp_path: Path
) -> None:
    Footage(sequence, "yolo11n.txt").write_truth(Case("gap", 0.5), View(2, True), tmp_path / "look")
    truth = read_mot(tmp_path / "look" / "gt" / "gt.txt")
    assert truth.frame.tolist() == [1, 1, 2, 2, 3, 3]
    assert set(truth.id.tolist()) == {2, 3}, "the person in the band is gone"
    assert "frameRate=5" in (tmp_path / "look" / "seqinfo.ini").read_text(encoding="utf-8")


def test_a_veil_encodes_anew_only_the_boxes_it_touches(sequence: Path, tmp_path: Path) -> None:
    asked: list[np.ndarray] = []

    def build() -> Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
        def compute(image: np.ndarray, xyxy: np.ndarray) -> dict[str, np.ndarray]:
            asked.append(xyxy)
            return {"vectors": np.full((len(xyxy), 2), len(asked), np.float32)}

        return compute

    footage, model = Footage(sequence, "yolo11n.txt"), Model("fake", build)
    plain = footage.vectors(Case("whole"), model, tmp_path)["vectors"]
    asked.clear()
    veiled = footage.vectors(VEIL, model, tmp_path)["vectors"]
    assert [boxes[:, 0].tolist() for boxes in asked] == [list(LEFT[:2])] * LENGTH
    far = footage.xyxy[:, 0] == LEFT[2]
    assert (veiled[far] == plain[far]).all()
    footage.vectors(VEIL, model, tmp_path)
    assert len(asked) == LENGTH, "the second time they come from the cache"


def row(tracker: str, sequence: str, hota: float, **other: Any) -> dict[str, Any]:
    look = {"sequence": sequence, "det": "yolo11n.txt", "case": "whole", "band": "", "step": 1}
    figures = {"HOTA": hota, "DetA": 1.0, "AssA": hota, "IDF1": hota, "MOTA": 1.0, "IDSW": 0}
    return {"tracker": tracker, "appearance": "parts"} | look | {"backwards": 0} | figures | other


def test_the_held_out_choice_never_looks_at_the_sequence_it_reports() -> None:
    rows = [row("low", "a", 10), row("low", "b", 50), row("high", "a", 90), row("high", "b", 40)]
    assert choose_without(rows, ["low", "high"], "a") == "low", "high is best on a, which does not count"
    assert choose_without(rows, ["low", "high"], "b") == "high"
    table = held_out(rows, {"low": "x=1", "high": "x=2"}, "low").splitlines()
    assert table[2].startswith("| a | x=1 | 10.0 ")
    assert table[3].startswith("| b | x=2 | 40.0 ")


def test_a_look_counts_as_behind_when_its_best_rival_is_clearly_better() -> None:
    rows = [row("ours", "a", 50), row("peer", "a", 50.2), row("other", "a", 10)]
    rows += [row("ours", "b", 50), row("peer", "b", 51), row("other", "b", 53), row("ours", "c", 1)]
    compared, behind = shortfalls(rows, ("ours", "parts"), lambda rival: rival[0] != "ours")
    assert compared == 2, "nobody else looked at c"
    assert [(item.points, item.best["tracker"]) for item in behind] == [(3, "other")]


def test_a_run_goes_on_behind_the_rows_that_its_csv_has(tmp_path: Path) -> None:
    looks = [(Case("whole"), View()), (Case("gap", 0.35), View(2, True))]
    job = Job(Entry("norfair", "none", None), tmp_path / "tiny", "yolo11n.txt", looks, tmp_path)
    figures = row("norfair", "tiny", 12.5)
    first = Figures(tmp_path / "figures.csv")
    assert pending([job], first) == [job]
    first.add([figures | job.row(looks[1])])
    with (tmp_path / "figures.csv").open("a", encoding="utf-8") as handle:
        handle.write("norfair,none,tiny,yolo11n.t")  # where the run was stopped
    again = Figures(tmp_path / "figures.csv")
    assert [left.looks for left in pending([job], again)] == [looks[:1]]
    assert list(again.rows.values()) == list(first.rows.values()), "the rows are read as they were written"
    again.add([figures | job.row(looks[0])])
    assert not pending([job], Figures(tmp_path / "figures.csv"))


def test_the_truth_loses_the_rows_in_the_band(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "mot" / "PETS09-S2L1-300"
    Footage(folder, "det.txt").write_truth(Case("gap", 0.5), View(), tmp_path / "pets")
    before, after = read_mot(folder / "gt" / "gt.txt"), read_mot(tmp_path / "pets" / "gt" / "gt.txt")
    centre = (before.xyxy[:, 0] + before.xyxy[:, 2]) / 2 / 768
    assert len(after) == (np.abs(centre - 0.5) > 0.05).sum() < len(before)
    assert (tmp_path / "pets" / "seqinfo.ini").is_file()


def test_tracks_as_written_have_boxes_where_somebody_was_out_of_sight_but_none_in_the_gap(
    tmp_path: Path,
) -> None:
    tracks, out = tmp_path / "tracks.txt", tmp_path / "out.txt"
    # Somebody walks 10 pixels a frame at 10 a second, and is not seen from frame 11 to 30.
    seen = [*range(1, 11), *range(31, 41)]
    tracks.write_text("".join(f"{frame},7,{10 * frame},50,40,100,0.9,-1,-1,-1\n" for frame in seen))
    smooth(tracks, 10, 40, 0.75, out, bridge=3)
    written = read_mot(out)
    assert written.frame.tolist() == list(range(1, 41))
    np.testing.assert_allclose(written.ltwh[:, 0], 10 * written.frame, atol=0.5)

    smooth(tracks, 10, 40, 0.75, out, bridge=3, kept=lambda xyxy: xyxy[:, 0] < 200)
    assert read_mot(out).frame.max() == 19
    smooth(tracks, 10, 40, 0.75, out)
    assert read_mot(out).frame.tolist() == seen
