"""ResNet-50 with a last stage of stride 1, over torchvision's, in the layouts that ReID checkpoints use.

IBN-a (Pan et al., ECCV 2018) normalises half of the channels of the first convolution of each block in stages
1 to 3 by instance instead of by batch. Non-local blocks (Wang et al., CVPR 2018) follow the last blocks of
stages 2 and 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from .base import Backbone


class ResNet50(Backbone):
    """ResNet-50 without its pooling and classifier: [N, 3, h, w] -> [N, 2048, h/16, w/16].

    Args:
        ibn: IBN-a in stages 1 to 3.
        non_local: two non-local blocks in stage 2 and three in stage 3.
        fastreid: the max pooling of the FastReID layout (no padding, ceil mode), which shifts the grid.
    """

    channels = 2048
    stride = 16

    def __init__(self, *, ibn: bool = False, non_local: bool = False, fastreid: bool = False) -> None:
        super().__init__()
        body = resnet50(weights=None)
        self.conv1, self.bn1, self.relu = body.conv1, body.bn1, body.relu
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True) if fastreid else body.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            body.layer1,
            body.layer2,
            body.layer3,
            body.layer4,
        )
        first = self.layer4[0]
        first.conv2.stride = first.downsample[0].stride = (1, 1)
        if ibn:
            for stage in (self.layer1, self.layer2, self.layer3):
                for block in stage:
                    block.bn1 = InstanceBatchNorm(block.bn1.num_features)
        self.NL_2 = nn.ModuleList(NonLocal(512) for _ in range(2 if non_local else 0))
        self.NL_3 = nn.ModuleList(NonLocal(1024) for _ in range(3 if non_local else 0))

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer1(x)
        x = _stage(x, self.layer2, self.NL_2)
        x = _stage(x, self.layer3, self.NL_3)
        return self.layer4(x)

    def stages(self) -> list[list[nn.Module]]:
        return [
            [self.conv1, self.bn1],
            [self.layer1],
            [self.layer2, self.NL_2],
            [self.layer3, self.NL_3],
            [self.layer4],
        ]


def _stage(x: Tensor, blocks: nn.Sequential, extra: nn.ModuleList) -> Tensor:
    """A stage whose last ``len(extra)`` blocks are each followed by a non-local block."""
    plain = len(blocks) - len(extra)
    for index, block in enumerate(blocks):
        x = block(x)
        if index >= plain:
            x = extra[index - plain](x)
    return x


class InstanceBatchNorm(nn.Module):
    """IBN-a: instance normalisation (affine) on the first half of the channels, BatchNorm on the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = channels // 2
        self.IN = nn.InstanceNorm2d(self.split, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.IN(x[:, : self.split]), self.BN(x[:, self.split :])], 1)


class NonLocal(nn.Module):
    """Dot-product attention over all cells, averaged, added to the input; one inner channel.

    The single inner channel is a slip of the layout it stems from, kept because weights depend on it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, 1, 1)
        self.theta = nn.Conv2d(channels, 1, 1)
        self.phi = nn.Conv2d(channels, 1, 1)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)  # begins as the identity
        self.W = nn.Sequential(nn.Conv2d(1, channels, 1), norm)

    def forward(self, x: Tensor) -> Tensor:
        g, theta, phi = (conv(x).flatten(2) for conv in (self.g, self.theta, self.phi))
        # (theta^T phi) g / cells, associated so that no cells x cells matrix arises.
        inner = phi @ g.transpose(1, 2) / g.shape[2]
        y = (inner.transpose(1, 2) @ theta).unflatten(2, x.shape[2:])
        return self.W(y) + x
