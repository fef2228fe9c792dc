"""What a run did: figures for a program (``to_dict``) and a summary for a reader (``summary``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..config import OTHERS

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class StageTiming:
    """Work of one stage, without waiting for its neighbours. Stages overlap: their times do not add up.

    Attributes:
        ms: milliseconds a frame.
        fps: frames a second that this stage alone could do; 0 where it saw none.
    """

    ms: float
    fps: float

    @classmethod
    def of(cls, seconds: float, frames: int) -> StageTiming:
        if not frames or not seconds:
            return cls(0.0, 0.0)
        return cls(1000 * seconds / frames, frames / seconds)


@dataclass
class TrackingReport:
    """What ``track_video`` did.

    Attributes:
        source: the source as it was named.
        frames: frames tracked, and written where something was written.
        seconds: wall time from the first frame read to the last one written; loading is left out.
        fps: ``frames / seconds``.
        stages: timing of decode, detect, encode, associate, draw, write and report.
        identities: identities given, those joined by linking counted once.
        matches_motion: matches that motion alone would have made too.
        matches_appearance: matches that needed the part embeddings.
        encoded: boxes whose embedding was used.
        detections: boxes found in all frames together.
        dropped_frames: frames of a live source passed over because tracking was slower than the stream.
        notes: what the source has to say (frames without a timestamp, damaged packets, ...).
        detector: the detector in words.
        encoder: the encoder in words, or why there is none.
        config: the resolved settings.
        outputs: path of each thing written: ``video``, ``tracks``, ``crops``, ``explain``,
            ``report``, ``gallery``.
        joined: tracklets that linking continued under the number of an earlier one; None: no linking.
        filled: boxes that nobody found, filled in from those before and after; None: none were to be.
        named: identities that were given each name of the gallery; None: no gallery.
        teams: identities of each team, ``A``, ``B``, ... and ``other``; None: none were asked for.
        interrupted: Ctrl-C, SIGTERM or SIGHUP ended the run early.
        cached_frames: frames whose boxes and embeddings were read from a cache.
        outside: boxes left out because they lie outside the region; None: no region.
        lines: for each line crossings ``in`` and ``out``; None: no lines.
        zones: for each zone ``people`` (identities), ``most`` at once, and ``seconds`` that one spent there
            on average; None: no zones.
    """

    source: str
    detector: str
    encoder: str
    config: dict[str, Any]
    outputs: dict[str, str]
    frames: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    stages: dict[str, StageTiming] = field(default_factory=dict)
    identities: int = 0
    matches_motion: int = 0
    matches_appearance: int = 0
    encoded: int = 0
    detections: int = 0
    dropped_frames: int = 0
    notes: list[str] = field(default_factory=list)
    joined: int | None = None
    filled: int | None = None
    named: dict[str, list[int]] | None = None
    teams: dict[str, list[int]] | None = None
    interrupted: bool = False
    cached_frames: int = 0
    outside: int | None = None
    lines: dict[str, dict[str, int]] | None = None
    zones: dict[str, dict[str, float]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for ``json.dumps``."""
        return asdict(self)

    def summary(self) -> Table:
        """The figures as a table for ``rich``; ``notes`` are left to be shown as warnings."""
        from rich.table import Table
        from rich.text import Text

        done = "interrupted after" if self.interrupted else "tracked"
        rows = {
            done: f"{self.frames} frames in {self.seconds:.1f} s ({self.fps:.1f} fps)",
            "detections": f"{self.detections} boxes, {self.detector}",
            "identities": f"{self.identities}; matches: {self.matches_motion} by motion, "
            f"{self.matches_appearance} by appearance",
            "encoder": f"{self.encoder}; encoded {self.encoded} boxes" if self.encoded else self.encoder,
            "stages": ", ".join(
                f"{name} {timing.ms:.1f} ms ({timing.fps:.0f} fps)" for name, timing in self.stages.items()
            ),
        }
        if self.cached_frames:
            rows["cache"] = f"{self.cached_frames} frames were neither searched nor encoded again"
        if self.filled:
            rows["filled in"] = f"{self.filled} boxes, from those before and after"
        if self.joined is not None:
            rows["linking"] = f"{self.joined} tracklets joined"
        if self.named is not None:
            found = (f"{name} ({', '.join(map(str, ids))})" for name, ids in self.named.items())
            rows["recognised"] = ", ".join(found) or "nobody of the gallery"
        for team, ids in (self.teams or {}).items():
            rows[team if team == OTHERS else f"team {team}"] = (
                f"{len(ids)} people: {', '.join(map(str, ids))}"
            )
        if self.outside is not None:
            rows["region"] = f"{self.outside} boxes outside it were left out"
        for name, line in (self.lines or {}).items():
            rows[f"line {name}"] = f"{line['in']} in, {line['out']} out"
        for name, zone in (self.zones or {}).items():
            rows[f"zone {name}"] = (
                f"{zone['people']} people, at most {zone['most']} at once, "
                f"each {zone['seconds']:.1f} s on average"
            )
        if self.dropped_frames:
            rows["dropped"] = f"{self.dropped_frames} frames: the stream was faster than tracking"
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for key, value in rows.items():
            table.add_row(Text(key), Text(value))
        for kind, path in self.outputs.items():
            table.add_row(kind, Text(path, style="green"))
        return table
