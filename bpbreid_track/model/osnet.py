"""OSNet (Zhou et al., ICCV 2019, and with instance norms TPAMI 2021) from the weight files of torchreid.

Such a file holds tensors and nothing about the network, so widths and norms are read off the tensors. Written
from the papers; the names of tensors are facts about the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..config import VectorInput
from ..errors import InputError
from .inference import resolve_device, resolve_precision
from .one_vector import TORCHREID, agreed, as_rows, options_of
from .runtimes import Runtime
from .safe_torch import require_finite

_SIZE = (256, 128)  # what torchreid trains with
_STREAMS = "abcd"  # of one to four 3x3 convolutions each
_GATE_REDUCTION = 16
# The names in the files, of the two generations, and ours.
_RENAMINGS = [
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^conv([234])\.([01])\.conv2a\.", r"stage\1.\2.streams.0.0."),
        (r"^conv([234])\.([01])\.conv2([bcd])\.(\d)\.", r"stage\1.\2.streams.\3.\4."),
        (r"^conv([234])\.([01])\.conv2\.([0-3])\.layers\.(\d)\.", r"stage\1.\2.streams.\3.\4."),
        (r"^conv([23])\.2\.0\.", r"between\1."),
        (r"^pool([23])\.0\.", r"between\1."),
        (r"^conv([234])\.([01])\.", r"stage\1.\2."),
    )
]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def is_osnet(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the layout of torchreid's OSNet, of any width and with any norms."""
    return "conv1.conv.weight" in state and "conv2.0.gate.fc1.weight" in state


class OsnetRuntime(Runtime):
    """A weight file of torchreid's OSNet through PyTorch: one vector a crop, always visible.

    Args:
        path: the file, for messages.
        state: its tensors, without ``module.``.
        device: as for ``Encoder.load``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``.
        stated: what is known of its input; else 256x128, RGB, normalised as for ImageNet: torchreid's habit.

    Raises:
        InputError: tensors that are missing, too many, or of shapes that contradict each other.
        UsageError: a device or precision that is not to be had.
    """

    def __init__(
        self,
        path: Path,
        state: Mapping[str, Tensor],
        device: str | torch.device,
        precision: str,
        stated: VectorInput | None = None,
    ) -> None:
        self.device = resolve_device(device)
        network = osnet_of(state, str(path))
        takes = agreed(TORCHREID.model_copy(update={"size": _SIZE}), stated)
        options = options_of(path, takes, network.dim)
        held = resolve_precision(precision, self.device)
        described = {"options": options.model_dump(mode="json"), "dim": network.dim, "precision": held}
        super().__init__(path, json.dumps(described))
        self.flipped = takes.colours == "bgr"
        self._network = network.to(device=self.device)
        self._network.to(memory_format=torch.channels_last)
        self._dtype = _DTYPES[held]

    @torch.no_grad()
    def run(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = self.taken(images)
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
            return as_rows(self._network(images))


class Osnet(nn.Module):
    """Crops float [N, 3, h, w] -> vectors [N, dim], not negative.

    Args:
        widths: channels of the stem and of the three stages.
        dim: of the vector.
        norms: ``batch``; ``ibn``, instance norms in the stem and behind the first stage's blocks; ``ain``, in
            the stem and inside the residual branch of some blocks.
    """

    def __init__(self, widths: tuple[int, int, int, int], dim: int, norms: str) -> None:
        super().__init__()
        stem, *stages = widths
        self.dim = dim
        self.conv1 = _Conv(3, stem, 7, stride=2, instance=norms != "batch")
        kinds = {
            "batch": ("plain",) * 6,
            "ibn": ("after", "after", *("plain",) * 4),
            "ain": ("inside", "inside", "plain", "inside", "inside", "plain"),
        }[norms]
        before = stem
        for number, width in enumerate(stages, start=2):
            first, second = kinds[2 * number - 4 : 2 * number - 2]
            blocks = nn.Sequential(_Block(before, width, first), _Block(width, width, second))
            self.add_module(f"stage{number}", blocks)
            if number < 4:
                self.add_module(f"between{number}", _Conv(width, width))
            before = width
        self.conv5 = _Conv(before, before)
        self.fc = nn.Sequential(nn.Linear(before, dim), nn.BatchNorm1d(dim), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.conv1(images), 3, stride=2, padding=1)
        for number in (2, 3, 4):
            x = self.get_submodule(f"stage{number}")(x)
            if number < 4:
                x = nn.functional.avg_pool2d(self.get_submodule(f"between{number}")(x), 2)
        vectors: Tensor = self.fc(self.conv5(x).mean((2, 3)))
        return vectors


class _Conv(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(
        self,
        before: int,
        after: int,
        side: int = 1,
        *,
        stride: int = 1,
        instance: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, side, stride, side // 2, bias=False)
        self.bn: nn.Module = nn.InstanceNorm2d(after, affine=True) if instance else nn.BatchNorm2d(after)
        self._relu = relu

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv(x))
        return out.relu() if self._relu else out


class _Light(nn.Module):
    """A 3x3 convolution in two: over channels, then over places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv2(self.conv1(x)))
        return out.relu()


class _Gate(nn.Module):
    """Weights in (0, 1) of the channels, from their means; one gate serves all streams of a block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(width // _GATE_REDUCTION, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu())
        return x * weights.sigmoid()


class _Block(nn.Module):
    """Residual branch of four streams that see 3, 5, 7 and 9 pixels, and are summed through the gate.

    Args:
        kind: ``plain``; an instance norm ``after`` the sum with the shortcut, or ``inside`` the branch.
    """

    def __init__(self, before: int, after: int, kind: str) -> None:
        super().__init__()
        middle = after // 4
        self.conv1 = _Conv(before, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_Light(middle) for _ in range(depth))) for depth in range(1, 5)
        )
        self.gate = _Gate(middle)
        self.conv3 = _Conv(middle, after, relu=False)
        if kind == "inside":
            self.conv3.bn = nn.Identity()
        self.downsample = _Conv(before, after, relu=False) if before != after else None
        self.IN = nn.InstanceNorm2d(after, affine=True) if kind != "plain" else None
        self._inside = kind == "inside"

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        x = self.conv3(torch.stack([self.gate(stream(x)) for stream in self.streams]).sum(0))
        if self.IN is None:
            return (x + shortcut).relu()
        out: Tensor = self.IN(x) + shortcut if self._inside else self.IN(x + shortcut)
        return out.relu()


def osnet_of(state: Mapping[str, Tensor], where: str) -> Osnet:
    """The network of a state dict, in eval mode on the CPU, float32.

    Args:
        state: tensors by torchreid's names; the classifier of its training identities is left out.
        where: begins the messages.

    Raises:
        InputError: tensors missing, not known, not finite, or of another shape than the others ask for.
    """
    kept = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    ours = {_renamed(key): value for key, value in kept.items()}
    norms = "batch" if "conv1.bn.running_mean" in ours else "ain" if "pool2.0.conv.weight" in state else "ibn"
    try:
        names = ["conv1.conv.weight", *(f"stage{stage}.0.conv3.conv.weight" for stage in (2, 3, 4))]
        stem, second, third, fourth = (ours[name].shape[0] for name in names)
        dim = ours["fc.0.weight"].shape[0]
        with torch.device(
            "meta"
        ):  # shapes without numbers: nothing is allocated for a file that does not fit
            network = Osnet((stem, second, third, fourth), dim, norms).eval()
    except (KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"{where}: an OSNet whose layers do not fit each other ({error})") from error
    expected = network.state_dict()
    for key in expected:
        if key.endswith("num_batches_tracked"):  # changes no result, and old files lack it
            ours.setdefault(key, torch.tensor(0))
    wrong = [
        key
        for key in expected.keys() | ours.keys()
        if key not in ours or key not in expected or ours[key].shape != expected[key].shape
    ]
    if wrong:
        raise InputError(
            f"{where}: an OSNet of an unknown kind: {len(wrong)} of {len(expected)} tensors are missing, not "
            f"known or of another shape, such as {min(wrong)}"
        )
    require_finite(kept, where)
    network.load_state_dict({key: value.to(expected[key].dtype) for key, value in ours.items()}, assign=True)
    return network.requires_grad_(False)


def _renamed(key: str) -> str:
    for pattern, ours in _RENAMINGS:
        found = pattern.match(key)
        if found:
            name = found.expand(ours) + key[found.end() :]
            return re.sub(r"streams\.([bcd])", lambda match: f"streams.{_STREAMS.index(match[1])}", name)
    return key
