"""Teams: who wears the same is put together, others are left out, and it stands in every output."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv

from bpbreid_track import Encoder, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.config import DrawConfig
from bpbreid_track.errors import UsageError
from bpbreid_track.identities.teams import (
    TorsoSums,
    find_teams,
    names_of_teams,
    side_by_side,
    torso_rows,
)
from bpbreid_track.identities.torso_colours import torso_colours
from bpbreid_track.io.annotate import Painter
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.sinks.tracks import open_track_sink
from bpbreid_track.io.sources.base import Frame, Source
from bpbreid_track.io.track_text import read_track_text
from bpbreid_track.pipeline.repaint import TrackRowsByFrame

DIM = 64
FRAMES = 12


def kits(*sizes: int, apart: float = 1.0, noise: float = 0.4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [T, V, D] of V views of people in kits worn by so many each, and their kit [T]."""
    rng = np.random.default_rng(seed)
    common, worn = rng.normal(size=DIM), rng.normal(size=(len(sizes), DIM))
    kit = np.repeat(np.arange(len(sizes)), sizes)
    views = common * (1 - apart) + worn[kit][:, None] * apart
    views = views / np.linalg.norm(views, axis=2, keepdims=True)
    views = views + rng.normal(size=(len(kit), 40, DIM)) * noise / np.sqrt(DIM)
    return views / np.linalg.norm(views, axis=2, keepdims=True), kit


@pytest.mark.parametrize("apart", [1.0, 0.5], ids=["kits unlike", "kits much alike"])
@pytest.mark.parametrize(
    "others", [(), (1,), (3, 1, 1)], ids=["no others", "one", "three referees, two keepers"]
)
def test_how_many_belong_to_no_team_is_found_from_what_they_wear(
    others: tuple[int, ...], apart: float
) -> None:
    views, kit = kits(10, 8, *others, apart=apart)
    teams = find_teams(views.mean(axis=1), np.full(len(kit), 40), 2)
    assert teams is not None
    assert teams.team.tolist() == np.where(kit < 2, kit, -1).tolist()
    assert teams.different < teams.limit < teams.same


def test_three_teams_are_told_apart() -> None:
    views, kit = kits(6, 8, 5, 1)
    teams = find_teams(views.mean(axis=1), np.full(len(kit), 40), 3)
    assert teams is not None
    assert teams.team.tolist() == np.where(kit < 3, kit, -1).tolist()


def test_two_kits_that_are_alike_are_not_one_team_beside_people_who_look_otherwise() -> None:
    """Five coaches in dark coats are farther from both teams than these are from each other."""
    views, kit = kits(11, 11, 5, apart=0.4)
    coat = np.random.default_rng(9).normal(size=DIM)
    views[kit == 2] = 0.3 * views[kit == 2] + coat / np.linalg.norm(coat)
    views /= np.linalg.norm(views, axis=2, keepdims=True)
    teams = find_teams(views.mean(axis=1), np.full(len(kit), 40), 2)
    assert teams is not None
    assert teams.team.tolist() == np.where(kit < 2, kit, -1).tolist()


def test_one_view_is_held_to_the_same_limit_as_forty() -> None:
    views, kit = kits(10, 10, 2, noise=1.0)
    shown = np.where(np.arange(len(kit)) % 2, 1, 40)
    means = np.stack([view[:count].mean(axis=0) for view, count in zip(views, shown, strict=True)])
    teams = find_teams(means, shown, 2)
    assert teams is not None
    assert teams.team.tolist() == np.where(kit < 2, kit, -1).tolist()


def test_teams_are_called_by_their_first_member_and_nobody_without_a_view_is_in_one() -> None:
    views, kit = kits(4, 12)
    means, shown = views.mean(axis=1), np.full(len(kit), 40)
    shown[2] = 0
    teams, turned = find_teams(means, shown, 2), find_teams(means[::-1], shown[::-1], 2)
    assert teams is not None
    assert turned is not None
    assert teams.team.tolist() == [0, 0, -1, 0, *[1] * 12]
    assert turned.team.tolist() == [*[0] * 12, 1, -1, 1, 1]


@pytest.mark.parametrize("people", [0, 1], ids=["nobody", "one person"])
def test_there_are_no_teams_where_too_few_people_were_seen(people: int) -> None:
    views, _ = kits(3)
    assert find_teams(views[:people].mean(axis=1).reshape(-1, DIM), np.full(people, 40), 2) is None
    assert find_teams(views.mean(axis=1), np.zeros(3, int), 2) is None


def test_there_are_no_teams_where_all_look_the_same() -> None:
    assert find_teams(np.tile(np.eye(DIM)[0], (9, 1)), np.full(9, 40), 2) is None


def test_a_torso_is_known_by_the_names_of_parts_and_only_where_it_shows() -> None:
    assert torso_rows(["foreground", "head", "upper_torso", "lower_torso", "legs"]) == [2, 3]
    assert torso_rows(["foreground"]) == [0]
    sums = TorsoSums(["foreground", "head", "torso"])
    features = np.zeros((2, 3, 4), np.float32)
    features[:, 2] = [[1, 0, 0, 0], [0, 1, 0, 0]]
    image, boxes = np.full((60, 40, 3), 90, np.uint8), np.array([[0, 0, 20, 60], [20, 0, 40, 60]])
    sums.add(np.array([7, 8]), features, np.array([[1, 1, 1], [1, 1, 0]], np.float32), image, boxes)
    means, views = sums.together([[7], [8], [7, 8]])
    assert views.tolist() == [1, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), [1, 0, 1])
    assert means[0].tolist() == means[2].tolist()
    assert names_of_teams(sums, {7: [7, 8]}, 2) == {}


def test_what_a_torso_wears_is_told_by_its_colours_wherever_it_is_and_not_by_what_is_around_it() -> None:
    image = np.full((300, 400, 3), (40, 160, 40), np.uint8)
    boxes = np.array([[20, 20, 100, 280], [150, 100, 170, 160], [200, 20, 300, 290], [900, 0, 950, 99]])
    red, white = (30, 30, 220), (230, 230, 230)
    for (left, top, right, bottom), kit in zip(boxes[:3], (red, red, white), strict=True):
        image[top : (top + bottom) // 2, left + 1 : right - 1] = kit
    large, small, other = (torso_colours(image, box) for box in boxes[:3])
    assert large is not None
    assert small is not None
    assert other is not None
    assert large @ small == pytest.approx(1)
    assert large @ other == 0
    assert torso_colours(image, boxes[3]) is None


def test_kits_that_one_kind_of_evidence_tells_apart_are_told_whatever_the_scale_of_the_other() -> None:
    """By one of the two all look nearly the same, and it is that one which knows the kits."""
    told, kit = kits(10, 8, apart=0.1, noise=0.05)
    rest, _ = kits(*[1] * 18, noise=0.5, seed=1)
    views = np.full(len(kit), 40)
    for kinds in ([told, rest], [rest, told]):
        means = [kind.mean(axis=1) for kind in kinds]
        teams = find_teams(side_by_side(means, views), views, 2)
        assert teams is not None
        assert teams.team.tolist() == kit.tolist()


def test_a_kind_of_evidence_by_which_nobody_differs_has_no_say() -> None:
    views, kit = kits(10, 8)
    alike = np.tile(np.eye(DIM)[0], (len(kit), 1))
    shown = np.full(len(kit), 40)
    means = views.mean(axis=1)
    np.testing.assert_allclose(side_by_side([means, alike], shown)[:, :DIM], means)
    assert find_teams(side_by_side([alike, alike], shown), shown, 2) is None


@pytest.fixture(scope="module")
def match(shared: Path) -> Path:
    return shared / "data/mot/SNMOT-060"


@pytest.fixture(scope="module")
def played(match: Path, bundled_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run over the first frames of a match, its people found by hand."""
    folder = tmp_path_factory.mktemp("played")
    track_video(
        match,
        tracks=folder / "tracks.csv",
        report_page=folder / "run.html",
        detector=match / "gt/gt.txt",
        encoder=bundled_encoder,
        config={"teams": 2, "detector": {"every": 2}},
        max_frames=FRAMES,
    )
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_players_of_a_real_match_are_in_their_team_for_the_whole_of_their_life(
    match: Path, played: Path
) -> None:
    rows = rows_of(played / "tracks.csv")
    assert list(rows[0])[-2:] == ["team", "filled"]
    assert {int(row["frame"]) for row in rows} == set(range(1, FRAMES + 1))
    teams: dict[str, set[str]] = {}
    for row in rows:
        teams.setdefault(row["id"], set()).add(row["team"])
    assert all(len(team) == 1 for team in teams.values())
    with Path(__file__).parent.parent.joinpath("benchmarks/teams_of_SNMOT-060.csv").open() as file:
        truth = {int(row["id"]): row["team"] for row in csv.DictReader(file)}
    people = read_mot(match / "gt/gt.txt")
    first = people.frame == 1
    called: dict[str, list[str]] = {}
    for row in (row for row in rows if row["frame"] == "1"):
        left_top = np.array([float(row["left"]), float(row["top"])])
        nearest = np.abs(people.ltwh[first, :2] - left_top).sum(axis=1).argmin()
        called.setdefault(row["team"], []).append(truth[int(people.id[first][nearest])])
    assert set(called) == {"A", "B", "other"}
    # So few views, nearly the same, tell little by embeddings alone.
    assert called == {"A": ["white"] * 7, "B": ["green"] * 8, "other": ["other"] * 2}


def test_a_run_from_a_cache_tells_the_same_teams(
    match: Path, bundled_encoder: Encoder, tmp_path: Path
) -> None:
    """Nothing else in it looks at pictures, and teams are told by colours as well."""
    reports = [
        track_video(
            match,
            tracks=tmp_path / name,
            detector=match / "gt/gt.txt",
            encoder=bundled_encoder,
            config={"teams": 2},
            cache=tmp_path / "match.cache",
            max_frames=3,
        )
        for name in ("first.csv", "second.csv")
    ]
    assert reports[0].teams
    assert reports[1].teams == reports[0].teams
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()


def test_the_page_shows_the_team_of_everybody(played: Path) -> None:
    page = (played / "run.html").read_text(encoding="utf-8")
    teams = {row["id"]: row["team"] for row in rows_of(played / "tracks.csv")}
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert {str(one["id"]): one["team"] for one in data["identities"]} == teams


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_identities_that_are_merged_by_hand_have_one_team(tmp_path: Path, kind: str) -> None:
    """That of most boxes; who is not touched keeps the team, or none."""
    boxes = [(1, 7, "A"), (2, 7, "A"), (3, 8, "B"), (1, 9, "B"), (2, 10, "")]
    path = tmp_path / f"tracks.{kind}"
    sink = open_track_sink(path, ["team"])
    for number in (1, 2, 3):
        seen = [(identity, team) for frame, identity, team in boxes if frame == number]
        people = sv.Detections(
            np.tile(np.array([[5.0, 5, 25, 65]], np.float32), (len(seen), 1)),
            tracker_id=np.array([identity for identity, _ in seen]),
        )
        people.data["team"] = np.array([team for _, team in seen], object)
        sink.write(Frame(number - 1, number / 10, np.zeros((9, 9, 3), np.uint8)), people)
    sink.close()
    read = read_track_text(path)
    assert sorted(zip(read.frame.tolist(), read.id.tolist(), read.team, strict=True)) == sorted(boxes)
    merged = np.where(read.id == 8, 7, read.id)
    path.write_bytes(read.rewritten(merged, np.ones(len(merged), bool), {}))
    again = read_track_text(path)
    assert dict(zip(again.id.tolist(), again.team, strict=True)) == {7: "A", 9: "B", 10: ""}
    assert len(again.id) == len(boxes)


def test_rows_of_a_track_file_are_played_back_with_their_team() -> None:
    box = np.array([[0.0, 0, 5, 9], [9, 0, 5, 9]])
    ones = np.ones(2)
    rows = TrackRowsByFrame(ones, np.array([1, 2]), box, ones, ["", ""], ["A", "other"], [False, False])
    frame: Any = type("Frame", (), {"index": 0})
    assert rows.replay(frame).data["team"].tolist() == ["A", "other"]
    assert "name" not in rows.replay(frame).data


def test_colours_are_those_of_the_teams_and_labels_name_them() -> None:
    grey = np.full((400, 600, 3), 90, np.uint8)
    boxes = np.array([[20, 200, 60, 300], [120, 200, 160, 300], [220, 200, 260, 300], [320, 200, 360, 300]])

    def painted(teams: list[str], overlay: tuple[str, ...]) -> np.ndarray:
        people = sv.Detections(boxes.astype(np.float32), tracker_id=np.array([1, 2, 3, 4]))
        people.data["team"] = np.array(teams, object)
        return Painter(DrawConfig(overlay=overlay), 30).paint(grey, people)  # type: ignore[arg-type]

    image = painted(["A", "A", "B", "other"], ("boxes",))
    first, second, third, fourth = (tuple(image[250, left].tolist()) for left in (20, 120, 220, 320))
    assert first == second
    assert len({first, third, fourth}) == 3
    none = painted(["", "", "", ""], ("labels",))
    assert (none != painted(["A", "", "", ""], ("labels",)))[:, :100].any()


def test_what_cannot_be_told_apart_is_refused_in_one_line(
    match: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "tracks.csv")
    assert run([str(match), "--tracks", out, "--teams", "1"]) == 2
    assert "--teams: teams: a team is told from another one: expected 2 or more" in capsys.readouterr().err
    assert run([str(match), "--tracks", out, "--teams", "2", "--encoder", "none"]) == 2
    assert "teams need an encoder" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_live_source_is_refused_because_teams_are_known_at_the_end(tmp_path: Path) -> None:
    class Camera(Source):
        name, width, height, live, frame_rate, frame_count = "camera", 64, 48, True, Fraction(10), None
        notes: list[str] = []  # noqa: RUF012

        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("is not read")

    with pytest.raises(UsageError, match=r"is live and cannot be read twice, which --teams needs"):
        track_video(Camera(), tracks=tmp_path / "tracks.csv", config={"teams": 2})


def test_a_file_without_room_for_teams_says_so(pets: Path, det: Path, tmp_path: Path) -> None:
    report = track_video(
        pets, tracks=tmp_path / "tracks.txt", detector=det, config={"teams": 2}, max_frames=2
    )
    assert any("has no place for teams" in note for note in report.notes)
    assert report.joined is None
