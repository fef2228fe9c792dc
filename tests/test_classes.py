"""Classes besides people: tracked by motion alone, and people as if they were not there."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
from run_rows import run_of, walk

from bpbreid_track import Encoder, track_video
from bpbreid_track.cli.track import run
from bpbreid_track.config import DetectorConfig, LinkConfig
from bpbreid_track.detection.classes import choose_classes
from bpbreid_track.detection.detectors import PrecomputedDetector, UltralyticsDetector
from bpbreid_track.errors import UsageError
from bpbreid_track.identities.linking import link
from bpbreid_track.identities.settle import link_by_class
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.tracking.other_classes import OtherClasses
from bpbreid_track.tracking.tracker import PartTracker

FRAMES = 3
BUS = 5  # of COCO
COCO = {0: "person", 5: "bus", 32: "sports ball", 37: "surfboard"}


def settings(*classes: str, **tracker: object) -> dict[str, object]:
    return {"detector": {"classes": list(classes), "image_size": 640, "runtime": "torch"}, "tracker": tracker}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street with a bus and four people, seen by a camera that pans."""
    from ultralytics.utils import ASSETS

    folder = tmp_path_factory.mktemp("street")
    image = cv2.imread(str(ASSETS / "bus.jpg"))
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"{number + 1:06d}.png"), image[:, 4 * number : 770 + 4 * number])
    return folder


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "weights/yolo11n.pt"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_classes_are_known_by_name_in_any_case_or_by_number() -> None:
    chosen = choose_classes(["Person", "32", "sports ball"], COCO, "net.pt")
    assert chosen.wanted == [0, 32]
    assert chosen.names == {0: "person", 32: "sports ball"}
    assert chosen.by_motion == {32}


def test_people_are_class_0_also_where_a_network_numbers_them_otherwise() -> None:
    chosen = choose_classes(["ball", "person"], {0: "ball", 3: "person"}, "net.pt")
    assert chosen.number == {0: 3, 3: 0}
    assert chosen.names == {3: "ball", 0: "person"}
    assert chosen.by_motion == {3}


def test_nothing_is_a_person_to_a_network_that_knows_none() -> None:
    assert choose_classes(["ball"], {0: "ball", 1: "goal"}, "net.pt").by_motion == {0}


@pytest.mark.parametrize(
    ("word", "hint"), [("sport ball", "did you mean 'sports ball'?"), ("33", "net.pt knows no class '33'")]
)
def test_a_misspelt_class_is_one_line_that_names_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=r"detector\.classes: net\.pt knows no class") as error:
        choose_classes(["person", word], COCO, "net.pt")
    assert hint in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_line_says_so_before_anything_is_written(
    street: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracks = tmp_path / "tracks.csv"
    asked = [str(street), "--tracks", str(tracks), "--detector", str(weights), "--encoder", "none"]
    assert run([*asked, "--classes", "person,buss"]) == 2
    assert "knows no class 'buss'; did you mean 'bus'?" in capsys.readouterr().err
    assert not tracks.exists()


def test_a_file_of_boxes_knows_no_classes_but_people(det: Path) -> None:
    image = np.zeros((576, 768, 3), np.uint8)
    assert len(PrecomputedDetector(det, DetectorConfig(classes=("person",)))([Frame(0, 0.0, image)])[0])
    with pytest.raises(
        UsageError, match="says nothing of classes, its boxes are people; leave 'sports ball' out"
    ):
        PrecomputedDetector(det, DetectorConfig(classes=("person", "sports ball")))


def test_a_detector_of_ones_own_is_not_told_what_to_find(pets: Path, det: Path, tmp_path: Path) -> None:
    class Own:
        name = "own"

        def __call__(self, frames: list[Frame]) -> list[sv.Detections]:
            return PrecomputedDetector(det)(frames)

    with pytest.raises(UsageError, match="chooses its classes itself"):
        track_video(pets, tracks=tmp_path / "t.csv", detector=Own(), config=settings("person", "bus"))  # type: ignore[arg-type]


def test_boxes_without_a_class_are_people(
    pets: Path, det: Path, bundled_encoder: Encoder, tmp_path: Path
) -> None:
    class Plain:
        name = "plain"

        def __call__(self, frames: list[Frame]) -> list[sv.Detections]:
            found = PrecomputedDetector(det)(frames)
            return [sv.Detections(xyxy=boxes.xyxy, confidence=boxes.confidence) for boxes in found]

    config = {"tracker": {"encode": "all"}}
    options = {"encoder": bundled_encoder, "config": config, "max_frames": 2}
    report = track_video(pets, tracks=tmp_path / "t.csv", detector=Plain(), **options)  # type: ignore[arg-type]
    assert report.encoded == report.detections > 0


class Watching:
    """The encoder, and the boxes that went through it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self.seen = encoder, list[np.ndarray]()

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def encode(self, frame, xyxy):  # type: ignore[no-untyped-def]
        self.seen += [np.asarray(xyxy)] if isinstance(frame, np.ndarray) else list(map(np.asarray, xyxy))
        return self._encoder.encode(frame, xyxy)

    def attend(self, frame, xyxy):  # type: ignore[no-untyped-def]
        self.seen.append(np.asarray(xyxy))
        return self._encoder.attend(frame, xyxy)


@pytest.mark.parametrize("encode", ["all", "ambiguous"])
def test_people_are_tracked_as_if_the_bus_were_not_there(
    street: Path, weights: Path, bundled_encoder: Encoder, tmp_path: Path, encode: str
) -> None:
    watching = Watching(bundled_encoder)
    config = settings("person", "bus", encode=encode)
    options = {"detector": weights, "encoder": watching}
    config["draw"] = {"overlay": ["boxes", "parts"]}  # which asks the encoder too
    video, tracks = tmp_path / "both.mp4", tmp_path / "both.csv"
    report = track_video(street, video, tracks=tracks, config=config, **options)  # type: ignore[arg-type]
    both, encoded = rows_of(tmp_path / "both.csv"), np.concatenate(watching.seen)
    track_video(street, tracks=tmp_path / "people.csv", config=settings(encode=encode), **options)  # type: ignore[arg-type]
    people = rows_of(tmp_path / "people.csv")

    bus = [row for row in both if row["class"] == "bus"]
    assert {row["class"] for row in both} == {"person", "bus"}
    assert len(bus) == FRAMES
    assert {row["id"] for row in bus}.isdisjoint(row["id"] for row in both if row["class"] == "person")
    assert len({row["id"] for row in bus}) == 1
    width = (encoded[:, 2] - encoded[:, 0]).max()
    assert width < 0.8 * min(float(row["width"]) for row in bus)

    def known(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
        order = list(dict.fromkeys(row["id"] for row in rows))
        shape = ("frame", "left", "top", "width", "height", "confidence")
        return [(str(order.index(row["id"])), *(row[name] for name in shape)) for row in rows]

    assert known([row for row in both if row["class"] == "person"]) == known(people)
    assert report.identities == len({row["id"] for row in both})


def test_a_cache_gives_back_classes_and_the_last_reading_has_them(
    street: Path, weights: Path, bundled_encoder: Encoder, tmp_path: Path
) -> None:
    options = {"detector": weights, "encoder": bundled_encoder, "cache": tmp_path / "c.cache", "link": True}
    config = settings("person", "bus")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    track_video(street, tracks=first, config=config, **options)  # type: ignore[arg-type]
    again = track_video(street, tracks=second, config=config, **options)  # type: ignore[arg-type]
    assert again.cached_frames == FRAMES
    assert first.read_bytes() == second.read_bytes()
    tracks = [track for line in first.read_text().splitlines() for track in json.loads(line)["tracks"]]
    assert {track["class"] for track in tracks} == {"person", "bus"}


def test_of_a_pose_network_only_people_are_to_be_had(pose_weights: Path) -> None:
    with pytest.raises(UsageError, match="knows no class 'ball'; known: person"):
        UltralyticsDetector(pose_weights, DetectorConfig(classes=("person", "ball"), runtime="torch"), "cpu")


def test_a_fast_ball_teaches_the_filter_of_people_nothing() -> None:
    """Beside a ball that jumps about, people have the very boxes and numbers that they have without it."""
    rng = np.random.default_rng(0)
    numbers = itertools.count(1)
    beside = PartTracker(numbers=numbers)
    others = OtherClasses(beside, {32}, numbers)
    alone = PartTracker()
    black = np.zeros((400, 600, 3), np.uint8)
    for step in range(20):
        people = np.array([[20 + 3 * step, 100, 60 + 3 * step, 200], [300, 100, 340, 200]], np.float32)
        corner = rng.uniform(0, 380, 2)
        ball = np.array([[*corner, *(corner + 12)]], np.float32)
        boxes = sv.Detections(
            np.concatenate([people, ball]), confidence=np.full(3, 0.9), class_id=np.array([0, 0, 32])
        )
        rows = others.people(boxes)
        assert rows.tolist() == [True, True, False]
        found = others.add(
            beside.update(boxes[rows], black, timestamp=step / 25), boxes[~rows], black, step / 25
        )
        expected = alone.update(boxes[rows], black, timestamp=step / 25)
        given, wanted = found.tracker_id[:2], expected.tracker_id
        assert (given > 0).tolist() == (wanted > 0).tolist()
        assert len(set(found.tracker_id[found.tracker_id > 0])) == (found.tracker_id > 0).sum()
        assert beside.tracks.xyxy.tolist() == alone.tracks.xyxy.tolist()


def test_a_ball_never_goes_on_as_the_person_it_met() -> None:
    person, ball = walk(1, range(10), (100, 100)), walk(2, range(12, 22), (100, 100))
    rows = run_of(person, ball)
    assert link(rows, None, LinkConfig()).identity == {1: 1, 2: 1}
    rows.class_id[rows.id == 2] = 32
    linked = link_by_class(rows, None, LinkConfig(), {32})
    assert linked.identity == {1: 1, 2: 2}
    assert len(linked.rows) == 20
    assert (np.diff(linked.rows.frame) >= 0).all()


def test_pieces_of_a_balls_path_are_joined() -> None:
    person = walk(1, range(22), (300, 100))
    rows = run_of(person, walk(2, range(10), (100, 100), (2, 0)), walk(3, range(12, 22), (100, 100), (2, 0)))
    rows.class_id[rows.id > 1] = 32
    linked = link_by_class(rows, None, LinkConfig(), {32})
    assert linked.identity == {1: 1, 2: 2, 3: 2}
    assert linked.joined == 1


def test_only_people_are_counted(street: Path, weights: Path, tmp_path: Path) -> None:
    config = settings("person", "bus") | {"regions": {"zones": {"all": "0,0 1,0 1,1 0,1"}}}
    report = track_video(
        street, tracks=tmp_path / "t.csv", detector=weights, encoder=None, config=config, max_frames=2
    )
    rows = rows_of(tmp_path / "t.csv")
    assert report.zones is not None
    assert report.zones["all"]["people"] == len({row["id"] for row in rows if row["class"] == "person"})
    assert "bus" in {row["class"] for row in rows}
