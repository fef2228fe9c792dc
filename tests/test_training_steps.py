"""What steps of training learn and cost: the schedule, frozen stages, small images, compiled layers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from training_runs import KILLED_IN_STEP_5, SMALL, environment, options, same_weights

from bpbreid_track import Encoder
from bpbreid_track.errors import InputError
from bpbreid_track.model.backbones.build import build_backbone
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_trainer.data import load_dataset
from bpbreid_trainer.engine import fit
from bpbreid_trainer.evaluate import crop_embedder, evaluate
from bpbreid_trainer.logs import read_table
from bpbreid_trainer.options import LOSS_PRESETS, TrainOptions
from bpbreid_trainer.schedule import learning_rate
from bpbreid_trainer.speedups import flushed_denormals


def test_the_learning_rate_warms_up_and_steps_down():
    paper = TrainOptions()
    rates = [learning_rate(epoch, paper.learning_rate, paper.schedule, 120) for epoch in range(120)]
    assert rates[0] == pytest.approx(3.5e-5)
    assert rates[5] == pytest.approx(3.5e-4 * 0.55)
    assert [rates[e] for e in (10, 39, 40, 69, 70, 119)] == pytest.approx(
        [3.5e-4] * 2 + [3.5e-5] * 2 + [3.5e-6] * 2
    )
    program = TrainOptions(schedule={"warmup_factor": 0.01}).schedule
    assert learning_rate(1, 3.5e-4, program, 120) == pytest.approx(3.815e-5)


def test_a_cosine_falls_from_the_warm_up_to_nothing():
    schedule = TrainOptions(schedule={"shape": "cosine", "warmup_epochs": 2}).schedule
    rates = [learning_rate(epoch, 1.0, schedule, 12) for epoch in range(13)]
    assert rates[:3] == pytest.approx([0.1, 0.55, 1.0])
    assert rates[7] == pytest.approx(0.5)
    assert rates[12] == pytest.approx(0.0)
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_every_row_of_table_4_has_a_name():
    rows = {name: LOSS_PRESETS[name] for name in LOSS_PRESETS if name.startswith("table4_")}
    assert len(rows) == 12
    assert len({str(sorted(row.items())) for row in rows.values()}) == 12
    assert LOSS_PRESETS["gilt"]["parts"] == (0, 1)
    assert "parts" not in LOSS_PRESETS["table4_12"]


def test_frozen_stages_keep_weights_and_statistics_and_the_others_learn(reid_set, tmp_path):
    torch.manual_seed(1)  # as the run does
    before = BPBReID(ModelOptions(num_identities=6, **SMALL)).state_dict()
    fit(options(reid_set, tmp_path / "run", freeze=2, epochs=1, schedule={"warmup_epochs": 0}), quiet=True)
    after = load_file(tmp_path / "run" / "last.safetensors")
    frozen = ("backbone.conv_stem.", "backbone.bn1.", "backbone.blocks.0.", "backbone.blocks.1.")
    floats = {key for key, value in before.items() if value.is_floating_point() and value.ndim}
    still = {key for key in floats if torch.equal(before[key], after[key])}
    assert {key for key in floats if key.startswith(frozen)} <= still
    assert not {key for key in still if key.startswith("backbone.")} - {
        key for key in floats if key.startswith(frozen)
    }


@pytest.mark.parametrize("backbone", ["resnet50", "hrnet_w32", "efficientnet_lite0"])
def test_stages_hold_all_layers_of_a_backbone_once(backbone):
    network = build_backbone(backbone)
    parts = [p for stage in network.stages() for layer in stage for p in layer.parameters()]
    missing = {id(p) for p in network.parameters()} - {id(p) for p in parts}
    head = (network.conv_head, network.bn2) if backbone == "efficientnet_lite0" else ()
    assert missing == {id(p) for layer in head for p in layer.parameters()}
    assert len({id(p) for p in parts}) == len(parts)


def test_first_epochs_on_small_images_go_on_bit_for_bit_on_large_ones(reid_set, tmp_path):
    schedule = {"shape": "cosine", "warmup_epochs": 0, "small_epochs": 1, "small_size": (32, 32)}
    whole = options(reid_set, tmp_path / "whole", schedule=schedule)
    assert [whole.input_size(epoch) for epoch in (0, 1)] == [(32, 32), (64, 32)]
    report = fit(whole, quiet=True)
    assert report.steps == 6
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        yaml.safe_dump(options(reid_set, tmp_path / "cut", schedule=schedule, save_steps=1).changed())
    )
    command = [sys.executable, "-c", KILLED_IN_STEP_5, str(recipe)]
    stopped = subprocess.run(command, env=environment(), timeout=120)
    assert stopped.returncode == -signal.SIGKILL
    fit(options(reid_set, tmp_path / "cut", schedule=schedule), resume=True, quiet=True)
    assert same_weights(tmp_path / "whole", tmp_path / "cut")
    with pytest.raises(InputError, match="epochs 2, now it is 3"):
        fit(options(reid_set, tmp_path / "cut", schedule=schedule, epochs=3), resume=True, quiet=True)


def test_weights_of_small_images_are_scored_and_saved_for_small_images(reid_set, tmp_path):
    schedule = {"small_epochs": 1, "small_size": (32, 32)}
    run = options(reid_set, tmp_path / "run", schedule=schedule, evaluate_every=1, stop_after=1)
    assert fit(run, quiet=True).metrics is not None
    encoder = Encoder.load(tmp_path / "run" / "last.safetensors", precision="fp32")
    assert encoder.input_size == (32, 32)
    score = evaluate(crop_embedder(encoder), load_dataset(reid_set)).mAP
    assert score == pytest.approx(
        read_checkpoint(tmp_path / "run" / "last.safetensors").provenance["metrics"]["mAP"]
    )


def test_the_best_weights_are_chosen_among_those_of_full_images(reid_set, tmp_path):
    schedule = {"small_epochs": 1, "small_size": (32, 32)}
    fit(options(reid_set, tmp_path / "run", schedule=schedule, evaluate_every=1), quiet=True)
    assert read_checkpoint(tmp_path / "run" / "best.safetensors").provenance["epoch"] == 2


def test_small_images_that_the_backbone_does_not_take_are_refused_before_training(reid_set, tmp_path):
    schedule = {"small_epochs": 1, "small_size": (40, 32)}
    with pytest.raises(ValueError, match=r"schedule.small_size: .* divisible by 16 .* got 40x32"):
        options(reid_set, tmp_path / "run", schedule=schedule)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++")
def test_compiled_layers_learn_the_same(reid_set, tmp_path):
    # Frozen stages have no backward pass to compile, which takes most of the time.
    changes = {"freeze": 6, "epochs": 1, "log_every": 1}
    for name, compiled in (("ours", True), ("theirs", False)):
        fit(options(reid_set, tmp_path / name, compile=compiled, **changes), quiet=True)
    ours, theirs = (read_table(tmp_path / name / "log.csv") for name in ("ours", "theirs"))
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="threads of torch are ended through OpenMP")
def test_tiny_numbers_count_as_zero_only_while_training_whichever_thread_computes() -> None:
    def products() -> torch.Tensor:
        """Half of them are computed in another thread, forwards and backwards."""
        numbers = torch.full((1 << 18,), 1e-20, requires_grad=True)
        tiny = numbers * 1e-20
        (tiny * 1e-20).sum().backward()
        return torch.stack([tiny.detach(), numbers.grad])

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert products().all()  # the other thread runs from now on
        with flushed_denormals():
            assert not products().any()
            with flushed_denormals():
                assert not products().any()
            assert not products().any()
        assert products().all()
    finally:
        torch.set_num_threads(threads)
