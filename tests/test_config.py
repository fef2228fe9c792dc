"""Settings: validated, found by name, and clear about what is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bpbreid_track.config import FormerSetting, RunConfig, TrackerConfig
from bpbreid_track.errors import UsageError
from bpbreid_track.read_config import config_path, preset_names, read_settings, run_config


def test_every_preset_is_valid_and_says_what_it_is_for() -> None:
    assert "default" in preset_names("track")
    for name in preset_names("track"):
        assert run_config(name).description, name


def test_the_default_preset_changes_nothing() -> None:
    assert run_config("default").model_copy(update={"description": ""}) == RunConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tracker:\n  birth_scor: 0.5\n",
            "tracker: unknown setting 'birth_scor'; did you mean 'birth_score'?",
        ),
        ("trackr: {}\n", "unknown setting 'trackr'; did you mean 'tracker'?"),
        ("tracker:\n  birth_score: high\n", "tracker.birth_score"),
        ("tracker:\n  birth_score: 2\n", "tracker.birth_score"),
        ("tracker: 5\n", "tracker: expected a section with settings such as frame_rate, "),
        ("tracker: [1\n", "not valid YAML"),
        (
            "tracker:\n  birth_score: 0.9\ntracker:\n  lost_seconds: 2\n",
            "the key 'tracker' stands there twice",
        ),
        ("- 1\n", "expected settings as 'key: value', got list"),
    ],
    ids=[
        "near miss",
        "unknown section",
        "wrong type",
        "out of range",
        "a value for a section",
        "broken YAML",
        "a section twice",
        "a list",
    ],
)
def test_a_wrong_file_gets_one_line_that_names_file_and_setting(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_settings(RunConfig, file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'default'"):
        config_path("defalt", "track")
    with pytest.raises(UsageError, match="no such configuration file"):
        config_path("nowhere/mine.yaml", "track")


def test_a_preset_travels_as_yaml_and_comes_back(tmp_path: Path) -> None:
    import yaml

    config = RunConfig(tracker=TrackerConfig(lost_seconds=4.0))
    assert config.changed() == {"tracker": {"lost_seconds": 4.0}}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config.changed()))
    assert run_config(file) == config
    assert run_config(config.changed()) == config
    assert run_config(config.tracker) == config


def test_settings_cannot_be_changed_behind_the_tracker() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrackerConfig().birth_score = 0.1  # type: ignore[misc]


def test_settings_of_an_earlier_release_are_understood_with_a_hint() -> None:
    with pytest.warns(FormerSetting, match="'min_hits' is now called 'confirm_seconds' and 0.1 there"):
        assert run_config({"tracker": {"min_hits": 4}}).tracker.confirm_seconds == 0.1
    with pytest.warns(FormerSetting, match="'gate' has no effect any more"):
        assert run_config({"tracker": {"gate": 9}}).tracker == TrackerConfig()
    with pytest.warns(FormerSetting, match="'min_iou' has no effect any more"):
        assert run_config({"tracker": {"min_iou": 0.1}}).tracker == TrackerConfig()
    with pytest.raises(UsageError, match="'min_hits' is now called 'confirm_seconds'; state one of them"):
        run_config({"tracker": {"min_hits": 5, "confirm_seconds": 5}})


@pytest.mark.filterwarnings("ignore::bpbreid_track.config.FormerSetting")
@pytest.mark.parametrize("frames", ["many", True, None, 0, math.nan])
def test_frames_of_an_earlier_release_that_are_none_are_refused(frames: object) -> None:
    with pytest.raises(UsageError, match=r"valid number|at least 1"):
        run_config({"tracker": {"min_hits": frames}})


def test_the_tracker_has_no_more_settings_than_a_user_would_turn() -> None:
    assert len(TrackerConfig.model_fields) <= 12
    assert not TrackerConfig._former.keys() & TrackerConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("detector", "batch_size", 0),
        ("detector", "batch_size", -1),
        ("detector", "batch_size", 10**9),
        ("detector", "image_size", 0),
        ("detector", "image_size", -64),
        ("encoder", "batch_size", 0),
        ("encoder", "batch_size", 10**9),
        ("draw", "thickness", -3),
        ("draw", "trace_seconds", float("inf")),
        ("tracker", "frame_rate", float("inf")),
        ("tracker", "frame_rate", float("nan")),
        ("tracker", "appearance_seconds", float("inf")),
        ("link", "max_gap_seconds", float("inf")),
    ],
)
def test_a_setting_out_of_bounds_is_one_line_that_names_it(section: str, key: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"^config: {section}\.{key}: Input should be "):
        run_config({section: {key: value}})


def test_settings_that_may_be_automatic_still_may(tmp_path: Path) -> None:
    settings = run_config({"detector": {"batch_size": "auto", "image_size": 1280}, "draw": {"thickness": 4}})
    assert (settings.detector.batch_size, settings.detector.image_size) == ("auto", 1280)
