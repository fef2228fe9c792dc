"""Settings of a training run: the defaults are the paper's, a recipe in configs/train/ says what differs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bpbreid_track.config import Settings
from bpbreid_track.errors import UsageError, did_you_mean
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.part_groups import PART_GROUPS, part_names
from bpbreid_track.read_config import config_path, overridden

from .losses import EMBEDDINGS, GiLtLoss, TotalLoss, TripletStyle, Weights

Some = str | tuple[str, ...]
"""One, or a list."""

_LETTERS = dict(zip("gfcp", EMBEDDINGS, strict=True))


def _row(identity: str, triplet: str) -> dict[str, Weights]:
    """A row of the paper's Table 4: which of g, f, c and p gets which loss."""
    return {
        name: Weights(float(letter in identity), float(letter in triplet))
        for letter, name in _LETTERS.items()
        if letter in identity + triplet
    }


LOSS_PRESETS: dict[str, dict[str, Weights]] = {
    "gilt": _row("gfc", "p"),
    "authors": _row("gfc", "fp"),  # the published program on Market-1501, DukeMTMC-reID and Occluded-ReID
    "bot": _row("g", "g"),
    "pcb": _row("p", ""),
    "table4_1": _row("p", "gfc"),
    "table4_2": _row("gfcp", "gfcp"),
    "table4_3": _row("gfcp", ""),
    "table4_4": _row("", "gfcp"),
    "table4_5": _row("gfcp", "p"),
    "table4_6": _row("gf", "p"),
    "table4_7": _row("gc", "p"),
    "table4_8": _row("fc", "p"),
    "table4_9": _row("gfc", "cp"),
    "table4_10": _row("gfc", "fp"),
    "table4_11": _row("gfc", "gp"),
    "table4_12": _row("gfc", "c"),
}
"""Names for the assignments of identity and triplet loss that the paper compares in Tables 2 and 4."""


class DataOptions(Settings):
    """Where the images lie."""

    root: Some = Field("", description="Folder of the data set; several: all are trained on at once.")
    dataset: Some = Field("auto", description="Layout of the folder; auto: told by what lies in it.")
    masks: Some = Field("", description="Folder of human-parsing labels; empty: masks/ in the data set.")
    test_root: Some = Field(
        "", description="Evaluate on the data sets in these folders; empty: on those of root that can be."
    )
    test_dataset: Some = Field("auto", description="Layout of test_root.")

    def sources(self) -> list[tuple[str, str, str]]:
        """Folder, layout and labels of each data set to train on.

        Raises:
            UsageError: layouts or labels for another number of folders.
        """
        return list(zip(*_matched(root=self.root, dataset=self.dataset, masks=self.masks), strict=True))

    def tests(self) -> list[tuple[str, str]]:
        """Folder and layout of each data set of ``test_root``."""
        if not self.test_root:
            return []
        return list(zip(*_matched(test_root=self.test_root, test_dataset=self.test_dataset), strict=True))


def _matched(**lists: Some) -> list[tuple[str, ...]]:
    """The settings as lists of one length: that of the first; a single value stands for all."""
    (first, roots), *_ = lists.items()
    count = 1 if isinstance(roots, str) else len(roots)
    matched = [(value,) * count if isinstance(value, str) else value for value in lists.values()]
    for name, values in zip(lists, matched, strict=True):
        if len(values) != count:
            raise UsageError(f"data.{name}: {len(values)} for the {count} of data.{first}; give one for each")
    return matched


MADE_UP = ("collage", "redress", "backdrop", "blend")


class AugmentOptions(Settings):
    """Random changes to training images and their labels. The paper crops and erases."""

    crop_padding: int = Field(10, ge=0, description="Pixels of padding before a random crop; 0: no crop.")
    erase: float = Field(0.5, ge=0, le=1, description="Probability of random erasing.")
    flip: float = Field(0.0, ge=0, le=1, description="Probability of a mirror image, left parts made right.")
    color_jitter: float = Field(0.0, ge=0, le=1, description="Probability of other brightness and contrast.")
    occlude: float = Field(0.0, ge=0, le=1, description="Probability that another person is pasted over.")
    relight: float = Field(0.0, ge=0, le=1, description="Probability of another camera's light and colours.")
    recolour: float = Field(
        0.0, ge=0, le=1, description="Probability of other clothes by turned hues; for a teacher alone."
    )
    collage: float = Field(
        0.0, ge=0, le=1, description="Probability of somebody else's lower half; for a teacher alone."
    )
    redress: float = Field(
        0.0, ge=0, le=1, description="Probability of other colours by part; for a teacher alone."
    )
    backdrop: float = Field(0.0, ge=0, le=1, description="Probability of another scene; for a teacher alone.")
    blend: float = Field(
        0.0, ge=0, le=1, description="Probability of somebody else shining through; for a teacher alone."
    )
    truncate: float = Field(
        0.0, ge=0, le=1, description="Probability of a box around a part of the person only."
    )
    degrade: float = Field(
        0.0, ge=0, le=1, description="Probability of lost resolution, blur, noise and compression."
    )


class LossOptions(Settings):
    """The objective, Eq. 5."""

    preset: str = Field("gilt", description="Which embedding gets which loss: a row of Table 2 or 4.")
    weights: dict[Literal["global", "foreground", "concat", "parts"], tuple[float, float]] | None = Field(
        None, description="In place of the preset: weights of the identity and the triplet loss by embedding."
    )
    triplet: TripletStyle = Field("part_averaged", description="On parts: Eq. 8, or one triplet a part.")
    margin: float = Field(0.3, description="Alpha of Eq. 8; 0: soft margin.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Epsilon of identity and attention loss.")
    attention_weight: float = Field(0.35, ge=0, description="Lambda_pa of Eq. 5; 0: train without labels.")
    use_visibility: bool = Field(False, description="Leave invisible parts out. The paper does not.")

    @model_validator(mode="after")
    def _check(self) -> LossOptions:
        if self.preset not in LOSS_PRESETS:
            raise ValueError(f"preset: unknown {self.preset!r}{did_you_mean(self.preset, LOSS_PRESETS)}")
        return self

    def by_embedding(self) -> Mapping[Any, tuple[float, float]]:
        """Weights of the identity and the triplet loss by embedding."""
        return LOSS_PRESETS[self.preset] if self.weights is None else self.weights

    def build(self) -> TotalLoss:
        """The objective as a function of the network's outputs."""
        gilt = GiLtLoss(
            self.by_embedding(),
            margin=self.margin,
            label_smoothing=self.label_smoothing,
            triplet=self.triplet,
            use_visibility=self.use_visibility,
        )
        return TotalLoss(gilt, self.attention_weight, self.label_smoothing)


class TeacherOptions(Settings):
    """Somebody else's network whose vectors of people and of their parts are to be learnt."""

    network: str = Field(
        "", description="An .xml (OpenVINO) or .onnx file that gives one vector a person. Empty: none."
    )
    weight: float = Field(10.0, ge=0, description="Of the cosine distance between its vectors and ours.")


class ScheduleOptions(Settings):
    """Learning rate by epoch."""

    warmup_epochs: int = Field(10, ge=0, description="Epochs of linear warm-up.")
    warmup_factor: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Where it starts, as a share of the learning rate. Authors' program: 0.01.",
    )
    shape: Literal["steps", "cosine"] = Field(
        "steps", description="After the warm-up: falls at steps, or half a cosine down to 0 over all epochs."
    )
    steps: tuple[int, ...] = Field((40, 70), description="Epochs at which the learning rate falls.")
    decay: float = Field(0.1, gt=0, le=1, description="By what factor.")
    small_epochs: int = Field(
        0, ge=0, description="First epochs in which images of small_size are trained on: they are faster."
    )
    small_size: tuple[int, int] = Field((128, 64), description="Height and width of these images.")


class TrainOptions(Settings):
    """Everything ``fit`` can be told; the sections of a YAML file in configs/train/."""

    description: str = ""
    output: str = Field("", description="Folder of the run; empty: runs/ and the name of the recipe.")
    data: DataOptions = DataOptions()
    parts: str = Field("five", description="Grouping of the body into K parts: five, eight, ... or strp_6.")
    model: ModelOptions = ModelOptions()
    pretrained: bool | str = Field(
        True, description="ImageNet weights for the backbone: true: fetched; a path: read from there; false."
    )
    weights: str | tuple[str, ...] = Field(
        "", description="Checkpoint to start the whole network from; several: from the average of them."
    )
    freeze: int = Field(
        0, ge=0, description="Stages of the backbone, from the image on, that keep their first weights."
    )
    loss: LossOptions = LossOptions()
    augment: AugmentOptions = AugmentOptions()
    teacher: TeacherOptions = TeacherOptions()

    identities_per_batch: int = Field(
        16, ge=2, description="P; a set with fewer identities uses what it has."
    )
    images_per_identity: int = Field(4, ge=2, description="Of each identity in a batch.")
    sampling: Literal["uniform", "even", "balanced"] = Field(
        "uniform",
        description="How identities are drawn: all alike, or by the images they have left in the epoch, so "
        "that its last batches are not of a few identities only; balanced: so too, with a share of each data "
        "set in every batch and images of many cameras of each identity. Authors' program: uniform.",
    )
    epochs: int = Field(120, ge=1)
    stop_after: int = Field(
        0, ge=0, description="End after so many epochs, with the learning rates of all; 0: at the end."
    )
    learning_rate: float = Field(3.5e-4, gt=0, description="Of Adam.")
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all weights.")
    schedule: ScheduleOptions = ScheduleOptions()
    gradient_clip: float = Field(0.0, ge=0, description="Largest norm of the gradient; 0: off.")
    ema: float = Field(
        0.0, ge=0, lt=1, description="Decay of a moving average of the weights, which is then saved; 0: off."
    )

    seed: int = Field(1, ge=0, lt=2**63)
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Of the forward pass; auto: bf16 or fp16 on CUDA, else fp32."
    )
    compile: bool = Field(
        False, description="Compile the backbone with torch.compile: a start of a minute, then faster steps."
    )
    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = Field(
        "auto", description="Processes that load images; auto: the cores."
    )

    evaluate_every: int = Field(10, ge=0, description="Epochs between evaluations; 0: only at the end.")
    save_seconds: float = Field(300.0, ge=0, description="Longest time between two saves; 0: only by epoch.")
    save_steps: int = Field(0, ge=0, description="Save every so many steps as well; 0: do not.")
    log_every: int = Field(20, ge=1, description="Steps between two rows of the log.")

    @model_validator(mode="before")
    @classmethod
    def _name_the_parts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        group = values.get("parts", "five")
        try:
            names = part_names(str(group))
        except KeyError:
            raise ValueError(
                f"parts: unknown grouping {group!r}{did_you_mean(str(group), PART_GROUPS)}"
            ) from None
        model = values.get("model") or {}
        if isinstance(model, ModelOptions):
            model = model.model_dump(exclude_unset=True)
        if not isinstance(model, dict):
            return values
        given = model.get("part_names")
        if given is not None and tuple(given) != names:
            raise ValueError(
                f"model.part_names: {list(given)} are not the parts of {group!r}; set parts instead"
            )
        return {**values, "model": {**model, "part_names": names}}

    @model_validator(mode="after")
    def _check(self) -> TrainOptions:
        if self.parts.startswith("strp_") != (self.model.attention == "stripes"):
            raise ValueError(
                f"parts {self.parts!r} with model.attention {self.model.attention!r}: "
                "stripes such as strp_6 and attention 'stripes' go together"
            )
        made_up = [name for name in ("recolour", *MADE_UP) if getattr(self.augment, name)]
        if made_up and any(any(pair) for pair in self.loss.by_embedding().values()):
            raise ValueError(
                f"augment.{made_up[0]} with losses on identities: it makes other people of them; "
                "set loss.weights={} and a teacher"
            )
        if self.schedule.small_epochs:
            self.model.check_size("schedule.small_size", self.schedule.small_size)
        return self

    @property
    def last_epoch(self) -> int:
        """Epochs that are trained."""
        return min(self.epochs, self.stop_after or self.epochs)

    def input_size(self, epoch: int) -> tuple[int, int]:
        """Height and width of the images of an epoch."""
        return self.schedule.small_size if epoch < self.schedule.small_epochs else self.model.input_size

    @property
    def needs_masks(self) -> bool:
        """Whether human-parsing labels are needed to train."""
        if self.model.attention == "learned":
            return self.loss.attention_weight > 0
        return self.model.attention == "fixed"


def read_options(recipe: str | os.PathLike[str], overrides: Iterable[str] = ()) -> TrainOptions:
    """A recipe's name or YAML file, and ``key=value`` overrides such as ``model.backbone=hrnet_w32``.

    Raises:
        UsageError: one line that names the setting and the mend.
    """
    return overridden(TrainOptions, config_path(recipe, "train"), overrides, where=str(recipe))
