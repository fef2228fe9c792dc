"""Training that is stopped goes on bit for bit, and many processes do what one does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from training_runs import KILLED_IN_STEP_5, SMALL, environment, options, same_weights

from bpbreid_track.errors import InputError
from bpbreid_track.io.locks import FolderClaim
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_trainer.data import Sample
from bpbreid_trainer.engine import fit
from bpbreid_trainer.logs import LossLog, Table, read_table
from bpbreid_trainer.options import TrainOptions, read_options
from bpbreid_trainer.processes import (
    SharedStatistics,
    average_gradients,
    gather,
    gather_outputs,
    processes,
    share_network,
)
from bpbreid_trainer.state import State


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


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_weights_of_a_training_are_not_replaced_by_another(reid_set, tmp_path, name):
    (tmp_path / name).write_bytes(b"days of work")
    with pytest.raises(InputError, match="holds a training run already"):
        fit(options(reid_set, tmp_path), quiet=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"days of work"]


def test_a_file_in_place_of_the_folder_of_a_run_is_named_and_stays(reid_set, tmp_path):
    taken = tmp_path / "notes"
    taken.write_text("mine")
    with pytest.raises(InputError, match="notes: a file, and the folder of a run is wanted; output=OTHER"):
        fit(options(reid_set, taken), quiet=True)
    assert taken.read_text() == "mine"


def test_resuming_needs_something_to_resume_and_the_same_settings(finished, reid_set, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        fit(options(reid_set, tmp_path / "none"), resume=True, quiet=True)
    with pytest.raises(InputError, match=r"learning_rate 0\.00035, now it is 0\.1"):
        fit(options(reid_set, finished.folder, learning_rate=0.1), resume=True, quiet=True)
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(InputError, match="not a state"):
        fit(options(reid_set, tmp_path), resume=True, quiet=True)


def test_settings_that_only_say_how_far_may_change_and_others_are_named_in_full(reid_set, tmp_path):
    path = tmp_path / "last.pt"
    State(options(reid_set, tmp_path, stop_after=1), {}).save(path)
    State(options(reid_set, tmp_path, stop_after=2, epochs=3), {}).load(path)
    with pytest.raises(InputError, match=r"began with augment\.flip 0\.0, now it is 0\.5;"):
        State(options(reid_set, tmp_path, augment={"flip": 0.5}), {}).load(path)


def test_a_run_does_not_go_on_with_other_images(reid_set, tmp_path):
    path, run = tmp_path / "last.pt", options(reid_set, tmp_path)
    samples = [Sample(Path(f"/a/set/{name}_c1.jpg"), person, 0) for person, name in enumerate("xyz")]
    State(run, {}, samples).save(path)
    State(run, {}, [replace(s, path=Path("/moved/set") / s.path.name) for s in samples]).load(path)
    other = [samples[0], replace(samples[1], person_id=2), replace(samples[2], person_id=1)]
    for images in (samples[:2], other):
        with pytest.raises(InputError, match=rf"other training images .*, 3 \(.*, now {len(images)} \("):
            State(run, {}, images).load(path)


def test_rows_of_a_lost_part_leave_the_table(tmp_path):
    path = tmp_path / "log.csv"
    for step in (1, 2, 3):
        (Table(path, step) if step == 1 else Table(path, step - 1)).add({"step": step, "loss": step / 10})
    assert [row["step"] for row in read_table(path)] == [1, 2, 3]
    path.write_text(path.read_text() + "4")  # cut off by a kill
    Table(path, 2).add({"step": 3, "loss": 0.5})
    assert read_table(path) == [{"step": s, "loss": v} for s, v in ((1, 0.1), (2, 0.2), (3, 0.5))]


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
        "import sys, torch, test_resume\n"
        "found, first = test_resume.gradients()\n"
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
