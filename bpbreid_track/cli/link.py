"""``bpbreid-link``: who of one video is who of another, on the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .common import Debug, Program, say

if TYPE_CHECKING:
    from ..many.link import Person, Tracked


program = Program("bpbreid-link")
run, main = program.run, program.main


@program.command
def link(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="TRACKED...",
            show_default=False,
            help="Folders that bpbreid-track --out-dir wrote with --write txt,gallery, or outputs in them; "
            "or addresses such as s3://bucket/run.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the results.")],
    videos: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Columns name, camera, start (seconds, or a time like 2026-05-01T15:30:00) of the videos.",
        ),
    ] = None,
    same_start: Annotated[
        bool,
        typer.Option(
            "--same-start", help="All videos begin at the same time, each with a camera of its own."
        ),
    ] = False,
    max_distance: Annotated[
        float | None, typer.Option(metavar="D", help="Part distance above which people stay apart (0.75).")
    ] = None,
    min_seconds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Least time from one camera to another.")
    ] = 1,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="Longest time from one view to the next.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Sheets to check; reads the videos again.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
) -> None:
    """Join identities over videos: one number a person, in all of them.

    Writes people.csv (person, video, identity), the track files under the new numbers, and sheets of pictures
    of everybody who was joined. People are compared by their saved views; who is seen at two places at one
    moment is two people.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    from ..io.paths import check_new_folder
    from ..many.clocks import Clock, read_clocks
    from ..many.link import MAX_DISTANCE, find_runs, link_videos, read_tracked

    if videos is not None and same_start:
        raise UsageError("--same-start and --videos: give one of them")
    check_new_folder(out)
    with ExitStack() as stack:
        tracked = [read_tracked(folder, entry) for folder, entry in find_runs(_folders(runs, stack))]
        names = [video.folder.absolute() / video.entry.name for video in tracked]
        start = 0.0 if same_start else math.nan
        clocks = [None] * len(names) if videos is None else read_clocks(videos, names)
        people = link_videos(
            tracked,
            [clock or Clock(f"{number} {names[number].name}", start) for number, clock in enumerate(clocks)],
            max_distance=MAX_DISTANCE if max_distance is None else max_distance,
            min_seconds=min_seconds,
            max_seconds=math.inf if max_seconds is None else max_seconds,
        )
        _write(out, tracked, people, pictures)
    identities = sum(len(person.members) for person in people)
    joined = sum(len({number for number, _ in person.members}) > 1 for person in people)
    sums = {
        "videos": len(tracked),
        "identities": identities,
        "people": len(people),
        "in_several_videos": joined,
    }
    if as_json:
        typer.echo(json.dumps(sums))
    else:
        say(
            f"{identities} identities of {len(tracked)} videos are {len(people)} people, {joined} of them in "
            f"several videos; {out}"
        )


def _folders(runs: Sequence[str], stack: ExitStack) -> list[Path]:
    """``runs`` as paths: what lies at an address is copied into a folder that goes with ``stack``."""
    from ..io.addresses import is_stored
    from ..io.stores import called
    from ..many.results import bring

    found = []
    # An address that is named twice is fetched once; folders are looked at in ``find_runs``.
    for number, run in enumerate(dict.fromkeys(run.rstrip("/") if is_stored(run) else run for run in runs)):
        path = Path(run)
        if is_stored(run):
            path = Path(stack.enter_context(TemporaryDirectory(prefix="bpbreid-")), str(number))
            stack.enter_context(called(path, run))
            bring(run, path)
        found.append(path)
    return found


def _write(out: Path, videos: Sequence[Tracked], people: Sequence[Person], pictures: bool) -> None:
    import csv
    import io

    from ..io.locks import writing
    from ..io.part_file import write_whole
    from ..many.sheet import write_sheets
    from ..many.track_files import write_renumbered

    with writing(out):
        out.mkdir(exist_ok=True)
    number_of: list[dict[int, int]] = [{} for _ in videos]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["person", "video", "identity", "source"])
    for person in people:
        for number, identity in person.members:
            number_of[number][identity] = person.number
            writer.writerow([person.number, videos[number].entry.name, identity, videos[number].entry.source])
    # Who was never seen clearly has no views, and a number of their own in each video.
    free = len(people)
    names = unique_names([video.tracks.name for video in videos])
    for numbers, video, name in zip(number_of, videos, names, strict=True):
        for identity in sorted(set(video.boxes.id.tolist()) - numbers.keys()):
            free += 1
            numbers[identity] = free
        write_renumbered(video.tracks, out / name, numbers)
    write_whole(out / "people.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    if pictures:
        for note in write_sheets(out, videos, people)[1]:
            program.warn(note)


def unique_names(names: Sequence[str]) -> list[str]:
    """``names``, with a number before the ending where two folders have the same, and none is people.csv.

    >>> unique_names(["a.txt", "b.txt", "a.txt"])
    ['a.txt', 'b.txt', 'a-2.txt']
    """
    taken, found = {"people.csv"}, []
    for name in names:
        path, number = Path(name), 1
        while name.casefold() in taken:
            number += 1
            name = f"{path.stem}-{number}{path.suffix}"
        taken.add(name.casefold())
        found.append(name)
    return found
