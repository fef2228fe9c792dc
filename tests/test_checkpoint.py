"""Checkpoints: ours written and read, the authors' read exactly, and files that lie, break or carry code."""

from __future__ import annotations

import builtins
import functools
import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from authors_layout import BACKBONE, Slow, State, authors_state
from safetensors.torch import load_file, save_file

from bpbreid_track.config import DetectorConfig
from bpbreid_track.detection.detectors import load_detector
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import load_checkpoint, load_weights, read_checkpoint, save_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import AUTHORS, ModelOptions
from bpbreid_track.model.part_groups import part_names

FIVE_V = ("head", "upper_arms_torso", "lower_arms_torso", "legs", "feet")
EIGHT = ("head", "left_arm", "right_arm", "torso", "left_leg", "right_leg", "left_feet", "right_feet")


@pytest.fixture
def cfg_node(monkeypatch: pytest.MonkeyPatch) -> type[dict]:
    """A class that pickles as yacs' CfgNode does, for writing files; reading must do without it."""

    class CfgNode(dict):
        def __init__(self, values: dict[str, Any]) -> None:
            super().__init__({k: CfgNode(v) if isinstance(v, dict) else v for k, v in values.items()})
            self.__dict__["__immutable__"] = True
            self.__dict__["__deprecated_keys__"] = set()
            self.__dict__["__renamed_keys__"] = {}

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode


def settings(preprocess: str = "eight", **changes: Any) -> dict[str, Any]:
    """The settings that their program stores with the weights, as far as they matter here."""
    model = {
        "pooling": "gwap",
        "normalization": "identity",
        "dim_reduce": "after_pooling",
        "backbone": "resnet50",
        "learnable_attention_enabled": True,
        "test_embeddings": ["bn_foreg", "parts"],
        "test_use_target_segmentation": "none",
        "mask_filtering_testing": True,
        "testing_binary_visibility_score": True,
        "masks": {"preprocess": preprocess, "dir": "pifpaf_maskrcnn_filtering"},
    }
    data = {
        "height": 384,
        "width": 128,
        "norm_mean": [0.485, 0.456, 0.406],
        "norm_std": [0.229, 0.224, 0.225],
    }
    return {"model": {"name": "bpbreid", "bpbreid": model | changes}, "data": data}


def whole_file(state: State, config: Any = None) -> dict[str, Any]:
    """All that their program writes."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
    return {
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "epoch": 120,
        "rank1": np.float32(0.951),
        "mAP": np.float64(0.87),
        "ssmd": np.float64(3.1),
        "config": config,
        "optimizer": optimizer.state_dict(),
        "scheduler": {"milestones": [40, 70], "last_epoch": np.int64(120)},
    }


def small_state(**changes: Any) -> State:
    """Random tensors made once: the files under test differ in what is done to them."""
    return dict(_cached_state(tuple(sorted(({"identities": 3, "dim": 8} | changes).items()))))


@functools.cache
def _cached_state(settings: tuple[tuple[str, Any], ...]) -> State:
    return authors_state(**dict(settings))


# ------------------------------------------------------------------ the authors' files


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


# ------------------------------------------------------------------ files that carry code


class Payload:
    """Calls ``function`` when a trusting reader unpickles it."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def system(marker: Path) -> Payload:
    return Payload(os.system, f"touch {marker}")


PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "instead of the document": lambda load, node: load,
    "beside the state dict": lambda load, node: whole_file({}) | {"extra": load},
    "as a tensor": lambda load, node: {"state_dict": {"a": load}},
    "inside the settings": lambda load, node: whole_file({}, node({"model": {"bpbreid": [1, load]}})),
    "instead of the settings": lambda load, node: whole_file({}, load),
    "in the optimizer": lambda load, node: whole_file({}) | {"optimizer": {"state": {0: (load,)}}},
}


@pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_code_is_never_run_wherever_it_hides(
    place: Callable[[Any, Any], Any], zip_format: bool, cfg_node: type[dict], tmp_path: Path
) -> None:
    marker, path = tmp_path / "it ran", tmp_path / "x.pth"
    torch.save(place(system(marker), cfg_node), path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(InputError, match=r"x\.pth: refused: it asks for \w+\.system") as caught:
        load_checkpoint(path)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        lambda marker: Payload(builtins.eval, f"open({str(marker)!r}, 'w')"),
        lambda marker: Payload(builtins.exec, f"open({str(marker)!r}, 'w')"),
        lambda marker: Payload(os.mkdir, str(marker)),
        lambda marker: Payload(getattr, 5, "real"),
        lambda marker: Payload(torch.load, str(marker)),
        lambda marker: types.SimpleNamespace(a=1),
    ],
    ids=["eval", "exec", "mkdir", "getattr", "torch.load", "an object"],
)
def test_any_name_beyond_tensors_and_settings_is_refused(
    payload: Callable[[Path], Any], tmp_path: Path
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    torch.save({"state_dict": {}, "config": payload(marker)}, path)
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()


def test_what_other_libraries_allow_in_the_same_process_does_not_widen_what_weights_may_ask_for(
    shared: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {}, "config": Payload(getattr, 5, "real")}, path)
    load_detector(str(shared / "weights/yolo11n.pt"), DetectorConfig(runtime="torch"), torch.device("cpu"))
    with torch.serialization.safe_globals([getattr]):  # as current releases of Ultralytics do, for good
        allowed = set(torch.serialization.get_safe_globals())
        with pytest.raises(InputError, match="refused: it asks for getattr"):
            load_checkpoint(path)
        assert set(torch.serialization.get_safe_globals()) == allowed, "what others need is given back"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_bare_pickles_of_any_protocol_do_not_run(protocol: int, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({"state_dict": system(marker)}, protocol))
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()


def test_old_pickle_instructions_do_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pth"
    path.write_bytes(f"(S'touch {marker}'\nios\nsystem\n.".encode())
    with pytest.raises(InputError, match="refused"):
        load_checkpoint(path)
    assert not marker.exists()


# ------------------------------------------------------------------ broken files


def test_broken_files_give_one_line(tmp_path: Path) -> None:
    torch.save(small_state(), tmp_path / "zip")
    torch.save(small_state(), tmp_path / "legacy", _use_new_zipfile_serialization=False)
    save_checkpoint(BPBReID(ModelOptions(backbone="efficientnet_lite0")), tmp_path / "safe")
    for name in ("zip", "legacy", "safe"):
        content = (tmp_path / name).read_bytes()
        for share in (0.001, 0.5, 0.999):
            path = tmp_path / "cut.pth"
            path.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(InputError, match=r"cut\.pth: (damaged|refused)") as caught:
                load_checkpoint(path)
            assert "\n" not in str(caught.value)
            assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "damaged"), (b"hello, this is text", "damaged"), (b"\x80\x02N.", "damaged")],
    ids=["empty", "text", "a pickled None"],
)
def test_files_that_are_no_checkpoint(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"x\.pth: {message}"):
        load_checkpoint(tmp_path / "x.pth")


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pth: no such file"):
        load_checkpoint(tmp_path / "none.pth")
    with pytest.raises(InputError, match="directory"):
        load_checkpoint(tmp_path)


def test_weights_of_another_program_are_refused(shared: Path) -> None:
    with pytest.raises(InputError, match=r"osnet_x0_25_msmt17\.pth: an OSNet, which knows no parts"):
        load_checkpoint(shared / "weights" / "osnet_x0_25_msmt17.pth")


def test_ultralytics_weights_are_refused_without_being_run(shared: Path) -> None:
    with pytest.raises(InputError, match=r"yolo11n\.pt: refused: it asks for ultralytics"):
        load_checkpoint(shared / "weights" / "yolo11n.pt")


# ------------------------------------------------------------------ our own format


@pytest.fixture
def ours() -> BPBReID:
    torch.manual_seed(0)
    options = ModelOptions(
        backbone="efficientnet_lite0",
        part_names=part_names("three_v"),
        dim=8,
        num_identities=4,
        input_size=(64, 32),
        visibility="continuous",
    )
    return BPBReID(options).eval()


def test_what_is_saved_is_read_back_bit_for_bit(ours: BPBReID, tmp_path: Path) -> None:
    provenance = {"data": "Market-1501", "epochs": 120, "scores": {"mAP": 0.87}}
    ours.to(memory_format=torch.channels_last)
    save_checkpoint(ours, tmp_path / "x.safetensors", provenance)
    checkpoint = read_checkpoint(tmp_path / "x.safetensors")
    assert checkpoint.network.options == ours.options
    assert checkpoint.provenance == provenance
    loaded = checkpoint.network.state_dict()
    assert loaded.keys() == ours.state_dict().keys()
    assert all(torch.equal(value, loaded[key]) for key, value in ours.state_dict().items())


def test_one_network_gives_one_file(ours: BPBReID, tmp_path: Path) -> None:
    contents = set()
    for number, keys in enumerate(["abcd", "dcba"] * 4):
        save_checkpoint(ours, tmp_path / "x.safetensors", dict.fromkeys(keys, 1))
        contents.add((tmp_path / "x.safetensors").read_bytes())
        assert len(contents) == 1, f"save {number} differs"
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_the_name_of_a_file_does_not_matter(ours: BPBReID, tmp_path: Path) -> None:
    save_checkpoint(ours, tmp_path / "ours.pth")
    torch.save(small_state(), tmp_path / "theirs.safetensors")
    assert load_checkpoint(tmp_path / "ours.pth").options == ours.options
    assert load_checkpoint(tmp_path / "theirs.safetensors").options.backbone == "resnet50"


def test_half_precision_halves_the_file_and_reads_as_float32(ours: BPBReID, tmp_path: Path) -> None:
    save_checkpoint(ours, tmp_path / "full.safetensors")
    save_checkpoint(ours, tmp_path / "half.safetensors", dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.55 * sizes[1]
    loaded = load_checkpoint(tmp_path / "half.safetensors")
    assert all(value.dtype == torch.float32 for value in loaded.parameters())
    images = torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(loaded.embed(images).features, ours.embed(images).features, atol=0.02, rtol=0)


def test_safetensors_of_others_and_of_later_versions_are_told_apart(ours: BPBReID, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(InputError, match="without this program's configuration"):
        load_checkpoint(path)
    save_checkpoint(ours, path)
    header = {"format": "bpbreid_track", "options": ours.options.model_dump_json(), "provenance": "{}"}
    tensors = load_file(path)
    save_file(tensors, path, header | {"format_version": "99"})
    with pytest.raises(InputError, match=r"format version 99.*upgrade"):
        load_checkpoint(path)
    save_file(tensors, path, header)
    with pytest.raises(InputError, match="damaged header"):
        load_checkpoint(path)
    save_file(tensors, path, header | {"format_version": "1", "options": '{"backbone": "resnet51"}'})
    with pytest.raises(UsageError, match="backbone"):
        load_checkpoint(path)


def test_tensors_that_do_not_fit_the_stored_options_are_refused(ours: BPBReID, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(ours, path)
    header = {"format": "bpbreid_track", "format_version": "1", "provenance": "{}"}
    eight = ours.options.model_copy(update={"part_names": part_names("eight")})
    save_file(load_file(path), path, header | {"options": eight.model_dump_json()})
    with pytest.raises(InputError, match=r"expected \[9, 1280, 1, 1\], found \[4, 1280, 1, 1\]"):
        load_checkpoint(path)


def test_unwritable_file_is_one_line(ours: BPBReID, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_checkpoint(ours, tmp_path / "no folder" / "x.safetensors")


def test_training_goes_on_from_weights_of_other_people(ours: BPBReID, tmp_path: Path) -> None:
    save_checkpoint(ours, tmp_path / "x.safetensors")
    more = BPBReID(ours.options.model_copy(update={"num_identities": 9}))
    own = more.identity["global"].classifier.weight.clone()
    report = load_weights(more, tmp_path / "x.safetensors")
    assert torch.equal(more.identity["global"].classifier.weight, own)
    assert torch.equal(more.reduce["parts"][0].weight, ours.reduce["parts"][0].weight)
    assert any("expected 9 identities, found 4" in note for note in report.notes)
    assert all(key.endswith("classifier.weight") for key in report.kept)


def test_training_can_start_from_a_file_stripped_for_inference(ours: BPBReID, tmp_path: Path) -> None:
    save_checkpoint(ours.for_inference(), tmp_path / "x.safetensors")
    network = BPBReID(ours.options.model_copy(update={"num_identities": 9}))
    own = network.reduce["global"][0].weight.clone()
    report = load_weights(network, tmp_path / "x.safetensors")
    assert torch.equal(network.reduce["global"][0].weight, own)
    assert torch.equal(network.reduce["parts"][0].weight, ours.reduce["parts"][0].weight)
    assert "reduce.global.0.weight" in report.kept
    assert "reduce.parts.0.weight" not in report.kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part_names": EIGHT}, r"K, the number of parts, does not fit: expected 8, found 3"),
        ({"dim": 16}, r"D, the width of an embedding, does not fit: expected 16, found 8"),
    ],
    ids=["K", "width"],
)
def test_weights_of_another_shape_do_not_go_in(
    change: dict[str, Any], message: str, ours: BPBReID, tmp_path: Path
) -> None:
    save_checkpoint(ours, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=message):
        load_weights(BPBReID(ours.options.model_copy(update=change)), tmp_path / "x.safetensors")


def test_a_checkpoint_can_be_read_by_others(tmp_path: Path) -> None:
    path, plain = tmp_path / "mine.safetensors", tmp_path / "plain.txt"
    plain.write_text("as any other file")
    save_checkpoint(BPBReID(ModelOptions(backbone="efficientnet_lite0", part_names=("upper", "lower"))), path)
    assert path.stat().st_mode == plain.stat().st_mode
