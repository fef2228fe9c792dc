"""What a run needs to go on after a kill as if nothing had happened, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bpbreid_track.errors import InputError, one_line
from bpbreid_track.model.safe_torch import read_torch

from .data import Sample
from .options import TrainOptions

# Settings that may differ when a run goes on: they change how fast or how long it runs, not what it computes.
_FREE = (
    "output",
    "description",
    "epochs",
    "stop_after",
    "device",
    "compile",
    "workers",
    "evaluate_every",
    "save_seconds",
    "save_steps",
    "log_every",
)


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: the epoch it is in, from 0.
        batch: batches of this epoch that are done.
        step: batches that are done in all.
        best: highest mAP so far; -1 before the first evaluation.
        best_epoch: epochs that were done when it was reached.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = -1.0
    best_epoch: int = 0


@dataclass
class State:
    """Everything that training changes. ``parts`` have ``state_dict`` and ``load_state_dict``.

    ``samples`` are the training images: of others batches and the numbers of identities would differ.
    """

    options: TrainOptions
    parts: dict[str, Any]
    samples: Sequence[Sample] = ()
    progress: Progress = field(default_factory=Progress)

    @cached_property
    def _images(self) -> str:
        return _summary(self.samples)

    def save(self, path: Path) -> None:
        """Write to ``path``; whoever reads it meanwhile finds the old file."""
        document = {
            "options": self.options.model_dump(mode="json"),
            "progress": vars(self.progress),
            "images": self._images,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "random": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            document["random_cuda"] = torch.cuda.get_rng_state()
        write_whole(path, lambda part: torch.save(document, part))

    def load(self, path: Path) -> None:
        """Go back to what was saved.

        Raises:
            InputError: no such file, a damaged one, or one of a run with other settings.
        """
        if not path.is_file():
            raise InputError(f"{path}: nothing to resume; leave --resume out to start")
        try:
            document = read_torch(path)
        except InputError as error:
            raise InputError(f"{error} (not a state of this program)") from error
        saved = document.get("options") if isinstance(document, Mapping) else None
        if not isinstance(saved, Mapping):
            raise InputError(f"{path}: not a state of this program (it holds no options)")
        ours = self.options.model_dump(mode="json")
        free = set(_FREE)
        if self.options.schedule.shape == "cosine":  # then the learning rates depend on it
            free.remove("epochs")
        for key, was, now in _differences(saved, ours):
            if key not in free:
                raise InputError(
                    f"{path}: this run began with {key} {was!r}, now it is {now!r}; "
                    "resume with the same settings or choose another output"
                )
        images = document.get("images")  # states of earlier versions do not say
        if images is not None and images != self._images:
            raise InputError(
                f"{path}: this run began with other training images or other names, {str(images)[:60]}, now "
                f"{self._images}; put them back or choose another output"
            )
        try:
            progress = Progress(**document["progress"])
            for name, part in self.parts.items():
                part.load_state_dict(document["parts"][name])
            torch.set_rng_state(document["random"])
            if "random_cuda" in document and torch.cuda.is_available():
                torch.cuda.set_rng_state(document["random_cuda"])
        except Exception as error:  # whatever a part of another shape or type leads its reader to
            reason = one_line(error)
            raise InputError(f"{path}: a damaged state ({type(error).__name__}: {reason})") from error
        self.progress = progress


def _summary(samples: Sequence[Sample]) -> str:
    """How many images there are, and a word made of their names, identities and cameras."""
    word = hashlib.sha256()
    for sample in samples:
        name = "/".join(sample.path.parts[-2:])
        word.update(f"{name} {sample.person_id} {sample.camera}\n".encode("utf-8", "surrogateescape"))
    return f"{len(samples)} ({word.hexdigest()[:16]})"


def _differences(
    saved: Mapping[Any, Any], ours: Mapping[Any, Any], above: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Settings that differ, under their full names: what they were and what they are."""
    for key in sorted({*map(str, saved), *map(str, ours)}):
        was, now = saved.get(key), ours.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _differences(was, now, f"{above}{key}.")
        elif was != now:
            yield f"{above}{key}", was, now


def average_states(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of every floating-point tensor; of others, such as counts, the first state's."""
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in states[0].items()
    }


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` fill a file beside ``path``, then put it in its place: never half a file.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
