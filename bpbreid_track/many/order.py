"""What all runs of one call have in common, and the words by which a later call knows it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..detection.weights import find_detector_weights
from ..errors import UsageError, did_you_mean
from ..model.find_weights import find_encoder_weights
from ..pipeline.fingerprint import of_files

# What can be written: the kind of output, as ``TrackingReport.outputs`` calls it, and how its name ends.
KINDS = {
    "mp4": ("video", ".mp4"),
    "mkv": ("video", ".mkv"),
    "mov": ("video", ".mov"),
    "txt": ("tracks", ".txt"),
    "csv": ("tracks", ".csv"),
    "jsonl": ("tracks", ".jsonl"),
    "crops": ("crops", ".crops"),
    "explain": ("explain", ".explain.jsonl"),
    "report": ("report", ".report.html"),
    "gallery": ("gallery", ".gallery"),
    "counts": ("counts", ".counts.csv"),
}
# These are folders: written under another name until they are whole.
FOLDERS = ("crops", "gallery")
BOX_FILES = (".txt", ".csv")


@dataclass(frozen=True)
class Order:
    """Everything but the source.

    Attributes:
        out_dir: absolute path of the folder of the results; with an address, of a temporary one of this
            machine.
        endings: how the name of each kind of output ends.
        detector: path of weights, or of a file of boxes inside each sequence.
        encoder: path of weights, or ``none``.
        config: settings.
        device: as for ``track_video``, and so on.
        piece_minutes: length of the pieces that several workers search a long video in; None: whole. It has
            no part in the results.
        address: where results are copied, each whole, instead of staying in ``out_dir``.
    """

    out_dir: Path
    endings: dict[str, str]
    detector: str
    encoder: str
    config: RunConfig
    device: str = "auto"
    precision: str = "auto"
    link: bool = False
    gallery: str | None = None
    max_frames: int | None = None
    piece_minutes: float | None = None
    address: str | None = None

    @property
    def boxes_given(self) -> bool:
        """Whether ``detector`` names a file of boxes, which every sequence has one of its own of."""
        return Path(self.detector).suffix.lower() in BOX_FILES

    def outputs(self, name: str) -> dict[str, str]:
        """File or folder of each kind, for the source that is called ``name``."""
        return {kind: name + ending for kind, ending in self.endings.items()}

    def settings(self) -> dict[str, Any]:
        """What the results depend on besides the source; JSON-able. The device has no part in it."""
        files = [] if self.boxes_given else [self.detector]
        mask = self.config.regions.roi
        return {
            "config": self.config.model_dump(mode="json", exclude={"description"}),
            "detector": self.detector if self.boxes_given else of_files(files),
            "encoder": "none" if self.encoder == "none" else of_files([self.encoder]),
            "precision": self.precision,
            "link": self.link,
            "gallery": None if self.gallery is None else of_files([self.gallery]),
            "max_frames": self.max_frames,
            **({"mask": of_files([mask])} if isinstance(mask, str) else {}),
        }


def resolved_weights(detector: str, encoder: str) -> tuple[str, str]:
    """Both as paths, so that a name is looked up, and perhaps downloaded, once.

    Raises:
        InputError: weights that are not to be had.
    """
    if Path(detector).suffix.lower() not in BOX_FILES:
        detector = str(find_detector_weights(detector).path.absolute())
    if encoder != "none":
        encoder = str(find_encoder_weights(encoder).absolute())
    return detector, encoder


def endings(write: Sequence[str]) -> dict[str, str]:
    """How the name of each kind of output ends.

    Args:
        write: keys of ``KINDS``.

    Raises:
        UsageError: an unknown one, two of a kind, or none at all.

    >>> endings(["mp4", "gallery"])
    {'video': '.mp4', 'gallery': '.gallery'}
    """
    found: dict[str, str] = {}
    for word in dict.fromkeys(write):
        if word not in KINDS:
            raise UsageError(f"--write: unknown {word!r}{did_you_mean(word, KINDS)}")
        kind, ending = KINDS[word]
        if kind in found:
            raise UsageError(f"--write: {found[kind][1:]} and {word} are both {kind}; name one of them")
        found[kind] = ending
    if not found:
        raise UsageError(f"--write: nothing named; known: {', '.join(KINDS)}")
    return found


def first_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The first setting in which two runs differ, in words; empty where there is none."""
    before, now = dict(_flat(theirs)), dict(_flat(ours))
    for key in {**now, **before}:
        if before.get(key) != now.get(key):
            return f"{key} {_words(before.get(key))} there, {_words(now.get(key))} now"
    return ""


def _flat(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.".removeprefix("config."))
        else:
            yield above + key, value


def _words(value: Any) -> str:
    return "none" if value is None else str(value)
