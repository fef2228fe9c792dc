"""The network's equations against slow loops, its options, and its behaviour in training and inference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bpbreid_track.config import validated
from bpbreid_track.errors import UsageError
from bpbreid_track.model.network import BPBReID, stripe_maps
from bpbreid_track.model.options import AUTHORS, PAPER, ModelOptions
from bpbreid_track.model.part_groups import CHANNELS, PART_GROUPS, part_names, usual_part_names


def network(seed: int = 0, **options: object) -> BPBReID:
    """A small random network whose part classifier is decided enough for every part to win somewhere."""
    torch.manual_seed(seed)
    settings = {"backbone": "efficientnet_lite0", "dim": 16, "input_size": (64, 32), **options}
    made = BPBReID(ModelOptions(**settings)).eval()
    if made.part_classifier is not None:
        torch.nn.init.normal_(made.part_classifier.classifier.weight, std=0.2)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(3))


def external_masks(parts: int, n: int = 3) -> Tensor:
    return torch.rand(n, parts + 1, 5, 3, generator=torch.Generator().manual_seed(4)).softmax(1)


# ------------------------------------------------------------------ Eq. 1, 3, 4 against loops


def looped_pool(features: Tensor, weights: Tensor, style: str) -> Tensor:
    """One map over one image: [C, H, W], [H, W] -> [C], cell by cell."""
    total, mass, most = torch.zeros(features.shape[0]), 0.0, torch.full((features.shape[0],), -torch.inf)
    height, width = weights.shape
    for y in range(height):
        for x in range(width):
            value = features[:, y, x] * weights[y, x]
            total, mass, most = total + value, mass + float(weights[y, x]), torch.maximum(most, value)
    if style == "gmp":
        return most
    return total / (max(mass, 1e-6) if style in {"gwap", "weighted"} else height * width)


@pytest.mark.parametrize("pooling", ["gwap", "gap", "gmp"])
@pytest.mark.parametrize("foreground", ["weighted", "mean"])
def test_pooling_equals_a_loop_over_cells(images: Tensor, pooling: str, foreground: str) -> None:
    net = network(pooling=pooling, foreground_pooling=foreground, reduction="none", num_identities=4)
    with torch.no_grad():
        out = net(images)
    maps = out.logits.softmax(1)
    for n in range(len(images)):
        g = out.features[n]
        for k in range(5):
            expected = looped_pool(g, maps[n, k + 1], pooling)
            torch.testing.assert_close(out.embeddings["parts"][n, k], expected, atol=1e-5, rtol=1e-4)
        strongest = torch.stack([maps[n, k] for k in range(1, 6)]).max(0).values
        expected = looped_pool(g, strongest, foreground)
        torch.testing.assert_close(out.embeddings["foreground"][n], expected, atol=1e-5, rtol=1e-4)
        expected = looped_pool(g, torch.ones_like(strongest), "mean")
        torch.testing.assert_close(out.embeddings["global"][n], expected, atol=1e-5, rtol=1e-4)


def test_paper_classifier_is_a_softmax_of_a_bare_product(images: Tensor) -> None:
    net = network()
    assert net.part_classifier is not None
    assert net.part_classifier.bn is None
    assert net.part_classifier.classifier.bias is None
    with torch.no_grad():
        out = net(images)
        product = torch.einsum(
            "nchw,kc->nkhw", out.features, net.part_classifier.classifier.weight[:, :, 0, 0]
        )
    torch.testing.assert_close(
        torch.cat([out.attention["background"][:, None], out.attention["parts"]], 1), product.softmax(1)
    )


def test_batch_norm_before_the_classifier_counts_the_same_in_both_modes(images: Tensor) -> None:
    net = network(classifier_batch_norm=True, classifier_bias=True)
    norm = net.part_classifier.bn
    torch.nn.init.normal_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    with torch.no_grad():
        out = net(images)
        expected = net.part_classifier.classifier(norm(out.features))
    torch.testing.assert_close(out.logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.9])
def test_threshold_visibility_is_equation_4(images: Tensor, threshold: float) -> None:
    net = network(visibility="threshold", visibility_threshold=threshold)
    seen = net.embed(images).visibility
    maps = net.attend(images)
    for n in range(len(images)):
        assert seen[n, 0] == 1
        for k in range(1, 6):
            assert bool(seen[n, k]) == bool((maps[n, k] > threshold).any())


def test_argmax_visibility_asks_for_one_pixel_won(images: Tensor) -> None:
    net = network(seed=2, visibility="argmax")
    seen = net.embed(images).visibility
    maps = net.attend(images)
    won = [[any(int(cell.argmax()) == k for cell in m.flatten(1).T) for k in range(6)] for m in maps]
    assert seen[:, 1:].bool().tolist() == [row[1:] for row in won]
    assert 0 < seen[:, 1:].mean() < 1, "the scene should show some parts and hide others"
    assert seen[:, 0].eq(1).all()


def test_continuous_visibility_is_the_peak_of_the_map(images: Tensor) -> None:
    net = network(visibility="continuous")
    seen = net.embed(images).visibility
    peaks = net.attend(images).flatten(2).max(2).values
    torch.testing.assert_close(seen[:, 1:], peaks[:, 1:])
    torch.testing.assert_close(seen[:, 0], peaks.max(1).values)


# ------------------------------------------------------------------ embed


def test_embed_gives_unit_rows_in_the_order_of_the_names(images: Tensor) -> None:
    embeddings = network().embed(images)
    assert embeddings.part_names == ("foreground", *PAPER.part_names)
    assert list(embeddings.features.shape) == [3, 6, 16]
    torch.testing.assert_close(embeddings.features.norm(dim=-1), torch.ones(3, 6))


def test_embed_is_forward_in_eval_mode_normalised(images: Tensor) -> None:
    net = network(num_identities=4)
    with torch.no_grad():
        out = net(images)
    embeddings = net.embed(images)
    rows = torch.cat([out.embeddings["bn_foreground"][:, None], out.embeddings["parts"]], 1)
    torch.testing.assert_close(embeddings.features, torch.nn.functional.normalize(rows, dim=-1))
    torch.testing.assert_close(embeddings.visibility[:, 1:], out.visibility["parts"].float())


def test_embed_in_the_middle_of_training_changes_nothing(images: Tensor) -> None:
    net = network(num_identities=4)
    expected = net.embed(images).features
    net.train()
    net.backbone.bn1.eval()  # as a trainer with a frozen layer has it
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.testing.assert_close(net.embed(images).features, expected)
    assert net.training
    assert net.part_classifier.training
    assert not net.backbone.bn1.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize(
    "names",
    [
        ("foreground", "parts"),
        ("bn_foreground", "bn_parts"),
        ("global",),
        ("bn_global", "foreground", "parts"),
    ],
)
def test_other_test_embeddings(images: Tensor, names: tuple[str, ...]) -> None:
    net = network(num_identities=4, test_embeddings=names)
    embeddings = net.embed(images)
    with torch.no_grad():
        out = net(images)
    rows = [out.embeddings[name] for name in names]
    stacked = torch.cat([row if row.ndim == 3 else row[:, None] for row in rows], 1)
    torch.testing.assert_close(embeddings.features, torch.nn.functional.normalize(stacked, dim=-1))
    assert len(embeddings.part_names) == stacked.shape[1]


@pytest.mark.parametrize("parts", range(1, 15))
def test_any_number_of_parts_up_to_fourteen(parts: int, images: Tensor) -> None:
    embeddings = network(part_names=usual_part_names(parts)).embed(images)
    assert list(embeddings.features.shape) == [3, parts + 1, 16]


def test_rows_of_invisible_parts_stay_finite(images: Tensor) -> None:
    net = network(classifier_bias=True)
    torch.nn.init.zeros_(net.part_classifier.classifier.weight)
    with torch.no_grad():
        net.part_classifier.classifier.bias.copy_(torch.tensor([200.0, 0, 0, 0, 0, 0]))
    embeddings = net.embed(images)
    assert embeddings.visibility[:, 1:].eq(0).all()
    assert torch.isfinite(embeddings.features).all()


def test_embed_agrees_in_both_memory_formats(images: Tensor) -> None:
    net = network()
    expected = net.embed(images).features
    net.to(memory_format=torch.channels_last)
    actual = net.embed(images.to(memory_format=torch.channels_last)).features
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_no_images_give_no_embeddings() -> None:
    assert len(network().embed(torch.zeros(0, 3, 64, 32))) == 0


def test_inference_copy_has_fewer_layers_and_the_same_embeddings(images: Tensor) -> None:
    net = network(num_identities=50)
    slim = net.for_inference()
    assert len(slim.state_dict()) < len(net.state_dict())
    assert torch.equal(slim.embed(images).features, net.embed(images).features)


@pytest.mark.parametrize("reduction", ["none", "before_pooling", "after_pooling", "before_and_after_pooling"])
def test_reductions_set_the_width(reduction: str, images: Tensor) -> None:
    net = network(reduction=reduction)
    width = 1280 if reduction == "none" else 16
    assert net.dim == net.embed(images).dim == width


# ------------------------------------------------------------------ external masks, stripes


def test_fixed_attention_pools_with_the_masks_given(images: Tensor) -> None:
    net = network(attention="fixed", visibility="argmax")
    masks = external_masks(5)
    resized = torch.nn.functional.interpolate(masks, (4, 2), mode="bilinear", align_corners=True)
    torch.testing.assert_close(net.attend(images, masks), resized)
    assert net(images, masks).logits is None
    with pytest.raises(ValueError, match="external masks"):
        net.embed(images)
    with pytest.raises(ValueError, match=r"expected \[3, 6, 'h', 'w'\], got \[3, 5, 5, 3\]"):
        net.embed(images, masks[:, :5])


def test_stripes_part_the_image_from_top_to_bottom() -> None:
    maps = stripe_maps(4, torch.zeros(2, 7, 8, 3))
    assert maps.shape == (2, 5, 8, 3)
    assert maps[:, 0].eq(0).all()
    for k in range(4):
        rows = maps[0, k + 1, :, 0].nonzero().flatten().tolist()
        assert rows == [2 * k, 2 * k + 1]


def test_stripe_attention_needs_no_masks_and_sees_every_part(images: Tensor) -> None:
    embeddings = network(attention="stripes", part_names=part_names("strp_4")).embed(images)
    assert embeddings.visibility.eq(1).all()


def test_soft_segmentation_multiplies_the_part_maps(images: Tensor) -> None:
    plain, soft = network(), network(target_segmentation="soft")
    masks = external_masks(5)
    maps = plain.attend(images)
    resized = torch.nn.functional.interpolate(masks, maps.shape[2:], mode="bilinear", align_corners=True)
    out = soft.attend(images, masks)
    torch.testing.assert_close(out[:, 1:], maps[:, 1:] * resized[:, 1:])
    torch.testing.assert_close(out[:, 0], maps[:, 0])
    assert torch.equal(soft.embed(images, masks).visibility, plain.embed(images).visibility)


def test_hard_segmentation_keeps_the_target_only(images: Tensor) -> None:
    plain, hard = (
        network(visibility="continuous"),
        network(target_segmentation="hard", visibility="continuous"),
    )
    masks = torch.zeros(3, 6, 4, 2)
    masks[:, 0] = 1  # background but for one cell
    masks[:, 2, 1, 1] = 2
    out = hard.attend(images, masks)
    maps = plain.attend(images)
    inside = torch.zeros(4, 2, dtype=torch.bool)
    inside[1, 1] = True
    torch.testing.assert_close(out[:, 1:, inside], maps[:, 1:, inside])
    assert (out[:, 1:, ~inside] == 1e-12).all()
    assert torch.equal(out[:, 0], (~inside).float().expand(3, -1, -1))
    torch.testing.assert_close(hard.embed(images, masks).visibility[:, 1:], maps[:, 1:, 1, 1])


def test_segmentation_masks_have_no_effect_in_training(images: Tensor) -> None:
    net = network(target_segmentation="hard", num_identities=4).train()
    out = net(images, external_masks(5))
    torch.testing.assert_close(out.attention["parts"], out.logits.softmax(1)[:, 1:])


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("shared", [False, True], ids=["own classifiers", "shared classifier"])
def test_forward_gives_everything_training_needs(images: Tensor, shared: bool) -> None:
    out = network(num_identities=7, shared_part_classifier=shared).train()(images)
    shapes = {name: list(value.shape) for name, value in out.embeddings.items()}
    whole = {name: [3, 16] for name in ("global", "foreground", "background")}
    expected = whole | {"parts": [3, 5, 16], "concat": [3, 80]}
    assert shapes == expected | {f"bn_{name}": shape for name, shape in expected.items()}
    assert {name: list(score.shape) for name, score in out.scores.items()} == {
        "global": [3, 7],
        "foreground": [3, 7],
        "background": [3, 7],
        "concat": [3, 7],
        "parts": [3, 5, 7],
    }
    assert list(out.logits.shape) == [3, 6, 4, 2]
    assert all(value.dtype == torch.bool for value in out.visibility.values())
    assert torch.equal(out.embeddings["concat"], out.embeddings["parts"].flatten(1))


def test_identity_loss_teaches_the_attention(images: Tensor) -> None:
    net = network(num_identities=7).train()
    torch.nn.functional.cross_entropy(net(images).scores["foreground"], torch.tensor([0, 1, 2])).backward()
    assert net.part_classifier.classifier.weight.grad.abs().sum() > 0
    assert net.backbone.conv_stem.weight.grad.abs().sum() > 0
    assert net.identity["foreground"].bn.bias.grad is None, "the BNNeck's bias stays where it is"


def test_parts_share_one_reduction_and_its_statistics(images: Tensor) -> None:
    net = network(num_identities=4).train()
    reduction = net.reduce["parts"]
    seen: list[Tensor] = []
    reduction[0].register_forward_hook(lambda *args: seen.append(args[1][0]))
    net(images)
    assert [list(rows.shape) for rows in seen] == [[15, 1280]]


# ------------------------------------------------------------------ options and groupings


def test_the_two_option_sets_differ_where_program_and_paper_do() -> None:
    changed = {key for key in AUTHORS.model_dump() if getattr(AUTHORS, key) != getattr(PAPER, key)}
    assert changed == {
        "part_names",
        "classifier_batch_norm",
        "classifier_bias",
        "foreground_pooling",
        "visibility",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"part_names": ["head", "head"]}, "distinct"),
        ({"part_names": [f"p{k}" for k in range(15)]}, "1 to 14 parts, got 15"),
        ({"backbone": "hrnet_w32", "input_size": [250, 128]}, "divisible by 32 for hrnet_w32, got 250x128"),
        ({"source_size": [128, 0]}, r"source_size: expected sides of 1 to 1024 pixels, got \[128, 0\]"),
        ({"test_embeddings": ["parts"]}, "foreground or global embedding first"),
        ({"visibilty": "argmax"}, "did you mean 'visibility'"),
    ],
    ids=[
        "twice the same part",
        "too many parts",
        "indivisible size",
        "empty size",
        "parts alone",
        "misspelt",
    ],
)
def test_bad_options_are_refused_in_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        validated(ModelOptions, values, "model")
    assert "\n" not in str(caught.value)


def test_options_survive_json() -> None:
    options = AUTHORS.model_copy(update={"part_names": part_names("eight"), "num_identities": 3})
    assert ModelOptions.model_validate_json(options.model_dump_json()) == options


def test_groupings_use_the_36_channels() -> None:
    assert len(CHANNELS) == 36
    for name, parts in PART_GROUPS.items():
        channels = [channel for part in parts.values() for channel in part]
        assert all(0 <= channel < 36 for channel in channels), name
        assert ModelOptions(part_names=part_names(name)).num_parts == len(parts)


def test_groupings_are_those_of_the_reference(shared) -> None:
    import json

    reference = json.loads((shared / "part_groups.json").read_text())
    assert list(CHANNELS) == reference["channels"]
    assert set(PART_GROUPS) == set(reference["groups"])
    for name, group in reference["groups"].items():
        ours = [(part, list(channels)) for part, channels in PART_GROUPS[name].items()]
        assert ours == [(part.removesuffix("_mask"), channels) for part, channels in group["parts"].items()]
