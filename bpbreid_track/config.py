"""The settings of a run: what is detected, encoded, associated and drawn, within which bounds.

Defaults live here and nowhere else; a YAML file (``read_config``) states only what differs.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from .errors import Notice, UsageError, did_you_mean, one_line
from .regions.points import Points, read_line, read_names, read_polygon, read_region

# What a class of people is called.
PERSON_NAME = "person"
# What teams are called, and who belongs to none.
TEAM_NAMES, OTHERS = "ABCDEFGH", "other"


def cache_folder() -> Path:
    """The folder for downloaded weights and exported networks (``BPBREID_CACHE``); it need not exist yet."""
    return Path(os.environ.get("BPBREID_CACHE") or "~/.cache/bpbreid_track").expanduser().absolute()


class FormerSetting(Notice):
    """A setting of an earlier release was given."""


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error that names its nearest relative."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # Settings of earlier releases, accepted with a hint until the next one: their new name, or None where the
    # value is a constant now.
    _former: ClassVar[dict[str, str | None]] = {}
    # What the value of such a setting is by its new name, where that has another unit.
    _converted: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            values = cls._updated(values)
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown setting {key!r}{did_you_mean(str(key), cls.model_fields)}")
        elif not isinstance(values, cls):
            some = ", ".join(list(cls.model_fields)[:3])
            raise ValueError(f"expected a section with settings such as {some}, got {str(values)[:40]!r}")
        return values

    @classmethod
    def _updated(cls, values: dict[str, Any]) -> dict[str, Any]:
        """``values`` with the keys of earlier releases as they are called now, and a hint for each."""
        known = dict(values)
        for key, value in values.items():
            if key not in cls._former:
                continue
            new = cls._former[key]
            del known[key]
            if new is None:
                hint = "has no effect any more: nothing is left to choose there; leave it out"
            elif new in values:
                raise ValueError(f"{key!r} is now called {new!r}; state one of them")
            else:
                known[new] = cls._converted[key](value) if key in cls._converted else value
                changed = "" if known[new] == value else f" and {known[new]} there"
                hint = f"is now called {new!r}{changed}; the old name ends with the next release"
            warnings.warn(f"setting {key!r} {hint}", FormerSetting, stacklevel=2)
        return known

    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults, ready for YAML."""
        return self.model_dump(mode="json", exclude_defaults=True)


S = TypeVar("S", bound=Settings)


def validated(model: type[S], values: dict[str, Any], where: str) -> S:
    """``values`` as settings of type ``model``; ``where`` begins the message of the UsageError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        # Behind a setting of several types pydantic names the type that it tried.
        steps = [str(step) for step in first["loc"]]
        place = ".".join(step for step in steps if not re.match(r"constrained-|int$|literal\[", step))
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {place + ': ' if place else ''}{message}") from error
    except (RecursionError, OverflowError, TypeError) as error:
        raise UsageError(f"{where}: not settings: {one_line(error)}") from error


def _as_words(value: Any) -> Any:
    """``person, sports ball``, a number or a list of both, as words."""
    parts = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int) else value
    if not isinstance(parts, (list, tuple)):
        raise ValueError(f"expected names or numbers of classes, got {type(value).__name__}")
    words = [str(part).strip() for part in parts]
    return tuple(dict.fromkeys(word for word in words if word))


class DetectorConfig(Settings):
    """What the person detector is asked for."""

    confidence: float = Field(0.1, ge=0, le=1, description="Boxes below this score are dropped.")
    iou: float = Field(
        0.7, gt=0, le=1, description="Overlap above which non-maximum suppression drops a box."
    )
    image_size: Annotated[int, Field(ge=32, le=8192)] | Literal["auto"] = Field(
        "auto", description="Longer side of the network's input in pixels; auto: from the size of the frame."
    )
    max_detections: int = Field(300, ge=1, le=10_000, description="Most boxes kept in a frame.")
    batch_size: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        "auto", description="Frames a pass; auto: 8 on a GPU, 1 to 4 on a CPU, of a camera 1."
    )
    every: int = Field(
        1,
        ge=1,
        le=100,
        description="Search every so many frames; boxes of the frames between are interpolated, which are "
        "written as many frames late.",
    )
    classes: Annotated[tuple[str, ...], BeforeValidator(_as_words)] = Field(
        (),
        description="Classes of the network that are tracked, such as [person, sports ball], or numbers: "
        "people by motion and appearance, all others by motion alone. Empty: people.",
    )
    runtime: Literal["auto", "torch", "openvino", "onnx"] = Field(
        "auto",
        description="What runs the network of a .pt on a CPU; auto: OpenVINO where it is installed (with AMX "
        "in bf16 up to the end of the head), then onnxruntime (with onnx), then torch.",
    )


class VectorInput(Settings):
    """What somebody else's network of one vector takes, where its file does not say so."""

    size: tuple[Annotated[int, Field(ge=32, le=1024)], Annotated[int, Field(ge=32, le=1024)]] | None = Field(
        None, description="Height and width of a crop in pixels. None: as the file says, else 256x128."
    )
    colours: Literal["rgb", "bgr"] | None = Field(
        None, description="Order of the channels. None: bgr for OpenVINO's .xml, else rgb."
    )
    values: Literal["imagenet", "0-1", "0-255"] | None = Field(
        None,
        description="Normalised by ImageNet's mean and deviation, or a plain range. None: 0-255 for "
        "OpenVINO's .xml, else imagenet.",
    )


class EncoderConfig(Settings):
    """How crops are turned into part embeddings."""

    batch_size: int = Field(64, ge=1, le=4096, description="Crops a pass of the network.")
    mirror: bool | None = Field(
        None,
        description="Average with the embeddings of the mirrored crops: better, and twice the work. "
        "None: as the weights say.",
    )
    runtime: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="What runs the network on a CPU; auto: OpenVINO where it is installed, else torch.",
    )
    input: VectorInput = Field(
        VectorInput(), description="What other people's networks take; ours say it themselves."
    )


class DrawConfig(Settings):
    """What is painted on the written video."""

    overlay: tuple[Literal["boxes", "labels", "traces", "parts", "why"], ...] = ("boxes", "labels", "traces")
    trace_seconds: float = Field(
        1.5, gt=0, le=3600, description="Length of the path drawn behind each person."
    )
    thickness: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = Field(
        "auto", description="Line width in pixels; auto: from the frame."
    )


def _seconds_of_frames(frames: Any) -> Any:
    """From the first to the last of ``frames`` frames at 30 a second; what is no number is refused later."""
    if isinstance(frames, bool) or not isinstance(frames, int | float):
        return str(frames)
    if not frames >= 1:
        raise ValueError(f"expected frames in a row, at least 1, got {frames}")
    return round((frames - 1) / 30, 3)


class TrackerConfig(Settings):
    """Settings of ``PartTracker``. Times are seconds, so that one setting fits every frame rate.

    What nobody would turn is a constant beside its formula in ``bpbreid_track.tracking``.
    """

    _former: ClassVar[dict[str, str | None]] = {
        "confirm_hits": "confirm_seconds",
        "min_hits": "confirm_seconds",
        "appearance_trust": None,
        "appearance_weight": None,
        "birth_iou": None,
        "clutter_area": None,
        "common_excess": None,
        "elsewhere": None,
        "forget_seconds": None,
        "gate": None,
        "memory_seconds": None,
        "min_iou": None,
        "min_iou_lost": None,
        "min_iou_low": None,
        "min_iou_new": None,
        "recovery_evidence": None,
        "territory": None,
    }
    _converted: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "confirm_hits": _seconds_of_frames,
        "min_hits": _seconds_of_frames,
    }

    frame_rate: float = Field(
        30.0, gt=0, le=10_000, description="Frames a second where no timestamps are given."
    )
    high_score: float = Field(0.5, ge=0, le=1, description="Boxes from this score on are settled first.")
    low_score: float = Field(0.1, ge=0, le=1, description="Boxes below this score are left alone.")
    birth_score: float = Field(
        0.7, ge=0, le=1, description="Score from which an unmatched box starts a track."
    )
    confirm_seconds: float = Field(
        0.065,
        ge=0,
        le=5,
        description="How long a track must be found frame by frame before it gets its identity. Where frames "
        "wait (smooth.lag_seconds), its boxes until then get it too.",
    )
    lost_seconds: float = Field(3.0, ge=0, description="How long a lost track can be found by motion alone.")
    appearance_seconds: float = Field(
        10.0, ge=0, description="How long a lost track can be found when its parts are known."
    )
    max_cover: float = Field(
        0.6, ge=0, le=1, description="A box hidden more than this teaches the memory nothing."
    )
    encode: Literal["auto", "all", "ambiguous"] = Field(
        "auto",
        description="ambiguous: encode only boxes that motion cannot settle, and enough others to keep the "
        "memory fresh; auto: ambiguous where the encoder runs on a CPU.",
    )
    refresh_seconds: float = Field(
        0.5, gt=0, description="With encode ambiguous: age at which a person is encoded again."
    )
    camera_motion: Literal["flow", "none"] = Field(
        "flow",
        description="flow: when frames are given, follow the camera by sparse optical flow and notice cuts, "
        "after which only parts tell who somebody is.",
    )
    class_agnostic: bool = Field(False, description="Let a track change its class.")


class SmoothConfig(Settings):
    """How boxes are set right by what came before and after them."""

    lag_seconds: float = Field(
        0.75,
        ge=0,
        le=10,
        description="How long a frame waits before it is written: its boxes are put on lines through those "
        "around it, and gaps up to so long are filled. 0: boxes as the detector gave them; so are those of a "
        "camera, which waits for nothing.",
    )
    bridge_seconds: float = Field(
        3.0,
        ge=0,
        le=60,
        description="Track files: who was out of sight for longer than that, up to so long, and was known "
        "again by their parts, has boxes in between where they came out as their speed had it. 0: none; nor "
        "are there any with lag_seconds 0.",
    )


class LinkConfig(Settings):
    """How tracklets of one person are joined after a run. Times are seconds."""

    _former: ClassVar[dict[str, str | None]] = {
        "coast_seconds": None,
        "fill_seconds": None,
        "max_height_ratio": None,
        "max_speed": None,
        "motion_gap_seconds": None,
        "motion_miss": None,
        "slack": None,
    }

    max_gap_seconds: float = Field(10.0, ge=0, description="Longest time between two tracklets of a person.")
    strictness: float = Field(
        2.0,
        ge=0,
        description="How far below the part distances of different people of this run, in standard "
        "deviations, that of one person must lie.",
    )


class GalleryConfig(Settings):
    """How people of a gallery are recognised, and what is saved for one."""

    _former: ClassVar[dict[str, str | None]] = {
        "hysteresis": None,
        "min_views": None,
        "view_seconds": None,
    }

    max_distance: float = Field(
        0.7, ge=0, description="Part distance above which a track is nobody of the gallery."
    )
    max_megabytes: float = Field(
        256.0, gt=0, description="What a file NAME.npz may inflate to in memory; larger ones are refused."
    )
    save_views: int = Field(20, ge=1, description="Most views of an identity that are saved.")


_Name = Annotated[str, Field(max_length=80)]
_Line = Annotated[Points, BeforeValidator(read_line)]
_Polygon = Annotated[Points, BeforeValidator(read_polygon)]


class RegionsConfig(Settings):
    """Parts of the picture. Points are ``x,y x,y ...`` or lists of ``[x, y]``: pixels from the upper left
    corner, or fractions of the picture's sides where all are from 0 to 1.
    """

    roi: Annotated[Points | str | None, BeforeValidator(read_region)] = Field(
        None,
        description="Boxes that stand outside (middle of the lower edge) are left out before association: a "
        "polygon, or an image of the picture's size in which inside is white.",
    )
    lines: Annotated[dict[_Name, _Line], BeforeValidator(read_names)] = Field(
        {}, description="Lines by name, on which people are counted."
    )
    zones: Annotated[dict[_Name, _Polygon], BeforeValidator(read_names)] = Field(
        {}, description="Polygons by name, in which people and the time they spend are counted."
    )


class CropsConfig(Settings):
    """The folder of crops of each identity."""

    every: int = Field(1, ge=1, le=100_000, description="Of so many crops of an identity the first is kept.")


class RunConfig(Settings):
    """Everything ``track_video`` can be told; the sections of a YAML file in configs/track/."""

    description: str = ""
    detector: DetectorConfig = DetectorConfig()
    encoder: EncoderConfig = EncoderConfig()
    tracker: TrackerConfig = TrackerConfig()
    smooth: SmoothConfig = SmoothConfig()
    link: LinkConfig = LinkConfig()
    gallery: GalleryConfig = GalleryConfig()
    crops: CropsConfig = CropsConfig()
    regions: RegionsConfig = RegionsConfig()
    teams: int = Field(
        0,
        ge=0,
        le=len(TEAM_NAMES),
        description="How many teams people are sorted into by what they wear, apart from others; 0: none.",
    )
    draw: DrawConfig = DrawConfig()

    @field_validator("teams")
    @classmethod
    def _no_lone_team(cls, teams: int) -> int:
        if teams == 1:
            raise ValueError("a team is told from another one: expected 2 or more, or 0 for none")
        return teams
