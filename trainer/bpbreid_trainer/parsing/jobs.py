"""What a label back end is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One image, and the label file to be written for it."""

    image: Path
    out: Path


class Backend(Protocol):
    """Anything that makes label files.

    Attributes:
        name: as on the command line; also the name of the folder the labels go to.
    """

    name: str

    def label(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
        """Write the label file of each job, whole or not at all.

        Yields:
            Each job once it is done, and how many persons were seen in its image. With none, the file holds
            zeros: training then leaves the image out of the part attention loss.
        """
        ...
