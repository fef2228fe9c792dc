"""Weights to begin with, from the Open Model Zoo's person-reidentification-retail-0277 (Intel, Apache-2.0).

    python scripts/start_from_retail_0277.py NETWORK.xml CROPS --out start.safetensors

The network that is written has its layers and finds no parts yet: whatever its attention says, the foreground
and every part are pooled as the published network pools a whole person. CROPS is a folder of pictures of
people; from some of them come the statistics of the BatchNorms behind the layers that are new.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from bpbreid_track.errors import InputError
from bpbreid_track.model.checkpoint import save_checkpoint
from bpbreid_track.model.crops import normalise
from bpbreid_track.model.network import BPBReID, resized_places
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.part_groups import part_names

_WITH_WEIGHTS = {"Convolution", "GroupConvolution", "Multiply", "Add", "MatMul"}
_MAP = (16, 8)  # the published network's last feature map
_CROPS = 512


def weights_in(xml: Path) -> Iterator[Tensor]:
    """All constants of convolutions, products and sums, float32, in the order of computing."""
    import openvino

    for node in openvino.Core().read_model(xml).get_ordered_ops():
        if node.get_type_name() not in _WITH_WEIGHTS:
            continue
        for index in range(node.get_input_size()):
            source: Any = node.input_value(index).get_node()
            if source.get_type_name() == "Convert":  # the file holds 16-bit floats
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                yield torch.from_numpy(np.array(source.get_data(), dtype=np.float32))


def layers_of(backbone: Any) -> Iterator[nn.Module]:
    """The layers with weights, in the order of the published file."""
    yield from (backbone.norm, backbone.stem, backbone.stem_norm)
    for stage in (1, 2, 3):
        for block in backbone.get_submodule(f"stage{stage}"):
            yield block.narrow
            for stream in block.streams:
                for light in stream:
                    yield from (light.channels, light.places)
                yield from block.gate.children()  # one gate for all streams, and in the file four times
            yield block.wide
            if isinstance(block.shortcut, nn.Conv2d):
                yield block.shortcut
        yield backbone.get_submodule(f"after{stage}")


@torch.no_grad()
def begin(xml: Path, size: tuple[int, int], crops: Tensor) -> BPBReID:
    """The network to begin with.

    Args:
        xml: person-reidentification-retail-0277.
        size: height and width of its pictures.
        crops: people as it will see them, normalised, float [N, 3, *size].

    Raises:
        InputError: another network.
    """
    options = ModelOptions(
        backbone="retail_osnet",
        part_names=part_names("three_v"),
        input_size=size,
        dim=256,
        signed=True,
        place_weights=True,
        classifier_batch_norm=True,
        classifier_bias=True,
        test_embeddings=("foreground", "parts"),
    )
    network = BPBReID(options).eval()
    constants = weights_in(xml)
    next(constants)  # the picture times 1 / std, which is done before
    try:
        for layer in layers_of(network.backbone):
            for parameter in layer.parameters():
                parameter.copy_(next(constants).reshape(parameter.shape))
        places, shift, linear, bias, scale, offset = constants
    except (StopIteration, ValueError, RuntimeError) as error:
        raise InputError(f"{xml}: not person-reidentification-retail-0277 ({error})") from error

    # Its last convolution sums w f over the map; the mean of n w f over n cells is the same.
    assert network.place_weights is not None
    places = resized_places(places.reshape(-1, *_MAP), network.place_weights.shape[1:])
    network.place_weights.copy_(places * _MAP[0] * _MAP[1])
    weight = linear.squeeze() * scale.reshape(-1, 1)
    bias = (linear.squeeze() @ shift.flatten() + bias.flatten()) * scale.flatten() + offset.flatten()

    maps = torch.cat([network.backbone(part) for part in crops.split(32)])
    vectors = (maps * network.place_weights).mean((2, 3)) @ weight.T + bias
    for reduction in network.reduce.values():
        first, norm, _ = reduction  # type: ignore[misc]
        first.weight.copy_(weight)
        first.bias.copy_(bias)
        _as_identity(norm, vectors)
    assert network.part_classifier is not None
    seen = network.part_classifier.bn
    assert seen is not None
    seen.running_mean, seen.running_var = maps.mean((0, 2, 3)), maps.var((0, 2, 3))
    return network


def _as_identity(norm: nn.BatchNorm1d, vectors: Tensor) -> None:
    """Statistics of ``vectors``, and weights that undo them."""
    norm.running_mean, norm.running_var = vectors.mean(0), vectors.var(0)
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)


def pictures(folder: Path, size: tuple[int, int]) -> Tensor:
    """Some of the pictures of a folder, evenly, uint8 [N, h, w, 3] RGB."""
    files = sorted(folder.rglob("*.jpg"))
    if not files:
        raise InputError(f"{folder}: no .jpg in it")
    chosen = files[:: max(1, len(files) // _CROPS)]
    images = [cv2.imread(str(file)) for file in chosen]
    height, width = size
    return torch.from_numpy(
        np.stack([cv2.resize(image, (width, height))[..., ::-1] for image in images if image is not None])
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("xml", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128), help="height and width (256 128)")
    arguments = parser.parse_args()
    size = tuple(arguments.size)
    options = ModelOptions(input_size=size)
    try:
        crops = normalise(pictures(arguments.crops, size), options.mean, options.std)
        save_checkpoint(begin(arguments.xml, size, crops), arguments.out)
    except InputError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
