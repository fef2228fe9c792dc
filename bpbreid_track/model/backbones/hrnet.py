"""HRNet-W32 (Sun et al., CVPR 2019) with its four resolutions joined at the highest, over timm's stages."""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone


class HRNetW32(Backbone):
    """HRNet-W32 as a feature extractor: [N, 3, h, w] -> [N, 1920, h/4, w/4]; h and w divisible by 32.

    The branches of the classification variant are widened to 128, 256, 512 and 1024 channels
    (``incre_modules``), brought to the size of the first by bilinear interpolation with aligned corners, and
    concatenated.
    """

    channels = 1920
    stride = 4

    def __init__(self) -> None:
        super().__init__()
        body = timm.create_model("hrnet_w32", pretrained=False)
        self.conv1, self.bn1, self.act1 = body.conv1, body.bn1, body.act1
        self.conv2, self.bn2, self.act2 = body.conv2, body.bn2, body.act2
        self.layer1 = body.layer1
        self.transition1: nn.ModuleList = body.transition1
        self.stage2 = body.stage2
        self.transition2: nn.ModuleList = body.transition2
        self.stage3 = body.stage3
        self.transition3: nn.ModuleList = body.transition3
        self.stage4 = body.stage4
        self.incre_modules: nn.ModuleList = body.incre_modules

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] % 32 or images.shape[3] % 32:
            height, width = images.shape[2:]
            raise ValueError(f"images: expected height and width divisible by 32, got {height}x{width}")
        x = self.act1(self.bn1(self.conv1(images)))
        x = self.act2(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        branches = [transition(x) for transition in self.transition1]
        branches = self.stage2(branches)
        branches = _with_new_branch(branches, self.transition2)
        branches = self.stage3(branches)
        branches = _with_new_branch(branches, self.transition3)
        branches = self.stage4(branches)
        widened = [widen(branch) for widen, branch in zip(self.incre_modules, branches, strict=True)]
        size = widened[0].shape[2:]
        rest = [F.interpolate(branch, size, mode="bilinear", align_corners=True) for branch in widened[1:]]
        return torch.cat([widened[0], *rest], 1)

    def stages(self) -> list[list[nn.Module]]:
        return [
            [self.conv1, self.bn1, self.conv2, self.bn2],
            [self.layer1],
            [self.transition1, self.stage2],
            [self.transition2, self.stage3],
            [self.transition3, self.stage4],
            [self.incre_modules],
        ]


def _with_new_branch(branches: list[Tensor], transition: nn.ModuleList) -> list[Tensor]:
    """Every branch through its transition, and a further one from the lowest resolution."""
    sources = [*branches, branches[-1]]
    return [step(source) for step, source in zip(transition, sources, strict=True)]
