"""What a BPBReID network is made of: every choice that changes its numbers, stored with the weights."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from ..config import Settings
from .part_groups import mirrored_parts, part_names

BackboneName = Literal[
    "resnet50",
    "resnet50_ibn",
    "hrnet_w32",
    "efficientnet_lite0",
    "retail_osnet",
    "fastreid_resnet50",
    "fastreid_resnet50_ibn",
    "fastreid_resnet50_nl",
    "fastreid_resnet50_ibn_nl",
]
EmbeddingName = Literal[
    "global", "foreground", "background", "parts", "bn_global", "bn_foreground", "bn_background", "bn_parts"
]


# Under which exported files carry their options.
METADATA_KEY = "bpbreid_track"
# Bounds that no network of the field comes near: a file's header must not make gigabytes out of a few bytes.
_WIDEST, _LARGEST_SIDE, _LONGEST_NAME = 8192, 1024, 100


class ModelOptions(Settings):
    """Settings of ``BPBReID``: the defaults are the paper's, ``AUTHORS`` those of the published program."""

    backbone: BackboneName = "resnet50"
    part_names: tuple[str, ...] = Field(
        part_names("five"), description="The K body parts in order; the foreground is implied before them."
    )
    input_size: tuple[int, int] = Field((256, 128), description="Height and width of a crop in pixels.")
    source_size: tuple[int, int] | None = Field(
        None,
        description="Height and width that crops are resized to before the input's: that of smaller training "
        "images, so that no crop is sharper than those. None: resized once.",
    )
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="Of R, G, B in [0, 1].")
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="Of R, G, B in [0, 1].")
    dim: int = Field(
        512, ge=1, le=_WIDEST, description="D, the width of an embedding; ignored with reduction 'none'."
    )
    reduction: Literal["none", "before_pooling", "after_pooling", "before_and_after_pooling"] = Field(
        "after_pooling",
        description="Where the backbone's channels are reduced to D. The paper has no reduction.",
    )
    signed: bool = Field(
        False, description="No ReLU after the reduction behind the pooling: embeddings may be negative."
    )

    attention: Literal["learned", "fixed", "stripes"] = Field(
        "learned",
        description="Part maps from the network (Eq. 1), from external masks, or horizontal stripes.",
    )
    classifier_batch_norm: bool = Field(False, description="BatchNorm before the part classifier. Eq. 1: no.")
    classifier_bias: bool = Field(False, description="Bias in the part classifier. Eq. 1: no.")
    target_segmentation: Literal["none", "soft", "hard"] = Field(
        "none", description="In eval mode, external masks also confine learned maps to the target person."
    )

    pooling: Literal["gwap", "gap", "gmp"] = Field("gwap", description="How parts are pooled. Eq. 3: gwap.")
    foreground_pooling: Literal["weighted", "mean"] = Field(
        "weighted", description="Eq. 3 (weighted), or the plain mean of the masked feature map."
    )
    place_weights: bool = Field(
        False,
        description="What is pooled has a learnt weight for each channel at each place of the feature map, "
        "as the last depthwise convolution of networks for mobile devices has.",
    )
    visibility: Literal["threshold", "argmax", "continuous", "always"] = Field(
        "threshold",
        description="When a part is visible: map above the threshold (Eq. 4), map wins some pixel, "
        "the map's maximum itself, or always.",
    )
    visibility_threshold: float = Field(0.4, ge=0, lt=1, description="Lambda_v of Eq. 4.")

    test_embeddings: tuple[EmbeddingName, ...] = Field(
        ("bn_foreground", "parts"),
        description="What embed returns, in order: bn_ after the BNNeck, else before. Whole body first.",
    )
    mirror: bool = Field(
        False,
        description="Encoders average the embeddings of a crop and its mirror image, left parts made right: "
        "better ones at twice the cost. Visibility is that of the crop itself.",
    )
    num_identities: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Training identities. 0: a network for inference, without identity classifiers.",
    )
    shared_part_classifier: bool = Field(False, description="One identity classifier for all parts.")

    @model_validator(mode="before")
    @classmethod
    def _tuples_from_json(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return values

    @model_validator(mode="after")
    def _check(self) -> ModelOptions:
        names = self.part_names
        if not 1 <= len(names) <= 14:
            raise ValueError(f"part_names: expected 1 to 14 parts, got {len(names)}")
        if len(set(names)) != len(names) or set(names) & {"foreground", "global", "background"}:
            raise ValueError(
                "part_names: expected distinct names other than foreground, global and background, "
                f"got {list(names)}"
            )
        if max(map(len, names)) > _LONGEST_NAME:
            raise ValueError(f"part_names: expected names of at most {_LONGEST_NAME} letters")
        self.check_size("input_size", self.input_size)
        if (
            self.source_size is not None
            and not 1 <= min(self.source_size) <= max(self.source_size) <= _LARGEST_SIDE
        ):
            raise ValueError(
                f"source_size: expected sides of 1 to {_LARGEST_SIDE} pixels, got {list(self.source_size)}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError("mean and std: expected finite numbers, std above 0")
        if self.mirror:
            mirrored_parts(names)
        kinds = [name.removeprefix("bn_") for name in self.test_embeddings]
        if not kinds or kinds[0] not in {"foreground", "global"} or len(set(kinds)) != len(kinds):
            raise ValueError(
                "test_embeddings: expected a foreground or global embedding first and no kind twice, "
                f"got {list(self.test_embeddings)}"
            )
        return self

    def check_size(self, name: str, size: tuple[int, int]) -> None:
        """Whether the backbone takes images of this height and width.

        Raises:
            ValueError: it does not; the message begins with ``name``.
        """
        height, width = size
        multiple = {"hrnet_w32": 32, "efficientnet_lite0": 16}.get(self.backbone, 1)
        if max(height, width) > _LARGEST_SIDE:
            raise ValueError(f"{name}: expected at most {_LARGEST_SIDE} pixels a side, got {height}x{width}")
        if min(height, width) < 32 or height % multiple or width % multiple:
            divisible = f", divisible by {multiple} for {self.backbone}" if multiple > 1 else ""
            raise ValueError(
                f"{name}: expected height and width of at least 32{divisible}, got {height}x{width}"
            )

    @property
    def num_parts(self) -> int:
        """K."""
        return len(self.part_names)

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the P rows that ``embed`` returns, by default the foreground and the K parts."""
        rows: list[str] = []
        for name in self.test_embeddings:
            kind = name.removeprefix("bn_")
            rows.extend(self.part_names if kind == "parts" else [kind])
        return tuple(rows)


PAPER = ModelOptions()
"""The paper: Eq. 1 without bias or BatchNorm, Eq. 3 for the foreground too, Eq. 4 for visibility."""

AUTHORS = ModelOptions(
    part_names=part_names("five_v"),
    classifier_batch_norm=True,
    classifier_bias=True,
    foreground_pooling="mean",
    visibility="argmax",
)
"""What the authors' published program computes; their checkpoints set these options by themselves."""
