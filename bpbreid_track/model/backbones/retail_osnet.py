"""OSNet x1.0 (Zhou et al., ICCV 2019) as Intel trained it for person-reidentification-retail-0277.

Two things set it apart from the paper's: the picture and the stem have instance norms, so that light and
colours of a camera count less, and every second block weighs its channels by their means as they are, normed
in groups, in place of two small layers. BatchNorms are folded into the convolutions, as the published file
has them. ``scripts/start_from_retail_0277.py`` reads that file.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone

_WIDTHS = (256, 384, 512)
_STEM = 64
_GATE_REDUCTION, _GATE_GROUPS = 16, 16


class RetailOsnet(Backbone):
    """[N, 3, h, w] -> [N, 512, ceil(h / 16), ceil(w / 16)], not negative.

    Without weights to begin with it is hard to train: nothing norms what flows through its layers.
    """

    channels = _WIDTHS[-1]
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(3, affine=True)
        self.stem = nn.Conv2d(3, _STEM, 7, 2, 3, bias=False)
        self.stem_norm = nn.InstanceNorm2d(_STEM, affine=True)
        before = _STEM
        for number, width in enumerate(_WIDTHS, start=1):
            self.add_module(f"stage{number}", nn.Sequential(_Block(before, width), _Block(width, width)))
            self.add_module(f"after{number}", nn.Conv2d(width, width, 1))
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(self.norm(images))))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for number in range(1, len(_WIDTHS) + 1):
            x = F.relu(self.get_submodule(f"after{number}")(self.get_submodule(f"stage{number}")(x)))
            if number < len(_WIDTHS):
                x = F.avg_pool2d(x, 2, ceil_mode=True)
        return x

    def stages(self) -> list[list[nn.Module]]:
        names = [["norm", "stem", "stem_norm"], *(f"stage{n} after{n}".split() for n in (1, 2, 3))]
        return [[self.get_submodule(name) for name in stage] for stage in names]


class _Light(nn.Module):
    """A 3x3 convolution in two: over channels, then over places; ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = nn.Conv2d(width, width, 1, bias=False)
        self.places = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.places(self.channels(x)))


class _Gate(nn.Module):
    """Weights in (0, 1) of the channels, from their means through two small layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, width // _GATE_REDUCTION, 1)
        self.wide = nn.Conv2d(width // _GATE_REDUCTION, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.wide(F.relu(self.narrow(x.mean((2, 3), keepdim=True))))
        return x * weights.sigmoid()


class _NormedGate(nn.Module):
    """Weights in (0, 1) of the channels, from their means normed in groups of neighbours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GATE_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        # What GroupNorm computes, as another layer: OpenVINO 2026.4 computes GroupNorm wrongly in bf16.
        groups = x.mean((2, 3)).unflatten(1, (_GATE_GROUPS, -1))
        normed = F.layer_norm(groups, groups.shape[2:], eps=self.norm.eps).flatten(1)
        return x * (normed * self.norm.weight + self.norm.bias).sigmoid()[:, :, None, None]


class _Block(nn.Module):
    """Residual branch of four streams that see 3, 5, 7 and 9 pixels, and are summed through one gate."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = after // 4
        self.narrow = nn.Conv2d(before, middle, 1)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_Light(middle) for _ in range(depth))) for depth in range(1, 5)
        )
        widens = before != after
        self.gate = _Gate(middle) if widens else _NormedGate(middle)
        self.wide = nn.Conv2d(middle, after, 1)
        self.shortcut = nn.Conv2d(before, after, 1) if widens else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.narrow(x))
        first, *others = (self.gate(stream(inner)) for stream in self.streams)
        for other in others:  # one by one: a stack of them is copied, which takes as long as all convolutions
            first = first + other
        return F.relu(self.wide(first) + self.shortcut(x))
