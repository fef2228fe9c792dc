"""Checkpoints of the authors' published program, and of its relatives of the same layout, read as ours.

Only facts about the files are used here: the names and shapes of their tensors, and the settings they carry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..config import validated
from ..errors import InputError
from .options import AUTHORS, ModelOptions
from .part_groups import part_names, usual_part_names

_BACKBONE = "backbone_appearance_feature_extractor."
_RENAMINGS = [
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^backbone_appearance_feature_extractor\.", "backbone."),
        (r"^before_pooling_dim_reduce\.layers\.", "reduce_before."),
        (r"^(global|foreground|background|parts)_after_pooling_dim_reduce\.layers\.", r"reduce.\1."),
        (r"^pixel_classifier\.", "part_classifier."),
        (r"^concat_parts_identity_classifier\.", "identity.concat."),
        (r"^(global|foreground|background|parts)_identity_classifier\.", r"identity.\1."),
    )
]
_BACKBONE_NAMES = {
    "resnet50": "resnet50",
    "fastreid_resnet": "fastreid_resnet50",
    "fastreid_resnet_ibn": "fastreid_resnet50_ibn",
    "fastreid_resnet_nl": "fastreid_resnet50_nl",
    "fastreid_resnet_ibn_nl": "fastreid_resnet50_ibn_nl",
    "hrnet32": "hrnet_w32",
}
_EMBEDDING_NAMES = {"globl": "global", "foreg": "foreground", "backg": "background", "parts": "parts"}
# The backbones' own classification heads: never part of what the network computes.
_BACKBONE_HEADS = re.compile(
    _BACKBONE.replace(".", r"\.") + r"(classifier|cls_head|downsamp_modules|final_layer|fc)\."
)
_UNUSED = "(unused)"


@dataclass
class LoadReport:
    """What became of a checkpoint's tensors; nothing is dropped without being named here."""

    format: str
    loaded: int = 0
    ignored: list[str] = field(default_factory=list)
    """Tensors that the network has no use for, by their names in the file."""
    kept: list[str] = field(default_factory=list)
    """Tensors of the network that are not in the file and keep what they held."""
    notes: list[str] = field(default_factory=list)
    """Anything a careful user should know, one line each."""


def is_authors(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the authors' layout."""
    return any(key.startswith(_BACKBONE) for key in state)


def convert(
    state: Mapping[str, Tensor], config: Any, where: str
) -> tuple[ModelOptions, dict[str, Tensor], LoadReport]:
    """Options, tensors under our names, and what was left out.

    Args:
        state: tensors by the authors' names, without ``module.``.
        config: the settings stored with them, or None.
        where: begins the messages.

    Raises:
        InputError: a backbone or setting that cannot be reproduced, or sizes that contradict each other.
    """
    report = LoadReport("bpbreid")
    sections = (_section(config, "model", program) for program in ("bpbreid", "prtreid", "kpr"))
    model = next((section for section in sections if section), {})
    options = _options(state, model, _section(config, "data"), report, where)

    ours: dict[str, Tensor] = {}
    surplus = []
    for key, value in state.items():
        name = _our_name(key, options)
        if name is None:
            surplus.append(key)
        elif name == _UNUSED:
            report.ignored.append(key)
        else:
            ours[name] = value
    if surplus:
        report.notes.append(f"layers that body-part embeddings do not need were left out: {_some(surplus)}")
        report.ignored += surplus
    return options, ours, report


def _our_name(key: str, options: ModelOptions) -> str | None:
    """Our name of a tensor; ``_UNUSED`` where its layer has no effect; None where the layer is not known."""
    hrnet_head_reduces = options.backbone == "hrnet_w32" and options.reduction == "before_pooling"
    if hrnet_head_reduces and key.startswith("before_pooling_dim_reduce."):
        return _UNUSED
    if hrnet_head_reduces and key.startswith(f"{_BACKBONE}cls_head."):
        return key.replace(f"{_BACKBONE}cls_head.", "reduce_before.")
    if _BACKBONE_HEADS.match(key) or (options.attention != "learned" and key.startswith("pixel_classifier.")):
        return _UNUSED
    for pattern, ours in _RENAMINGS:
        if pattern.match(key):
            return pattern.sub(ours, key)
    return None


def _options(
    state: Mapping[str, Tensor],
    model: Mapping[str, Any],
    data: Mapping[str, Any],
    report: LoadReport,
    where: str,
) -> ModelOptions:
    backbone = _backbone(state, model, where)
    reduction, dim = _reduction(state, model, where)
    parts = _parts(state, where)
    changes: dict[str, Any] = {
        "backbone": backbone,
        "reduction": reduction,
        "dim": dim,
        "part_names": _names(parts, _section(model, "masks").get("preprocess"), report),
        "input_size": _input_size(backbone, data),
        "attention": "learned" if "pixel_classifier.classifier.weight" in state else "fixed",
        "classifier_batch_norm": "pixel_classifier.bn.weight" in state,
        "classifier_bias": "pixel_classifier.classifier.bias" in state,
        "num_identities": _identities(state, where),
        "shared_part_classifier": "parts_identity_classifier.classifier.weight" in state,
    }
    if not model:
        report.notes.append(
            "no settings stored with the weights: the published defaults are assumed "
            f"(parts {', '.join(changes['part_names'])}; input {'x'.join(map(str, changes['input_size']))})"
        )
    if model.get("learnable_attention_enabled") is False:
        changes["attention"] = "fixed"
    if model.get("normalization", "identity") != "identity":
        raise InputError(
            f"{where}: normalization {model['normalization']!r} of the masked maps is not supported, "
            "only 'identity'"
        )
    changes["pooling"] = model.get("pooling", "gwap")
    changes["target_segmentation"] = model.get("test_use_target_segmentation") or "none"
    if model.get("testing_binary_visibility_score") is False:
        changes["visibility"] = "continuous"
    if model.get("mask_filtering_testing") is False:
        changes["visibility"] = "always"
    if model.get("test_embeddings"):
        changes["test_embeddings"] = [_embedding_name(name, where) for name in model["test_embeddings"]]
    for ours, theirs in (("mean", "norm_mean"), ("std", "norm_std")):
        if data.get(theirs):
            changes[ours] = data[theirs]
    return validated(ModelOptions, AUTHORS.model_dump() | changes, where)


def _backbone(state: Mapping[str, Tensor], model: Mapping[str, Any], where: str) -> str:
    def has(name: str) -> bool:
        return any(key.startswith(_BACKBONE + name) for key in state)

    if has("stage4."):
        found = "hrnet_w32"
    elif has("layer4.2.conv3.") and not has("layer4.3."):
        layout = ("_ibn" if has("layer1.0.bn1.IN.") else "") + ("_nl" if has("NL_2.") else "")
        stated = str(model.get("backbone", ""))
        # Their IBN and non-local networks are all of the FastReID layout; the plain one exists in both.
        found = f"fastreid_resnet50{layout}" if layout or stated.startswith("fastreid") else "resnet50"
    else:
        some = _some(key for key in state if key.startswith(_BACKBONE))
        raise InputError(f"{where}: a backbone that is not supported (tensors such as {some})")
    stated = str(model.get("backbone") or "")
    if stated and _BACKBONE_NAMES.get(stated) != found:
        raise InputError(f"{where}: its settings name the backbone {stated!r}, its tensors are {found}'s")
    return found


def _reduction(state: Mapping[str, Tensor], model: Mapping[str, Any], where: str) -> tuple[str, int]:
    """Where channels are reduced, and D."""
    before = state.get("before_pooling_dim_reduce.layers.0.weight")
    names = [f"{kind}_after_pooling_dim_reduce.layers.0.weight" for kind in ("parts", "foreground", "global")]
    after = next((state[name] for name in names if name in state), None)
    if after is not None:
        found = "after_pooling" if before is None else "before_and_after_pooling"
        dim = after.shape[0]
    elif before is not None:
        found, dim = "before_pooling", before.shape[0]
    else:
        found, dim = "none", 512
    stated = model.get("dim_reduce", found)
    if stated != found:
        raise InputError(
            f"{where}: its settings say dim_reduce {stated!r}, its tensors are those of {found!r}"
        )
    return found, int(dim)


def _parts(state: Mapping[str, Tensor], where: str) -> int:
    """K, from every place that shows it."""
    found: dict[str, int] = {}
    weight = state.get("pixel_classifier.classifier.weight")
    if weight is not None:
        found["pixel_classifier.classifier.weight"] = weight.shape[0] - 1
    separate = {
        key.split(".")[1] for key in state if re.match(r"parts_identity_classifier\.\d+\.bn\.weight$", key)
    }
    if separate:
        found["parts_identity_classifier.*"] = len(separate)
    concat = state.get("concat_parts_identity_classifier.bn.weight")
    whole = state.get("foreground_identity_classifier.bn.weight")
    if concat is not None and whole is not None:
        found["concat_parts_identity_classifier.bn.weight"] = concat.shape[0] // whole.shape[0]
    if not found:
        raise InputError(f"{where}: nothing in it shows the number of parts K; is it a whole checkpoint?")
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{count} by {key}" for key, count in found.items())
        raise InputError(f"{where}: its tensors contradict each other on the number of parts K: {listed}")
    return next(iter(found.values()))


def _identities(state: Mapping[str, Tensor], where: str) -> int:
    counts = {
        key: value.shape[0]
        for key, value in state.items()
        if re.search(r"_identity_classifier\.(\d+\.)?classifier\.weight$", key)
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} by {key}" for key, count in counts.items())
        raise InputError(f"{where}: its tensors contradict each other on the number of identities: {listed}")
    return next(iter(counts.values()), 0)


def _names(count: int, grouping: Any, report: LoadReport) -> tuple[str, ...]:
    if grouping is not None:
        try:
            names = part_names(str(grouping))
        except KeyError:
            names = ()
        if len(names) == count:
            return names
        report.notes.append(
            f"its settings name the grouping {grouping!r}, "
            + (f"which has {len(names)} parts" if names else "which is not known")
            + f"; the tensors have {count}, named as is usual for that number"
        )
    return usual_part_names(count)


def _input_size(backbone: str, data: Mapping[str, Any]) -> tuple[int, int]:
    height, width = data.get("height"), data.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return (384, 128) if backbone == "hrnet_w32" or "_ibn" in backbone else (256, 128)


def _embedding_name(name: str, where: str) -> str:
    neck = "bn_" if name.startswith("bn_") else ""
    known = _EMBEDDING_NAMES.get(name.removeprefix("bn_"))
    if known is None:
        raise InputError(
            f"{where}: test embedding {name!r} is not supported; supported: "
            f"{', '.join(_EMBEDDING_NAMES)}, with or without bn_"
        )
    return neck + known


def _section(config: Any, *names: str) -> Mapping[str, Any]:
    """A nested section of the settings, empty where there is none."""
    for name in names:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _some(keys: Iterable[str], most: int = 6) -> str:
    listed = sorted(keys)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
