"""Checkpoints of the authors' program: read exactly, and refused where tensors and settings do not fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from authors_files import settings, small_state, whole_file
from authors_layout import BACKBONE, Slow, State, authors_state

from bpbreid_track.errors import InputError
from bpbreid_track.model.checkpoint import load_checkpoint, read_checkpoint
from bpbreid_track.model.options import AUTHORS
from bpbreid_track.model.part_groups import part_names

FIVE_V = ("head", "upper_arms_torso", "lower_arms_torso", "legs", "feet")

EIGHT = ("head", "left_arm", "right_arm", "torso", "left_leg", "right_leg", "left_feet", "right_feet")


@pytest.mark.parametrize(
    ("backbone", "keys", "millions"),
    [("resnet50", 409, 34.3), ("hrnet32", 2022, 40.8)],
    ids=["resnet50", "hrnet32"],
)
def test_the_layout_under_test_is_the_published_one(backbone: str, keys: int, millions: float) -> None:
    state = authors_state(backbone, parts=5)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(value.numel() for key, value in state.items() if not key.endswith(buffers))
    assert len(state) == keys
    assert round(count / 1e6, 1) == millions


CASES = {
    "resnet50 K=5": ("resnet50", {}),
    "resnet50 K=8": ("resnet50", {"parts": 8, "dim": 32}),
    "resnet50 before pooling": ("resnet50", {"parts": 3, "dim": 32, "reduction": "before_pooling"}),
    "resnet50 before and after": (
        "resnet50",
        {"parts": 2, "dim": 32, "reduction": "before_and_after_pooling"},
    ),
    "resnet50 unreduced, shared": ("resnet50", {"parts": 2, "reduction": "none", "shared": True}),
    "ibn K=8": ("fastreid_resnet_ibn", {"parts": 8, "dim": 32}),
    "ibn non-local K=6": ("fastreid_resnet_ibn_nl", {"parts": 6, "dim": 32}),
    "hrnet K=5": ("hrnet32", {}),
    "hrnet K=8 before pooling": ("hrnet32", {"parts": 8, "dim": 32, "reduction": "before_pooling"}),
}


@pytest.mark.parametrize(("backbone", "shape"), CASES.values(), ids=CASES)
def test_embeddings_are_those_of_a_slow_plain_reading(
    backbone: str, shape: dict[str, Any], tmp_path: Path
) -> None:
    state = authors_state(backbone, **({"identities": 11} | shape))
    torch.save(whole_file(state), tmp_path / "model.pth.tar")
    checkpoint = read_checkpoint(tmp_path / "model.pth.tar")
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        features, visibility = Slow(state).embed(images, backbone)
    embeddings = checkpoint.network.embed(images)
    torch.testing.assert_close(embeddings.features, features, atol=1e-5, rtol=1e-5)
    assert torch.equal(embeddings.visibility, visibility)
    assert checkpoint.report.loaded + len(checkpoint.report.ignored) == len(state)
    assert checkpoint.network.options.num_identities == 11
    assert not checkpoint.network.training


def test_only_layers_without_effect_are_left_out_and_all_are_named(tmp_path: Path) -> None:
    torch.save(small_state(), tmp_path / "resnet.pth")
    torch.save(small_state(backbone="hrnet32"), tmp_path / "hrnet.pth")
    assert read_checkpoint(tmp_path / "resnet.pth").report.ignored == [
        f"{BACKBONE}classifier.weight",
        f"{BACKBONE}classifier.bias",
    ]
    ignored = read_checkpoint(tmp_path / "hrnet.pth").report.ignored
    assert len(ignored) == 7
    assert all(key.startswith(f"{BACKBONE}cls_head.") for key in ignored)


def test_a_file_without_settings_takes_the_published_defaults(tmp_path: Path) -> None:
    for parts, names in ((5, FIVE_V), (8, EIGHT)):
        torch.save(small_state(parts=parts), tmp_path / "bare.pth")
        checkpoint = read_checkpoint(tmp_path / "bare.pth")
        options = checkpoint.network.options
        assert options == AUTHORS.model_copy(
            update={"part_names": names, "dim": 8, "num_identities": 3, "input_size": (256, 128)}
        )
        assert any("no settings" in note for note in checkpoint.report.notes)


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
def test_stored_settings_are_honoured_without_yacs(
    cfg_node: type[dict], zip_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(
        "six_new",
        pooling="gap",
        test_embeddings=["foreg", "bn_parts"],
        testing_binary_visibility_score=False,
        test_use_target_segmentation="soft",
    )
    document = whole_file(small_state(parts=6), cfg_node(config))
    torch.save(document, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=zip_format)
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")
    checkpoint = read_checkpoint(tmp_path / "x.pth.tar")
    options = checkpoint.network.options
    assert options.part_names == part_names("six_new")
    assert options.pooling == "gap"
    assert options.visibility == "continuous"
    assert options.target_segmentation == "soft"
    assert options.test_embeddings == ("foreground", "bn_parts")
    assert options.input_size == (384, 128)
    assert checkpoint.report.notes == []
    assert checkpoint.provenance == {"epoch": 120, "rank1": pytest.approx(0.951), "mAP": 0.87}


def test_attention_that_was_not_learned_is_read_as_fixed(tmp_path: Path) -> None:
    config = settings("five", learnable_attention_enabled=False, test_embeddings=["globl"])
    state = {key: value for key, value in small_state().items() if not key.startswith("pixel_classifier.")}
    state |= {"team_classifier.weight": torch.zeros(2, 8)}
    torch.save(whole_file(state, config), tmp_path / "prtreid.pth.tar")
    checkpoint = read_checkpoint(tmp_path / "prtreid.pth.tar")
    assert checkpoint.network.options.attention == "fixed"
    embeddings = checkpoint.network.embed(torch.randn(2, 3, 64, 32))
    assert embeddings.part_names == ("global",)
    assert "team_classifier.weight" in checkpoint.report.ignored
    assert any("team_classifier.weight" in note for note in checkpoint.report.notes)


def test_a_fastreid_resnet_without_ibn_is_told_by_its_settings(tmp_path: Path) -> None:
    state = small_state(backbone="fastreid_resnet")
    torch.save(whole_file(state, settings("five_v", backbone="fastreid_resnet")), tmp_path / "x.pth")
    assert load_checkpoint(tmp_path / "x.pth").options.backbone == "fastreid_resnet50"


def test_files_whose_identity_classifiers_were_taken_out_still_embed(tmp_path: Path) -> None:
    state = {
        key: value
        for key, value in small_state().items()
        if not key.endswith("classifier.weight") or "pixel" in key
    }
    torch.save(state, tmp_path / "x.pth")
    checkpoint = read_checkpoint(tmp_path / "x.pth")
    assert checkpoint.network.options.num_identities == 0
    assert "identity.global.bn.weight" not in checkpoint.network.state_dict()
    torch.save(small_state(), tmp_path / "full.pth")
    images = torch.randn(1, 3, 64, 32)
    expected = load_checkpoint(tmp_path / "full.pth").embed(images).features
    assert torch.equal(checkpoint.network.embed(images).features, expected)


def contradicting_parts(state: State) -> None:
    for key in [key for key in state if key.startswith("parts_identity_classifier.4.")]:
        del state[key]


def without(name: str) -> Callable[[State], None]:
    return lambda state: state.__delitem__(name)


def replaced(name: str, *shape: int) -> Callable[[State], None]:
    return lambda state: state.__setitem__(name, torch.zeros(shape))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            contradicting_parts,
            "contradict each other on the number of parts K: 5 by pixel.*4 by parts_identity",
        ),
        (without(f"{BACKBONE}layer3.1.bn2.bias"), "missing: backbone.layer3.1.bn2.bias"),
        (replaced(f"{BACKBONE}layer9.weight", 2), "not known: backbone.layer9.weight"),
        (
            replaced("global_after_pooling_dim_reduce.layers.0.weight", 9, 2048),
            r"reduce.global.0.weight: expected \[8, 2048\], found \[9, 2048\]",
        ),
        (
            replaced("global_identity_classifier.classifier.weight", 4, 8),
            "number of identities: .*4 by global_identity",
        ),
    ],
    ids=["K", "missing", "surplus", "width", "identities"],
)
def test_tensors_that_do_not_fit_are_named_with_expected_and_found(
    damage: Callable[[State], None], message: str, tmp_path: Path
) -> None:
    state = small_state()
    damage(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(tmp_path / "x.pth")
    assert "x.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_contradict_the_tensors_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"backbone": "hrnet32"}, "name the backbone 'hrnet32'"),
        ({"dim_reduce": "none"}, "dim_reduce 'none'"),
        ({"normalization": "batch_norm_2d"}, "batch_norm_2d"),
        ({"test_embeddings": ["conct"]}, "'conct' is not supported"),
        ({"test_embeddings": ["parts"]}, "foreground or global embedding first"),
    ):
        torch.save(whole_file(small_state(), settings("five_v", **changes)), tmp_path / "x.pth")
        with pytest.raises(InputError, match=message):
            load_checkpoint(tmp_path / "x.pth")


def test_counters_that_old_files_lack_are_named(tmp_path: Path) -> None:
    state = {key: value for key, value in small_state().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "x.pth")
    kept = read_checkpoint(tmp_path / "x.pth").report.kept
    assert len(kept) == len(small_state()) - len(state)
    assert all(key.endswith("num_batches_tracked") for key in kept)


def test_a_grouping_of_another_size_gives_way_to_the_tensors(tmp_path: Path) -> None:
    torch.save(whole_file(small_state(parts=5), settings("eight")), tmp_path / "x.pth")
    checkpoint = read_checkpoint(tmp_path / "x.pth")
    assert checkpoint.network.options.part_names == FIVE_V
    assert any("'eight', which has 8 parts; the tensors have 5" in note for note in checkpoint.report.notes)
