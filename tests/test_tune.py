"""bpbreid-tune: settings found on one part of real footage, judged on another, and read by bpbreid-track."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from small_encoders import network

from bpbreid_track import TrackerConfig, track_video
from bpbreid_track.cli import tune as cli
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import TrackingMetrics
from bpbreid_track.exports.export import export_tracks
from bpbreid_track.io.mot_format import read_ground_truth, read_mot
from bpbreid_track.io.read_tracks import read_truth
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.read_config import run_config
from bpbreid_track.tuning import search
from bpbreid_track.tuning.footage import Footage, Judge, Stretch, load_footage, split, track
from bpbreid_track.tuning.space import LEFT_OUT, SPACE

# Fewer would not do: people are looked at ten times before boxes are told to be in doubt or not.
FRAMES = 100


def test_every_setting_of_the_tracker_has_a_range_or_a_reason_to_be_left_out() -> None:
    assert SPACE.keys() | LEFT_OUT.keys() == TrackerConfig.model_fields.keys()
    assert not SPACE.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", SPACE)
def test_ranges_lie_within_the_bounds_and_hold_the_default(name: str) -> None:
    bounds = SPACE[name]
    default = getattr(TrackerConfig(), name)
    assert bounds.low <= default <= bounds.high
    kind = int if isinstance(default, int) else float
    for value in (bounds.low, bounds.high):
        try:
            TrackerConfig(**{name: kind(value)})
        except ValidationError as error:
            pytest.fail(f"{name} = {value}: {error}")
    assert not bounds.log or bounds.low > 0


@pytest.fixture(scope="module")
def pets(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frames of a real sequence as a sequence of their own."""
    source = shared / "data/mot/PETS09-S2L1-300"
    folder = tmp_path_factory.mktemp("footage") / "pets"
    for part in ("img1", "det", "gt"):
        (folder / part).mkdir(parents=True)
    for number in range(1, FRAMES + 1):
        name = f"img1/{number:06d}.jpg"
        (folder / name).symlink_to(source / name)
    for name in ("det/yolo11n.txt", "gt/gt.txt"):
        rows = (source / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(row for row in rows if int(row.split(",")[0]) <= FRAMES))
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname=pets\nframeRate=7\nseqLength={FRAMES}\n")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def through_torch() -> Iterator[None]:
    """Small networks take longer to export than to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder: what is searched, judged and written does not depend on how good it is."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(network(part_names=("upper", "lower")), path)
    return str(path)


@pytest.fixture(scope="module")
def footage(pets: Path, cache: Path, weights: str) -> Footage:
    file = cache / "pets.cache"
    return load_footage(
        pets, "det/yolo11n.txt", weights, file, device="cpu", precision="fp32", progress=False
    )


def test_a_trial_writes_what_a_real_run_with_its_settings_writes(
    footage: Footage, pets: Path, weights: str, tmp_path: Path
) -> None:
    config = TrackerConfig(birth_score=0.5, confirm_seconds=0.5, lost_seconds=2)
    track(Stretch(footage, 0, FRAMES), config, tmp_path / "trial.txt")
    boxes, settings = pets / "det/yolo11n.txt", {"tracker": config.changed()}
    run = {"detector": boxes, "encoder": weights, "config": settings, "device": "cpu", "precision": "fp32"}
    report = track_video(pets, tracks=tmp_path / "run.txt", **run)
    assert 0 < report.encoded < report.detections  # boxes in doubt
    assert (tmp_path / "trial.txt").read_bytes() == (tmp_path / "run.txt").read_bytes()
    assert len(read_mot(tmp_path / "run.txt")) > 2 * FRAMES


def test_of_one_sequence_the_last_frames_are_held_out_and_count_from_one(
    footage: Footage, tmp_path: Path
) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    searched, held_out = split([footage], 0.4)
    assert [str(part[0]) for part in (searched, held_out)] == ["pets frames 1-60", "pets frames 61-100"]
    assert Judge(held_out, tmp_path)(TrackerConfig()).DetA > 30
    truth = read_mot(tmp_path / "gt/pets/gt/gt.txt")
    assert set(truth.frame) == set(range(1, 41))
    late = footage.truth.frame > 60
    assert truth.ltwh.tolist() == footage.truth.ltwh[late].tolist()


def test_truth_of_which_no_row_counts_is_an_error_before_any_frame_is_read(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt/gt.txt").write_text("1,1,10,10,20,40,1,7,1.0\n")
    with pytest.raises(InputError, match=r"gt\.txt: none of its 1 rows counts: .*class 7"):
        load_footage(
            tmp_path, "auto", "default", tmp_path / "c", device="cpu", precision="fp32", progress=False
        )


def test_labels_beside_the_truth_hold_for_a_part_of_it(footage: Footage, pets: Path, tmp_path: Path) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    gt = tmp_path / "pets/gt/gt.txt"
    gt.parent.mkdir(parents=True)
    rows = [",".join(line.split(",")[:6]) for line in (pets / "gt/gt.txt").read_text().splitlines()]
    gt.write_text("".join(f"{row},1,2,1.0\n" for row in rows))
    (gt.parent / "labels.txt").write_text("car\nperson\n")
    labelled = replace(footage, folder=tmp_path / "pets", truth=read_ground_truth(gt))
    assert Judge([Stretch(labelled, 60, FRAMES)], tmp_path / "work")(TrackerConfig()).DetA > 30


def test_a_part_is_judged_by_the_boxes_that_cvat_exported(
    footage: Footage, pets: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    folder = tmp_path / "pets"
    (folder / "gt").mkdir(parents=True)
    export_tracks(pets / "gt/gt.txt", "cvat", folder / "gt/corrected.xml")
    corrected = replace(footage, folder=folder, truth=read_truth(folder))
    figures = [
        Judge([Stretch(each, 60, FRAMES)], tmp_path / name)(TrackerConfig())
        for name, each in (("plain", footage), ("cvat", corrected))
    ]
    assert figures[0].DetA > 30
    assert figures[1].as_dict() == pytest.approx(figures[0].as_dict(), abs=0.2)


@pytest.mark.parametrize(
    ("count", "holdout", "kept"), [(2, 0.4, 2), (3, 0.4, 2), (5, 0.4, 3), (3, 0.01, 2), (3, 0.99, 1)]
)
def test_of_several_sequences_whole_ones_are_held_out(
    footage: Footage, count: int, holdout: float, kept: int
) -> None:
    searched, held_out = split([footage] * count, holdout)
    assert len(searched) == kept
    assert len(held_out) == (2 if count == 2 else count - kept)
    if count > 2:
        assert all(part.stop - part.start == FRAMES for part in [*searched, *held_out])


def arguments(pets: Path, cache: Path, out: Path, *more: str) -> list[str]:
    given = ["--detector", "det/yolo11n.txt", "--device", "cpu", "--precision", "fp32", "--cache", str(cache)]
    return [str(pets), *given, "--out", str(out), "--quiet", *more]


def test_a_search_is_repeatable_and_its_file_is_read_by_track(
    footage: Footage,
    pets: Path,
    weights: str,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    pytest.importorskip("trackeval", reason="the extra 'eval' is not installed")
    printed: list[dict[str, Any]] = []
    more = ("--encoder", weights, "--trials", "6", "--json", "--seed", "3")
    for name in ("a.yaml", "b.yaml"):
        assert cli.run(arguments(pets, cache, tmp_path / name, *more)) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    settings = run_config(tmp_path / "a.yaml")
    assert settings.tracker.changed() == printed[0]["settings"]
    assert "6 trials for HOTA, seed 3" in settings.description
    searched = printed[0]["searched"]
    assert searched["tuned"]["HOTA"] >= searched["default"]["HOTA"]


class Known:
    """A judge with opinions of its own: the more ``birth_score`` exceeds the default the better, or worse."""

    def __init__(self, sign: float) -> None:
        self.sign, self.seen = sign, list[TrackerConfig]()

    def __call__(self, config: TrackerConfig) -> TrackingMetrics:
        self.seen.append(config)
        figures = dict.fromkeys(TrackingMetrics.__dataclass_fields__, 50.0)
        figures["IDF1"] += self.sign * (config.birth_score - TrackerConfig().birth_score)
        return TrackingMetrics(**figures)  # type: ignore[arg-type]


def found(searched: Known, held_out: Known, **changed: Any) -> search.Outcome:
    given: dict[str, Any] = {"trials": 12, "metric": "IDF1", "seed": 0, "appearance": True} | changed
    return search.search(searched, held_out, **given)  # type: ignore[arg-type]


def test_a_gain_that_does_not_hold_is_warned_of(footage: Footage, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    good, bad = found(Known(1), Known(1)), found(Known(1), Known(-1))
    assert good.settings["birth_score"] > TrackerConfig().birth_score
    assert good.holds
    assert not bad.holds
    assert "keep the defaults" in next(cli._verdict(bad, tmp_path / "t.yaml"))
    assert not any("warning" in line for line in cli._verdict(good, tmp_path / "t.yaml"))


def test_defaults_stay_where_nothing_is_better(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    outcome = found(Known(0), Known(0))
    assert outcome.settings == {}
    assert "none of 12 trials was better" in next(cli._verdict(outcome, tmp_path / "t.yaml"))


def test_without_embeddings_their_settings_are_not_touched() -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    judge = Known(1)
    found(judge, Known(1), appearance=False)
    tried = {name for config in judge.seen for name in config.changed()}
    assert tried == {name for name, bounds in SPACE.items() if not bounds.appearance}


def test_an_interrupted_search_keeps_the_best_so_far() -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")

    def stop(done: int, best: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    outcome = found(Known(1), Known(1), on_trial=stop)
    assert (outcome.interrupted, outcome.trials) == (True, 5)
    assert outcome.settings


def test_a_missing_optuna_is_one_clear_line(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert cli.run(arguments(pets, tmp_path, tmp_path / "t.yaml")) == 1
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "pip install 'bpbreid-track[tune]'" in shown


MISTAKES = [
    pytest.param(["--holdout", "1"], 2, "--holdout: expected a share", id="share of all"),
    pytest.param(["--out", "t.txt"], 2, "settings are written as .yaml", id="not YAML"),
    pytest.param(["--out", "nowhere/t.yaml"], 1, "no folder nowhere", id="no folder"),
    pytest.param(["--seed", "-1"], 2, "--seed", id="a seed that nobody takes"),
    pytest.param(["--metric", "MOTA"], 2, "MOTA", id="unknown metric"),
]


@pytest.mark.parametrize(("more", "code", "message"), MISTAKES)
def test_mistakes_are_one_line(
    pets: Path,
    tmp_path: Path,
    more: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    assert cli.run(arguments(pets, tmp_path, tmp_path / "t.yaml", *more)) == code
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert message in shown


def test_footage_without_truth_is_said(pets: Path, footage: Footage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no ground truth there; expected a sequence with gt/gt\.txt"):
        load_footage(tmp_path, "auto", "none", tmp_path / "c", device="cpu", precision="fp32", progress=False)
    late = Footage(pets, 7.0, "all", footage.frames, footage.camera, read_mot(pets / "gt/gt.txt"))
    early = late.truth.frame < 0
    for name in ("frame", "line"):
        object.__setattr__(late.truth, name, getattr(late.truth, name)[early])
    with pytest.raises(InputError, match="no ground truth in pets; choose another --holdout"):
        Judge([Stretch(late, 0, FRAMES)], tmp_path / "work")


def test_the_settings_are_plain_yaml(tmp_path: Path, footage: Footage) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    outcome = found(Known(1), Known(1))
    stretch = [Stretch(footage, 0, FRAMES)]
    cli._write(tmp_path / "t.yaml", outcome, stretch, stretch, seed=0)
    assert yaml.safe_load((tmp_path / "t.yaml").read_text())["tracker"] == outcome.settings
