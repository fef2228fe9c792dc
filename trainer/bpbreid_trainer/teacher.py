"""Learning from somebody else's network of one vector a person, of whole people and of each part.

The teacher's last feature map is weighted by where a part is, as in Eq. 3, before its own head makes a
vector of it: so a network that knows no parts teaches them. It looks at pictures before anything was cut
off, covered or blurred, and at the labels there; the network has to say the same of what is left of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bpbreid_track.errors import InputError, one_line
from bpbreid_track.model.network import Outputs
from bpbreid_track.model.one_vector import OPEN_MODEL_ZOO, TORCHREID, describe_one_vector
from bpbreid_track.model.openvino_streams import OpenVinoStreams, crop_streams, openvino_core
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.runtimes import known_sides, library
from bpbreid_track.quick_precision import quickest_precision

_SUFFIXES = (".xml", ".onnx")


class Teacher:
    """A re-identification network in an OpenVINO or ONNX file, run by OpenVINO on the CPU.

    Args:
        path: takes pictures [N, 3, h, w], gives one vector [N, E], and pools a feature map in between.

    Attributes:
        size: height and width of the pictures that it takes.
        map_size: height and width of its last feature map.
        dim: E.

    Raises:
        InputError: no such file, not such a network, or OpenVINO is missing.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file; teacher.network is an .xml or .onnx file")
        if path.suffix.lower() not in _SUFFIXES:
            raise InputError(
                f"{path}: not a teacher: an .xml or .onnx file of a network of one vector a person"
            )
        openvino = library("openvino", path)
        core = openvino_core(openvino)
        try:
            body, head = core.read_model(path), core.read_model(path)
        except RuntimeError as error:
            raise InputError(f"{path}: OpenVINO cannot read it ({one_line(error)})") from error
        sides = [[known_sides(item) for item in items] for items in (body.inputs, body.outputs)]
        self._bgr = path.suffix.lower() == ".xml"
        habit = OPEN_MODEL_ZOO if self._bgr else TORCHREID
        described = json.loads(describe_one_vector(path, sides[0], sides[1], habit))
        self._options = ModelOptions.model_validate(described["options"])
        self.size = self._options.input_size
        self.dim: int = described["dim"]
        for model in (body, head):
            model.reshape([1, 3, *self.size])
        pooling = _pooling(head, path)
        shape = [side.get_length() for side in list(pooling.input(0).get_partial_shape())[1:]]
        self.map_size = (shape[1], shape[2])
        features = openvino.opset13.parameter([1, *shape], openvino.Type.f32)
        pooling.input(0).replace_source_output(features.output(0))
        head = openvino.Model(head.get_results(), [features])
        body = openvino.Model(
            [openvino.opset13.result(_pooling(body, path).input_value(0))], body.get_parameters()
        )
        precision, threads = quickest_precision(), torch.get_num_threads()
        self._body, self._head = (
            OpenVinoStreams(core, [(model, precision)], threads, crop_streams(threads))
            for model in (body, head)
        )

    def __call__(self, pictures: Tensor, parts: Tensor) -> Tensor:
        """What it says of people and their parts.

        Args:
            pictures: uint8 [N, 3, *size], RGB.
            parts: where each part is, float [N, K, *map_size] in [0, 1]; what is zero everywhere is taught
                as nothing.

        Returns:
            Unit vectors float32 [N, 1 + K, E], the whole person first.
        """
        mean, std = (torch.tensor(value)[:, None, None] for value in (self._options.mean, self._options.std))
        images = (pictures.cpu().float() / 255 - mean) / std
        if self._bgr:
            images = images.flip(1)
        features = torch.from_numpy(self._body(images.numpy())[0])
        maps = torch.cat([torch.ones_like(parts[:, :1]), parts], 1).cpu().float()
        # Of mean 1, as the head is used to: it was trained on the sum over all of the map.
        maps = maps / maps.mean((2, 3), keepdim=True).clamp_min(1e-6)
        weighted = features[:, None] * maps[:, :, None]
        vectors = torch.from_numpy(self._head(weighted.flatten(0, 1).numpy())[0]).flatten(1)
        return F.normalize(vectors, dim=-1).unflatten(0, maps.shape[:2])


def _pooling(model: Any, path: Path) -> Any:
    """The layer that makes one cell of the last feature map, found from the result backwards."""
    node = model.get_results()[0]
    while node.get_input_size():
        inputs = [node.input_value(index) for index in range(node.get_input_size())]
        at, data = next((i, v) for i, v in enumerate(inputs) if v.get_node().get_type_name() != "Constant")
        shape = list(data.get_partial_shape()) if data.get_partial_shape().rank.is_static else []
        if len(shape) == 4 and all(s.is_static for s in shape[1:]) and _cells(shape) > 1:
            if at == 0:
                return node
            break
        node = data.get_node()
    raise InputError(f"{path}: not a teacher: no feature map of known size is pooled in it")


def _cells(shape: list[Any]) -> int:
    return int(shape[2].get_length() * shape[3].get_length())


def tested_rows(outputs: Outputs, options: ModelOptions) -> Tensor:
    """What the network would be tested with: unit vectors [N, P, D]."""
    rows = [outputs.embeddings[name] for name in options.test_embeddings]
    return F.normalize(torch.cat([row if row.ndim == 3 else row[:, None] for row in rows], 1).float(), dim=-1)


def shown_rows(targets: Tensor, maps: Tensor, options: ModelOptions) -> Tensor:
    """Which rows are to be learnt: the whole, and parts that the labels find before and after augmentation.

    Args:
        targets: labels of what the network sees, int64 [N, H, W], or soft float [N, K+1, H, W].
        maps: where each part is in what the teacher sees, [N, K, h, w] in [0, 1].

    Returns:
        float [N, P].
    """
    labels = targets if targets.ndim == 3 else targets.argmax(1)
    kept = torch.stack([(labels == part + 1).flatten(1).any(1) for part in range(options.num_parts)], 1)
    parts = kept & (maps.flatten(2).amax(2) > 0).to(kept.device)
    return _as_tested(torch.cat([torch.ones_like(parts[:, :1]), parts], 1), options).float()


def taught_rows(vectors: Tensor, options: ModelOptions) -> Tensor:
    """The teacher's vectors [N, 1 + K, E] as the rows [N, P, E] that the network is tested with."""
    return _as_tested(vectors, options)


def _as_tested(whole_and_parts: Tensor, options: ModelOptions) -> Tensor:
    """[N, 1 + K, ...] -> [N, P, ...], in the order of the embeddings that are tested."""
    whole, parts = whole_and_parts[:, :1], whole_and_parts[:, 1:]
    return torch.cat([parts if name.endswith("parts") else whole for name in options.test_embeddings], 1)


def imitation_loss(rows: Tensor, taught: Tensor, shown: Tensor) -> Tensor:
    """Mean cosine distance to the teacher: ``sum_ip s_ip (1 - <x_ip, t_ip>) / sum_ip s_ip``.

    Args:
        rows: x, unit vectors float [N, P, D].
        taught: t, unit vectors float [N, P, D].
        shown: s, float [N, P] in [0, 1].

    Returns:
        Scalar in [0, 2]; zero where nothing is shown.

    >>> imitation_loss(torch.eye(2)[None], torch.eye(2)[None].flip(1), torch.ones(1, 2)).item()
    1.0
    """
    wrong = 1 - (rows * taught).sum(-1)
    return (wrong * shown).sum() / shown.sum().clamp_min(1)
