"""Where and how a network runs: device, precision, and a copy made fast for inference."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..errors import UsageError, did_you_mean
from ..quick_precision import quickest_precision
from .network import BPBReID, PartClassifier

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device meant: ``auto`` is CUDA where there is one, then Apple's MPS, then the CPU.

    Raises:
        UsageError: no such device on this machine.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(f"cuda:{device}" if str(device).isdigit() else device)
    except RuntimeError:
        raise UsageError(f"device {str(device)!r}: expected auto, cpu, cuda, cuda:1 or mps") from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {str(device)!r}: PyTorch sees {torch.cuda.device_count()} CUDA devices here; "
            "auto or cpu works"
        )
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"device {str(device)!r}: PyTorch sees no MPS device here; auto or cpu works")
    return found


def resolve_precision(precision: str, device: torch.device) -> str:
    """``fp32``, ``bf16`` or ``fp16`` for a network of float weights on ``device``.

    ``auto`` is bf16 on CUDA from compute capability 8 and on CPUs with AMX, fp16 on older CUDA devices, else
    fp32.

    Raises:
        UsageError: unknown, or int8, which only exported networks have.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}{did_you_mean(precision, PRECISIONS)}")
    if precision == "int8":
        raise UsageError(
            "precision 'int8': float weights have none; export the network with precision int8 first"
        )
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
    return quickest_precision() if device.type == "cpu" else "fp32"


def inference_copy(network: BPBReID, device: torch.device, precision: str) -> BPBReID:
    """A copy in eval mode on ``device``, with every BatchNorm folded into the layer before it where one is.

    Folding changes the order of sums only: embeddings agree with ``network`` to about 1e-6. Half precisions
    hold the weights in that type, except BatchNorms that could not be folded.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    fast.to(device=device)
    _fold_batch_norms(fast)
    fast.to(memory_format=torch.channels_last)
    dtype = _DTYPES[precision]
    for module in fast.modules():
        if dtype != torch.float32 and not isinstance(module, nn.modules.batchnorm._BatchNorm):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)
    return fast


def _fold_batch_norms(network: BPBReID) -> None:
    backbone: Any = network.backbone
    for before, after in _norms_after_convolutions(backbone).items():
        norm = backbone.get_submodule(after)
        backbone.set_submodule(before, fuse_conv_bn_eval(backbone.get_submodule(before), norm))
        # timm's BatchNormAct2d is a BatchNorm and the activation behind it in one module.
        backbone.set_submodule(after, getattr(norm, "act", None) or nn.Identity())
    if network.options.backbone == "efficientnet_lite0":
        _settle_even_convolutions(backbone)
    if network.reduce_before is not None:
        convolution, norm, activation = cast("Any", network.reduce_before)
        network.reduce_before = nn.Sequential(fuse_conv_bn_eval(convolution, norm), activation)
    if network.part_classifier is not None:
        _fold_classifier(network.part_classifier)
    for reduction in cast("Any", network.reduce).values():
        reduction[0] = fuse_linear_bn_eval(reduction[0], reduction[1])
        reduction[1] = nn.Identity()


def _settle_even_convolutions(backbone: nn.Module) -> None:
    """Convolutions that widen their kernel on every pass, as plain ones: exporters cannot trace that."""
    from .backbones.efficientnet import EvenSameConv2d

    for name, module in list(backbone.named_modules()):
        if isinstance(module, EvenSameConv2d):
            plain = nn.Conv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size[0] + 1,
                stride=module.stride[0],
                padding=module.kernel_size[0] // 2,
                groups=module.groups,
            )
            plain.weight = nn.Parameter(F.pad(module.weight, (1, 0, 1, 0)), requires_grad=False)
            plain.bias = module.bias
            backbone.set_submodule(name, plain)


def _norms_after_convolutions(backbone: nn.Module) -> dict[str, str]:
    """Names of convolutions whose output goes straight into a BatchNorm, with the name of that BatchNorm.

    Found by watching one small image pass, so no backbone has to describe itself.
    """
    makers: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no id is given out twice
    pairs: dict[str, str] = {}
    handles = []
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):

            def made(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                makers[id(output)] = (name, output)

            handles.append(module.register_forward_hook(made))
        elif isinstance(module, nn.BatchNorm2d):

            def taken(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                if id(inputs[0]) in makers:
                    pairs[makers[id(inputs[0])][0]] = name

            handles.append(module.register_forward_pre_hook(taken))
    try:
        with torch.no_grad():
            weight = next(backbone.parameters())
            backbone(torch.zeros(1, 3, 64, 64, device=weight.device, dtype=weight.dtype))
    finally:
        for handle in handles:
            handle.remove()
    return pairs


def _fold_classifier(classifier: PartClassifier) -> None:
    """Folds the BatchNorm *before* the 1x1 convolution into it, once and in float32."""
    if classifier.bn is None:
        return
    weight, bias = classifier.folded()
    old = classifier.classifier
    new = nn.Conv2d(old.in_channels, old.out_channels, 1, device=weight.device, dtype=weight.dtype)
    new.requires_grad_(False)
    new.weight.copy_(weight)
    cast("Tensor", new.bias).copy_(cast("Tensor", bias))
    classifier.bn, classifier.classifier = None, new


class _Exactness:
    """Switches of the whole process: set by the first thread that comes, restored by the last that goes."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, list[tuple[Any, str, Any]]()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                switches = _float32_switches()
                self._before = [(owner, name, getattr(owner, name)) for owner, name, _ in switches]
                for owner, name, value in switches:
                    setattr(owner, name, value)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for owner, name, value in self._before:
                    setattr(owner, name, value)


_exactness = _Exactness()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Inside, float32 products are float32: no TF32 or bf16 shortcuts, whatever the process has set.

    Threads may be inside at the same time; what was set before the first comes back after the last. Other
    threads of the process compute exactly meanwhile too.
    """
    _exactness.enter()
    try:
        yield
    finally:
        _exactness.leave()


def _float32_switches() -> list[tuple[Any, str, Any]]:
    """What owns each switch of this PyTorch, its name, and the value of exact products."""
    backends = torch.backends
    switches: list[tuple[Any, str, Any]] = [
        (backend, "fp32_precision", "ieee")
        for backend in (
            backends.cuda.matmul,
            getattr(backends.cudnn, "conv", None),
            getattr(backends.mkldnn, "matmul", None),
            getattr(backends.mkldnn, "conv", None),
        )
        if hasattr(backend, "fp32_precision")
    ]
    if not switches:  # PyTorch before 2.9
        switches = [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
    return switches
