"""Learning from another encoder, and other people's encoders that give one vector a crop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reid_scene import make_reid_set

from bpbreid_track import Encoder
from bpbreid_track.errors import InputError
from bpbreid_trainer.engine import fit
from bpbreid_trainer.logs import read_table
from bpbreid_trainer.options import TrainOptions
from bpbreid_trainer.teacher import Teacher, distance_loss

NETWORK = "weights/person-reidentification-retail-0277.xml"


def crops_of(shared: Path, count: int) -> list[np.ndarray]:
    paths = sorted((shared / "data/market1501-split/query").glob("*.jpg"))[: 20 * count : 20]
    images = [cv2.imread(str(path)) for path in paths]
    return [image for image in images if image is not None]


# ------------------------------------------------------------------------------------------ one vector


def test_a_network_of_the_open_model_zoo_is_an_encoder_of_one_row(shared: Path) -> None:
    openvino = pytest.importorskip("openvino")
    crops = crops_of(shared, 3)
    encoder = Encoder.load(shared / NETWORK, device="cpu", precision="fp32")
    found = encoder.encode_crops(crops)
    assert found.part_names == ("global",)
    assert found.visibility.eq(1).all()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(str(shared / NETWORK), "CPU", settings)
    for row, crop in zip(found.features[:, 0], crops, strict=True):
        picture = cv2.resize(crop, (128, 256)).transpose(2, 0, 1)[None].astype(np.float32)  # BGR, 0 .. 255
        expected = F.normalize(torch.from_numpy(network(picture)[0].reshape(-1)), dim=0)
        assert torch.dot(row, expected) > 0.9999


def onnx_file(path: Path, shape: list[Any], axes: list[int]) -> Path:
    """A network whose vector is the mean of a picture over ``axes``."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    graph = helper.make_graph(
        [node],
        "mean",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [side for at, side in enumerate(shape) if at not in axes])],
        [helper.make_tensor("axes", onnx.TensorProto.INT64, [len(axes)], axes)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


def test_an_onnx_network_without_our_metadata_is_given_normalised_rgb(tmp_path: Path) -> None:
    encoder = Encoder.load(onnx_file(tmp_path / "x.onnx", ["N", 3, 64, 32], [2, 3]), device="cpu")
    colour = np.array([40, 90, 200], np.uint8)  # B, G, R
    found = encoder.encode_crops([np.broadcast_to(colour, (50, 20, 3)).copy()])
    rgb = (colour[::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found.features[0, 0].numpy(), rgb / np.linalg.norm(rgb), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "axes"), [(["N", 3, 64, 32], [3]), (["N", 1, 64, 32], [2, 3]), (["N", 3, "h", 32], [2, 3])]
)
def test_what_gives_no_vector_of_a_picture_is_refused(
    shape: list[Any], axes: list[int], tmp_path: Path
) -> None:
    path = onnx_file(tmp_path / "x.onnx", shape, axes)
    with pytest.raises(InputError, match=r"x\.onnx: neither written by bpbreid_track nor"):
        Encoder.load(path, device="cpu")


# --------------------------------------------------------------------------------------------- teacher


def test_the_loss_is_the_mean_over_pairs_and_common_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = F.normalize(torch.randn(5, 3, 4, generator=generator), dim=-1)
    taught = F.normalize(torch.randn(5, 7, generator=generator), dim=-1)
    seen = (torch.rand(5, 3, generator=generator) > 0.4).float()
    total, weight = 0.0, 0.0
    for i in range(5):
        for j in range(5):
            for row in range(3):
                if i != j and seen[i, row] and seen[j, row]:
                    wrong = rows[i, row] @ rows[j, row] - taught[i] @ taught[j]
                    total, weight = total + wrong.item() ** 2, weight + 1
    assert distance_loss(rows, seen, taught).item() == pytest.approx(total / weight, rel=1e-5)


def test_nothing_in_common_is_no_loss_and_no_gradient_that_is_not_a_number() -> None:
    rows = torch.zeros(2, 1, 4, requires_grad=True)
    loss = distance_loss(rows, torch.tensor([[1.0], [0.0]]), torch.eye(2))
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None
    assert rows.grad.isfinite().all()


def test_a_teacher_sees_what_an_encoder_sees(shared: Path) -> None:
    pytest.importorskip("openvino")
    crops = crops_of(shared, 2)
    pictures = torch.from_numpy(np.stack([crop[..., ::-1].transpose(2, 0, 1) for crop in crops]))
    found = Teacher(str(shared / NETWORK), torch.device("cpu"))(pictures)
    encoder = Encoder.load(shared / NETWORK, device="cpu")
    torch.testing.assert_close(found, F.normalize(encoder.encode_crops(crops).features[:, 0], dim=-1))


def test_a_network_comes_closer_to_its_teacher(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    root = make_reid_set(shared, tmp_path / "set")
    settings = {
        "data": {"root": str(root)},
        "output": str(tmp_path / "run"),
        "model": {
            "backbone": "efficientnet_lite0",
            "input_size": (64, 32),
            "dim": 32,
            "test_embeddings": ["bn_foreground"],
        },
        "pretrained": False,
        "loss": {"weights": {}, "attention_weight": 1.0},
        "teacher": {"encoder": str(shared / NETWORK), "weight": 1.0},
        "identities_per_batch": 6,
        "augment": {"crop_padding": 0, "erase": 0},
        "epochs": 12,
        "learning_rate": 2e-3,
        "schedule": {"warmup_epochs": 0},
        "evaluate_every": 0,
        "workers": 0,
        "device": "cpu",
        "log_every": 1,
    }
    fit(TrainOptions.model_validate(settings), quiet=True)
    losses = [row["teacher"] for row in read_table(tmp_path / "run" / "log.csv")]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:2])
