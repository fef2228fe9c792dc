"""Weights to begin with from the Open Model Zoo's 0277: the same layers, the same numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bpbreid_track import Encoder
from bpbreid_track.errors import InputError
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.network import BPBReID
from scripts.start_from_retail_0277 import begin, pictures

SIZE = (256, 128)


@pytest.fixture(scope="module")
def published(shared: Path) -> Path:
    return shared / "weights" / "person-reidentification-retail-0277.xml"


@pytest.fixture(scope="module")
def people(shared: Path) -> np.ndarray:
    """RGB crops uint8 [N, 256, 128, 3]."""
    return pictures(shared / "data" / "market1501-split" / "query", SIZE).numpy()[:48]


@pytest.fixture(scope="module")
def network(published: Path, people: np.ndarray) -> BPBReID:
    return begin(published, SIZE, normalised(people))


def normalised(people: np.ndarray) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.from_numpy(people) / 255 - mean) / std).permute(0, 3, 1, 2).float()


def test_all_parts_begin_as_the_published_vector(
    network: BPBReID, published: Path, people: np.ndarray
) -> None:
    crops = [np.ascontiguousarray(picture[..., ::-1]) for picture in people]
    theirs = Encoder.load(published, device="cpu", precision="fp32").encode_crops(crops)
    with torch.no_grad():
        features = network.backbone(normalised(people))
        everywhere = features.new_ones(len(people), 16, 8)
        maps = {"foreground": everywhere, "parts": everywhere[:, None].expand(-1, 3, -1, -1)}
        ours = network._embeddings(features, maps, ("foreground", "parts"))
    reference = torch.as_tensor(theirs.features[:, 0])
    for row in (ours["foreground"], *ours["parts"].unbind(1)):
        # The published network ends in a PReLU with a slope of 0.99, which is left out.
        assert F.cosine_similarity(row, reference).min() > 0.999


def test_a_batch_in_training_is_pooled_as_in_testing(network: BPBReID, people: np.ndarray) -> None:
    """BatchNorms behind the new layers begin as the identity."""
    with torch.no_grad():
        tested = network.embed_tensors(normalised(people))[0]
        trained = network.train().embed_tensors(normalised(people))[0]
    network.eval()
    assert F.cosine_similarity(tested, trained, dim=-1).mean() > 0.98


def test_another_size_takes_the_weights_of_places_between(network: BPBReID, people: np.ndarray) -> None:
    smaller = np.stack([cv2.resize(picture, (96, 192)) for picture in people])
    rows, fewer = (
        torch.as_tensor(network.embed(normalised(size)).features[:, 0]) for size in (people, smaller)
    )
    same = (rows * fewer).sum(1)
    others = rows @ fewer.T
    others.fill_diagonal_(0)
    assert same.mean() > others.mean() + 0.4


def test_places_are_kept_with_the_weights(network: BPBReID, people: np.ndarray, tmp_path: Path) -> None:
    save_checkpoint(network, tmp_path / "start.safetensors")
    crops = [np.ascontiguousarray(picture[..., ::-1]) for picture in people[:8]]
    again = Encoder.load(tmp_path / "start.safetensors", device="cpu", precision="fp32").encode_crops(crops)
    np.testing.assert_allclose(
        again.features, network.embed(normalised(people[:8])).features, rtol=0, atol=2e-3
    )


def test_another_network_is_refused(tmp_path: Path, people: np.ndarray) -> None:
    openvino = pytest.importorskip("openvino")
    operations = openvino.opset13
    data = operations.parameter([1, 3, 256, 128], np.float32)
    scaled = operations.multiply(data, operations.constant(np.float32(2)))
    other = openvino.Model([operations.result(scaled)], [data])
    openvino.save_model(other, tmp_path / "other.xml")
    with pytest.raises(InputError, match="not person-reidentification-retail-0277"):
        begin(tmp_path / "other.xml", SIZE, normalised(people))
