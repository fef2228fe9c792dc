"""What every backbone is."""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Images float [N, 3, h, w] to a feature map [N, ``channels``, ceil(h / stride), ceil(w / stride)]."""

    channels: int
    stride: int

    def forward(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def stages(self) -> list[list[nn.Module]]:
        """The layers from the image on, grouped by the resolution they work at; the stem comes first."""
        raise NotImplementedError
