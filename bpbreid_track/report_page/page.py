"""The page itself: what was collected of a run as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..io.annotate import track_palette
from ..io.part_file import check_free, write_whole
from ..regions.points import in_pixels
from .corrections import FORMAT, VERSION
from .lives import Life, Lives
from .moments import Moment, Moments
from .places import Places
from .views import View, Views

if TYPE_CHECKING:
    from .moments import Shot

_HERE = Path(__file__).parent
# Bytes of crops on a page at most; where there are more, everybody has fewer of them.
_CROP_BYTES = 7_500_000


class RunPage:
    """The page of one run: what its frames are shown to while it goes on, written at its end.

    Args:
        path: of the page.
        settled_later: identities are known only at the end of the run (a linked one), whose pictures are read
            again then.
        by_motion: numbers of the classes that are no people.

    Attributes:
        lives: takes every frame with its settled identities.
        first: takes every frame that is tracked, with reasons.
        second: takes the frames that are read again; None without linking.
        views: likewise, or every frame that is tracked.
        places: as ``views``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settled_later: bool = False,
        by_motion: Collection[int] = (),
    ) -> None:
        self.path = Path(path)
        self.lives, self.views, self.places = Lives(), Views(), Places(by_motion)
        self.first = Moments(calls=True, gaps=not settled_later)
        self.second = Moments(calls=False, gaps=True) if settled_later else None

    def write(self, report: dict[str, Any], number_of: dict[int, int] | None = None) -> None:
        """Write the page.

        Args:
            report: of the run, ``TrackingReport.to_dict()``.
            number_of: identities after linking by those before.

        Raises:
            InputError: it cannot be written.
        """
        moments = list[Moment]()
        for moment in self.first.found():
            doubt = moment.doubt.renumbered(number_of or {})
            if doubt is not None:
                shots = [replace(shot, id=(number_of or {}).get(shot.id, shot.id)) for shot in moment.shots]
                moments.append(replace(moment, doubt=doubt, shots=shots))
        if self.second is not None:
            moments = sorted([*moments, *self.second.found()], key=lambda moment: moment.doubt.rank)
        data = page_data(report, self.lives, self.views, moments, self.places)
        write_whole(self.path, render(data).encode())


def page_data(
    report: dict[str, Any], lives: Lives, views: Views, moments: list[Moment], places: Places
) -> dict[str, Any]:
    """All that the page shows, as JSON takes it."""
    crops = _within({number: views.of(number) for number in lives.of}, _CROP_BYTES)
    tracks = report["outputs"].get("tracks")
    return {
        "format": FORMAT,
        "version": VERSION,
        "source": report["source"],
        "tracks": lives.fingerprint.word(),
        "first": lives.first or (0, 0.0),
        "last": lives.last,
        "identities": [_identity(number, life, crops[number]) for number, life in sorted(lives.of.items())],
        "moments": [_moment(moment) for moment in moments],
        "places": _places(report, places),
        "zones": [
            [name, str(zone["people"]), str(zone["most"]), f"{zone['seconds']:.1f} s"]
            for name, zone in (report["zones"] or {}).items()
        ],
        "lines": [
            [name, str(line["in"]), str(line["out"])] for name, line in (report["lines"] or {}).items()
        ],
        "palette": [colour.as_hex() for colour in track_palette()[0].colors],
        "command": None if tracks is None else _command(Path(tracks)),
        "facts": list(_facts(report)),
        "stages": [[name, f"{s['ms']:.1f}", f"{s['fps']:.0f}"] for name, s in report["stages"].items()],
        "settings": list(_flat(report["config"])),
    }


def render(data: dict[str, Any]) -> str:
    """The page of ``page_data``. Whatever names and settings say, it is text there and nothing else."""
    parts = ("corrections.js", "page.js", "page.css")
    meaning, shown, style = ((_HERE / name).read_text(encoding="utf-8") for name in parts)
    script = f"{meaning}\n{shown}"
    # Nothing but these two may run or style the page, and nothing is fetched from anywhere.
    policy = (
        f"default-src 'none'; img-src data:; script-src {_hash(script)}; style-src {_hash(style)}; "
        "form-action 'none'; base-uri 'none'"
    )
    plain = json.dumps(data, separators=(",", ":"))
    for letter in "<>&":
        plain = plain.replace(letter, f"\\u{ord(letter):04x}")
    title = html.escape(str(data["source"]).encode("utf-8", "replace").decode())
    page = (_HERE / "page.html").read_text(encoding="utf-8")
    # In one pass: what one of them says is never looked through for the next.
    filled = {"POLICY": policy, "TITLE": title, "STYLE": style, "DATA": plain, "SCRIPT": script}
    pieces = page.split("@@")
    return "".join(filled.get(piece, piece) if n % 2 else piece for n, piece in enumerate(pieces))


def check_page_path(path: str | os.PathLike[str]) -> None:
    """Fail early where a page could not be written.

    Raises:
        UsageError: a name that does not end in .html.
        InputError: the folder is missing or not writable, or another run writes the file.
    """
    if Path(path).suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"{path}: a report is written as .html")
    check_free(path)


def _identity(number: int, life: Life, crops: list[View]) -> dict[str, Any]:
    return {
        "id": number,
        "name": life.name,
        "team": life.team,
        "spans": [[first, last, round(start, 2), round(end, 2)] for first, last, start, end in life.spans],
        "crops": [[view.frame, _picture(view.jpeg)] for view in crops],
    }


def _moment(moment: Moment) -> dict[str, Any]:
    doubt = moment.doubt
    return {
        "kind": doubt.kind,
        "id": doubt.id,
        "other": doubt.other,
        "frame": moment.frame,
        "time": round(moment.time, 2),
        "text": doubt.text(),
        "scene": None if moment.scene is None else _picture(moment.scene),
        "shots": [_shot(shot, moment.frame, doubt.id) for shot in _in_order(moment.shots, doubt.id)],
    }


def _places(report: dict[str, Any], places: Places) -> dict[str, Any] | None:
    """The heat map, with the regions of the run in its pixels."""
    found = places.map()
    if found is None:
        return None
    regions, scale = report["config"].get("regions", {}), found.width / places.size[0]
    shapes = []
    for kind in ("zones", "lines"):
        for name, points in regions.get(kind, {}).items():
            corners = in_pixels(points, *places.size, name)
            shapes.append([kind, name, [[round(x * scale, 1), round(y * scale, 1)] for x, y in corners]])
    return {
        "picture": _picture(found.jpeg),
        "size": [found.width, found.height],
        "frame": found.frame,
        "boxes": places.boxes,
        "shapes": shapes,
    }


def _in_order(shots: list[Shot], identity: int) -> list[Shot]:
    """The other person first, then the identity in the order of time."""
    return sorted(shots, key=lambda shot: (shot.id == identity, shot.frame))


def _shot(shot: Shot, frame: int, identity: int) -> list[Any]:
    when = "before" if shot.frame < frame else "then" if shot.frame == frame else "after"
    return [shot.id if shot.id != identity else None, when, shot.frame, _picture(shot.jpeg)]


def _within(crops: dict[int, list[View]], most: int) -> dict[int, list[View]]:
    """Fewer crops for everybody, the best ones, until together they have at most so many bytes."""
    longest = max(map(len, crops.values()), default=0)
    while longest > 0 and sum(len(view.jpeg) for views in crops.values() for view in views) > most:
        longest -= 1
        for views in crops.values():
            if len(views) > longest:
                views.remove(min(views, key=lambda view: view.worth))
    return crops


def _facts(report: dict[str, Any]) -> Iterator[list[str]]:
    yield ["frames", f"{report['frames']} in {report['seconds']:.1f} s ({report['fps']:.1f} a second)"]
    yield ["detector", f"{report['detector']}; {report['detections']} boxes"]
    yield ["encoder", report["encoder"]]
    matches = f"{report['matches_motion']} by motion, {report['matches_appearance']} by appearance"
    yield ["matches", matches]
    if report["joined"] is not None:
        yield ["linking", f"{report['joined']} tracklets joined"]
    if report["interrupted"]:
        yield ["interrupted", "the run was ended before the source was"]
    for kind, path in report["outputs"].items():
        yield [kind, path]
    for note in report["notes"]:
        yield ["note", note]


def _command(tracks: Path) -> str:
    out = tracks.with_name(f"{tracks.stem}_corrected{tracks.suffix}")
    return shlex.join(["bpbreid-edit", str(tracks), "--corrections", "corrections.json", "--out", str(out)])


def _flat(settings: dict[str, Any], above: str = "") -> Iterator[list[str]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield [above + key, "none" if value is None else str(value)]


def _picture(jpeg: bytes) -> str:
    return base64.b64encode(jpeg).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
