"""EfficientNet-lite0 (Google, 2020) with output stride 16, over timm's blocks."""

from __future__ import annotations

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone


class EfficientNetLite0(Backbone):
    """EfficientNet-lite0 without pooling and classifier: [N, 3, h, w] -> [N, 1280, h/16, w/16].

    The last strided stage keeps its resolution, as the last stage of a ReID ResNet does; h and w must be
    divisible by 16.
    """

    channels = 1280
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        # tf_: the BatchNorm epsilon and padding that the ImageNet weights were trained with.
        body = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.conv_stem, self.bn1, self.blocks = body.conv_stem, body.bn1, body.blocks
        self.conv_head, self.bn2 = body.conv_head, body.bn2
        last = self.blocks[5][0].conv_dw
        last.stride = (1, 1)
        _replace_strided(self)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2] % 16 or images.shape[3] % 16:
            height, width = images.shape[2:]
            raise ValueError(f"images: expected height and width divisible by 16, got {height}x{width}")
        x = self.blocks(self.bn1(self.conv_stem(images)))
        return self.bn2(self.conv_head(x))

    def stages(self) -> list[list[nn.Module]]:
        blocks = list(self.blocks)
        return [[self.conv_stem, self.bn1, blocks[0]], *([block] for block in blocks[1:])]


class EvenSameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding of a convolution of stride 2 on even sizes: one row and column more after.

    The extra padding is moved into the kernel (a row and a column of zeros before it). That saves the copy of
    the feature map that uneven padding costs: a fifth of the whole network's time on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel = F.pad(self.weight, (1, 0, 1, 0))
        return F.conv2d(x, kernel, self.bias, self.stride, self.kernel_size[0] // 2, 1, self.groups)


def _replace_strided(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size[0] > 1:
            size = child.kernel_size[0]
            kind = EvenSameConv2d if child.stride == (2, 2) else nn.Conv2d
            conv = kind(
                child.in_channels,
                child.out_channels,
                size,
                stride=child.stride[0],
                padding=size // 2,
                groups=child.groups,
                bias=False,
            )
            conv.weight = child.weight
            setattr(module, name, conv)
        else:
            _replace_strided(child)
