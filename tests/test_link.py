"""Joining identities over videos: what looks, moments and cameras allow, and the command on real frames."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_rows import views
from scenes import DIM, PARTS
from test_many import write_sequence

from bpbreid_track import PartEmbeddings
from bpbreid_track.cli.link import run, unique_names
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.identities.across import Seen, impossible, join, mean_views, pair_scores
from bpbreid_track.many.api import track_videos
from bpbreid_track.many.clocks import Clock, read_clocks
from bpbreid_track.many.link import Tracked, find_runs, link_videos, read_tracked
from bpbreid_track.many.manifest import MANIFEST, Entry, ManifestWriter
from bpbreid_track.many.track_files import Boxes, read_boxes, write_renumbered

NOBODY = np.zeros((0, 2), np.int64)


def seen(*people: tuple[int, list[int]]) -> Seen:
    """Camera and seconds of each."""
    seconds = [np.array(times, np.int64) for _, times in people]
    return Seen(np.array([camera for camera, _ in people]), seconds)


def test_the_same_looks_are_joined_over_videos_and_others_are_not() -> None:
    looks = mean_views([views([n, n, n], seed=s) for s, n in enumerate([1, 2, 1, 3, 2])])
    assert join(looks, np.zeros((5, 5), bool), 0.5).tolist() == [0, 1, 0, 2, 1]


def test_two_who_cannot_be_one_are_kept_apart_also_through_a_third() -> None:
    looks = mean_views([views([1, 1, 1], seed=s) for s in range(3)])
    forbidden = np.zeros((3, 3), bool)
    forbidden[0, 2] = forbidden[2, 0] = True
    groups = join(looks, forbidden, 0.5)
    assert groups[0] != groups[2]
    assert groups[1] in {groups[0], groups[2]}


def test_nobody_and_somebody_alone() -> None:
    none = PartEmbeddings.empty(PARTS, DIM)
    assert join(none, np.zeros((0, 0), bool), 0.5).tolist() == []
    assert join(views([1]), np.zeros((1, 1), bool), 0.5).tolist() == [0]


def test_people_of_whom_nothing_can_be_compared_stay_apart() -> None:
    looks = views([1, 1])
    blank = PartEmbeddings(looks.features, looks.visibility * 0, looks.part_names)
    assert join(PartEmbeddings.cat([blank, looks[0]]), np.zeros((3, 3), bool), 0.6).tolist() == [0, 1, 2]


def test_who_was_seen_in_one_frame_is_two_people() -> None:
    found = impossible(seen((0, []), (0, []), (1, [])), np.array([[0, 1]]), 1, math.inf)
    assert found.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


@pytest.mark.parametrize(
    ("other", "least", "longest", "apart"),
    [
        pytest.param((1, [5]), 1, math.inf, True, id="two cameras in one second"),
        pytest.param((1, [7]), 1, math.inf, False, id="in the pause between two appearances"),
        pytest.param((0, [5]), 1, math.inf, False, id="one camera: the frames say it"),
        pytest.param((1, [12]), 3, math.inf, True, id="sooner than one can walk"),
        pytest.param((1, [13]), 3, math.inf, False, id="just in time"),
        pytest.param((1, [71]), 1, 60, True, id="too late"),
        pytest.param((1, [69]), 1, 60, False, id="late"),
        pytest.param((1, []), 30, 60, False, id="no clock"),
    ],
)
def test_nobody_is_at_two_places_at_once(
    other: tuple[int, list[int]], least: int, longest: float, apart: bool
) -> None:
    found = impossible(seen((0, [4, 5, 10]), other), NOBODY, least, longest)
    assert found.tolist() == [[False, apart], [apart, False]]


def test_moments_of_a_day_cost_no_more_than_those_of_a_minute() -> None:
    late = 1_800_000_000  # seconds since 1970
    found = impossible(seen((0, [late]), (1, [late]), (2, [late + 86_400])), NOBODY, 5, math.inf)
    assert found.sum() == 2
    assert found[0, 1]


def test_precision_and_recall_count_pairs() -> None:
    asked = ~np.eye(4, dtype=bool)
    precision, recall = pair_scores(np.array([0, 0, 0, 1]), np.array([7, 7, 8, 8]), asked)
    assert (precision, recall) == (1 / 3, 1 / 2)
    assert math.isnan(pair_scores(np.arange(2), np.arange(2), asked[:2, :2])[0])


# From videos.


def tracked(folder: Path, name: str, people: dict[int, int], frames: dict[int, list[int]]) -> Tracked:
    """A video of looks by identity, and of the frames in which each was seen, one a second."""
    rows = [(frame, identity) for identity, part in frames.items() for frame in part]
    table = np.array(sorted(rows))
    boxes = Boxes(table[:, 0], table[:, 1], np.tile([0.0, 0, 10, 20], (len(table), 1)), np.ones(len(table)))
    entry = Entry("done", f"/{name}", name, {}, figures={"frame_rate": 1})
    return Tracked(folder, entry, boxes, {i: views([look] * 3, seed=i) for i, look in people.items()})


def test_videos_are_linked_by_looks_unless_their_clocks_forbid_it(tmp_path: Path) -> None:
    one = tracked(tmp_path, "one", {1: 5, 2: 6}, {1: [1, 2], 2: [2, 3]})
    two = tracked(tmp_path, "two", {4: 6, 9: 5}, {4: [1, 2], 9: [2, 3]})

    def people(*clocks: Clock) -> list[tuple[tuple[int, int], ...]]:
        return [person.members for person in link_videos([one, two], clocks)]

    both = [((0, 1), (1, 9)), ((0, 2), (1, 4))]
    assert people(Clock("a"), Clock("b")) == both
    assert people(Clock("a", 0.0), Clock("b", 100.0)) == both
    assert people(Clock("a", 0.0), Clock("b", 0.0)) == [((0, 1),), ((0, 2),), ((1, 4),), ((1, 9),)]
    assert people(Clock("a", 0.0), Clock("a", 0.0)) == both


def test_two_of_one_frame_stay_two_however_alike(tmp_path: Path) -> None:
    one = tracked(tmp_path, "one", {1: 5, 2: 5, 3: 5}, {1: [1, 2], 2: [2, 3], 3: [9]})
    groups = [person.members for person in link_videos([one], [Clock("a")])]
    assert len(groups) == 2


def test_views_of_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    one, two, three = (tracked(tmp_path, name, {1: 5}, {1: [1]}) for name in ("one", "two", "three"))
    clocks = [Clock("a"), Clock("b"), Clock("c")]
    known = [replace(one, weights="a"), two, replace(three, weights="a")]  # two was made before files said so
    assert len(link_videos(known, clocks)) == 1
    with pytest.raises(InputError, match=r"one and .*three: views made by different weights"):
        link_videos([*known[:2], replace(three, weights="b")], clocks)


def test_views_of_another_encoder_are_refused_by_name(tmp_path: Path) -> None:
    one = tracked(tmp_path, "one", {1: 5}, {1: [1]})
    other = PartEmbeddings(np.ones((1, 2, 3)), np.ones((1, 2)), ["foreground", "feet"])
    two = Tracked(tmp_path, Entry("done", "/two", "two", {}), one.boxes, {1: other})
    with pytest.raises(InputError, match="two: views of identity 1 were made by another encoder"):
        link_videos([one, two], [Clock("a"), Clock("b")])


def test_people_with_names_are_compared_under_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.gallery").mkdir()
    (tmp_path / "a.txt").write_text("1,7,0,0,9,9,1,-1,-1,-1\n1,3,0,0,9,9,1,-1,-1,-1\n")
    for number, name in enumerate(["anna", "00003-2", "00003"]):
        views([number]).save(tmp_path / f"a.gallery/{name}.npz")
    outputs = {"tracks": "a.txt", "gallery": "a.gallery"}
    named = {"anna": [7, 9], "00003": [4]}
    video = read_tracked(tmp_path, Entry("done", "/a", "a", outputs, figures={"named": named}))
    looks = {identity: view.features.sum().item() for identity, view in video.views.items()}
    assert looks == {
        identity: views([look]).features.sum().item() for identity, look in {7: 0, 9: 0, 3: 1, 4: 2}.items()
    }


def test_clocks_are_seconds_or_times_and_lines_that_say_neither_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clocks.csv"
    path.write_text("name,camera,start\na,north,2026-05-01T15:30:00Z\nb,south,12.5\nc,,\n")
    north, south, third, unsaid = read_clocks(path, [tmp_path / name for name in "abcd"])
    assert (north, south) == (Clock("north", 1777649400.0), Clock("south", 12.5))
    assert third is not None
    assert third.camera == "c"
    assert math.isnan(third.start)
    assert unsaid is None
    path.write_text("name,camera,start\nstret,north,1\n")
    with pytest.raises(InputError, match=r"line 2: no video 'stret'; did you mean 'street'\?"):
        read_clocks(path, [tmp_path / "street"])
    path.write_text("name,start\na,noon\n")
    with pytest.raises(InputError, match="line 2: start 'noon'"):
        read_clocks(path, [tmp_path / "a"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column name; expected a first line name,camera,start"),
        ("name,camera,begin\na,c,0\n", "unknown column 'begin'"),
        ("Name,Start\na,0\n", r"unknown column 'Name'; did you mean 'name'\?"),
        ("name;camera;start\na;c;0\n", "unknown column 'name;camera;start'.* with commas"),
        ("name,start,start\na,0,1\n", "a column stands twice"),
        ("name,start\na,0,7\n", "line 2: more cells than the 2 columns"),
        ("name,start\na,0\nb,1\na,2\n", "line 4: video 'a' stands there twice"),
        ("camera,start\nc,0\n", "no column name"),
        ("name,start\n,7\n", "line 2: no video ''"),
    ],
)
def test_a_table_of_clocks_of_which_a_part_would_not_count_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "clocks.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"clocks.csv.*{said}"):
        read_clocks(path, [tmp_path / "a", tmp_path / "b"])


def test_clocks_as_spreadsheets_save_them_and_of_two_folders(tmp_path: Path) -> None:
    path = tmp_path / "clocks.csv"
    path.write_text("\ufeffname, camera, start\r\nmonday/a, c, 3\r\n,,\r\n\r\n")
    videos = [Path("/runs/monday/a"), Path("/runs/tuesday/a")]
    assert read_clocks(path, videos) == [Clock("c", 3.0), None]
    path.write_text("name,start\na,3\n")
    with pytest.raises(InputError, match=r"2: 'a' is /runs/monday/a and /runs/tuesday/a; write the folder"):
        read_clocks(path, videos)


@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl"])
def test_track_files_of_all_kinds_are_read_and_renumbered(ending: str, pets: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "one", pets, 1, 4)
    options = {"detector": "det/det.txt", "encoder": None, "config": {"tracker": {"confirm_seconds": 0}}}
    track_videos([tmp_path / "one"], tmp_path / "tracked", write=[ending], **options)  # type: ignore[arg-type]
    path = tmp_path / f"tracked/one.{ending}"
    before = read_boxes(path)
    assert len(before.id) > 10
    write_renumbered(path, tmp_path / f"new.{ending}", {i: i for i in before.id.tolist()})
    assert (tmp_path / f"new.{ending}").read_bytes() == path.read_bytes()
    write_renumbered(path, tmp_path / f"new.{ending}", {i: i + 100 for i in before.id.tolist()})
    after = read_boxes(tmp_path / f"new.{ending}")
    assert (after.id == before.id + 100).all()
    assert (after.xyxy == before.xyxy).all()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "1,nan\n"),
        ("x.csv", "frame,id,left,top,width,height,confidence\n1,2,3\n"),
        ("x.csv", "frame,id,left,top,width,height,confidence\n1,2,3,4,5,6,nan\n"),
        ("x.jsonl", '{"tracks": 3}\n'),
        ("x.jsonl", "{\n"),
    ],
)
def test_damaged_track_files_are_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"{name}: not a track file"):
        read_boxes(tmp_path / name)


# The command.


def test_people_of_two_videos_of_one_place_are_found_again(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, first in (("one", 1), ("two", 40)):
        write_sequence(tmp_path / name, pets, first, 20)
    track_videos(["one", "two"], "tracked", write=["txt", "gallery"], detector="det/det.txt", device="cpu")
    everything = sorted(str(path) for path in Path("tracked").iterdir())
    assert run([*everything, "--out", "people", "--json"]) == 0
    sums = json.loads(capsys.readouterr().out)
    assert sums["videos"] == 2
    assert sums["identities"] > sums["people"] > sums["in_several_videos"] >= 3
    with open("people/people.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sums["identities"]
    number = {(row["video"], int(row["identity"])): int(row["person"]) for row in rows}
    for name in ("one", "two"):
        before, after = read_boxes(Path(f"tracked/{name}.txt")), read_boxes(Path(f"people/{name}.txt"))
        assert [number.get((name, i)) for i in before.id.tolist()] == after.id.tolist()
        assert len(set(zip(after.frame.tolist(), after.id.tolist(), strict=True))) == len(after.id)
    sheet = cv2.imread("people/sheet-001.jpg")
    assert sheet.shape[0] >= 180 * sums["in_several_videos"]
    assert sheet.std() > 20
    # At one time nobody can be in both.
    assert run(["tracked", "--out", "apart", "--same-start", "--no-pictures", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["in_several_videos"] < sums["in_several_videos"]
    assert run(["tracked", "--out", "people"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_what_cannot_be_linked_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "o")]
    assert run([str(tmp_path / "none"), *out]) == 1
    (tmp_path / "tracked").mkdir()
    assert run([str(tmp_path / "tracked"), *out]) == 1
    writer = ManifestWriter(tmp_path / "tracked" / MANIFEST)
    writer.add(Entry("done", "/a", "a", {"tracks": "a.txt"}))
    writer.add(Entry("done", "/c", "c", {"tracks": "c.txt", "gallery": "c.gallery"}))
    writer.add(Entry("failed", "/b", "b", {"tracks": "b.txt", "gallery": "b.gallery"}))
    writer.close()
    assert run([str(tmp_path / "tracked"), *out]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "no such file or folder" in said[0]
    assert f"no {MANIFEST} there" in said[1]
    assert "a: has no gallery; people are compared by saved views: track with --write txt,gallery" in said[2]
    (tmp_path / "tracked/c.txt").touch()
    assert run([str(tmp_path / "tracked/c.txt"), *out]) == 1
    assert "c.gallery: no such folder; track this video again" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--max-distance"):
        link_videos([], [], max_distance=3)


def test_outputs_name_their_runs_and_a_manifest_all(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path / MANIFEST)
    for name in "ab":
        writer.add(Entry("done", f"/{name}", name, {"tracks": f"{name}.txt"}))
        (tmp_path / f"{name}.txt").touch()
    writer.close()
    assert [entry.name for _, entry in find_runs([tmp_path / "b.txt"])] == ["b"]
    assert [entry.name for _, entry in find_runs([tmp_path / "b.txt", tmp_path / MANIFEST])] == ["a", "b"]
    assert [entry.name for _, entry in find_runs([tmp_path])] == ["a", "b"]


def test_a_folder_that_is_named_twice_is_not_joined_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tracked"
    folder.mkdir()
    writer = ManifestWriter(folder / MANIFEST)
    writer.add(Entry("done", "/a", "a", {"tracks": "a.txt"}))
    writer.close()
    (folder / "a.txt").touch()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    for again in (folder, Path("tracked/a.txt"), tmp_path / "link", Path("link/a.txt")):
        assert [entry.name for _, entry in find_runs([Path("tracked"), again])] == ["a"]


def test_tracks_of_two_folders_do_not_replace_each_other() -> None:
    assert unique_names(["a.txt", "A.txt", "people.csv"]) == ["a.txt", "A-2.txt", "people-2.csv"]
