"""Weights of torchreid's OSNet as an encoder of one row: the same vectors as the network they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from bpbreid_track import Encoder
from bpbreid_track.config import RunConfig, VectorInput
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import read_checkpoint
from bpbreid_track.model.osnet import osnet_of
from bpbreid_track.pipeline.fingerprint import of_encoder
from bpbreid_track.pipeline.networks import load_encoder
from bpbreid_track.read_config import overridden

WEIGHTS = "weights/osnet_x0_25_msmt17.pth"
KINDS = ["osnet_x0_25", "osnet_x0_5", "osnet_ibn_x1_0", "osnet_ain_x0_25"]
CROP = np.random.default_rng(0).integers(0, 256, (90, 40, 3), dtype=np.uint8)


def reference(kind: str) -> torch.nn.Module:
    """Another implementation, with random weights and statistics that differ from the trivial ones."""
    family: Any = pytest.importorskip("boxmot.reid.backbones.families.osnet")
    torch.manual_seed(0)
    network: torch.nn.Module = getattr(family, kind)(num_classes=5, pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d, torch.nn.InstanceNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, std=0.1)
            if module.running_mean is not None:
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_gives_the_vectors_of_the_network_it_was_taken_from(kind: str) -> None:
    network = reference(kind)
    pictures = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        expected = network(pictures)
        torch.testing.assert_close(osnet_of(network.state_dict(), "x.pth")(pictures), expected)
    assert expected.std() > 0.01


def test_people_are_told_apart_by_weights_of_torchreid(shared: Path) -> None:
    encoder = Encoder.load(shared / WEIGHTS, device="cpu", precision="fp32")
    assert (encoder.input_size, encoder.dim, encoder.part_names) == ((256, 128), 512, ("global",))
    folder = shared / "data/market1501-split/query"
    people = sorted({path.name[:4] for path in folder.glob("*.jpg")})[:8]
    views = [sorted(folder.glob(f"{person}*.jpg"))[:2] for person in people]
    first, second = (
        encoder.encode_crops([cv2.imread(str(pair[at])) for pair in views]).features[:, 0] for at in (0, 1)
    )
    assert ((first @ second.T).argmax(1) == torch.arange(len(people))).sum() >= 6


def test_what_it_takes_can_be_stated(shared: Path) -> None:
    stated = ["encoder.input.size=[128, 64]", "encoder.input.colours=bgr", "encoder.input.values=0-1"]
    encoders = [
        load_encoder(str(shared / WEIGHTS), overridden(RunConfig, None, changes), "cpu", "fp32")
        for changes in ([], stated)
    ]
    usual, other = (encoder for encoder in encoders if encoder is not None)
    assert other.input_size == (128, 64)
    assert of_encoder(usual) != of_encoder(other)  # else a cache would mix the two
    picture = np.zeros((128, 64, 3), np.uint8)
    picture[..., 0] = 255  # blue
    taken: list[torch.Tensor] = []
    other.network._network.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))  # type: ignore[union-attr]
    other.encode_crops([picture])
    assert taken[0][0, :, 0, 0].tolist() == pytest.approx([1, 0, 0])


def test_a_network_that_says_itself_what_it_takes_is_told_nothing(shared: Path) -> None:
    with pytest.raises(UsageError, match=r"encoder\.input: .* says itself what it takes"):
        Encoder.load(input=VectorInput(size=(128, 64)))
    pytest.importorskip("openvino")
    network = shared / "weights/person-reidentification-retail-0277.xml"
    with pytest.raises(UsageError, match=r"takes pictures of 256x128, not of 128x64; leave encoder\.input"):
        Encoder.load(network, device="cpu", input=VectorInput(size=(128, 64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda state: state.pop("conv4.1.gate.fc2.bias"), "1 of", id="missing"),
        pytest.param(lambda state: state.update(extra=torch.zeros(1)), "1 of .* such as extra", id="unknown"),
        pytest.param(lambda state: state.pop("fc.0.weight"), "do not fit", id="no head"),
        pytest.param(
            lambda state: state.update({"conv2.0.conv3.conv.weight": torch.zeros(())}),
            "do not fit",
            id="scalar",
        ),
    ],
)
def test_a_file_that_is_no_osnet_after_all_is_one_line(
    change: Any, message: str, shared: Path, tmp_path: Path
) -> None:
    state = torch.load(shared / WEIGHTS, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=rf"odd\.pth: an OSNet .*{message}") as caught:
        Encoder.load(tmp_path / "odd.pth", device="cpu")
    assert "\n" not in str(caught.value)


def test_somebody_elses_other_network_is_one_line_with_the_mend(tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.weight": torch.zeros(3, 3, 1, 1)}, tmp_path / "r50.pth")
    with pytest.raises(InputError, match=r"r50\.pth: tensors such as .* exported to \.onnx first"):
        Encoder.load(tmp_path / "r50.pth", device="cpu")


def test_training_does_not_start_from_an_osnet(shared: Path) -> None:
    with pytest.raises(InputError, match="an OSNet, which knows no parts"):
        read_checkpoint(shared / WEIGHTS)
