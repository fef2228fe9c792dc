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
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.options import ModelOptions
from bpbreid_trainer.engine import fit
from bpbreid_trainer.logs import read_table
from bpbreid_trainer.options import TrainOptions
from bpbreid_trainer.teacher import Teacher, imitation_loss, shown_rows

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


@pytest.fixture(scope="module")
def teacher(shared: Path) -> Teacher:
    pytest.importorskip("openvino")
    return Teacher(shared / NETWORK)


def pictures_of(shared: Path, count: int) -> tuple[list[np.ndarray], torch.Tensor]:
    crops = [cv2.resize(crop, (128, 256)) for crop in crops_of(shared, count)]
    return crops, torch.from_numpy(np.stack([crop[..., ::-1].transpose(2, 0, 1) for crop in crops]))


def test_of_whole_people_a_teacher_says_what_it_says_as_an_encoder(shared: Path, teacher: Teacher) -> None:
    crops, pictures = pictures_of(shared, 2)
    assert (teacher.size, teacher.map_size, teacher.dim) == ((256, 128), (16, 8), 256)
    found = teacher(pictures, torch.zeros(2, 1, *teacher.map_size))[:, 0]
    expected = Encoder.load(shared / NETWORK, device="cpu").encode_crops(crops).features[:, 0]
    assert F.cosine_similarity(found, expected).min() > 0.99  # bf16 where the processor has it


def test_of_a_part_a_teacher_says_what_depends_on_that_part(shared: Path, teacher: Teacher) -> None:
    """Somebody with the legs of another: the torso stays as it was, legs come closer to the other's."""
    _, pictures = pictures_of(shared, 6)
    maps = torch.zeros(len(pictures), 2, *teacher.map_size)
    maps[:, 0, 2:7], maps[:, 1, 10:] = 1, 1
    others = pictures.roll(1, 0)
    mixed = torch.cat([pictures[:, :, :128], others[:, :, 128:]], 2)
    own, other, found = teacher(pictures, maps), teacher(others, maps), teacher(mixed, maps)
    torso, legs = 1, 2
    to_own, to_other = ((found * vectors).sum(-1).mean(0) for vectors in (own, other))
    assert to_own[torso] > to_other[torso] + 0.3
    assert to_other[legs] > to_own[legs] + 0.3


def test_a_part_that_is_nowhere_is_still_a_number(shared: Path, teacher: Teacher) -> None:
    _, pictures = pictures_of(shared, 1)
    assert teacher(pictures, torch.zeros(1, 3, *teacher.map_size)).isfinite().all()


def test_what_pools_no_map_is_no_teacher(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "x.pt").touch()
    with pytest.raises(InputError, match=r"x\.pt: not a teacher"):
        Teacher(tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"z\.xml: no such file"):
        Teacher(tmp_path / "z.xml")
    (tmp_path / "y.xml").write_text("<net/>")
    with pytest.raises(InputError, match=r"y\.xml: OpenVINO cannot read it"):
        Teacher(tmp_path / "y.xml")


def test_only_parts_that_show_before_and_after_augmentation_are_learnt() -> None:
    options = ModelOptions(part_names=("upper", "lower"), test_embeddings=("foreground", "parts"))
    targets = torch.tensor([[[1, 2]], [[1, 0]], [[1, 2]], [[-100, -100]]])
    maps = torch.ones(4, 2, 1, 1)
    maps[2, 0] = 0
    expected = torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, 1], [1, 0, 0]])
    torch.testing.assert_close(shown_rows(targets, maps, options), expected)


def test_the_loss_is_the_mean_distance_of_the_rows_that_are_shown() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, taught = F.normalize(torch.randn(2, 5, 3, 4, generator=generator), dim=-1)
    shown = (torch.rand(5, 3, generator=generator) > 0.4).float()
    each = [1 - rows[i, p] @ taught[i, p] for i in range(5) for p in range(3) if shown[i, p]]
    assert imitation_loss(rows, taught, shown).item() == pytest.approx(torch.stack(each).mean().item())
    assert imitation_loss(rows, taught, torch.zeros(5, 3)).item() == 0


def settings_of(root: Path, shared: Path, output: Path) -> dict[str, Any]:
    return {
        "data": {"root": str(root)},
        "output": str(output),
        "model": {
            "backbone": "efficientnet_lite0",
            "input_size": (64, 32),
            "dim": 256,
            "signed": True,
            "test_embeddings": ["foreground", "parts"],
        },
        "pretrained": False,
        "loss": {"weights": {}, "attention_weight": 1.0},
        "teacher": {"network": str(shared / NETWORK), "weight": 1.0},
        "identities_per_batch": 6,
        "augment": {"crop_padding": 0, "erase": 0, "collage": 0.5, "recolour": 0.5},
        "epochs": 12,
        "learning_rate": 2e-3,
        "schedule": {"warmup_epochs": 0},
        "evaluate_every": 0,
        "workers": 0,
        "device": "cpu",
        "log_every": 1,
    }


def test_a_network_comes_closer_to_its_teacher(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    settings = settings_of(make_reid_set(shared, tmp_path / "set"), shared, tmp_path / "run")
    fit(TrainOptions.model_validate(settings), quiet=True)
    losses = [row["teacher"] for row in read_table(tmp_path / "run" / "log.csv")]
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:2])
    encoder = Encoder.load(tmp_path / "run" / "last.safetensors", device="cpu")
    assert encoder.encode_crops(crops_of(shared, 1)).features.min() < 0  # signed


def test_a_width_that_the_teacher_does_not_have_is_named(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    settings = settings_of(make_reid_set(shared, tmp_path / "set"), shared, tmp_path / "run")
    settings["model"]["dim"] = 64
    with pytest.raises(UsageError, match=r"set model\.dim=256"):
        fit(TrainOptions.model_validate(settings), quiet=True)
