"""The losses against plain loops over the formulas."""

from __future__ import annotations

import math

import pytest
import torch

from bpbreid_track.model.network import Outputs
from bpbreid_trainer.losses import (
    GILT,
    GiLtLoss,
    TotalLoss,
    body_part_attention_loss,
    identity_loss,
    part_averaged_triplet_loss,
    per_part_triplet_loss,
)

N, K, D, IDENTITIES = 12, 4, 6, 5


def batch(seed=0, dtype=torch.float64, n=N):
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(n, K, D, generator=generator, dtype=torch.float64).to(dtype)
    labels = torch.randint(0, IDENTITIES, (n,), generator=generator)
    return parts, labels, generator


def loop_distance(a, b, va, vb):
    """Eq. 7 of two samples [K][D], with visibilities [K]; None without a common part."""
    total = weight = 0.0
    for k in range(len(a)):
        w = math.sqrt(float(va[k]) * float(vb[k]))
        total += w * math.sqrt(sum((float(x) - float(y)) ** 2 for x, y in zip(a[k], b[k], strict=True)))
        weight += w
    return total / weight if weight > 0 else None


def loop_anchors(parts, labels, margin, visibility=None):
    """Eq. 8 for each anchor that has a positive and a negative."""
    seen = torch.ones(parts.shape[:2]) if visibility is None else visibility
    losses = []
    for a in range(len(parts)):
        positives, negatives = [], []
        for b in range(len(parts)):
            distance = loop_distance(parts[a], parts[b], seen[a], seen[b])
            if a != b and distance is not None:
                (positives if labels[a] == labels[b] else negatives).append(distance)
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append(max(0.0, gap + margin) if margin > 0 else math.log(1 + math.exp(gap)))
    return losses


def mean(values):
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [0.3, 2.0, 0.0], ids=["margin 0.3", "margin 2", "soft margin"])
@pytest.mark.parametrize("kind", ["all", "bool", "float"])
def test_triplet_loss_is_the_mean_over_anchors_of_eq_8(seed, margin, kind):
    parts, labels, generator = batch(seed)
    visibility = {
        "all": None,
        "bool": torch.rand(N, K, generator=generator) > 0.5,
        "float": torch.rand(N, K, generator=generator) * (torch.rand(N, K, generator=generator) > 0.3),
    }[kind]
    loss = part_averaged_triplet_loss(parts, labels, margin, visibility)
    assert loss.item() == pytest.approx(mean(loop_anchors(parts, labels, margin, visibility)), abs=1e-6)


@pytest.mark.parametrize("visible", [False, True], ids=["all parts", "visible parts"])
def test_per_part_triplets_are_one_problem_for_each_part(visible):
    parts, labels, generator = batch(3)
    seen = torch.rand(N, K, generator=generator) > 0.4 if visible else torch.ones(N, K, dtype=torch.bool)
    losses = [
        loss for k in range(K) for loss in loop_anchors(parts[:, k : k + 1], labels, 0.3, seen[:, k : k + 1])
    ]
    loss = per_part_triplet_loss(parts, labels, 0.3, seen if visible else None)
    assert loss.item() == pytest.approx(mean(losses), abs=1e-9)


def test_gradient_of_the_mined_pairs_is_the_gradient_of_the_whole():
    parts, labels, _ = batch(1)
    parts.requires_grad_()
    part_averaged_triplet_loss(parts, labels, 5.0).backward()
    whole = parts.detach().requires_grad_()
    distances = (whole[:, None] - whole[None]).square().sum(-1).add(1e-300).sqrt().mean(-1)
    same = labels[:, None] == labels
    itself = torch.eye(N, dtype=torch.bool)
    farthest = distances.masked_fill(~same | itself, -torch.inf).amax(1)
    nearest = distances.masked_fill(same, torch.inf).amin(1)
    valid = (same & ~itself).any(1) & (~same).any(1)
    (farthest - nearest + 5.0)[valid].relu().mean().backward()
    torch.testing.assert_close(parts.grad, whole.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("loss_of", [part_averaged_triplet_loss, per_part_triplet_loss])
@pytest.mark.parametrize("margin", [0.3, 0.0])
def test_zero_distances_give_a_finite_loss_and_finite_gradients(dtype, loss_of, margin):
    parts = torch.full((4, K, D), 100.0, dtype=dtype, requires_grad=True)
    loss = loss_of(parts, torch.tensor([0, 0, 1, 1]), margin)
    loss.backward()
    assert loss.item() == pytest.approx(0.3 if margin else math.log(2), abs=1e-6)
    assert parts.grad.isfinite().all()


def test_float16_vectors_whose_squares_overflow_are_no_matter():
    parts = torch.tensor([[[300.0]], [[-300.0]], [[0.0]]], dtype=torch.float16, requires_grad=True)
    loss = part_averaged_triplet_loss(parts, torch.tensor([0, 0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(300.3, abs=1e-3)
    assert parts.grad.isfinite().all()


@pytest.mark.parametrize(
    ("labels", "visibility"),
    [
        ([0, 0, 0], None),
        ([0, 1, 2], None),
        ([0, 0, 1], torch.zeros(3, K, dtype=torch.bool)),
        ([0, 0, 1], torch.zeros(3, K)),
        ([0], None),
        ([], None),
    ],
    ids=["one identity", "no positives", "nothing visible", "no weight", "one image", "no image"],
)
@pytest.mark.parametrize("loss_of", [part_averaged_triplet_loss, per_part_triplet_loss])
def test_without_a_valid_triplet_the_loss_is_a_zero_with_a_gradient(labels, visibility, loss_of):
    parts = torch.randn(len(labels), K, D, requires_grad=True)
    loss = loss_of(parts, torch.tensor(labels, dtype=torch.int64), 0.3, visibility)
    loss.backward()
    assert loss.item() == 0
    assert (parts.grad == 0).all()


def test_anchors_without_a_positive_do_not_count():
    parts = torch.tensor([[[0.0]], [[1.0]], [[1.5]]])
    # anchor 0: 1 - 1.5 + 0.3 < 0; anchor 1: 1 - 0.5 + 0.3; anchor 2 has no positive
    assert part_averaged_triplet_loss(parts, torch.tensor([7, 7, 8])).item() == pytest.approx(0.4)


def test_the_loss_ignores_autocast():
    parts, labels, _ = batch(5, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = part_averaged_triplet_loss(parts, labels)
    assert inside == part_averaged_triplet_loss(parts, labels)


@pytest.mark.parametrize(
    ("shapes", "word"),
    [
        (((4, 3), (4,), None), "parts"),
        (((4, 3, 2), (3,), None), "labels"),
        (((4, 3, 2), (4,), (4, 2)), "visib"),
    ],
    ids=["no part axis", "labels too short", "visibility of other parts"],
)
def test_wrong_shapes_are_named(shapes, word):
    parts, labels, seen = shapes
    with pytest.raises(ValueError, match=word):
        part_averaged_triplet_loss(
            torch.zeros(parts), torch.zeros(labels), 0.3, None if seen is None else torch.ones(seen)
        )


# ------------------------------------------------------------------------------------------- cross-entropies


def loop_cross_entropy(row, target, smoothing):
    exponentials = [math.exp(float(value)) for value in row]
    loss = 0.0
    for index, value in enumerate(exponentials):
        wanted = (1 - smoothing) * (index == int(target)) + smoothing / len(exponentials)
        loss -= wanted * math.log(value / sum(exponentials))
    return loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_part_attention_loss_is_the_mean_over_pixels(smoothing):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, K + 1, 3, 2, generator=generator)
    targets = torch.randint(0, K + 1, (2, 3, 2), generator=generator)
    expected = mean(
        [
            loop_cross_entropy(logits[n, :, y, x], targets[n, y, x], smoothing)
            for n in range(2)
            for y in range(3)
            for x in range(2)
        ]
    )
    assert body_part_attention_loss(logits, targets, smoothing).item() == pytest.approx(expected, abs=1e-6)


def test_soft_targets_are_resized_and_reduced_to_the_strongest_part():
    logits = torch.randn(1, 3, 4, 2)
    soft = torch.zeros(1, 3, 8, 4)
    soft[:, 0, :2] = soft[:, 1, 2:5] = soft[:, 2, 5:] = 1
    hard = torch.tensor([0, 1, 2, 2])[None, :, None].expand(1, 4, 2)
    assert body_part_attention_loss(logits, soft) == body_part_attention_loss(logits, hard)


def test_pixels_without_a_label_do_not_count():
    logits, targets = torch.randn(1, 3, 2, 1), torch.tensor([[[1], [-100]]])
    kept = body_part_attention_loss(logits[:, :, :1], targets[:, :1])
    assert body_part_attention_loss(logits, targets).item() == pytest.approx(kept.item())
    assert body_part_attention_loss(logits, torch.full_like(targets, -100)).item() == 0


@pytest.mark.parametrize(
    "targets", [torch.zeros(2, 4, 4).long(), torch.zeros(2, 5, 8, 8)], ids=["hard", "soft"]
)
def test_targets_of_another_shape_are_an_error(targets):
    with pytest.raises(ValueError, match="targets: expected"):
        body_part_attention_loss(torch.zeros(2, 4, 4, 3), targets)


def test_identity_loss_of_parts_counts_every_part_as_a_row():
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(3, 2, IDENTITIES, generator=generator)
    labels = torch.tensor([1, 4, 0])
    rows = [[loop_cross_entropy(scores[n, k], labels[n], 0.1) for k in range(2)] for n in range(3)]
    assert identity_loss(scores, labels).item() == pytest.approx(
        mean([r for row in rows for r in row]), abs=1e-6
    )
    seen = torch.tensor([[True, False], [True, True], [False, False]])
    assert identity_loss(scores, labels, visibility=seen).item() == pytest.approx(
        mean([rows[0][0], rows[1][0], rows[1][1]]), abs=1e-6
    )
    weights = torch.tensor([[0.5, 0.0], [0.25, 1.0], [0.0, 0.25]])
    weighted = sum(float(weights[n, k]) * rows[n][k] for n in range(3) for k in range(2)) / 2
    assert identity_loss(scores, labels, visibility=weights).item() == pytest.approx(weighted, abs=1e-6)
    assert identity_loss(scores, labels, visibility=torch.zeros(3, 2)).item() == 0


# ----------------------------------------------------------------------------------------------------- GiLt


def outputs(n=8):
    parts, labels, generator = batch(6, torch.float32, n)
    holistic = {name: torch.randn(n, D, generator=generator) for name in ("global", "foreground")}
    scores = {name: torch.randn(n, IDENTITIES, generator=generator) for name in (*holistic, "concat")}
    scores["parts"] = torch.randn(n, K, IDENTITIES, generator=generator)
    seen = {name: torch.ones(n, dtype=torch.bool) for name in ("global", "foreground", "concat")}
    seen["parts"] = torch.rand(n, K, generator=generator) > 0.3
    made = Outputs(
        embeddings={**holistic, "parts": parts, "concat": parts.flatten(1)},
        visibility=seen,
        scores=scores,
        logits=torch.randn(n, K + 1, 4, 2, generator=generator),
        features=torch.zeros(n, 1, 4, 2),
        attention={},
    )
    return made, labels


def test_gilt_puts_identities_on_the_whole_and_triplets_on_the_parts():
    made, labels = outputs()
    expected = sum(identity_loss(made.scores[name], labels) for name in ("global", "foreground", "concat"))
    expected = expected + part_averaged_triplet_loss(made.embeddings["parts"], labels)
    assert GiLtLoss()(made, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    assert GiLtLoss(GILT)(made, labels) == GiLtLoss()(made, labels)


def test_any_embedding_takes_any_loss_at_any_weight():
    made, labels = outputs()
    weights = {"foreground": (0.5, 2.0), "parts": (1.0, 0.0), "concat": (0.0, 1.0)}
    terms = GiLtLoss(weights).terms(made, labels)
    embeddings = made.embeddings
    expected = {
        "identity_foreground": 0.5 * identity_loss(made.scores["foreground"], labels),
        "triplet_foreground": 2 * part_averaged_triplet_loss(embeddings["foreground"][:, None], labels),
        "identity_parts": identity_loss(made.scores["parts"], labels),
        "triplet_concat": part_averaged_triplet_loss(embeddings["concat"][:, None], labels),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value.item())


def test_visibility_enters_only_on_request():
    made, labels = outputs()
    seen = made.visibility["parts"]
    blind = GiLtLoss({"parts": (0, 1)})(made, labels)
    sighted = GiLtLoss({"parts": (0, 1)}, use_visibility=True)(made, labels)
    assert blind == part_averaged_triplet_loss(made.embeddings["parts"], labels)
    assert sighted == part_averaged_triplet_loss(made.embeddings["parts"], labels, 0.3, seen)
    assert blind != sighted


def test_one_triplet_for_each_part_is_an_option():
    made, labels = outputs()
    loss = GiLtLoss({"parts": (0, 1)}, triplet="per_part")(made, labels)
    assert loss == per_part_triplet_loss(made.embeddings["parts"], labels)


def test_no_loss_at_all_is_zero():
    assert GiLtLoss({})(*outputs()).item() == 0


def test_an_unknown_embedding_is_named():
    with pytest.raises(ValueError, match="'globl'"):
        GiLtLoss({"globl": (1, 0)})


def test_the_total_adds_the_weighted_part_attention_loss():
    made, labels = outputs()
    targets = torch.randint(0, K + 1, (8, 4, 2))
    expected = 0.35 * body_part_attention_loss(made.logits, targets) + GiLtLoss()(made, labels)
    assert TotalLoss(GiLtLoss())(made, labels, targets).item() == pytest.approx(expected.item(), rel=1e-6)
    without = GiLtLoss()(made, labels)
    assert TotalLoss(GiLtLoss(), attention_weight=0)(made, labels, targets) == without
    assert TotalLoss(GiLtLoss())(made, labels, None) == without
