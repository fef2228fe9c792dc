"""Training runs: they learn, they go on after a kill, and many processes do what one does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from reid_scene import make_reid_set
from safetensors.torch import load_file

from bpbreid_track import Encoder, PartEmbeddings, part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation import evaluate_ranking
from bpbreid_track.io.locks import FolderClaim
from bpbreid_track.model.backbones.build import build_backbone
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_trainer.data import Sample, load_dataset
from bpbreid_trainer.engine import fit
from bpbreid_trainer.evaluate import crop_embedder, evaluate, rank
from bpbreid_trainer.logs import LossLog, Table, read_table
from bpbreid_trainer.options import LOSS_PRESETS, TrainOptions, read_options
from bpbreid_trainer.processes import (
    SharedStatistics,
    average_gradients,
    gather,
    gather_outputs,
    processes,
    share_network,
)
from bpbreid_trainer.schedule import learning_rate
from bpbreid_trainer.speedups import flushed_denormals

ROOT = Path(__file__).resolve().parent.parent
SMALL = {"backbone": "efficientnet_lite0", "input_size": (64, 32), "dim": 32}


@pytest.fixture(scope="module")
def reid_set(shared, tmp_path_factory):
    return make_reid_set(shared, tmp_path_factory.mktemp("reid") / "set")


def options(root, folder, **changes):
    settings = {
        "data": {"root": str(root)},
        "output": str(folder),
        "model": SMALL,
        "pretrained": False,
        "identities_per_batch": 2,
        "epochs": 2,
        "evaluate_every": 0,
        "workers": 0,
        "device": "cpu",
    }
    return TrainOptions.model_validate({**settings, **changes})


@pytest.fixture(scope="module")
def finished(reid_set, tmp_path_factory):
    """An uninterrupted run of two epochs of three steps."""
    output = tmp_path_factory.mktemp("runs") / "finished"
    return fit(options(reid_set, output, log_every=1, save_steps=1), quiet=True)


def same_weights(a, b):
    first, second = load_file(a / "last.safetensors"), load_file(b / "last.safetensors")
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def environment():
    """For a process that computes what this one does."""
    threads = str(torch.get_num_threads())
    path = os.pathsep.join([str(ROOT), str(ROOT / "trainer"), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads}


# ---------------------------------------------------------------------------------------------- one run


def test_a_run_leaves_weights_logs_and_its_settings(finished):
    folder = finished.folder
    assert (finished.epochs, finished.steps) == (2, 6)
    rows = read_table(folder / "log.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    terms = ("identity_global", "identity_foreground", "identity_concat", "triplet_parts", "part_attention")
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[name] for name in terms), abs=1e-4)
    assert rows[0]["learning_rate"] == pytest.approx(3.5e-5)
    assert rows[-1]["learning_rate"] == pytest.approx(3.5e-5 * 0.9 + 3.5e-5)
    assert [row["epoch"] for row in read_table(folder / "scores.csv")] == [2]
    assert list((folder / "tensorboard").iterdir())
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["model"]["backbone"] == "efficientnet_lite0"
    assert read_options(folder / "config.yaml").epochs == 2


def test_the_best_weights_are_an_encoder_with_the_score_of_the_run(finished, reid_set):
    path = finished.folder / "best.safetensors"
    provenance = read_checkpoint(path).provenance
    assert provenance["options"]["data"]["root"] == str(reid_set)
    assert provenance["metrics"]["mAP"] == pytest.approx(finished.best)
    encoder = Encoder.load(path, device="cpu", precision="fp32")
    assert encoder.part_names == ("foreground", "head", "arms", "torso", "legs", "feet")
    metrics = evaluate(crop_embedder(encoder), load_dataset(reid_set))
    assert metrics.mAP == pytest.approx(finished.best, abs=1e-6)


def test_training_brings_the_loss_down(reid_set, tmp_path):
    changes = {"epochs": 12, "log_every": 1, "schedule": {"warmup_epochs": 0}, "learning_rate": 1e-3}
    changes |= {"identities_per_batch": 6, "augment": {"erase": 0, "crop_padding": 2}, "pretrained": True}
    fit(options(reid_set, tmp_path / "run", **changes), quiet=True)
    rows = read_table(tmp_path / "run" / "log.csv")
    for term, share in (("identity_global", 0.95), ("triplet_parts", 0.5), ("part_attention", 0.95)):
        assert rows[-1][term] < share * rows[0][term], term


def test_workers_change_nothing(finished, reid_set, tmp_path):
    fit(options(reid_set, tmp_path / "run", workers=2), quiet=True)
    assert same_weights(finished.folder, tmp_path / "run")


def test_several_weights_start_a_run_from_their_average(finished, reid_set, tmp_path):
    fit(options(reid_set, tmp_path / "other", seed=2, epochs=1), quiet=True)
    paths = [str(folder / "last.safetensors") for folder in (finished.folder, tmp_path / "other")]
    for name, weights in (("both", paths), ("first", paths[0])):
        run = options(reid_set, tmp_path / name, weights=weights, learning_rate=1e-12, epochs=1)
        fit(run, quiet=True)
    first, second = (load_file(path) for path in paths)
    both, one = (load_file(tmp_path / name / "last.safetensors") for name in ("both", "first"))
    for key in (key for key in both if key.endswith("weight")):
        torch.testing.assert_close(both[key], (first[key] + second[key]) / 2, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one[key], first[key], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(
        first["identity.global.classifier.weight"], second["identity.global.classifier.weight"]
    )


def test_a_moving_average_is_saved_instead_of_the_weights(finished, reid_set, tmp_path):
    fit(options(reid_set, tmp_path / "run", ema=0.5), quiet=True)
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["parts"]
    average = load_file(tmp_path / "run" / "last.safetensors")
    plain = load_file(finished.folder / "last.safetensors")
    key = "part_classifier.classifier.weight"
    assert torch.equal(average[key], state["ema"][f"module.{key}"])
    assert torch.equal(plain[key], state["network"][key])
    assert not torch.equal(average[key], plain[key])


def test_clipping_the_gradient_is_off_unless_asked_for(finished, reid_set, tmp_path):
    fit(options(reid_set, tmp_path / "run", gradient_clip=1e-9), quiet=True)
    assert not same_weights(finished.folder, tmp_path / "run")
    assert TrainOptions().gradient_clip == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**SMALL, "attention": "stripes"}, "parts": "strp_4", "loss": {"preset": "pcb"}},
        {
            "loss": {"preset": "bot", "attention_weight": 0},
            "model": {**SMALL, "test_embeddings": ["bn_global"]},
        },
        {"loss": {"triplet": "per_part", "use_visibility": True}, "parts": "eight"},
        {"loss": {"preset": "table4_2"}, "augment": {"flip": 1, "color_jitter": 1, "occlude": 1}},
        {"precision": "bf16"},
    ],
    ids=["PCB stripes", "BoT", "per-part triplets", "all losses", "bfloat16"],
)
def test_ablations_are_settings(reid_set, tmp_path, changes):
    report = fit(options(reid_set, tmp_path / "run", epochs=1, **changes), quiet=True)
    assert report.metrics is not None
    Encoder.load(tmp_path / "run" / "best.safetensors", device="cpu")


def test_fixed_attention_takes_labels_at_test_too(shared, tmp_path):
    root = make_reid_set(shared, tmp_path / "set", people=2)
    changes = {"model": {**SMALL, "attention": "fixed"}, "epochs": 1}
    with pytest.raises(InputError, match="fixed attention needs"):
        fit(options(root, tmp_path / "without", **changes), quiet=True)
    drawn = next((root / "masks").rglob("*.npy"))
    for split in ("query", "bounding_box_test"):
        for image in (root / split).iterdir():
            path = root / "masks" / "drawn" / split / f"{image.stem}.npy"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(drawn.read_bytes())
    assert fit(options(root, tmp_path / "with", **changes), quiet=True).metrics is not None


def test_queries_are_ranked_within_their_scene():
    generator = torch.Generator().manual_seed(0)

    def side(count, camera):
        vectors = torch.nn.functional.normalize(torch.randn(count, 2, 8, generator=generator), dim=-1)
        people = torch.randint(0, 4, (count,), generator=generator).tolist()
        scenes = torch.randint(0, 3, (count,), generator=generator).tolist()
        samples = [
            Sample(Path("x.jpg"), p + 10 * s, camera, None, s) for p, s in zip(people, scenes, strict=True)
        ]
        return PartEmbeddings(vectors, torch.ones(count, 2), ("foreground", "head")), samples

    (query, queries), (gallery, others) = side(20, 0), side(40, 1)
    apart = torch.tensor([[q.scene != g.scene for g in others] for q in queries])
    ids = [[s.person_id for s in samples] for samples in (queries, others)]
    cameras = [[s.camera for s in samples] for samples in (queries, others)]
    distances = part_distance(query, gallery).masked_fill(apart, torch.inf)
    expected = evaluate_ranking(distances, *ids, *cameras)
    metrics = rank(query, gallery, queries, others)
    assert metrics.mAP == pytest.approx(expected.mAP)
    np.testing.assert_allclose(metrics.cmc[:5], expected.cmc[:5])
    assert (metrics.queries, metrics.skipped) == (expected.queries, expected.skipped)


# ------------------------------------------------------------------------------------------ cheaper steps


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


# ------------------------------------------------------------------------------------------ stop and go on


KILLED_IN_STEP_5 = """
import os, signal, sys
from bpbreid_trainer import engine
from bpbreid_trainer.options import read_options

class LossLog(engine.LossLog):
    def add(self, step, terms):
        if step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        super().add(step, terms)

engine.LossLog = LossLog
engine.fit(read_options(sys.argv[1]), quiet=True)
"""


def test_a_killed_run_goes_on_bit_for_bit(finished, reid_set, tmp_path, capsys):
    output = tmp_path / "killed"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(options(reid_set, output, log_every=1, save_steps=2).changed()))
    command = [sys.executable, "-c", KILLED_IN_STEP_5, str(recipe)]
    assert subprocess.run(command, env=environment(), timeout=120).returncode == -signal.SIGKILL
    progress = torch.load(output / "last.pt", weights_only=True)["progress"]
    assert (progress["epoch"], progress["batch"], progress["step"]) == (
        1,
        1,
        4,
    )  # in mid-epoch, step 5 is lost
    assert not (output / "last.safetensors").exists()
    report = fit(options(reid_set, output, log_every=1), resume=True)
    said = capsys.readouterr().err
    assert f"going on from {output / 'last.pt'}: 1 of 2 epochs and 1 batches of the next are done" in said
    assert report.steps == finished.steps
    assert same_weights(finished.folder, output)
    ours, theirs = (read_table(folder / "log.csv") for folder in (output, finished.folder))
    assert [{**row, "images_per_second": 0} for row in ours] == [
        {**row, "images_per_second": 0} for row in theirs
    ]


def test_a_folder_with_a_run_is_not_overwritten(finished, reid_set):
    with pytest.raises(InputError, match="--resume"):
        fit(options(reid_set, finished.folder), quiet=True)


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_a_folder_has_one_training_at_a_time(reid_set, tmp_path):
    other = FolderClaim(tmp_path / "run")
    with pytest.raises(InputError, match="run: another run is writing it"):
        fit(options(reid_set, tmp_path / "run"), quiet=True)
    assert not list((tmp_path / "run").iterdir())
    other.release()


def test_resuming_needs_something_to_resume_and_the_same_settings(finished, reid_set, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        fit(options(reid_set, tmp_path / "none"), resume=True, quiet=True)
    with pytest.raises(InputError, match=r"learning_rate 0\.00035, now it is 0\.1"):
        fit(options(reid_set, finished.folder, learning_rate=0.1), resume=True, quiet=True)
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(InputError, match="not a state"):
        fit(options(reid_set, tmp_path), resume=True, quiet=True)


def test_rows_of_a_lost_part_leave_the_table(tmp_path):
    path = tmp_path / "log.csv"
    for step in (1, 2, 3):
        (Table(path, step) if step == 1 else Table(path, step - 1)).add({"step": step, "loss": step / 10})
    assert [row["step"] for row in read_table(path)] == [1, 2, 3]
    path.write_text(path.read_text() + "4")  # cut off by a kill
    Table(path, 2).add({"step": 3, "loss": 0.5})
    assert read_table(path) == [{"step": s, "loss": v} for s, v in ((1, 0.1), (2, 0.2), (3, 0.5))]


# ----------------------------------------------------------------------------------------- many processes


def gradients(device="cpu"):
    """Loss terms, gradients and BatchNorm statistics of one global batch in float64, by all processes."""
    torch.manual_seed(0)
    network = BPBReID(ModelOptions(num_identities=4, **SMALL)).double().train()
    images = torch.randn(16, 3, 64, 32, dtype=torch.float64)
    labels, targets = torch.arange(4).repeat_interleave(4), torch.randint(0, 6, (16, 4, 2))
    objective = TrainOptions(loss={"preset": "table4_2", "use_visibility": True}).loss.build()
    log = LossLog()
    with processes(device) as procs:
        share_network(network, procs)
        share = 16 // procs.world
        own = slice(procs.rank * share, (procs.rank + 1) * share)
        with SharedStatistics() if procs.world > 1 else nullcontext():
            outputs = network(images[own])
            terms = objective.terms(gather_outputs(outputs), gather(labels[own]), targets[own])
            sum(terms.values()).backward()
        average_gradients(network)
        log.add(1, terms)
    found = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**log.means(), **found, **network.state_dict()}, procs.first


def test_two_processes_compute_what_one_does(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys, torch, test_engine\n"
        "found, first = test_engine.gradients()\n"
        "first and torch.save(found, sys.argv[1])\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, str(script), str(tmp_path / "two.pt")], env=environment(), check=True, timeout=120
    )
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    one, _ = gradients()
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            torch.as_tensor(two[name]),
            torch.as_tensor(value),
            rtol=1e-8,
            atol=1e-10,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def test_a_run_on_two_nodes_is_the_run_in_one_process_which_can_go_on_with_it(finished, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    command += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    train = ["-m", "bpbreid_trainer", "fit", str(finished.folder / "config.yaml")]
    train += [f"output={tmp_path / 'two'}", "epochs=1", "--quiet"]
    nodes = [
        subprocess.Popen([*command, "--node-rank", str(rank), *train], env=environment()) for rank in range(2)
    ]
    try:
        assert [node.wait(timeout=120) for node in nodes] == [0, 0]
    finally:
        for node in nodes:
            node.kill()
    one, two = (read_table(folder / "log.csv") for folder in (finished.folder, tmp_path / "two"))
    # Later steps differ more: where a gradient is nothing but rounding, Adam makes a whole step of it.
    for name in set(one[0]) - {"images_per_second"}:
        assert two[0][name] == pytest.approx(one[0][name], rel=1e-4), name
    assert two[2]["loss"] == pytest.approx(one[2]["loss"], rel=0.02)

    more = read_options(finished.folder / "config.yaml").model_copy(update={"output": str(tmp_path / "two")})
    assert fit(more, resume=True, quiet=True).steps == 6
    rows = read_table(tmp_path / "two" / "log.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[3]["loss"] == pytest.approx(one[3]["loss"], rel=0.05)


# --------------------------------------------------------------------------------------------------- failures


def test_a_loss_that_is_not_a_number_names_step_and_term(reid_set, tmp_path):
    with pytest.raises(InputError, match=r"step \d+: the loss term \w+ is (nan|inf)"):
        fit(options(reid_set, tmp_path / "run", learning_rate=1e30), quiet=True)


def test_the_log_names_the_first_step_that_went_wrong():
    log = LossLog()
    log.add(7, {"identity_global": torch.tensor(1.0), "triplet_parts": torch.tensor(2.0)})
    log.add(8, {"identity_global": torch.tensor(1.0), "triplet_parts": torch.tensor(float("nan"))})
    with pytest.raises(InputError, match="step 8: the loss term triplet_parts is nan"):
        log.check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {}}, r"data\.root"),
        ({"output": ""}, "output"),
        ({"precision": "fp16"}, "fp16"),
        ({"loss": {"weights": {}, "attention_weight": 0}}, "nothing to train"),
        ({"device": "cuda:99"}, "CUDA"),
        ({"freeze": 99}, "has 7 stages"),
    ],
    ids=["no data", "no output", "fp16 on a CPU", "no loss", "no such device", "too many frozen stages"],
)
def test_wrong_settings_say_what_to_change(reid_set, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        fit(options(reid_set, tmp_path / "run", **changes), quiet=True)


def test_training_without_labels_is_an_error_with_two_ways_out(shared, tmp_path):
    root = make_reid_set(shared, tmp_path / "set", people=2, labels=False)
    with pytest.raises(InputError, match=r"bpbreid-train labels .*attention_weight=0"):
        fit(options(root, tmp_path / "run"), quiet=True)


def test_an_image_that_cannot_be_read_is_named(shared, tmp_path):
    root = make_reid_set(shared, tmp_path / "set", people=2)
    broken = next((root / "bounding_box_train").iterdir())
    broken.write_bytes(b"no image")
    for workers in (0, 1):
        with pytest.raises(InputError, match=broken.name) as caught:
            fit(options(root, tmp_path / f"run{workers}", workers=workers), quiet=True)
        assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------------------- settings


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
