"""Regions, lines and zones on real frames: what is left out, who is counted, and what is written of it."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import supervision as sv

from bpbreid_track import Encoder, track_video, track_videos
from bpbreid_track.cli.track import run
from bpbreid_track.config import RunConfig
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.mot_format import read_ground_truth, read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.pipeline.counting import load_regions
from bpbreid_track.pipeline.find import Find
from bpbreid_track.pipeline.open_cache import open_cache
from bpbreid_track.pipeline.stage import Item
from bpbreid_track.read_config import run_config
from bpbreid_track.regions.areas import Area, polygon_area
from bpbreid_track.regions.counter import Counter, Crossing, Crowd, Event, Stay

WIDTH, HEIGHT, RATE = 768, 576, 7.0
FRAMES = 30
LEFT = "0,0 400,0 400,575 0,575"  # left of x = 400
UPWARDS = ((400.0, 575.0), (400.0, 0.0))  # "in" is to the left


def config(**regions: Any) -> dict[str, Any]:
    return {"tracker": {"camera_motion": "none"}, "regions": regions}


def tracked(source: Any, path: Path, detector: Any, **options: Any) -> Any:
    options = {"encoder": "none", "config": config(), "max_frames": FRAMES} | options
    return track_video(source, tracks=path, detector=detector, **options)


class LeftHalf(PrecomputedDetector):
    """A detector that finds nobody right of x = 400."""

    def __call__(self, frames: Sequence[Frame]) -> list[sv.Detections]:
        found = super().__call__(frames)
        return [boxes[(boxes.xyxy[:, 0] + boxes.xyxy[:, 2]) / 2 < 400.5] for boxes in found]


@pytest.fixture(scope="module")
def truth(pets: Path) -> list[sv.Detections]:
    """Everybody of the ground truth, frame by frame."""
    rows = read_ground_truth(pets / "gt/gt.txt")
    frames = range(1, int(rows.frame.max()) + 1)
    return [sv.Detections(rows.xyxy[rows.frame == n], tracker_id=rows.id[rows.frame == n]) for n in frames]


def counted(counter: Counter, frames: Sequence[sv.Detections], rate: float = RATE) -> list[Event]:
    events = [event for n, boxes in enumerate(frames) for event in counter.update(n, n / rate, boxes)]
    return [*events, *counter.finish()]


def walk(xs: Sequence[float | None], rate: float, **regions: Any) -> list[Event]:
    """One person whose feet go along y = 300; None: not seen."""
    frames = [
        sv.Detections.empty()
        if x is None
        else sv.Detections(np.array([[x - 10, 260.0, x + 10, 300.0]]), tracker_id=np.array([5]))
        for x in xs
    ]
    return counted(Counter(regions.get("lines", {}), regions.get("zones", {}), rate, 10.0), frames, rate)


def zone(points: str) -> Area:
    settings = run_config({"regions": {"zones": {"z": points}}}).regions
    return polygon_area(settings.zones["z"], WIDTH, HEIGHT, "z")


# What is left out


def test_boxes_outside_have_no_part_in_the_tracks(pets: Path, det: Path, tmp_path: Path) -> None:
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[:, :401] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), white)
    fewer = tracked(pets, tmp_path / "expected.txt", LeftHalf(det))
    every = tracked(pets, tmp_path / "plain.txt", det)
    assert (every.outside, every.lines, every.zones) == (None, None, None)
    assert "count" not in every.stages
    assert (tmp_path / "expected.txt").read_bytes() != (tmp_path / "plain.txt").read_bytes()
    for roi in (
        LEFT,
        f"0,0 {400 / WIDTH},0 {400 / WIDTH},1 0,1",
        [[0, 0], [400, 0], [400, 575], [0, 575]],
        tmp_path / "mask.png",
    ):
        report = tracked(pets, tmp_path / "t.txt", det, config=config(roi=roi))
        assert (tmp_path / "t.txt").read_bytes() == (tmp_path / "expected.txt").read_bytes(), roi
        assert report.detections == fewer.detections > 20
        assert report.outside == every.detections - fewer.detections > 20


def test_a_cache_keeps_all_boxes_and_serves_every_region(pets: Path, det: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, regions in (("roi", {"roi": LEFT}), ("plain", {}), ("other", {"roi": "0.5,0 1,0 1,1 0.5,1"})):
        own, cached = tmp_path / f"{name}.txt", tmp_path / f"{name}_cached.txt"
        alone = tracked(pets, own, det, config=config(**regions))
        report = tracked(pets, cached, det, config=config(**regions), cache=cache)
        assert own.read_bytes() == cached.read_bytes()
        assert report.outside == alone.outside
        assert report.cached_frames == (0 if name == "roi" else FRAMES)


@pytest.mark.parametrize("kept", [False, True], ids=["alone", "cache"])
def test_embeddings_are_those_of_the_boxes_inside(
    pets: Path, det: Path, tmp_path: Path, bundled_encoder: Encoder, kept: bool
) -> None:
    source, detector = open_source(pets), PrecomputedDetector(det)
    region = polygon_area(run_config(config(roi=LEFT)).regions.roi, WIDTH, HEIGHT, "region")
    settings = RunConfig().detector
    cache = open_cache(tmp_path / "cache", source, detector, bundled_encoder, settings) if kept else None
    frame = next(iter(source))
    (item,) = Find(detector, bundled_encoder, cache, 1, region=region)([Item(frame, sv.Detections.empty())])
    inside = LeftHalf(det)([frame])[0]
    assert 0 < len(inside) < len(detector([frame])[0])
    np.testing.assert_array_equal(item.detections.xyxy, inside.xyxy)
    assert item.embeddings is not None
    (expected,) = bundled_encoder.encode([frame.image], [inside.xyxy])
    np.testing.assert_allclose(item.embeddings.numpy()[0], expected.numpy()[0], atol=1e-4)


def test_who_is_cut_off_by_the_edge_of_the_picture_stands_on_it() -> None:
    area = zone(f"0,300 {WIDTH - 1},300 {WIDTH - 1},{HEIGHT - 1} 0,{HEIGHT - 1}")
    boxes = np.array([[10, 400, 50, HEIGHT], [WIDTH - 20, 400, WIDTH + 20, HEIGHT + 9], [10, 100, 50, 298]])
    assert area.holds(boxes).tolist() == [True, True, False]
    assert area.holds(np.zeros((0, 4))).tolist() == []
    partly = zone("-300,300 400,300 400,900 -300,900")
    assert partly.holds(boxes).tolist() == [True, False, False]


def test_a_region_without_anybody_is_said(pets: Path, det: Path, tmp_path: Path) -> None:
    report = tracked(pets, tmp_path / "t.txt", det, config=config(roi="0,0 9,0 9,9"), max_frames=5)
    assert report.notes[-1] == f"all {report.outside} boxes lie outside the region and were left out"


# What is counted


def test_crossings_of_real_people_add_up_to_the_side_they_end_on(truth: list[sv.Detections]) -> None:
    counter = Counter({"path": UPWARDS}, {}, RATE, 10.0)
    events = [event for event in counted(counter, truth) if isinstance(event, Crossing)]
    sides: dict[int, list[bool]] = {}
    for boxes in truth:
        for (left, _, right, _), person in zip(boxes.xyxy, boxes.tracker_id, strict=True):
            sides.setdefault(int(person), []).append((left + right) / 2 < 400)
    for person, was_left in sides.items():
        mine = [event.direction for event in events if event.id == person]
        assert mine.count("in") - mine.count("out") == int(was_left[-1]) - int(was_left[0])
        changes = sum(a != b for a, b in itertools.pairwise(was_left))
        assert len(mine) == changes
    assert len(events) > 10
    lines, _ = counter.totals()
    assert lines == {"path": {way: sum(e.direction == way for e in events) for way in ("in", "out")}}


def test_who_crosses_a_line_while_hidden_is_counted_when_seen_again() -> None:
    xs = [*range(500, 420, -10), *[None] * 20, *range(380, 300, -10)]
    (event,) = walk(xs, 10.0, lines={"l": UPWARDS})
    assert event == Crossing("l", 5, "in", 29, 2.8)


def test_who_trembles_on_a_line_crosses_it_once() -> None:
    trembling = [401.0, 399.0] * 30
    assert walk(trembling, 30.0, lines={"l": UPWARDS}) == []
    there = [*np.linspace(450, 401, 20), *trembling, *np.linspace(399, 350, 20)]
    (event,) = walk(there, 30.0, lines={"l": UPWARDS})
    assert isinstance(event, Crossing)
    # The frame is the first of those beyond the line, not the one that made it sure.
    assert there[event.frame - 1] < 400 < there[event.frame - 2]


def test_boxes_without_identity_are_nobody(truth: list[sv.Detections]) -> None:
    nobody = [sv.Detections(boxes.xyxy, tracker_id=np.full(len(boxes), -1)) for boxes in truth[:60]]
    counter = Counter({"l": UPWARDS}, {"z": zone("0,0 1,0 1,1 0,1")}, RATE, 10.0)
    assert counted(counter, nobody) == [Crowd("z", 0, 1, 0.0)]


def test_people_and_stays_of_a_zone_agree_with_the_truth(truth: list[sv.Detections]) -> None:
    counter = Counter({}, {"z": zone("300,200 620,200 620,420 300,420")}, RATE, 10.0)
    events = counted(counter, truth)
    present = []
    for boxes in truth:
        x, y = np.rint((boxes.xyxy[:, 0] + boxes.xyxy[:, 2]) / 2), np.rint(boxes.xyxy[:, 3])
        present.append(set(boxes.tracker_id[(x >= 300) & (x <= 620) & (y >= 200) & (y <= 420)].tolist()))
    changes = {event.frame: event.people for event in events if isinstance(event, Crowd)}
    people = 0
    for number, there in enumerate(present, start=1):
        people = changes.get(number, people)
        assert people == len(there)
    stays = [event for event in events if isinstance(event, Stay)]
    for number, there in enumerate(present):
        for person in there:
            mine = [stay for stay in stays if stay.id == person]
            assert sum(stay.entered <= number / RATE <= stay.left for stay in mine) == 1
    _, zones = counter.totals()
    spent = sum(stay.left - stay.entered for stay in stays)
    visitors = set().union(*present)
    assert len(visitors) > 5
    assert zones["z"]["people"] == len(visitors)
    assert zones["z"]["most"] == max(map(len, present))
    assert zones["z"]["seconds"] == pytest.approx(spent / len(visitors), abs=1e-3)


def test_a_stay_outlasts_a_step_out_and_a_hidden_while_but_not_a_walk_elsewhere() -> None:
    there = {"z": zone("300,200 620,200 620,420 300,420")}

    def stays(*xs: float | None) -> list[tuple[float, float]]:
        return [(e.entered, e.left) for e in walk(xs, 10.0, zones=there) if isinstance(e, Stay)]

    assert stays(*[400] * 10, *[290] * 8, *[400] * 10) == [(0.0, 2.7)]
    assert stays(*[400] * 10, *[None] * 50, *[400] * 10) == [(0.0, 6.9)]
    assert stays(*[400] * 10, *[290] * 20, *[400] * 10) == [(0.0, 0.9), (3.0, 3.9)]
    assert stays(*[400] * 10, *[None] * 120, *[400] * 10) == [(0.0, 0.9), (13.0, 13.9)]


# What is written


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("link", [False, True], ids=["online", "linked"])
def test_counts_are_those_of_the_tracks_that_are_written(
    pets: Path, det: Path, tmp_path: Path, link: bool
) -> None:
    settings = config(lines={"path": UPWARDS}, zones={"=z": "300,200 620,200 620,420 300,420"})
    tracks, counts = tmp_path / "t.txt", tmp_path / "c.csv"
    report = tracked(pets, tracks, det, config=settings, counts=counts, link=link, max_frames=80)
    rows = read_mot(tracks)
    frames = [
        sv.Detections(rows.xyxy[rows.frame == n], tracker_id=rows.id[rows.frame == n]) for n in range(1, 81)
    ]
    regions = load_regions(run_config(settings).regions, WIDTH, HEIGHT)
    counter = Counter(regions.lines, regions.zones, RATE, 10.0)
    expected = counted(counter, frames)
    written = rows_of(counts)
    assert [row["kind"] for row in written] == [
        {Crossing: "crossing", Crowd: "people", Stay: "stay"}[type(event)] for event in expected
    ]
    for row, event in zip(written, expected, strict=True):
        if isinstance(event, Crossing):
            assert (row["line"], int(row["id"]), row["direction"]) == (event.line, event.id, event.direction)
            assert (int(row["frame"]), float(row["timestamp"])) == (
                event.frame,
                pytest.approx(event.timestamp, abs=1e-5),
            )
        else:
            assert row["zone"] == "'=z"  # a spreadsheet would take it for a formula
    assert (report.lines, report.zones) == counter.totals()
    assert sum(report.lines["path"].values()) == sum(row["kind"] == "crossing" for row in written) > 0
    assert report.outputs["counts"] == str(counts)


def test_lines_zones_and_region_are_painted_unless_nothing_is(pets: Path, det: Path, tmp_path: Path) -> None:
    regions = {"roi": "60,60 767,60 767,575 60,575", "lines": {"l": "100,500 300,500"}}
    regions |= {"zones": {"z": "500,450 700,450 700,550 500,550"}}
    pictures = []
    for name, overlay in (("none", []), ("boxes", ["boxes"])):
        settings = config(**regions) | {"draw": {"overlay": overlay}}
        out = tmp_path / f"{name}.mp4"
        track_video(pets, out, detector=det, encoder="none", config=settings, max_frames=2)
        with av.open(str(out)) as container:
            picture = next(iter(container.decode(video=0)))
            pictures.append(picture.to_ndarray(format="bgr24").astype(int))
    changed = np.abs(pictures[1] - pictures[0]).max(axis=2) > 60
    for x, y in ((150, 500), (500, 500), (600, 450), (60, 350)):
        assert changed[y - 1 : y + 2, x - 1 : x + 2].any(), (x, y)
    original = cv2.imread(str(pets / "img1/000001.jpg")).astype(int)
    assert np.abs(pictures[0] - original)[440:575, 480:720].mean() < 4


def test_many_videos_have_counts_and_their_manifest_knows_the_region(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    white = np.full((HEIGHT, WIDTH), 255, np.uint8)
    cv2.imwrite("mask.png", white)
    options: dict[str, Any] = {"detector": "det/det.txt", "encoder": "none", "max_frames": 4}
    options |= {"write": ["txt", "counts"], "config": config(roi="mask.png", lines={"l": UPWARDS})}
    report = track_videos([pets], "out", **options)
    assert not report.failed
    entry = json.loads((tmp_path / "out/runs.jsonl").read_text().splitlines()[-1])
    assert entry["settings"]["config"]["regions"]["roi"] == str(tmp_path / "mask.png")
    assert entry["figures"]["lines"] == {"l": {"in": 0, "out": 0}}
    assert rows_of(tmp_path / "out" / entry["outputs"]["counts"]) == []
    assert track_videos([pets], "out", resume=True, **options).whole == [entry["name"]]
    white[:100] = 0
    cv2.imwrite("mask.png", white)
    with pytest.raises(UsageError, match="was made with other settings"):
        track_videos([pets], "out", resume=True, **options)


# What is refused


def test_wrong_regions_are_one_line_and_nothing_is_written(
    pets: Path, det: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.full((10, 20), 255, np.uint8))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    (tmp_path / "empty.png").touch()
    (tmp_path / "list.yaml").write_text("- 0,0 1,0 1,1")
    (tmp_path / "twice.yaml").write_text("hall: 0,0 9,0 9,9\nhall: 9,9 19,9 19,19\n")
    (tmp_path / "two.json").write_text('{"hall": [[0, 0], [9, 9]]}')
    out = tmp_path / "t.txt"
    cases: list[tuple[list[str], int, str]] = [
        (["--roi", str(tmp_path / "small.png")], 1, "the mask has 20 x 10 pixels, the picture 768 x 576"),
        (["--roi", str(tmp_path / "black.png")], 1, "nothing in the mask is white"),
        (["--roi", str(tmp_path / "empty.png")], 1, "could not be decoded as an image"),
        (["--roi", "10,20 30"], 1, "neither a polygon 'x,y x,y x,y' nor an image file"),
        (["--roi", "10,20 30,40"], 2, "--roi: roi: a polygon needs at least 3 points x,y, got 2"),
        (["--roi", "-90,9 -10,9 -10,90"], 1, "outside the picture of 768 x 576"),
        (["--roi", "0,0 3840,0 3840,2160"], 1, "the point 3840,0 lies far outside the picture"),
        (["--roi", "10,10 20,20 30,30"], 1, "the polygon encloses nothing"),
        (["--count", "10,10"], 2, "--count: lines.line1: a line has 2 points x,y, got 1"),
        (["--count", "a=9,9 9,9"], 2, "lines.a: a line needs two ends"),
        (["--count", "a=0,0 9,9", "--count", "a=0,0 9,8"], 2, "two lines are called 'a'"),
        (["--count", "\x1b=0,0 9,9"], 2, "a name needs letters that can be shown"),
        (["--zones", str(tmp_path / "list.yaml")], 1, "expected a polygon for each name"),
        (["--zones", str(tmp_path / "two.json")], 2, "zones.hall: a polygon needs at least 3 points"),
        (["--zones", str(tmp_path / "twice.yaml")], 1, "the key 'hall' stands there twice"),
        (["--zones", str(tmp_path / "none.yaml")], 1, "No such file"),
        (["--counts", str(tmp_path / "c.csv")], 2, "nothing to count"),
        (["--counts", str(tmp_path / "c.txt"), "--count", "0,0 9,9"], 2, "counts are written as .csv"),
    ]
    given = [str(pets), "--detector", str(det), "--encoder", "none", "--tracks", str(out)]
    before = sorted(tmp_path.iterdir())
    for arguments, code, message in cases:
        assert run([*given, *arguments]) == code, arguments
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_line_counts(
    pets: Path, det: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zones.yaml").write_text(
        "crossing: 300,200 620,200 620,420 300,420\n7: [[0, 0], [0.3, 0], [0, 1]]\n"
    )
    arguments = ["--detector", str(det), "--encoder", "none", "--max-frames", str(FRAMES), "--roi", LEFT]
    arguments += ["--set", "tracker.camera_motion=none", "--counts", str(tmp_path / "c.csv")]
    arguments += ["--count", "path=200,575 200,0", "--count", "0,0.5 1,0.5"]
    assert run([str(pets), *arguments, "--zones", str(tmp_path / "zones.yaml")]) == 0
    said = capsys.readouterr().err
    for row in ("region", "line path", "line line2", "zone crossing", "zone 7"):
        assert row in said
    people = [row["zone"] for row in rows_of(tmp_path / "c.csv") if row["kind"] == "people"]
    assert set(people) == {"crossing", "7"}


def test_a_mask_that_cannot_be_read_fails_before_many_videos_begin(pets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a polygon"):
        track_videos([pets], tmp_path / "out", config=config(roi="nowhere.png"), encoder="none")
    assert not (tmp_path / "out").exists()
