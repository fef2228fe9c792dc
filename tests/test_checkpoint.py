"""Checkpoints: ours are written and read, broken files are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from authors_files import small_state
from safetensors.torch import load_file, save_file
from small_encoders import network

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import load_checkpoint, load_weights, read_checkpoint, save_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.part_groups import part_names
from bpbreid_trainer.export import export_encoder

EIGHT = ("head", "left_arm", "right_arm", "torso", "left_leg", "right_leg", "left_feet", "right_feet")


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


def test_weights_of_places_fit_every_size_of_input(tmp_path: Path) -> None:
    options = ModelOptions(backbone="efficientnet_lite0", part_names=("upper", "lower"), place_weights=True)
    large = BPBReID(options).eval()
    assert large.place_weights is not None
    torch.nn.init.normal_(large.place_weights, generator=torch.Generator().manual_seed(0))
    save_checkpoint(large, tmp_path / "large.safetensors")
    small = BPBReID(options.model_copy(update={"input_size": (256, 96)})).eval()
    report = load_weights(small, tmp_path / "large.safetensors")
    assert report.notes == ["place_weights resized from 16x8 to 16x6 places"]
    pictures = torch.rand(2, 3, 256, 96, generator=torch.Generator().manual_seed(1))
    # A network that is shown another size than it was made for does the same.
    for found, expected in zip(small.embed_tensors(pictures), large.embed_tensors(pictures), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_checkpoint_can_be_read_by_others(tmp_path: Path) -> None:
    path, plain = tmp_path / "mine.safetensors", tmp_path / "plain.txt"
    plain.write_text("as any other file")
    save_checkpoint(BPBReID(ModelOptions(backbone="efficientnet_lite0", part_names=("upper", "lower"))), path)
    assert path.stat().st_mode == plain.stat().st_mode


def test_an_average_is_of_one_architecture_and_mirrors_as_the_first_does(tmp_path: Path) -> None:
    made = {"first": network(1), "second": network(2, mirror=True), "wide": network(3, dim=32)}
    for name, net in made.items():
        save_checkpoint(net, tmp_path / f"{name}.safetensors")
    first, second, wide = (tmp_path / f"{name}.safetensors" for name in made)
    export_encoder([first, second], tmp_path / "both.safetensors")
    both = read_checkpoint(tmp_path / "both.safetensors").network
    assert not both.options.mirror
    kept = both.state_dict()
    key = next(name for name in kept if name.endswith("weight"))
    expected = (made["first"].state_dict()[key] + made["second"].state_dict()[key]) / 2
    torch.testing.assert_close(kept[key], expected)
    with pytest.raises(InputError, match=r"wide\.safetensors: another architecture"):
        export_encoder([first, wide], tmp_path / "none.safetensors")
