"""Training runs: they learn, leave what is needed, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from reid_scene import make_reid_set
from safetensors.torch import load_file
from training_runs import SMALL, options, same_weights

from bpbreid_track import Encoder, PartEmbeddings, part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.evaluation import evaluate_ranking
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_trainer.data import Sample, load_dataset
from bpbreid_trainer.engine import fit
from bpbreid_trainer.evaluate import crop_embedder, evaluate, rank
from bpbreid_trainer.logs import LossLog, read_table
from bpbreid_trainer.options import TrainOptions, read_options


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
    assert not (tmp_path / "without").exists(), "it is said before training"
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
