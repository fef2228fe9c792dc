"""BPBReID: part attention, part pooling and visibility over any backbone (Somers et al., WACV 2023, Sec. 3).

Letters in shapes: N images, K parts, C channels and H x W cells of the feature map, D embedding width,
I training identities.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..embeddings import PartEmbeddings
from .backbones.build import build_backbone
from .options import ModelOptions

_KINDS = ("global", "foreground", "background", "parts")


@dataclass
class Outputs:
    """Everything training looks at. Entries the network has no layers for are absent from the dicts."""

    embeddings: dict[str, Tensor]
    """global, foreground, background [N, D], parts [N, K, D], concat [N, K*D]; and bn_*, after the BNNeck."""
    visibility: dict[str, Tensor]
    """global, foreground, background, concat [N], parts [N, K]: bool, float with continuous visibility."""
    scores: dict[str, Tensor]
    """Identity logits: global, foreground, background, concat [N, I], parts [N, K, I]."""
    logits: Tensor | None
    """Part classifier before the softmax [N, K+1, H, W], channel 0 the background; None if not learned."""
    features: Tensor
    """Feature map G [N, C, H, W]."""
    attention: dict[str, Tensor]
    """Maps in [0, 1] that were pooled with: foreground, background [N, H, W], parts [N, K, H, W]."""


class PartClassifier(nn.Module):
    """Eq. 1 before its softmax: a 1x1 convolution C -> K+1, optionally with BatchNorm before and bias."""

    def __init__(self, channels: int, parts: int, *, batch_norm: bool, bias: bool) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels) if batch_norm else None
        self.classifier = nn.Conv2d(channels, parts + 1, 1, bias=bias)
        nn.init.normal_(self.classifier.weight, std=0.001)
        if self.classifier.bias is not None:
            nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, K+1, H, W]."""
        if self.bn is None:
            return self.classifier(features)
        if self.training:
            return self.classifier(self.bn(features))
        # In eval mode the BatchNorm is a fixed affine map: one pass over G less.
        return F.conv2d(features, *self.folded())

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight [K+1, C, 1, 1] and bias of the convolution with the eval-mode BatchNorm folded in."""
        weight, bias = self.classifier.weight, self.classifier.bias
        if self.bn is None:
            return weight, bias
        assert self.bn.running_mean is not None
        assert self.bn.running_var is not None
        scale = self.bn.weight * (self.bn.running_var + self.bn.eps).rsqrt()
        shift = weight.flatten(1) @ (self.bn.bias - self.bn.running_mean * scale)
        return weight * scale[:, None, None], shift if bias is None else shift + bias


class Reduction(nn.Sequential):
    """Linear, BatchNorm and, unless ``signed``, ReLU on vectors: [N, C] -> [N, D]."""

    def __init__(self, channels: int, dim: int, *, signed: bool = False) -> None:
        linear = nn.Linear(channels, dim)
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)
        super().__init__(linear, nn.BatchNorm1d(dim), nn.Identity() if signed else nn.ReLU(inplace=True))


class BNNeck(nn.Module):
    """BatchNorm with a bias frozen at 0, then a linear identity classifier where there are identities."""

    def __init__(self, dim: int, identities: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(dim)
        self.bn.bias.requires_grad_(False)
        self.classifier = nn.Linear(dim, identities, bias=False) if identities else None
        if self.classifier is not None:
            nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor | None]:
        """[N, D] -> normalised [N, D] and identity logits [N, I] or None."""
        normed = self.bn(vectors)
        return normed, None if self.classifier is None else self.classifier(normed)


class BPBReID(nn.Module):
    """The network of the paper's Figure 2.

    Args:
        options: what it is made of.
        pretrained: start the backbone from ImageNet weights (True: fetched; a path: read from there).

    With ``options.num_identities == 0`` only the layers that ``embed`` needs exist.

    >>> network = BPBReID(ModelOptions(part_names=("upper", "lower"))).eval()
    >>> network.embed(torch.zeros(1, 3, 64, 32)).part_names
    ('foreground', 'upper', 'lower')
    """

    def __init__(self, options: ModelOptions, *, pretrained: bool | str | os.PathLike[str] = False) -> None:
        super().__init__()
        self.options = options
        self.backbone = build_backbone(options.backbone, pretrained=pretrained)
        channels, dim = self.backbone.channels, options.dim
        self.place_weights: nn.Parameter | None = None
        self.reduce_before: nn.Sequential | None = None
        if options.reduction in {"before_pooling", "before_and_after_pooling"}:
            width = dim if options.reduction == "before_pooling" else 2 * dim
            convolution = nn.Conv2d(channels, width, 1)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            self.reduce_before = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            channels = width
        if options.place_weights:
            cells = [-(-side // self.backbone.stride) for side in options.input_size]
            self.place_weights = nn.Parameter(torch.ones(channels, *cells))
        self.part_classifier: PartClassifier | None = None
        if options.attention == "learned":
            self.part_classifier = PartClassifier(
                channels,
                options.num_parts,
                batch_norm=options.classifier_batch_norm,
                bias=options.classifier_bias,
            )

        tested = {name.removeprefix("bn_") for name in options.test_embeddings}
        necks = {name.removeprefix("bn_") for name in options.test_embeddings if name.startswith("bn_")}
        reduced = [kind for kind in _KINDS if options.num_identities or kind in tested]
        self.reduce = nn.ModuleDict()
        if options.reduction in {"after_pooling", "before_and_after_pooling"}:
            self.reduce = nn.ModuleDict(
                {kind: Reduction(channels, dim, signed=options.signed) for kind in reduced}
            )
            channels = dim
        self.dim = channels
        """Width D of the embeddings."""
        identities = options.num_identities
        self.identity = nn.ModuleDict()
        for kind in (*_KINDS, "concat"):
            if not identities and kind not in necks:
                continue
            if kind == "parts" and not options.shared_part_classifier:
                self.identity[kind] = nn.ModuleList(
                    BNNeck(self.dim, identities) for _ in range(options.num_parts)
                )
            else:
                width = self.dim * options.num_parts if kind == "concat" else self.dim
                self.identity[kind] = BNNeck(width, identities)

    # ------------------------------------------------------------------ public

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Outputs:
        """All embeddings, visibilities, identity scores and maps, for training and its evaluation.

        Args:
            images: float [N, 3, h, w], RGB, normalised with the options' mean and std.
            masks: external maps [N, K+1, any, any] in [0, 1], channel 0 the background. Required with fixed
                attention; with target segmentation used in eval mode; else without effect.
        """
        features = self._features(images)
        logits, visible_maps, maps = self._attention(features, masks)
        kinds = _KINDS if self.options.num_identities else tuple(self._tested_kinds())
        embeddings = self._embeddings(features, maps, kinds)
        scores: dict[str, Tensor] = {}
        if "parts" in embeddings:
            embeddings["concat"] = embeddings["parts"].flatten(1)
        for kind in [kind for kind in embeddings if kind in self.identity]:
            normed, score = self._neck(kind, embeddings[kind])
            embeddings[f"bn_{kind}"] = normed
            if score is not None:
                scores[kind] = score
        return Outputs(embeddings, self._visibility(visible_maps), scores, logits, features, maps)

    @torch.no_grad()
    def embed(self, images: Tensor, masks: Tensor | None = None) -> PartEmbeddings:
        """One unit vector and one visibility per part, as in eval mode whatever mode the network is in.

        Args:
            images: float [N, 3, h, w], RGB, normalised with the options' mean and std.
            masks: as for ``forward``.

        Returns:
            features [N, P, D], by default P = 1 + K with the foreground first. Rows of invisible parts are
            finite and mean nothing.
        """
        with _evaluation_mode(self):
            features, visibility = self.embed_tensors(images, masks)
        return PartEmbeddings(features, visibility, self.options.row_names)

    def embed_tensors(self, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``embed`` wraps, traceable and in the mode the network is in: [N, P, D] and [N, P]."""
        features = self._features(images)
        kinds = tuple(self._tested_kinds())
        if kinds == ("global",) and masks is None:
            # No map is looked at, so fixed attention needs none either.
            masks = features.new_ones(features.shape[0], self.options.num_parts + 1, 1, 1)
        _, visible_maps, maps = self._attention(features, masks)
        embeddings = self._embeddings(features, maps, kinds)
        visibility = self._visibility(visible_maps)
        rows, visible = [], []
        for name in self.options.test_embeddings:
            kind = name.removeprefix("bn_")
            embedding = embeddings[kind]
            if name.startswith("bn_"):
                embedding = self._neck(kind, embedding)[0]
            many = kind == "parts"
            rows.append(embedding if many else embedding[:, None])
            visible.append(visibility[kind] if many else visibility[kind][:, None])
        joined = torch.cat(rows, 1).float()
        return F.normalize(joined, dim=-1), torch.cat([v.float() for v in visible], 1)

    @torch.no_grad()
    def attend(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Attention maps [N, K+1, H, W] in [0, 1] as in eval mode, channel 0 the background, for drawing."""
        with _evaluation_mode(self):
            maps = self._attention(self._features(images), masks)[2]
        return torch.cat([maps["background"][:, None], maps["parts"]], 1)

    def for_inference(self) -> BPBReID:
        """A copy with only the layers that ``embed`` needs, and the same embeddings."""
        slim = BPBReID(self.options.model_copy(update={"num_identities": 0}))
        wanted = slim.state_dict().keys()
        slim.load_state_dict({key: value for key, value in self.state_dict().items() if key in wanted})
        return slim.train(self.training).to(next(self.parameters()).device)

    # ---------------------------------------------------------------- the steps

    def _tested_kinds(self) -> list[str]:
        return [name.removeprefix("bn_") for name in self.options.test_embeddings]

    def _features(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        return features if self.reduce_before is None else self.reduce_before(features)

    def _attention(
        self, features: Tensor, masks: Tensor | None
    ) -> tuple[Tensor | None, Tensor, dict[str, Tensor]]:
        """Eq. 1 and M_f = max_k M_k.

        Returns:
            logits or None; the K+1 maps that visibility is read from; the maps to pool with.
        """
        options = self.options
        logits = None
        if options.attention == "fixed" and masks is None:
            raise ValueError("masks: a network with fixed attention needs external masks [N, K+1, h, w]")
        if masks is not None:
            masks = self._external(masks, features)
        if self.part_classifier is not None:
            logits = self.part_classifier(features)
            maps = logits.float().softmax(1)
        elif options.attention == "stripes":
            maps = stripe_maps(options.num_parts, features)
        else:
            assert masks is not None
            maps = masks
        background, parts = maps[:, 0], maps[:, 1:]
        if masks is not None and not self.training and logits is not None:
            if options.target_segmentation == "soft":
                parts = parts * masks[:, 1:]
            elif options.target_segmentation == "hard":
                target = masks[:, 1:].amax(1) > masks[:, 0]
                background = (~target).to(maps.dtype)
                parts = parts.masked_fill(~target[:, None], 1e-12)
                maps = torch.cat([maps[:, :1], parts], 1)
        return logits, maps, {"foreground": parts.amax(1), "background": background, "parts": parts}

    def _external(self, masks: Tensor, features: Tensor) -> Tensor:
        expected = [len(features), self.options.num_parts + 1]
        if masks.ndim != 4 or list(masks.shape[:2]) != expected:
            raise ValueError(f"masks: expected {[*expected, 'h', 'w']}, got {list(masks.shape)}")
        masks = masks.to(features.device, torch.float32)
        return F.interpolate(masks, features.shape[2:], mode="bilinear", align_corners=True)

    def _visibility(self, maps: Tensor) -> dict[str, Tensor]:
        """Eq. 4 or its variants on the K+1 maps [N, K+1, H, W]."""
        mode = self.options.visibility
        peaks = maps.flatten(2).amax(2)  # [N, K+1]
        if mode == "continuous":
            seen, whole = peaks, peaks.amax(1)
        else:
            if mode == "threshold":
                seen = peaks > self.options.visibility_threshold
            elif mode == "argmax":
                winners = maps.flatten(2).argmax(1)  # [N, HW]
                classes = torch.arange(maps.shape[1], device=maps.device)
                seen = (winners[:, :, None] == classes).any(1)
            else:
                seen = torch.ones_like(peaks, dtype=torch.bool)
            whole = torch.ones_like(seen[:, 0])
        return {
            "global": torch.ones_like(seen[:, 0]),
            "foreground": whole,
            "background": seen[:, 0],
            "concat": whole,
            "parts": seen[:, 1:],
        }

    def _embeddings(
        self, features: Tensor, maps: dict[str, Tensor], kinds: tuple[str, ...]
    ) -> dict[str, Tensor]:
        """Eq. 3 for all ``kinds`` in one matrix product, then the reduction to D."""
        if self.place_weights is not None:
            features = features * resized_places(self.place_weights, features.shape[2:])
        flat = features.flatten(2).transpose(1, 2)  # [N, HW, C], a view in either memory format
        cells = flat.shape[1]
        weights, sizes = [], []
        for kind in kinds:
            if kind == "global":
                weight = flat.new_full((1, 1, cells), 1 / cells).expand(flat.shape[0], -1, -1)
            else:
                weight = maps[kind].flatten(-2)
                weight = weight if kind == "parts" else weight[:, None]
                style = self.options.pooling if kind == "parts" else self.options.foreground_pooling
                if style in {"gwap", "weighted"}:
                    weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-6)
                else:
                    weight = weight / cells
            weights.append(weight.to(flat.dtype))
            sizes.append(weight.shape[1])
        pooled = torch.bmm(torch.cat(weights, 1), flat).split(sizes, 1)
        embeddings = {}
        for kind, value in zip(kinds, pooled, strict=True):
            if kind == "parts":
                if self.options.pooling == "gmp":
                    parts = maps["parts"].flatten(-2).to(flat.dtype)
                    value = torch.stack([(flat * part[:, :, None]).amax(1) for part in parts.unbind(1)], 1)
                rows = value.flatten(0, 1)  # all parts share one reduction, and so its statistics
                embeddings[kind] = self._reduced(kind, rows).unflatten(0, value.shape[:2])
            else:
                embeddings[kind] = self._reduced(kind, value[:, 0])
        return embeddings

    def _reduced(self, kind: str, vectors: Tensor) -> Tensor:
        return self.reduce[kind](vectors) if kind in self.reduce else vectors

    def _neck(self, kind: str, embedding: Tensor) -> tuple[Tensor, Tensor | None]:
        """BNNeck and, where there are identities, the identity logits."""
        neck = self.identity[kind]
        if isinstance(neck, nn.ModuleList):
            normed, scores = zip(*(n(embedding[:, k]) for k, n in enumerate(neck)), strict=True)
            return torch.stack(normed, 1), torch.stack(scores, 1) if self.options.num_identities else None
        normed, score = neck(embedding.flatten(0, -2))
        return normed.view_as(embedding), None if score is None else score.unflatten(0, embedding.shape[:-1])


def resized_places(weights: Tensor, cells: Sequence[int]) -> Tensor:
    """``ModelOptions.place_weights`` [C, H, W] for a map of ``cells``, its height and width: [C, *cells]."""
    if tuple(weights.shape[1:]) == tuple(cells):
        return weights
    return F.interpolate(weights[None], tuple(cells), mode="bilinear")[0]


def stripe_maps(parts: int, features: Tensor) -> Tensor:
    """Equal horizontal stripes as K+1 binary maps (PCB): [N, K+1, H, W], an empty background first."""
    n, _, height, width = features.shape
    edges = [round(index * height / parts) for index in range(parts + 1)]
    maps = torch.zeros(parts + 1, height, device=features.device)
    for index, (top, bottom) in enumerate(pairwise(edges)):
        maps[index + 1, top:bottom] = 1
    return maps[None, :, :, None].expand(n, -1, -1, width)


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    training = [module for module in network.modules() if module.training] if network.training else []
    if training:
        network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
