"""--explain and bpbreid-explain: why a box has its identity, and why it has not another's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from scenes import Scene, Walker, crossing

from bpbreid_track import PartTracker, TrackerConfig, track_video
from bpbreid_track.cli.explain import run
from bpbreid_track.cli.track import run as run_track
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.explain import reasons as explain
from bpbreid_track.explain.reader import ReasonLog, read_log
from bpbreid_track.explain.reasons import MatchReason
from bpbreid_track.explain.recorder import ReasonRecorder
from bpbreid_track.explain.writer import ExplainSink
from bpbreid_track.io.annotate import paint_reasons
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.tracking.evidence import against_return


def recorded(
    scene: Scene, path: Path, config: TrackerConfig | None = None, *, appearance: bool = True
) -> tuple[PartTracker, ReasonLog]:
    """``scene`` tracked with a recorder, and the log of it read back from a file."""
    tracker = PartTracker(config)
    tracker.recorder = ReasonRecorder(tracker.config)
    sink = ExplainSink(path, {"config": {"tracker": tracker.config.model_dump(mode="json")}})
    for number, (detections, embeddings, _) in enumerate(scene):
        tracker.update(detections, embeddings=embeddings if appearance else None)
        sink.write(Frame(number, number / 30, np.zeros((1, 1, 3), np.uint8)), *tracker.recorder.take())
    sink.close()
    return tracker, read_log(path)


def matches(log: ReasonLog) -> list[MatchReason]:
    return [reason for frame in log.frames for reason in frame.reasons if reason.round != "birth"]


def test_a_recorder_changes_no_identity(tmp_path: Path) -> None:
    scene = crossing(turn_back=True)
    _, log = recorded(scene, tmp_path / "r.jsonl")
    plain = PartTracker()
    for frame, (detections, embeddings, _) in zip(log.frames, scene, strict=True):
        ids = plain.update(detections, embeddings=embeddings).tracker_id
        assert [reason.identity for reason in frame.reasons] == ids.tolist()


def test_decisions_by_appearance_are_those_the_tracker_counts(tmp_path: Path) -> None:
    tracker, log = recorded(crossing(turn_back=True), tmp_path / "r.jsonl")
    by_appearance = [reason for reason in matches(log) if reason.by_appearance]
    assert len(by_appearance) == tracker.stats.matches_appearance > 0
    assert len(matches(log)) - len(by_appearance) == tracker.stats.matches_motion


def test_a_return_names_the_parts_their_distances_and_the_runner_up(tmp_path: Path) -> None:
    scene = crossing(turn_back=True)
    scene.hide_parts = {50: ["legs"]}
    _, log = recorded(scene, tmp_path / "r.jsonl")
    back = next(reason for reason in log.frame(51).reasons if reason.identity == 1)
    assert back.round == "high"
    assert back.by_appearance
    assert back.lost == pytest.approx(21 / 30, abs=1e-3)
    assert back.visible == tuple(back.parts) == ("foreground", "head", "torso")
    assert back.distance == pytest.approx(np.mean(list(back.parts.values())), abs=1e-3)
    assert back.runner_up is not None
    assert back.runner_up.identity == 2
    assert back.runner_up.distance > back.distance + 0.3
    assert back.runner_up.place > back.place, "the place would have chosen the other"
    assert back.appearance > 0 > back.runner_up.appearance
    new = against_return(np.array([21 / 30]))[0]
    expected = back.place + back.appearance - new + np.log(0.9)  # the score of every box here
    assert back.cost == pytest.approx(-expected, abs=1e-3)
    assert back.cost < back.limit


def test_rounds_are_told_apart(tmp_path: Path) -> None:
    late = Walker((300, 200), look=2, hidden=set(range(10)), faint={20})
    _, log = recorded(Scene([Walker((100, 200), look=1), late], 25), tmp_path / "r.jsonl")
    rounds = [sighting.reason.round for sighting in log.life(2)]
    assert rounds == ["birth", "new", "new", *["high"] * 7, "low", *["high"] * 4]
    assert [sighting.reason.identity for sighting in log.life(2)][:4] == [None, None, 2, 2]


def stranger(looks: tuple[int, int], place: tuple[float, float], gap: int = 20) -> Scene:
    """One person vanishes after 30 frames; ``gap`` frames later another appears at ``place``."""
    first = Walker((200, 200), look=looks[0], hidden=set(range(30, 200)))
    second = Walker(place, look=looks[1], hidden=set(range(30 + gap)))
    return Scene([first, second, Walker((700, 500), look=9)], 36 + gap)


def hidden(scene: Scene) -> Scene:
    """The same, and of the second person no part shows."""
    scene.hide_parts = {frame: ["foreground", "head", "torso", "legs"] for frame in range(30, 200)}
    return scene


RULED_OUT = [
    pytest.param(stranger((1, 3), (205, 202)), explain.COST, "parts looked too different", id="looks"),
    pytest.param(
        hidden(stranger((1, 1), (640, 90), 1)), explain.COST, "the place had to decide alone", id="alone"
    ),
]


@pytest.mark.parametrize(("scene", "reason", "words"), RULED_OUT)
def test_a_new_identity_says_what_kept_the_old_one_from_it(
    scene: Scene,
    reason: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, log = recorded(scene, tmp_path / "r.jsonl")
    birth = next(log.beginnings(3)).reason
    rival = next(rival for rival in birth.closest if rival.identity == 1)
    assert rival.ruled_out == reason
    assert rival.cost is not None
    assert rival.cost > rival.limit == 0
    assert run([str(tmp_path / "r.jsonl"), "--why", "1", "3"]) == 0
    shown = capsys.readouterr().out
    assert "Identity 1 was last seen before that in frame 30" in shown
    assert f"Identity 3 was born in frame {31 + scene.frames - 36}" in shown
    assert words in shown


@pytest.mark.parametrize(
    ("place", "lost", "words"),
    [
        (-4.0, 7.0, "the parts spoke for it, but the place against it"),
        (0.4, 7.0, "place and parts spoke for it, but too little for somebody away for 7.0 s"),
        (0.4, 0.0, "place and parts spoke for it, but too little for a box of so low a score"),
    ],
)
def test_what_was_too_little_is_named(
    place: float, lost: float, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.jsonl"
    recorded(stranger((1, 3), (205, 202)), path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for box in (box for line in lines for box in line.get("boxes", [])):
        for rival in box["closest"]:
            rival.update(place=place, lost=lost, appearance=0.3, cost=2.1)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert run([str(path), "--why", "1", "3"]) == 0
    assert words in capsys.readouterr().out


def test_without_a_common_part_nothing_but_overlap_could_have_helped(tmp_path: Path) -> None:
    scene = stranger((1, 1), (300, 200), 110)
    scene.hide_parts = {f: ["legs"] if f < 120 else ["foreground", "head", "torso"] for f in range(200)}
    _, log = recorded(scene, tmp_path / "r.jsonl")
    rival = next(rival for rival in next(log.beginnings(3)).reason.closest if rival.identity == 1)
    assert (rival.distance, rival.parts, rival.ruled_out) == (None, {}, explain.NO_PART)


def test_a_track_in_sight_is_said_to_be_kept_from_a_box_by_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # One person in sight is gone in the frame in which another of the same look appears elsewhere.
    first = Walker((200, 200), look=1, hidden=set(range(30, 200)))
    second = Walker((500, 400), look=1, hidden=set(range(30)))
    _, log = recorded(Scene([first, second, Walker((700, 500), look=9)], 36), tmp_path / "r.jsonl")
    birth = next(reason for reason in log.frame(31).reasons if reason.round == "birth")
    rival = birth.closest[0]
    assert (rival.identity, rival.ruled_out, rival.lost) == (1, explain.COST, 0)
    assert rival.place < 0 < rival.appearance
    assert run([str(tmp_path / "r.jsonl"), "--frame", "31"]) == 0
    assert "the parts spoke for it, but the place against it" in capsys.readouterr().out


def test_a_track_that_took_another_box_is_named_with_that_box(tmp_path: Path) -> None:
    # Two boxes on one person; the track can have only one of them.
    twin = Walker((216, 200), look=1, hidden=set(range(20)))
    _, log = recorded(Scene([Walker((200, 200), look=1), twin], 24), tmp_path / "r.jsonl")
    birth = next(log.beginnings(2)).reason
    assert birth.closest[0].identity == 1
    assert birth.closest[0].ruled_out == explain.TAKEN
    assert birth.closest[0].box == 1 - birth.row


def test_an_identity_given_up_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = TrackerConfig(lost_seconds=0.3, appearance_seconds=0.5)
    _, log = recorded(stranger((1, 1), (200, 200), 40), tmp_path / "r.jsonl", config)
    given_up = log.given_up(1)
    assert given_up is not None
    assert given_up.timestamp == pytest.approx(29 / 30 + 0.5 + 1 / 30, abs=1e-3)
    assert run([str(log.path), "--why", "1", "3"]) == 0
    assert "no longer waited for" in capsys.readouterr().out


def test_motion_alone_is_explained_without_parts(tmp_path: Path) -> None:
    _, log = recorded(crossing(), tmp_path / "r.jsonl", appearance=False)
    assert {reason.distance for reason in matches(log)} == {None}
    assert all(reason.cost <= reason.limit and not reason.by_appearance for reason in matches(log))


def test_nothing_is_computed_without_a_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("reasons were computed")

    monkeypatch.setattr(ReasonRecorder, "look", fail)
    tracker = PartTracker()
    for detections, embeddings, _ in crossing():
        tracker.update(detections, embeddings=embeddings)
    assert tracker.stats.identities == 2


def test_stories_and_frames_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(crossing(turn_back=True), tmp_path / "r.jsonl")
    file = str(tmp_path / "r.jsonl")
    assert run([file]) == 0
    whole = capsys.readouterr().out
    assert "80 frames, 2 identities" in whole
    assert "2 times a track came back after a gap, 2 of them by appearance" in whole
    assert run([file, "--identity", "2"]) == 0
    story = capsys.readouterr().out
    assert "Lost after frame 30 for 0.7 s; came back in frame 51" in story
    assert "Next best was identity 1" in story
    assert story in whole
    assert run([file, "--frame", "1"]) == 0
    assert "Box 0 starts identity 1." in capsys.readouterr().out


BROKEN = [
    pytest.param(["--identity", "7"], 2, "no identity 7; it has 1 to 2", id="no such identity"),
    pytest.param(["--frame", "900"], 2, "no frame 900; it has 1 to 80", id="no such frame"),
    pytest.param(["--why", "1", "9"], 2, "no identity 9", id="no such identity in why"),
    pytest.param(["--frame", "1", "--identity", "1"], 2, "give one of them", id="two questions"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BROKEN)
def test_wrong_questions_are_one_line(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(crossing(), tmp_path / "r.jsonl")
    assert run([str(tmp_path / "r.jsonl"), *arguments]) == code
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)
    assert message in shown.err


def test_names_with_letters_that_end_a_line_elsewhere_are_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "half\u2028a\x85name caf\udce9.mp4"
    sink = ExplainSink(tmp_path / "why.jsonl", {"source": name})
    sink.write(Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)), [], [])
    sink.close()
    log = read_log(tmp_path / "why.jsonl")
    assert (log.about["source"], len(log.frames)) == (name, 1)
    assert run([str(tmp_path / "why.jsonl")]) == 0
    assert r"caf\udce9.mp4: 1 frames" in capsys.readouterr().out


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorded(crossing(), path)
    lines = path.read_text().splitlines()
    for number, text, message in (
        (5, lines[4][:50], "line 5: not JSON"),
        (7, '{"frame": 6}', "line 7: not a frame of reasons"),
        (9, lines[8].replace('"track"', '"tick"', 1), "line 9: not a frame of reasons"),
        (11, lines[10].replace('"lost": 0.0', '"lost": "long"', 1), "line 11: .*lost is no number: 'long'"),
        (1, '{"frame": 1}', "line 1: not a file of bpbreid-track --explain"),
    ):
        path.write_text("\n".join([*lines[: number - 1], text, *lines[number:]]))
        with pytest.raises(InputError, match=message):
            read_log(path)
    with pytest.raises(InputError, match=r"none\.jsonl: No such file"):
        read_log(tmp_path / "none.jsonl")


def test_reasons_of_real_frames(shared: Path, tmp_path: Path) -> None:
    pets = shared / "data/mot/PETS09-S2L1-300"
    out, log_path = tmp_path / "o.mp4", tmp_path / "r.jsonl"
    arguments = ["--detector", str(pets / "det/det.txt"), "--overlay", "boxes,why", "--max-frames", "6"]
    outputs = ["--out", str(out), "--explain", str(log_path), "--quiet"]
    assert run_track([str(pets), *arguments, *outputs]) == 0
    log = read_log(log_path)
    assert len(log.frames) == 6
    assert log.about["config"]["tracker"]["frame_rate"] == 7
    compared = [reason for reason in matches(log) if reason.distance is not None]
    assert len(compared) > 10
    for reason in compared:
        assert set(reason.parts) <= set(reason.visible)
        assert min(reason.parts.values()) <= reason.distance <= max(reason.parts.values())
    first = json.loads(log_path.read_text().splitlines()[0])
    assert first["source"] == "PETS09-S2L1-300"


def test_overlay_writes_on_boxes_without_identity_too() -> None:
    image = np.full((300, 300, 3), 90, np.uint8)
    boxes = np.array([[20, 20, 90, 280], [150, 20, 220, 280.0]], np.float32)
    detections = sv.Detections(boxes, tracker_id=np.array([3, -1]), data={"why": np.array(["", "B"])})
    painted = paint_reasons(image.copy(), detections)
    changed = (painted != image).any(axis=2)
    assert not changed[:, :100].any()
    assert changed[250:285, 148:180].any()


def test_explain_must_be_jsonl(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reasons are written as \.jsonl"):
        track_video(shared / "data/mot/PETS09-S2L1-300", explain=tmp_path / "why.txt")
