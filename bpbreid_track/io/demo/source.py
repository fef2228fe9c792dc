"""The built-in footage, a video source that brings boxes and truth: ten seconds of a street in 1906."""

from __future__ import annotations

from pathlib import Path

from ..sources.video import VideoSource

FOLDER = Path(__file__).parent
TRUTH = FOLDER / "gt.txt"


def truth_until(last: int) -> str:
    """The rows of ``TRUTH`` up to frame ``last``, counted from 1."""
    rows = TRUTH.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(row for row in rows if int(row.split(",")[0]) <= last)


class DemoSource(VideoSource):
    """Ten seconds of "A Trip Down Market Street", filmed from a cable car in San Francisco in April 1906.

    People cross in front of the car and of each other, and a motor car hides them all for a second or two.
    ``boxes`` are those of a person detector, so that neither a detector nor a download is needed; ``TRUTH``
    says who is who. Where the film comes from and how both were made, README.md beside this file says.
    """

    boxes = FOLDER / "det.txt"

    def __init__(self) -> None:
        super().__init__(FOLDER / "street.mp4")
        self.name = "demo"
