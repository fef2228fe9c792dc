"""Other people's networks of one vector: batches of one size, half precision, bytes."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open
from safetensors.torch import save_file
from small_encoders import frame, network

from bpbreid_track import Encoder
from bpbreid_track.config import VectorInput
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import save_checkpoint

CROPS = [frame(90, 40, seed) for seed in range(5)]
PIXELS = VectorInput(values="0-255")


def exported(
    path: Path, batch: int | str = "N", kind: int = TensorProto.FLOAT, layout: str = "chw", height: int = 64
) -> Path:
    """A network that gives the mean colours of the four quarters of a crop, in the path of its file."""
    inside = TensorProto.FLOAT16 if kind == TensorProto.FLOAT16 else TensorProto.FLOAT
    shape = {"chw": [batch, 3, height, 32], "any": [batch, "a", "b", "c"]}[layout]
    nodes = [
        helper.make_node("Cast", ["in"], ["cast"], to=inside),
        helper.make_node("Conv", ["cast", "weight"], ["mixed"]),
        helper.make_node("AveragePool", ["mixed"], ["pooled"], kernel_shape=[32, 16], strides=[32, 16]),
        helper.make_node("Flatten", ["pooled"], ["out"]),
    ]
    mixing = np.eye(3, dtype=np.float16 if inside == TensorProto.FLOAT16 else np.float32).reshape(3, 3, 1, 1)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("in", kind, shape)],
        [helper.make_tensor_value_info("out", inside, [batch, 3 * (height // 32) * 2])],
        [numpy_helper.from_array(mixing, "weight")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(path))
    return path


def vectors(path: Path, **settings: object) -> torch.Tensor:
    return Encoder.load(path, device="cpu", **settings).encode_crops(CROPS).features  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batch", "kind", "tolerance"),
    [
        pytest.param(1, TensorProto.FLOAT, 1e-6, id="one crop, torch.onnx.export's habit"),
        pytest.param(2, TensorProto.FLOAT, 1e-6, id="two crops"),
        pytest.param(16, TensorProto.FLOAT, 1e-6, id="more crops than there are"),
        pytest.param("N", TensorProto.FLOAT16, 1e-2, id="half precision"),
        pytest.param("N", TensorProto.UINT8, 1e-6, id="pixels as bytes"),
    ],
)
def test_onnx_files_of_every_input_give_the_same_vectors(
    batch: int | str, kind: int, tolerance: float, tmp_path: Path
) -> None:
    usual = vectors(exported(tmp_path / "usual.onnx"), input=PIXELS)
    assert usual.shape == (5, 1, 12)
    found = vectors(exported(tmp_path / "other.onnx", batch, kind), input=PIXELS)
    torch.testing.assert_close(found, usual, atol=tolerance, rtol=0)


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_bytes_say_themselves_that_values_are_from_0_to_255(ending: str, tmp_path: Path) -> None:
    path = exported(tmp_path / "bytes.onnx", kind=TensorProto.UINT8)
    if ending == ".xml":
        openvino = pytest.importorskip("openvino")
        openvino.save_model(openvino.convert_model(path), tmp_path / "bytes.xml", compress_to_fp16=False)
        path = tmp_path / "bytes.xml"
    colours = VectorInput(colours="rgb")
    usual = vectors(exported(tmp_path / "usual.onnx"), input=PIXELS)
    torch.testing.assert_close(vectors(path, input=colours, precision="fp32"), usual, atol=1e-5, rtol=0)
    with pytest.raises(UsageError, match=rf"bytes{ending}: takes whole numbers, .* not imagenet; leave"):
        vectors(path, input=VectorInput(values="imagenet"))


def test_what_a_network_cannot_do_shows_when_it_is_loaded(tmp_path: Path) -> None:
    path = exported(tmp_path / "odd.onnx", layout="any")
    document = onnx.load(str(path))
    document.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.ones((2, 7, 1, 1), np.float32), "weight")
    )
    onnx.save(document, str(path))
    with pytest.raises(InputError, match=r"odd\.onnx: fails on pictures \[2, 3, 64, 32\]") as caught:
        Encoder.load(path, device="cpu", input=VectorInput(size=(64, 32)))
    assert "\n" not in str(caught.value)
    path = exported(tmp_path / "nan.onnx")
    document = onnx.load(str(path))
    document.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((3, 3, 1, 1), np.nan, np.float32), "weight")
    )
    onnx.save(document, str(path))
    with pytest.raises(InputError, match=r"nan\.onnx: gives NaN or infinity"):
        Encoder.load(path, device="cpu")


def test_weights_of_a_training_that_diverged_are_refused(shared: Path, tmp_path: Path) -> None:
    save_checkpoint(network(), tmp_path / "ours.safetensors")
    with safe_open(tmp_path / "ours.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors["backbone.conv_stem.weight"][0] = torch.nan
    save_file(tensors, tmp_path / "ours.safetensors", metadata)
    with pytest.raises(InputError, match=r"1 of \d+ tensors hold NaN .* such as backbone\.conv_stem\.weight"):
        Encoder.load(tmp_path / "ours.safetensors", device="cpu")
    state = torch.load(shared / "weights/osnet_x0_25_msmt17.pth", weights_only=True)
    state["classifier.bias"][0] = torch.inf  # of people it was trained on: takes no part
    torch.save(state, tmp_path / "osnet.pth")
    Encoder.load(tmp_path / "osnet.pth", device="cpu")
    state["conv1.conv.weight"][0] = torch.inf
    torch.save(state, tmp_path / "osnet.pth")
    with pytest.raises(InputError, match=r"osnet\.pth: 1 of \d+ tensors hold NaN .* conv1\.conv\.weight"):
        Encoder.load(tmp_path / "osnet.pth", device="cpu")


def test_threads_may_share_an_encoder_that_openvino_runs(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    large = exported(tmp_path / "large.onnx", height=512)
    openvino.save_model(openvino.convert_model(large), tmp_path / "large.xml")
    encoder = Encoder.load(tmp_path / "large.xml", device="cpu", precision="fp32")
    crops = [[frame(90, 40, seed)] * 12 for seed in range(4)]
    expected = [encoder.encode_crops(each).features for each in crops]
    wrong: list[object] = []
    together = threading.Barrier(len(crops))

    def work(place: int) -> None:
        together.wait()
        for _ in range(20):
            try:
                if not torch.equal(encoder.encode_crops(crops[place]).features, expected[place]):
                    wrong.append(place)
            except RuntimeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(crops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
