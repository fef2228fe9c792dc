"""The objective of BPBReID: part attention, identity and part-averaged triplet loss (Sec. 3.1.3, 3.3).

Letters in shapes: N images, K parts, D embedding width, I training identities, H x W feature map cells.
Losses are computed in float32 where the input is narrower, whatever autocast is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpbreid_track.model.network import Outputs

EMBEDDINGS = ("global", "foreground", "concat", "parts")
TripletStyle = Literal["part_averaged", "per_part"]
IGNORED = -100
"""Target of pixels that the part attention loss leaves out."""


class Weights(NamedTuple):
    """What one embedding is trained with: weight of its identity loss and of its triplet loss."""

    identity: float = 0.0
    triplet: float = 0.0


GILT: dict[str, Weights] = {
    "global": Weights(identity=1.0),
    "foreground": Weights(identity=1.0),
    "concat": Weights(identity=1.0),
    "parts": Weights(triplet=1.0),
}
"""Eq. 6: identity loss on the holistic embeddings only, triplet loss on the parts only."""


def body_part_attention_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.1) -> Tensor:
    """Cross-entropy of the pixel-wise part classifier, mean over pixels (Eq. 2).

    The smoothed target of a pixel of part y is ``(1 - e) * [k == y] + e / (K+1)``. The paper prints a sum
    over the pixels, and the batch size in place of K+1; the weight 0.35 of Eq. 5 belongs to the mean.

    Args:
        logits: float [N, K+1, H, W], channel 0 the background, before the softmax.
        targets: int64 [N, H, W] in 0..K; -100 marks pixels that are not to be counted. Or soft targets, float
            [N, K+1, H', W'], which are resized to H x W and reduced to their strongest channel.
        label_smoothing: e in [0, 1].

    Returns:
        Scalar; zero where no pixel counts.

    Raises:
        ValueError: shapes that do not fit.
    """
    if logits.ndim != 4:
        raise ValueError(f"logits: expected [N, K+1, H, W], got {list(logits.shape)}")
    if targets.is_floating_point():
        if targets.ndim != 4 or targets.shape[:2] != logits.shape[:2]:
            raise ValueError(f"targets: expected {[*logits.shape[:2], 'h', 'w']}, got {list(targets.shape)}")
        soft = F.interpolate(targets.float(), logits.shape[2:], mode="bilinear", align_corners=True)
        targets = soft.argmax(1)
    expected = [logits.shape[0], *logits.shape[2:]]
    if list(targets.shape) != expected:
        raise ValueError(f"targets: expected {expected}, got {list(targets.shape)}")
    # Counted, not asked with any(): the processor would have to wait for the device.
    counted = (targets != IGNORED).sum().clamp_min(1)
    with _full_precision(logits):
        total = F.cross_entropy(
            _wide(logits), targets.long(), label_smoothing=label_smoothing, reduction="sum"
        )
    return total / counted


def identity_loss(
    scores: Tensor, labels: Tensor, label_smoothing: float = 0.1, visibility: Tensor | None = None
) -> Tensor:
    """Cross-entropy with label smoothing on identity scores, mean over rows.

    The target of a row of identity y is ``(1 - e) * [i == y] + e / I``.

    Args:
        scores: float [N, I], or [N, K, I] where each of K parts is one more row of the same identity.
        labels: int64 [N] in 0..I-1.
        label_smoothing: e in [0, 1].
        visibility: [N] or [N, K] as the rows. bool: invisible rows do not count. float: weights of the rows.

    Returns:
        Scalar; zero where nothing is visible.
    """
    rows = scores.flatten(0, -2)
    targets = labels if scores.ndim == 2 else labels[:, None].expand(scores.shape[:2]).flatten()
    with _full_precision(scores):
        if visibility is None:
            return F.cross_entropy(_wide(rows), targets, label_smoothing=label_smoothing)
        losses = F.cross_entropy(_wide(rows), targets, label_smoothing=label_smoothing, reduction="none")
        weights = visibility.detach().flatten().to(losses.dtype)
        return (losses * weights).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)


def part_averaged_triplet_loss(
    parts: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    visibility: Tensor | None = None,
    sets: Tensor | None = None,
) -> Tensor:
    """Batch-hard triplet loss on the mean of the part distances (Eq. 7, 8).

    With ``d_ij`` the Euclidean distance of samples i and j averaged over the parts, each anchor a pays
    ``max(0, max_p d_ap - min_n d_an + margin)`` for its farthest positive p (same identity, not itself) and
    its nearest negative n (other identity). The result is the mean over the anchors that have both.

    Args:
        parts: float [N, K, D], before the BNNeck and not normalised. K = 1 for a holistic embedding.
        labels: integers [N].
        margin: alpha; not positive: the soft margin ``log(1 + exp(d_ap - d_an))``.
        visibility: [N, K]. None: all parts count alike. bool: the mean is over mutually visible parts. float:
            weighted mean with ``sqrt(v_i * v_j)``. Pairs without a common part are no candidates. It is taken
            as given: no gradient flows into it.
        sets: data set of each sample, integers [N]. Negatives are of the anchor's own: one of another set
            is told by its cameras alone. None: all are of one set.

    Returns:
        Scalar, float32 or wider. Zero, still part of the graph, where no anchor has both.

    >>> parts = torch.tensor([[[0.0]], [[1.0]], [[1.5]]])
    >>> part_averaged_triplet_loss(parts, torch.tensor([7, 7, 8]))  # the third has no positive
    tensor(0.4000)
    """
    return _triplet(*_checked(parts, labels, visibility), margin, sets)


def per_part_triplet_loss(
    parts: Tensor,
    labels: Tensor,
    margin: float = 0.3,
    visibility: Tensor | None = None,
    sets: Tensor | None = None,
) -> Tensor:
    """A batch-hard triplet loss for each part by itself ("w/o part-averaged triplet loss" of Table 2).

    Arguments as for ``part_averaged_triplet_loss``; a pair counts for part k where both show it. The
    result is the mean over all anchors of all parts.
    """
    parts, labels, visibility = _checked(parts, labels, visibility)
    # K problems of one part each: [K, N, 1, D].
    single = parts.transpose(0, 1)[:, :, None]
    shown = None if visibility is None else (visibility > 0).transpose(0, 1)[:, :, None]
    return _triplet(single, labels, shown, margin, sets)


_TRIPLETS: dict[str, Callable[[Tensor, Tensor, float, Tensor | None, Tensor | None], Tensor]] = {
    "part_averaged": part_averaged_triplet_loss,
    "per_part": per_part_triplet_loss,
}


class GiLtLoss(nn.Module):
    """Global-identity local-triplet loss (Eq. 6), or any other assignment of the two losses (Table 4).

    Args:
        weights: for each of ``global``, ``foreground``, ``concat`` and ``parts`` the weights of the identity
            and of the triplet loss; a missing embedding gets neither. None: ``GILT``.
        margin: of the triplet losses.
        label_smoothing: of the identity losses.
        triplet: on the parts: one triplet on the mean distance, or one for each part.
        use_visibility: leave invisible parts out of the losses. The paper does not.

    >>> GiLtLoss({"parts": (0, 1)}).weights["parts"].triplet
    1
    """

    def __init__(
        self,
        weights: Mapping[str, tuple[float, float]] | None = None,
        *,
        margin: float = 0.3,
        label_smoothing: float = 0.1,
        triplet: TripletStyle = "part_averaged",
        use_visibility: bool = False,
    ) -> None:
        super().__init__()
        unknown = set(weights or ()) - set(EMBEDDINGS)
        if unknown:
            raise ValueError(f"weights: unknown embedding {min(unknown)!r}; known: {', '.join(EMBEDDINGS)}")
        self.weights = {name: Weights(*pair) for name, pair in (GILT if weights is None else weights).items()}
        self.margin = margin
        self.label_smoothing = label_smoothing
        self.triplet = triplet
        self.use_visibility = use_visibility

    def forward(self, outputs: Outputs, labels: Tensor, sets: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            outputs: of a network with identity classifiers.
            labels: int64 [N] in 0..I-1.
            sets: as for ``part_averaged_triplet_loss``.
        """
        return _total(self.terms(outputs, labels, sets), outputs)

    def terms(self, outputs: Outputs, labels: Tensor, sets: Tensor | None = None) -> dict[str, Tensor]:
        """The weighted terms, by names such as ``identity_global`` and ``triplet_parts``."""
        terms = {}
        for name, (identity, triplet) in self.weights.items():
            seen = outputs.visibility[name] if self.use_visibility else None
            if identity:
                loss = identity_loss(outputs.scores[name], labels, self.label_smoothing, seen)
                terms[f"identity_{name}"] = identity * loss
            if triplet:
                vectors = outputs.embeddings[name]
                if name == "parts":
                    loss = _TRIPLETS[self.triplet](vectors, labels, self.margin, seen, sets)
                else:
                    loss = part_averaged_triplet_loss(
                        vectors[:, None], labels, self.margin, None if seen is None else seen[:, None], sets
                    )
                terms[f"triplet_{name}"] = triplet * loss
        return terms


class TotalLoss(nn.Module):
    """``L = lambda_pa * L_pa + L_GiLt`` (Eq. 5).

    Args:
        gilt: the part that the identity labels supervise.
        attention_weight: lambda_pa; 0: without human-parsing labels.
        label_smoothing: of the part attention loss.
    """

    def __init__(self, gilt: GiLtLoss, attention_weight: float = 0.35, label_smoothing: float = 0.1) -> None:
        super().__init__()
        self.gilt = gilt
        self.attention_weight = attention_weight
        self.label_smoothing = label_smoothing

    def forward(
        self, outputs: Outputs, labels: Tensor, targets: Tensor | None = None, sets: Tensor | None = None
    ) -> Tensor:
        """The loss of a batch, a scalar; ``targets`` as for ``body_part_attention_loss``."""
        return _total(self.terms(outputs, labels, targets, sets), outputs)

    def terms(
        self, outputs: Outputs, labels: Tensor, targets: Tensor | None = None, sets: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As ``GiLtLoss.terms``, and ``part_attention`` where there are targets and a part classifier."""
        terms = self.gilt.terms(outputs, labels, sets)
        if self.attention_weight and targets is not None and outputs.logits is not None:
            loss = body_part_attention_loss(outputs.logits, targets, self.label_smoothing)
            terms["part_attention"] = self.attention_weight * loss
        return terms


# ------------------------------------------------------------------------------------------------ triplets


def _checked(
    parts: Tensor, labels: Tensor, visibility: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    if parts.ndim != 3:
        raise ValueError(f"parts: expected [N, K, D], got {list(parts.shape)}")
    if labels.shape != parts.shape[:1]:
        raise ValueError(f"labels: expected [{len(parts)}] to fit the parts, got {list(labels.shape)}")
    if visibility is not None and visibility.shape != parts.shape[:2]:
        raise ValueError(f"visibility: expected {list(parts.shape[:2])}, got {list(visibility.shape)}")
    return parts, labels, visibility


def _triplet(
    parts: Tensor, labels: Tensor, visibility: Tensor | None, margin: float, sets: Tensor | None
) -> Tensor:
    """Batch-hard triplet loss of many problems: parts [..., N, K, D], visibility [..., N, K]."""
    if len(labels) < 2:
        return _zero(parts)
    with _full_precision(parts):
        wide = _wide(parts)
        shown = torch.ones_like(wide[..., 0]) if visibility is None else visibility.detach().to(wide.dtype)
        positive, negative, valid = _hardest(wide.detach(), labels, shown, sets)
        # Only the 2 N mined pairs of the N^2 are differentiated.
        gap = _pair_distance(wide, shown, positive) - _pair_distance(wide, shown, negative)
        losses = F.relu(gap + margin) if margin > 0 else F.softplus(gap)
        return losses.masked_fill(~valid, 0).sum() / valid.sum().clamp_min(1)


@torch.no_grad()
def _hardest(
    parts: Tensor, labels: Tensor, shown: Tensor, sets: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of each anchor's farthest positive and nearest negative, and whether it has both: [..., N]."""
    rows = parts.transpose(-3, -2)  # [..., K, N, D]
    # Differences, not |a|^2 - 2ab + |b|^2: equal vectors are exactly 0 apart.
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    root = shown.transpose(-2, -1).sqrt()  # [..., K, N]
    weights = root[..., :, None] * root[..., None, :]
    total = weights.sum(-3)
    mean = (distances * weights).sum(-3) / total.clamp_min(torch.finfo(total.dtype).tiny)  # [..., N, N]
    same = labels[:, None] == labels
    comparable = total > 0
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positives, negatives = comparable & same & ~itself, comparable & ~same
    if sets is not None:
        negatives = negatives & (sets[:, None] == sets)
    farthest = mean.masked_fill(~positives, -torch.inf).argmax(-1)
    nearest = mean.masked_fill(~negatives, torch.inf).argmin(-1)
    return farthest, nearest, positives.any(-1) & negatives.any(-1)


def _pair_distance(parts: Tensor, shown: Tensor, other: Tensor) -> Tensor:
    """Mean part distance of each row to row ``other`` of the same problem: [..., N]."""
    index = other[..., None]
    partner = parts.gather(-3, index[..., None].expand_as(parts))
    weights = (shown * shown.gather(-2, index.expand_as(shown))).sqrt()
    distances = _norm(parts - partner)
    return (distances * weights).sum(-1) / weights.sum(-1).clamp_min(torch.finfo(weights.dtype).tiny)


def _norm(vectors: Tensor) -> Tensor:
    """Euclidean length over the last axis; where it is 0 the gradient is 0, not NaN."""
    squared = vectors.square().sum(-1)
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _full_precision(values: Tensor) -> torch.autocast:
    return torch.autocast(values.device.type, enabled=False)


def _zero(values: Tensor) -> Tensor:
    """0 with a path to ``values``, so that ``backward`` works on it."""
    return (_wide(values) * 0).sum()


def _total(terms: Mapping[str, Tensor], outputs: Outputs) -> Tensor:
    return torch.stack(list(terms.values())).sum() if terms else _zero(outputs.features)
