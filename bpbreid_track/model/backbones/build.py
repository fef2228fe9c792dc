"""The convolutional bodies under the part attention, by name, with ImageNet weights where they can be had."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...errors import UsageError, did_you_mean
from .base import Backbone


def _resnet50(**layout: bool) -> Backbone:
    from .resnet import ResNet50

    return ResNet50(**layout)


def _hrnet_w32() -> Backbone:
    from .hrnet import HRNetW32

    return HRNetW32()


def _efficientnet_lite0() -> Backbone:
    from .efficientnet import EfficientNetLite0

    return EfficientNetLite0()


def _retail_osnet() -> Backbone:
    from .retail_osnet import RetailOsnet

    return RetailOsnet()


# timm and torchvision are imported on use: a network needs one of them at most.
_BUILDERS: dict[str, Callable[[], Backbone]] = {
    "resnet50": lambda: _resnet50(),
    "resnet50_ibn": lambda: _resnet50(ibn=True),
    "hrnet_w32": _hrnet_w32,
    "efficientnet_lite0": _efficientnet_lite0,
    "retail_osnet": _retail_osnet,
    "fastreid_resnet50": lambda: _resnet50(fastreid=True),
    "fastreid_resnet50_ibn": lambda: _resnet50(fastreid=True, ibn=True),
    "fastreid_resnet50_nl": lambda: _resnet50(fastreid=True, non_local=True),
    "fastreid_resnet50_ibn_nl": lambda: _resnet50(fastreid=True, ibn=True, non_local=True),
}


def build_backbone(name: str, *, pretrained: bool | str | os.PathLike[str] = False) -> Backbone:
    """A backbone by name.

    Args:
        name: one of ``backbone_names()``.
        pretrained: False for random weights; True for ImageNet weights, fetched once; a path for ImageNet
            weights in a local file.

    Raises:
        UsageError: unknown name.
        InputError: ImageNet weights that cannot be fetched, or a file that does not fit.
    """
    if name not in _BUILDERS:
        raise UsageError(f"unknown backbone {name!r}{did_you_mean(name, _BUILDERS)}")
    backbone = _BUILDERS[name]()
    if pretrained is not False:
        from .imagenet import load_imagenet

        load_imagenet(backbone, name, None if pretrained is True else pretrained)
    return backbone


def backbone_names() -> list[str]:
    """All names that ``build_backbone`` knows."""
    return sorted(_BUILDERS)
