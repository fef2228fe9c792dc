"""Naming people by a gallery, on made-up distances and on real frames, and saving one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
import torch
from run_rows import views
from scenes import DIM, PARTS

from bpbreid_track import PartEmbeddings, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.config import GalleryConfig
from bpbreid_track.embedding_files import maker_of
from bpbreid_track.embeddings import part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.identities.gallery import (
    Gallery,
    Namer,
    load_gallery,
    names_of_all,
    save_gallery_files,
)
from bpbreid_track.identities.view_selection import DiverseViews, diverse_rows
from bpbreid_track.io.paths import check_new_folder
from bpbreid_track.io.sinks.tracks import CsvSink
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.fingerprint import of_encoder

CONFIG = GalleryConfig(max_distance=0.6)


class Encoder:
    """Gives every crop the look that its brightness names."""

    part_names, dim = PARTS, DIM

    def encode_crops(self, crops: list[np.ndarray]) -> PartEmbeddings:
        return views([int(crop.mean()) for crop in crops])


def named(namer: Namer, ids: list[int], distances: list[list[float]]) -> list[int]:
    return namer.update(
        np.array(ids), np.array(distances, float).reshape(len(ids), -1 if ids else 2)
    ).tolist()


def test_distance_to_a_name_is_that_to_its_nearest_view() -> None:
    gallery = Gallery(("anna", "bob"), views([1, 2, 3], unlike=0), np.array([0, 0, 1]))
    distances = gallery.distances(views([2, 3], unlike=0))
    assert distances[0, 0] == pytest.approx(0, abs=1e-3)
    assert distances[1, 1] == pytest.approx(0, abs=1e-3)
    assert distances[0, 1] > 1
    assert distances[1, 0] > 1


def test_person_of_whom_no_part_can_be_compared_is_unknown() -> None:
    blank = PartEmbeddings(torch.zeros(1, len(PARTS), DIM), torch.zeros(1, len(PARTS)), PARTS)
    distances = Gallery(("anna",), views([1]), np.array([0])).distances(blank)
    assert np.isinf(distances).all()
    assert Namer(CONFIG).update(np.array([1]), distances).tolist() == [-1]


def test_unknown_people_stay_unknown() -> None:
    assert named(Namer(CONFIG), [1, 2], [[0.3, 0.9], [0.7, 0.61]]) == [0, -1]


def test_name_goes_to_one_track_of_a_frame_at_most() -> None:
    assert named(Namer(CONFIG), [1, 2], [[0.5], [0.4]]) == [-1, 0]


def test_names_are_given_for_the_best_sum_not_first_come() -> None:
    assert named(Namer(CONFIG), [1, 2], [[0.30, 0.35], [0.31, 0.59]]) == [1, 0]


def test_name_survives_bad_frames_but_not_a_clear_error() -> None:
    namer = Namer(CONFIG)
    assert named(namer, [1], [[0.58]]) == [0]
    assert named(namer, [1], [[0.63]]) == [0]  # beyond the threshold, within the hysteresis
    assert named(namer, [1, 2], [[0.58], [0.55]]) == [0, -1]  # another track is nearer, by too little
    assert named(namer, [1, 2], [[0.58], [0.45]]) == [-1, 0]
    assert named(namer, [2], [[0.7]]) == [-1]
    assert named(namer, [2], [[0.63]]) == [-1]  # once lost, a name has to be earned anew


def test_frame_without_people() -> None:
    assert named(Namer(CONFIG), [], []) == []


def test_whole_run_shares_a_name_only_where_people_were_never_seen_together() -> None:
    distances = np.array([[0.3], [0.4], [0.5], [0.7]])
    assert names_of_all(distances, np.array([[0, 1]]), 0.6).tolist() == [0, -1, 0, -1]


def test_diverse_views_hold_every_look_in_bounded_number() -> None:
    kept = DiverseViews(count=4, interval=0.2)
    looks = [1] * 60 + [2, 3, 4] + [1] * 60
    for step, number in enumerate(looks):
        kept.add(np.array([7]), views([number], seed=step), step / 5)
    chosen = kept.of([7])
    assert len(chosen) == 4
    found = Gallery(("1", "2", "3", "4"), views([1, 2, 3, 4]), np.arange(4)).distances(chosen)
    assert sorted(found.argmin(axis=1).tolist()) == [0, 1, 2, 3]
    assert len(kept._views[7]) < 8


def test_views_keep_their_distance_in_time() -> None:
    kept = DiverseViews(count=20, interval=0.5)
    for step in range(11):
        kept.add(np.array([1]), views([1], seed=step), step / 10)
    assert len(kept.of([1])) == 3


def test_few_views_are_all_kept() -> None:
    assert diverse_rows(views([1, 1, 2]), 5).tolist() == [0, 1, 2]


def test_gallery_holds_crops_and_embeddings_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    for number in (1, 2):
        crop = np.full((64, 32, 3), 40 + number, np.uint8)
        cv2.imwrite(str(tmp_path / f"anna/{number}.png"), crop)
    views([7, 7, 8]).save(tmp_path / "bob.npz")
    (tmp_path / "notes.txt").write_text("passed over")
    gallery = load_gallery(tmp_path, Encoder())  # type: ignore[arg-type]
    assert gallery.names == ("anna", "bob")
    assert gallery.owner.tolist() == [0, 0, 1, 1, 1]
    assert gallery.distances(views([41, 8])).argmin(axis=1).tolist() == [0, 1]


def test_gallery_of_another_encoder_is_refused_by_name(tmp_path: Path) -> None:
    PartEmbeddings(torch.ones(1, 2, 3), torch.ones(1, 2), ["foreground", "feet"]).save(tmp_path / "bob.npz")
    with pytest.raises(InputError) as caught:
        load_gallery(tmp_path, Encoder())  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'bob.npz'}: made by another encoder")
    assert f"expected parts {list(PARTS)} with {DIM} features" in message
    assert "found ['foreground', 'feet'] with 3" in message


def test_gallery_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        load_gallery(tmp_path / "nowhere", Encoder())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="holds nobody"):
        load_gallery(tmp_path, Encoder())  # type: ignore[arg-type]
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna/1.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"1\.jpg: could not be decoded"):
        load_gallery(tmp_path, Encoder())  # type: ignore[arg-type]


def test_two_galleries_are_never_mixed(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "new")
    (tmp_path / ".DS_Store").touch()  # systems leave such files everywhere
    check_new_folder(tmp_path)
    (tmp_path / "00001.npz").touch()
    with pytest.raises(UsageError, match="not empty"):
        check_new_folder(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        check_new_folder(tmp_path / "no/where")


def test_gallery_without_an_encoder_is_wrong_usage(shared: Path, tmp_path: Path) -> None:
    pets = shared / "data/mot/PETS09-S2L1-300"
    (tmp_path / "g").mkdir()
    options = {"tracks": tmp_path / "t.txt", "detector": pets / "det/det.txt", "encoder": "none"}
    for which in ("gallery", "save_gallery"):
        with pytest.raises(UsageError, match="needs an encoder"):
            track_video(pets, **{**options, which: tmp_path / "g"})


@pytest.fixture(scope="module")
def saved(shared: Path, bundled_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of the first person in a real sequence, under the name of anna."""
    folder = tmp_path_factory.mktemp("run") / "gallery"
    pets = shared / "data/mot/PETS09-S2L1-300"
    report = track_video(pets, detector=pets / "det/yolo11n.txt", max_frames=14, save_gallery=folder)
    assert report.outputs == {"gallery": str(folder)}
    files = sorted(folder.glob("*.npz"))
    assert [path.name for path in files] == [f"{n:05d}.npz" for n in range(1, len(files) + 1)]
    assert all(1 <= len(PartEmbeddings.load(path)) <= 20 for path in files)
    # Beside each a picture of that person: its embedding is nearest to the views of the same file.
    assert {path.name for path in folder.glob("*.jpg")} == {f"{path.stem}.jpg" for path in files}
    crops = [cv2.imread(str(path.with_suffix(".jpg"))) for path in files]
    shown = bundled_encoder.encode_crops(crops)
    apart = np.stack(
        [part_distance(shown, PartEmbeddings.load(path)).numpy().min(axis=1) for path in files], axis=1
    )
    assert (apart.argmin(axis=1) == np.arange(len(files))).all()
    assert {maker_of(path) for path in files} == {of_encoder(bundled_encoder)}
    files[0].rename(folder / "anna.npz")
    for path in files[1:]:
        path.unlink()
    return folder


def test_person_saved_in_one_run_is_found_in_the_next(
    shared: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets = shared / "data/mot/PETS09-S2L1-300"
    tracks = tmp_path / "t.csv"
    arguments = ["--detector", str(pets / "det/yolo11n.txt"), "--max-frames", "12", "--tracks", str(tracks)]
    assert run([str(pets), *arguments, "--gallery", str(saved)]) == 0
    rows = list(csv.DictReader(tracks.open()))
    names = {row["id"]: {r["name"] for r in rows[12:] if r["id"] == row["id"]} for row in rows[12:]}
    assert "anna" in names["1"]
    assert all(found <= {""} for identity, found in names.items() if identity != "1")
    said = capsys.readouterr().err
    assert "anna (1)" in said
    assert "other weights" not in said


def test_number_that_names_somebody_of_an_older_gallery_never_gets_a_second_person(
    shared: Path, saved: Path, tmp_path: Path
) -> None:
    """The entry of person 1 still has its number, and another number than in this run."""
    older, again = tmp_path / "older", tmp_path / "again"
    older.mkdir()
    (older / "00002.npz").write_bytes((saved / "anna.npz").read_bytes())
    pets = shared / "data/mot/PETS09-S2L1-300"
    report = track_video(
        pets, detector=pets / "det/yolo11n.txt", max_frames=12, gallery=older, save_gallery=again
    )
    assert report.named == {"00002": [1]}
    assert {path.stem for path in again.iterdir()} >= {"00002", "00002-2"}
    people = [PartEmbeddings.load(again / f"{name}.npz") for name in ("00002", "00002-2")]
    within = part_distance(people[0], people[0]).median()
    assert part_distance(*people).min() > within


def test_linked_run_names_people_from_their_first_box_on(shared: Path, saved: Path, tmp_path: Path) -> None:
    pets = shared / "data/mot/PETS09-S2L1-300"
    tracks, again = tmp_path / "t.jsonl", tmp_path / "again"
    report = track_video(
        pets,
        tracks=tracks,
        detector=pets / "det/yolo11n.txt",
        max_frames=12,
        link=True,
        gallery=saved,
        save_gallery=again,
    )
    written = [json.loads(line)["tracks"] for line in tracks.read_text().splitlines()]
    assert report.named == {"anna": [1]}
    assert [[row["id"] for row in frame if row.get("name") == "anna"] for frame in written] == [[1]] * 12
    assert not any("name" in row for frame in written for row in frame if row["id"] != 1)
    assert (again / "anna.npz").is_file()
    assert not (again / "00001.npz").exists()


def test_name_with_control_characters_is_refused_as_it_is_written(tmp_path: Path) -> None:
    views([1]).save(tmp_path / "anna\x1b[31m.npz")
    with pytest.raises(InputError, match=r"a name with control characters, 'anna\\x1b\[31m'; rename it"):
        load_gallery(tmp_path, Encoder())  # type: ignore[arg-type]


def test_name_that_a_spreadsheet_would_compute_is_text_in_a_table(tmp_path: Path) -> None:
    boxes = sv.Detections(np.array([[0.0, 0, 9, 9]] * 3), tracker_id=np.arange(3))
    boxes.data["name"] = np.array(["=1+1", "-7", "anna"], object)
    sink = CsvSink(tmp_path / "t.csv", ["name"])
    sink.write(Frame(0, 0.0, np.zeros((9, 9, 3), np.uint8)), boxes)
    sink.close()
    assert [row["name"] for row in csv.DictReader((tmp_path / "t.csv").open())] == ["'=1+1", "-7", "anna"]


def test_embeddings_of_other_weights_are_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_gallery_files(tmp_path / "people", {"anna": views([7])}, {}, "0123456789abcdef")
    views([8]).save(tmp_path / "people" / "bob.npz")  # says nothing of its maker
    load_gallery(tmp_path / "people", Encoder(), weights="0123456789abcdef")  # type: ignore[arg-type]
    assert not caplog.text
    gallery = load_gallery(tmp_path / "people", Encoder(), weights="fedcba9876543210")  # type: ignore[arg-type]
    assert gallery.names == ("anna", "bob")
    assert "anna.npz: made by other weights than those of this run" in caplog.text
