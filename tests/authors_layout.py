"""State dicts in the layout of the authors' program, and a slow plain reading of what that program computes.

Written from the published names and shapes, without any of the package's code: what the package reads from
such a file is compared with what is computed here, one part and one convolution at a time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
BACKBONE = "backbone_appearance_feature_extractor."


class Layout:
    """Collects tensors by name, filled so that activations stay of the order of one."""

    def __init__(self, seed: int) -> None:
        self.state: State = {}
        self.random = torch.Generator().manual_seed(seed)

    def conv(self, name: str, out: int, into: int, size: int, *, bias: bool = False) -> None:
        scale = (2 / (into * size * size)) ** 0.5
        self.state[f"{name}.weight"] = torch.randn(out, into, size, size, generator=self.random) * scale
        if bias:
            self.state[f"{name}.bias"] = torch.randn(out, generator=self.random) * 0.1

    def linear(self, name: str, out: int, into: int, *, bias: bool = True) -> None:
        self.state[f"{name}.weight"] = torch.randn(out, into, generator=self.random) / into**0.5
        if bias:
            self.state[f"{name}.bias"] = torch.randn(out, generator=self.random) * 0.1

    def norm(self, name: str, width: int, *, running: bool = True) -> None:
        def uniform() -> Tensor:
            return torch.rand(width, generator=self.random) * 0.6 + 0.6

        self.state[f"{name}.weight"] = uniform()
        self.state[f"{name}.bias"] = torch.randn(width, generator=self.random) * 0.1
        if running:
            self.state[f"{name}.running_mean"] = torch.randn(width, generator=self.random) * 0.1
            self.state[f"{name}.running_var"] = uniform()
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(100)

    def bottleneck(self, name: str, into: int, width: int, *, ibn: bool = False, down: bool = False) -> None:
        self.conv(f"{name}.conv1", width, into, 1)
        if ibn:
            self.norm(f"{name}.bn1.IN", width // 2, running=False)
            self.norm(f"{name}.bn1.BN", width // 2)
        else:
            self.norm(f"{name}.bn1", width)
        self.conv(f"{name}.conv2", width, width, 3)
        self.norm(f"{name}.bn2", width)
        self.conv(f"{name}.conv3", width * 4, width, 1)
        self.norm(f"{name}.bn3", width * 4)
        self.state[f"{name}.bn3.weight"] *= 0.3  # keeps sixteen residual sums from growing
        if down:
            self.conv(f"{name}.downsample.0", width * 4, into, 1)
            self.norm(f"{name}.downsample.1", width * 4)

    def resnet(self, *, ibn: bool, non_local: bool) -> None:
        self.conv(f"{BACKBONE}conv1", 64, 3, 7)
        self.norm(f"{BACKBONE}bn1", 64)
        into = 64
        for stage, (count, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
            for block in range(count):
                name = f"{BACKBONE}layer{stage}.{block}"
                self.bottleneck(name, into, width, ibn=ibn and stage < 4, down=block == 0)
                into = width * 4
        for stage, count, width in ((2, 2, 512), (3, 3, 1024)) if non_local else ():
            for block in range(count):
                name = f"{BACKBONE}NL_{stage}.{block}"
                for inner in ("g", "theta", "phi"):
                    self.conv(f"{name}.{inner}", 1, width, 1, bias=True)
                    self.state[f"{name}.{inner}.weight"] *= 0.1  # the block is cubic in its input
                self.conv(f"{name}.W.0", width, 1, 1, bias=True)
                self.norm(f"{name}.W.1", width)

    def hrnet(self, cls_head: int) -> None:
        self.conv(f"{BACKBONE}conv1", 64, 3, 3)
        self.norm(f"{BACKBONE}bn1", 64)
        self.conv(f"{BACKBONE}conv2", 64, 64, 3)
        self.norm(f"{BACKBONE}bn2", 64)
        for block in range(4):
            self.bottleneck(f"{BACKBONE}layer1.{block}", 64 if block == 0 else 256, 64, down=block == 0)
        widths = (32, 64, 128, 256)
        for name, out, into in (
            ("transition1.0", 32, 256),
            ("transition1.1.0", 64, 256),
            ("transition2.2.0", 128, 64),
            ("transition3.3.0", 256, 128),
        ):
            self.conv(f"{BACKBONE}{name}.0", out, into, 3)
            self.norm(f"{BACKBONE}{name}.1", out)
        for stage, modules in ((2, 1), (3, 4), (4, 3)):
            for module in range(modules):
                name = f"{BACKBONE}stage{stage}.{module}"
                for branch in range(stage):
                    for block in range(4):
                        for half in (1, 2):
                            inner = f"{name}.branches.{branch}.{block}"
                            self.conv(f"{inner}.conv{half}", widths[branch], widths[branch], 3)
                            self.norm(f"{inner}.bn{half}", widths[branch])
                        self.state[f"{inner}.bn2.weight"] *= 0.3
                for i in range(stage):
                    for j in range(stage):
                        fuse = f"{name}.fuse_layers.{i}.{j}"
                        if j > i:
                            self.conv(f"{fuse}.0", widths[i], widths[j], 1)
                            self.norm(f"{fuse}.1", widths[i])
                            self.state[f"{fuse}.1.weight"] *= 0.3
                        for step in range(i - j):
                            out = widths[i] if step == i - j - 1 else widths[j]
                            self.conv(f"{fuse}.{step}.0", out, widths[j], 3)
                            self.norm(f"{fuse}.{step}.1", out)
                            self.state[f"{fuse}.{step}.1.weight"] *= 0.3
        for branch, width in enumerate(widths):
            self.bottleneck(
                f"{BACKBONE}incre_modules.{branch}.0", width, (32, 64, 128, 256)[branch], down=True
            )
        self.conv(f"{BACKBONE}cls_head.0", cls_head, 1920, 1, bias=True)
        self.norm(f"{BACKBONE}cls_head.1", cls_head)

    def heads(
        self, channels: int, parts: int, identities: int, dim: int, reduction: str, shared: bool
    ) -> None:
        if reduction in {"before_pooling", "before_and_after_pooling"}:
            width = dim if reduction == "before_pooling" else 2 * dim
            hrnet_head = f"{BACKBONE}cls_head.0.weight" in self.state and reduction == "before_pooling"
            self.conv(
                "before_pooling_dim_reduce.layers.0", width, dim if hrnet_head else channels, 1, bias=True
            )
            self.norm("before_pooling_dim_reduce.layers.1", width)
            channels = width
        for kind in ("global", "foreground", "background", "parts"):
            if reduction in {"after_pooling", "before_and_after_pooling"}:
                self.linear(f"{kind}_after_pooling_dim_reduce.layers.0", dim, channels)
                self.norm(f"{kind}_after_pooling_dim_reduce.layers.1", dim)
        width = channels if reduction == "none" else dim
        self.norm("pixel_classifier.bn", channels)
        self.conv("pixel_classifier.classifier", parts + 1, channels, 1, bias=True)
        necks = [("global", width), ("background", width), ("foreground", width)]
        necks += [("concat_parts", parts * width)]
        for kind, size in necks:
            self.neck(f"{kind}_identity_classifier", size, identities)
        for part in range(1 if shared else parts):
            self.neck(f"parts_identity_classifier{'' if shared else f'.{part}'}", width, identities)

    def neck(self, name: str, width: int, identities: int) -> None:
        self.norm(f"{name}.bn", width)
        self.linear(f"{name}.classifier", identities, width, bias=False)


def authors_state(
    backbone: str = "resnet50",
    *,
    parts: int = 5,
    identities: int = 751,
    dim: int = 512,
    reduction: str = "after_pooling",
    shared: bool = False,
    seed: int = 0,
) -> State:
    """A random state dict with exactly the published names and shapes.

    Args:
        backbone: the authors' name: resnet50, fastreid_resnet[_ibn][_nl], hrnet32.
    """
    layout = Layout(seed)
    if backbone == "hrnet32":
        layout.hrnet(dim)
        channels = 1920
    else:
        layout.resnet(ibn="_ibn" in backbone, non_local="_nl" in backbone)
        channels = 2048
        if backbone == "resnet50":
            layout.linear(f"{BACKBONE}classifier", identities, channels)
    layout.heads(channels, parts, identities, dim, reduction, shared)
    return layout.state


# ---------------------------------------------------------------- the same, computed slowly


class Slow:
    """The published forward pass in eval mode, straight from a state dict."""

    def __init__(self, state: State) -> None:
        self.state = state

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def norm(self, name: str, x: Tensor) -> Tensor:
        s = self.state
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var = s[f"{name}.running_mean"].view(shape), s[f"{name}.running_var"].view(shape)
        return (x - mean) / (var + 1e-5).sqrt() * s[f"{name}.weight"].view(shape) + s[f"{name}.bias"].view(
            shape
        )

    def bn1(self, name: str, x: Tensor) -> Tensor:
        if f"{name}.IN.weight" not in self.state:
            return self.norm(name, x)
        half = x.shape[1] // 2
        a = x[:, :half]
        mean = a.mean((2, 3), keepdim=True)
        var = a.var((2, 3), keepdim=True, unbiased=False)
        weight, bias = (self.state[f"{name}.IN.{what}"].view(1, -1, 1, 1) for what in ("weight", "bias"))
        a = (a - mean) / (var + 1e-5).sqrt() * weight + bias
        return torch.cat([a, self.norm(f"{name}.BN", x[:, half:])], 1)

    def bottleneck(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        y = self.bn1(f"{name}.bn1", self.conv(f"{name}.conv1", x)).relu()
        y = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", y, stride)).relu()
        y = self.norm(f"{name}.bn3", self.conv(f"{name}.conv3", y))
        if f"{name}.downsample.0.weight" in self.state:
            x = self.norm(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride))
        return (x + y).relu()

    def basic(self, name: str, x: Tensor) -> Tensor:
        y = self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x)).relu()
        return (x + self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", y))).relu()

    def non_local(self, name: str, x: Tensor) -> Tensor:
        g, theta, phi = (self.conv(f"{name}.{inner}", x).flatten(2) for inner in ("g", "theta", "phi"))
        affinity = theta.transpose(1, 2) @ phi / theta.shape[2]
        y = (affinity @ g.transpose(1, 2)).transpose(1, 2).reshape(len(x), 1, *x.shape[2:])
        return x + self.norm(f"{name}.W.1", self.conv(f"{name}.W.0", y))

    def resnet(self, x: Tensor, *, fastreid: bool) -> Tensor:
        x = self.norm(f"{BACKBONE}bn1", self.conv(f"{BACKBONE}conv1", x, 2)).relu()
        x = F.max_pool2d(x, 3, 2, 0, ceil_mode=True) if fastreid else F.max_pool2d(x, 3, 2, 1)
        after = {(2, 2): 0, (2, 3): 1, (3, 3): 0, (3, 4): 1, (3, 5): 2}
        for stage, count in enumerate((3, 4, 6, 3), start=1):
            for block in range(count):
                stride = 2 if block == 0 and stage in (2, 3) else 1
                x = self.bottleneck(f"{BACKBONE}layer{stage}.{block}", x, stride)
                name = f"{BACKBONE}NL_{stage}.{after.get((stage, block))}"
                if f"{name}.g.weight" in self.state:
                    x = self.non_local(name, x)
        return x

    def step(self, name: str, x: Tensor, stride: int) -> Tensor:
        return self.norm(f"{BACKBONE}{name}.1", self.conv(f"{BACKBONE}{name}.0", x, stride)).relu()

    def hrnet(self, x: Tensor) -> Tensor:
        for index in (1, 2):
            x = self.norm(f"{BACKBONE}bn{index}", self.conv(f"{BACKBONE}conv{index}", x, 2)).relu()
        for block in range(4):
            x = self.bottleneck(f"{BACKBONE}layer1.{block}", x)
        branches = [self.step("transition1.0", x, 1), self.step("transition1.1.0", x, 2)]
        branches = self.module("stage2.0", branches)
        branches.append(self.step("transition2.2.0", branches[-1], 2))
        for module in range(4):
            branches = self.module(f"stage3.{module}", branches)
        branches.append(self.step("transition3.3.0", branches[-1], 2))
        for module in range(3):
            branches = self.module(f"stage4.{module}", branches)
        wide = [self.bottleneck(f"{BACKBONE}incre_modules.{i}.0", b) for i, b in enumerate(branches)]
        size = wide[0].shape[2:]
        return torch.cat([F.interpolate(b, size, mode="bilinear", align_corners=True) for b in wide], 1)

    def module(self, name: str, branches: list[Tensor]) -> list[Tensor]:
        for index in range(len(branches)):
            for block in range(4):
                branches[index] = self.basic(f"{BACKBONE}{name}.branches.{index}.{block}", branches[index])
        fused = []
        for i in range(len(branches)):
            total = branches[i]
            for j, x in enumerate(branches):
                fuse = f"{BACKBONE}{name}.fuse_layers.{i}.{j}"
                if j > i:
                    x = self.norm(f"{fuse}.1", self.conv(f"{fuse}.0", x))
                    total = total + F.interpolate(x, scale_factor=2 ** (j - i), mode="nearest")
                elif j < i:
                    for step in range(i - j):
                        x = self.norm(f"{fuse}.{step}.1", self.conv(f"{fuse}.{step}.0", x, 2))
                        x = x.relu() if step < i - j - 1 else x
                    total = total + x
            fused.append(total.relu())
        return fused

    def features(self, images: Tensor, backbone: str) -> Tensor:
        if backbone == "hrnet32":
            x = self.hrnet(images)
        else:
            x = self.resnet(images, fastreid=backbone.startswith("fastreid"))
        name = "before_pooling_dim_reduce.layers"
        if f"{name}.0.weight" in self.state:
            in_backbone = (
                backbone == "hrnet32" and "parts_after_pooling_dim_reduce.layers.0.weight" not in self.state
            )
            name = f"{BACKBONE}cls_head" if in_backbone else name
            x = self.norm(f"{name}.1", self.conv(f"{name}.0", x)).relu()
        return x

    def reduce(self, kind: str, vector: Tensor) -> Tensor:
        name = f"{kind}_after_pooling_dim_reduce.layers"
        if f"{name}.0.weight" not in self.state:
            return vector
        vector = vector @ self.state[f"{name}.0.weight"].T + self.state[f"{name}.0.bias"]
        return self.norm(f"{name}.1", vector[None])[0].relu()

    def embed(self, images: Tensor, backbone: str) -> tuple[Tensor, Tensor]:
        """BNNeck foreground and parts, each of unit length [N, 1+K, D]; argmax visibility [N, 1+K]."""
        features = self.features(images, backbone)
        logits = self.conv("pixel_classifier.classifier", self.norm("pixel_classifier.bn", features))
        rows, visible = [], []
        for g, scores in zip(features, logits, strict=True):
            maps = scores.softmax(0)
            parts, (height, width) = len(maps) - 1, maps.shape[1:]
            foreground = torch.zeros(g.shape[0])
            pooled, mass = [torch.zeros(g.shape[0]) for _ in range(parts)], [0.0] * parts
            seen = [True] + [False] * parts
            for y in range(height):
                for x in range(width):
                    cell, shares = g[:, y, x], maps[:, y, x]
                    foreground += cell * shares[1:].max()
                    for part in range(parts):
                        pooled[part] += cell * shares[part + 1]
                        mass[part] += float(shares[part + 1])
                    winner = int(shares.argmax())
                    if winner > 0:
                        seen[winner] = True
            whole = self.reduce("foreground", foreground / (height * width))
            out = [self.norm("foreground_identity_classifier.bn", whole[None])[0]]
            out += [self.reduce("parts", total / max(m, 1e-6)) for total, m in zip(pooled, mass, strict=True)]
            rows.append(torch.stack([vector / vector.norm() for vector in out]))
            visible.append(torch.tensor(seen, dtype=torch.float32))
        return torch.stack(rows), torch.stack(visible)
