"""``bpbreid-train`` on the command line: from a recipe to an encoder, and one clear line for bad input."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
import yaml
from reid_scene import make_reid_set

from bpbreid_track import Encoder
from bpbreid_track.model.checkpoint import load_checkpoint, save_checkpoint
from bpbreid_track.read_config import config_path, preset_names
from bpbreid_trainer.cli import run
from bpbreid_trainer.interrupts import lasting_interrupt
from bpbreid_trainer.logs import read_table
from bpbreid_trainer.options import TrainOptions, read_options

TINY = ["model.input_size=[64,32]", "model.dim=32", "pretrained=false", "identities_per_batch=4", "epochs=1"]
TINY += ["workers=0", "device=cpu"]
TABLE_1 = [
    (data, backbone)
    for data in ("market1501", "dukemtmc", "occluded_duke", "occluded_reid", "p_dukemtmc")
    for backbone in ("resnet50", "resnet50_ibn", "hrnet_w32")
]


@pytest.fixture(scope="module")
def reid_set(shared, tmp_path_factory):
    return make_reid_set(shared, tmp_path_factory.mktemp("reid") / "set", people=4)


@pytest.fixture(scope="module")
def trained(reid_set, tmp_path_factory):
    """Folder of a run made by the command."""
    output = tmp_path_factory.mktemp("runs") / "run"
    assert run(["fit", "small", f"data.root={reid_set}", f"output={output}", *TINY, "--quiet"]) == 0
    return output


# ------------------------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize(("data", "backbone"), TABLE_1, ids=["-".join(pair) for pair in TABLE_1])
def test_table_1_has_a_recipe_for_every_row_and_data_set(data, backbone):
    options = read_options(f"{data}_{backbone}")
    assert options.model.backbone == backbone
    assert options.model.input_size == ((256, 128) if backbone == "resnet50" else (384, 128))
    holistic = data in {"market1501", "dukemtmc"}
    assert options.parts == ("five" if holistic else "eight")
    assert options.model.num_parts == (5 if holistic else 8)
    assert options.data.dataset == ("market1501" if data == "occluded_reid" else data)


@pytest.mark.parametrize("name", preset_names("train"))
def test_every_recipe_states_only_what_differs_from_the_paper(name):
    stated = yaml.safe_load(config_path(name, "train").read_text())
    model = stated.get("model", {})
    assert read_options(name).description
    assert not any(TrainOptions().model_dump(mode="json")["model"].get(key) == model[key] for key in model)
    assert not {key for key in stated if stated[key] == TrainOptions().model_dump(mode="json")[key]}


def test_overrides_reach_into_sections():
    options = read_options("small", ["loss.preset=table4_7", "schedule.steps=[3,5]", "learning_rate=1e-3"])
    assert (options.loss.preset, options.schedule.steps, options.learning_rate) == ("table4_7", (3, 5), 1e-3)
    assert options.model.dim == read_options("small").model.dim


# -------------------------------------------------------------------------------------- the road, by commands


def test_fit_leaves_a_run_with_curves(trained):
    for name in ("config.yaml", "log.csv", "scores.csv", "best.safetensors", "last.safetensors", "last.pt"):
        assert (trained / name).is_file(), name
    assert cv2.imread(str(trained / "curves.png")).std() > 5


def test_evaluate_prints_one_object(trained, reid_set, capsys):
    weights = str(trained / "best.safetensors")
    assert run(["evaluate", "--data", str(reid_set), "--encoder", weights, "--device", "cpu", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"mAP", "rank1", "rank5", "rank10"}
    logged = (trained / "scores.csv").read_text().splitlines()[-1].split(",")
    assert scores["mAP"] == pytest.approx(float(logged[2]), abs=1e-5)


def test_evaluate_takes_other_folders_of_queries(trained, reid_set, capsys):
    command = ["evaluate", "--data", str(reid_set), "--encoder", str(trained / "best.safetensors")]
    command += ["--device", "cpu", "--quiet"]
    assert run([*command, "--query", "bounding_box_test", "--gallery", "bounding_box_test"]) == 0
    images = len(list((reid_set / "bounding_box_test").iterdir()))
    assert f"{images} gallery images" in capsys.readouterr().out


def test_rank_draws_a_sheet_for_each_query(trained, reid_set, tmp_path):
    command = [
        "rank",
        "--data",
        str(reid_set),
        "--encoder",
        str(trained / "best.safetensors"),
        "--device",
        "cpu",
    ]
    assert run([*command, "--out", str(tmp_path / "sheets"), "--queries", "2", "--top", "3", "--quiet"]) == 0
    sheets = sorted((tmp_path / "sheets").glob("*.png"))
    assert len(sheets) == 2
    picture = cv2.imread(str(sheets[0]))
    # A right match is framed green, a wrong one red, the query blue.
    assert any(np.all(picture == colour, axis=-1).sum() > 200 for colour in [(44, 160, 44), (40, 39, 214)])
    assert np.all(picture == (180, 119, 31), axis=-1).sum() > 200


def test_attention_draws_the_parts_of_crops(trained, reid_set, tmp_path):
    out = tmp_path / "attention.png"
    command = ["attention", str(reid_set / "query"), "--encoder", str(trained / "best.safetensors")]
    assert run([*command, "--out", str(out), "--limit", "2", "--device", "cpu", "--quiet"]) == 0
    whole = cv2.imread(str(out))
    assert whole.std() > 5
    # The same crops in a folder a person.
    for path in (reid_set / "query").iterdir():
        (tmp_path / "crops" / path.name[:4]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "crops" / path.name[:4])
    command[1] = str(tmp_path / "crops")
    assert run([*command, "--out", str(out), "--limit", "2", "--device", "cpu", "--quiet"]) == 0
    assert cv2.imread(str(out)).shape == whole.shape


def features_of(reid_set, weights):
    """What an encoder file says of the queries."""
    crops = [cv2.imread(str(path)) for path in sorted((reid_set / "query").iterdir())]
    return Encoder.load(weights, device="cpu", precision="fp32").encode_crops(crops).features


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_export_writes_the_same_encoder_without_classifiers(trained, reid_set, tmp_path, half):
    out = tmp_path / "encoder.safetensors"
    assert run(["export", str(trained), "--out", str(out), "--quiet", *(["--half"] if half else [])]) == 0
    assert out.stat().st_size < (trained / "best.safetensors").stat().st_size * (0.55 if half else 1)
    before, after = (features_of(reid_set, path) for path in (trained / "best.safetensors", out))
    np.testing.assert_allclose(before, after, atol=2e-2 if half else 1e-6)


def test_export_takes_another_threshold_of_visibility(trained, reid_set, tmp_path):
    crops = [cv2.imread(str(path)) for path in sorted((reid_set / "query").iterdir())]
    seen = {}
    for share in ("0", "0.99"):
        out = tmp_path / f"from_{share}.safetensors"
        assert run(["export", str(trained), "--out", str(out), "--quiet", "--visibility", share]) == 0
        encoder = Encoder.load(out, device="cpu", precision="fp32")
        assert encoder.options.visibility_threshold == float(share)
        seen[share] = encoder.encode_crops(crops)
    assert bool((seen["0"].visibility == 1).all())
    assert not bool((seen["0.99"].visibility[:, 1:] == 1).any())
    np.testing.assert_allclose(seen["0"].features, seen["0.99"].features, atol=1e-6)


@pytest.mark.parametrize("ending", [".onnx", ".ts"])
def test_export_writes_what_other_runtimes_read(trained, reid_set, tmp_path, ending):
    out = tmp_path / f"encoder{ending}"
    assert run(["export", str(trained), "--out", str(out), "--quiet"]) == 0
    before, after = (features_of(reid_set, path) for path in (trained / "best.safetensors", out))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_export_of_several_checkpoints_is_their_average(trained, tmp_path):
    one, other = load_checkpoint(trained / "best.safetensors"), load_checkpoint(trained / "best.safetensors")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(3)
    save_checkpoint(other, tmp_path / "other.safetensors")
    out = tmp_path / "average.safetensors"
    command = ["export", str(trained), str(tmp_path / "other.safetensors"), "--out", str(out), "--quiet"]
    assert run(command) == 0
    average = dict(load_checkpoint(out).named_parameters())
    for name, value in one.for_inference().named_parameters():
        torch.testing.assert_close(average[name], 2 * value)


@pytest.mark.parametrize("named", ["best.safetensors", "."])
def test_export_does_not_replace_the_weights_that_it_reads(trained, capsys, named):
    best = trained / "best.safetensors"
    before = best.read_bytes()
    assert run(["export", str(trained / named), "--out", str(best), "--half"]) == 2
    assert "best.safetensors: is read and would be overwritten" in capsys.readouterr().err
    assert best.read_bytes() == before


def test_a_training_that_stops_early_keeps_the_schedule_of_all_its_epochs(reid_set, tmp_path):
    command = ["fit", "small", f"data.root={reid_set}", f"output={tmp_path / 'run'}", *TINY, "epochs=4"]
    command += ["stop_after=2", "schedule.shape=cosine", "schedule.warmup_epochs=0", "learning_rate=1e-3"]
    assert run([*command, "--quiet"]) == 0
    rates = {row["epoch"]: row["learning_rate"] for row in read_table(tmp_path / "run" / "log.csv")}
    assert rates == pytest.approx({0: 1e-3, 1: 1e-3 * (1 + np.cos(np.pi / 4)) / 2}, rel=1e-4)
    assert (tmp_path / "run" / "last.safetensors").is_file()


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "smal"], 2, "did you mean 'small'"),
        (["fit", "small", "data.rot=x"], 2, "unknown setting 'rot'; did you mean 'root'"),
        (["fit", "small", "loss.preset=gillt"], 2, "did you mean 'gilt'"),
        (["fit", "small", "parts=eigth"], 2, "did you mean 'eight'"),
        (["fit", "small", "epochs=many"], 2, "epochs"),
        (["fit", "small", "workers=-3"], 2, "workers"),
        (["fit", "small", "seed=99999999999999999999"], 2, "seed"),
        (["fit", "small", "epochs"], 2, "expected key=value"),
        (["fit", "small", "epochs.more=1"], 2, "epochs"),
        (["fit", "small", "model.part_names=[a,b]"], 2, "set parts instead"),
        (["fit", "small", "parts=strp_6"], 2, "go together"),
        (["fit", "small"], 2, "data.root"),
        (["fit", "small", "data.root=no/such/folder"], 1, "no such folder"),
        (["fit", "no/such.yaml"], 2, "no such configuration file"),
        (["fitt"], 2, "did you mean 'fit'"),
        (["evaluate", "--encodr", "x"], 2, "did you mean '--encoder'"),
        (["evaluate"], 2, "missing option '--data'"),
        (["export", "no/such.safetensors"], 1, "no/such.safetensors"),
        (["export", "tests"], 1, "tests"),
        (["export", "default", "--out", "encoder.pt"], 1, "written as .safetensors, .onnx"),
        (["export", "default", "--half", "--out", "encoder.onnx"], 2, "leave --half out"),
        (["export", "default", "--visibility", "1"], 2, "from 0 to below 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_clear_line(arguments, code, message, capsys):
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("bpbreid-train: error: ")
    assert error.count("\n") == 1


def test_a_folder_without_images_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "bounding_box_train").mkdir()
    assert run(["fit", "small", f"data.root={tmp_path}", *TINY]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_one_identity_is_one_clear_line(shared, tmp_path, capsys):
    root = make_reid_set(shared, tmp_path / "set", people=1)
    assert run(["fit", "small", f"data.root={root}", f"output={tmp_path / 'run'}", *TINY]) == 1
    assert "one identity" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "message"),
    [(np.zeros((5, 16, 8), np.float32), "[36, h, w]"), (np.zeros(7), "[36, h, w]"), (None, "label file")],
    ids=["other channels", "one axis", "no array"],
)
def test_labels_of_a_wrong_shape_are_named(shared, tmp_path, capsys, fields, message):
    root = make_reid_set(shared, tmp_path / "set", people=2)
    broken = next((root / "masks").rglob("*.npy"))
    if fields is None:
        broken.write_text("nothing")
    else:
        np.save(broken, fields)
    assert run(["fit", "small", f"data.root={root}", f"output={tmp_path / 'run'}", *TINY, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert broken.name in error
    assert message in error
    assert error.count("\n") == 1


def test_an_unreadable_test_image_is_named(trained, shared, tmp_path, capsys):
    root = make_reid_set(shared, tmp_path / "set", people=2)
    broken = next((root / "query").iterdir())
    broken.write_bytes(b"no image")
    assert (
        run(["evaluate", "--data", str(root), "--encoder", str(trained / "best.safetensors"), "--quiet"]) == 1
    )
    assert broken.name in capsys.readouterr().err


def test_an_interrupted_fit_says_how_to_go_on(reid_set, tmp_path):
    command = [sys.executable, "-m", "bpbreid_trainer", "fit", "small", f"data.root={reid_set}", *TINY[:-3]]
    command += [f"output={tmp_path / 'run'}", "workers=0", "device=cpu", "epochs=1000", "save_steps=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not (tmp_path / "run" / "last.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "bpbreid-train: error: interrupted; --resume" in error
    assert "Traceback" not in error


def test_help_needs_no_torch():
    code = "import sys, bpbreid_trainer.cli as c; c.run(['--help']); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_that_a_library_swallows_still_stops():
    class Swallows:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with lasting_interrupt() as stop_if_asked:
        stop_if_asked()
        Swallows()
        gc.collect()
        with pytest.raises(KeyboardInterrupt):
            stop_if_asked()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
