"""``bpbreid-track``: from a video to identities, on the command line.

Only what parsing needs is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError, did_you_mean, with_notes
from ..io.names import output_stem
from .common import INTERRUPTED, Debug, Program, Quiet, fail, say
from .demo_score import DemoScore

if TYPE_CHECKING:
    import supervision as sv

    from ..config import RunConfig
    from ..io.sources.base import Frame
    from ..pipeline.report import TrackingReport

# What other trackers' command lines call things that are settings here.
_ELSEWHERE = {
    "--conf": "--set detector.confidence=0.3",
    "--confidence": "--set detector.confidence=0.3",
    "--iou": "--set detector.iou=0.7",
    "--imgsz": "--set detector.image_size=1280",
    "--batch": "--set detector.batch_size=8",
    "--vid-stride": "--set detector.every=2",
    "--class": "--classes 'person,sports ball'",
    "--track-buffer": "--set tracker.lost_seconds=4",
}
_OVERLAYS = ("boxes", "labels", "traces", "parts", "why")

program = Program("bpbreid-track", on_interrupt=None, elsewhere=_ELSEWHERE)
run, main = program.run, program.main


@program.command
def track(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Video file, folder or glob of images, MOTChallenge sequence folder, webcam index, "
            "RTSP or HTTP address, or the word demo. With --out-dir any number of them, folders of videos, "
            "and lists .txt with a path a line.",
            metavar="SOURCE...",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Annotated video to write (.mp4, .mkv, .mov).")
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tracks to write: .txt (MOTChallenge), .csv or .jsonl."),
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="New folder for the crops of each identity; of every 10th box with --set crops.every=10.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show a window while tracking; q or Esc end it.")
    ] = False,
    detector: Annotated[
        str, typer.Option(metavar="NAME|WEIGHTS|DET.txt", help="Person detector, or a file of its boxes.")
    ] = "auto",
    encoder: Annotated[
        str, typer.Option(metavar="default|none|WEIGHTS", help="Part encoder; none tracks by motion alone.")
    ] = "default",
    config: Annotated[
        str | None, typer.Option(metavar="NAME|FILE.yaml", help="Preset or file of settings.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Change one setting, such as detector.confidence=0.3; may be given many times.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="P", help="Of the encoder: auto, fp32, bf16 or fp16.")
    ] = "auto",
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="At the end join tracklets of one person and fill gaps; reads SOURCE twice."
        ),
    ] = False,
    teams: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Sort people into N teams and others by what they wear; reads SOURCE twice (docs/teams.md).",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Classes of the detector to track, such as 'person,sports ball': people by appearance too, "
            "others by motion alone.",
        ),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="People to recognise: a folder of NAME/*.jpg or NAME.npz."),
    ] = None,
    save_gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="New folder for views of every identity and a picture, as a gallery."
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after so many frames.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep boxes and embeddings here; later runs read them."),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write why each box has its identity, for bpbreid-explain."),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            metavar="POLYGON|MASK",
            help="Leave out boxes that stand outside: 'x,y x,y x,y' in pixels or fractions, or an image of "
            "the frame's size, white inside.",
        ),
    ] = None,
    count: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]LINE",
            help="Count who crosses the line 'x,y x,y'; may be given many times.",
        ),
    ] = None,
    zones: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML or JSON, a polygon for each name: count who is there, and how long."
        ),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write every crossing and every stay in a zone."),
    ] = None,
    report_page: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE.html",
            help="Write a page to look at identities and correct them, for bpbreid-edit.",
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"What to paint: {','.join(_OVERLAYS)}, any of them, or none."),
    ] = None,
    out_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the results of many SOURCEs, named after them, and runs.jsonl; or an address "
            "such as s3://bucket/run.",
        ),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="With --out-dir, what is written of each (mp4,txt): mp4, mkv or mov; txt, csv or jsonl; "
            "crops, explain, report, gallery, counts.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --out-dir: leave out what runs.jsonl says is whole.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --out-dir: replace results that are there.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="With --out-dir: so many videos at once (extra 'cluster')."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="With --out-dir: on this Ray cluster; auto finds the local one."
        ),
    ] = None,
    piece_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", help="With several workers: search longer videos in pieces of this length."
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[bool, program.version_option] = False,
) -> int:
    """Track the people in SOURCE: every person keeps one number, also through occlusions.

    Many SOURCEs need --out-dir: one that fails does not stop the others, and --resume goes on where a call
    was stopped.

    Writes SOURCE's name with _tracked.mp4 into the current folder where none of --out, --tracks, --crops,
    --explain, --report, --save-gallery, --counts and --show says otherwise.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (what was written so far is complete).
    """
    from .regions import with_regions
    from .who import with_who

    settings = with_regions(_settings(config, changes or [], overlay), roi, count or [], zones)
    settings = with_who(settings, teams, classes)
    many_only = {
        "--write": write is not None,
        "--resume": resume,
        "--overwrite": overwrite,
        "--workers": workers is not None,
        "--ray": ray is not None,
        "--piece-minutes": piece_minutes is not None,
    }
    if out_dir is not None:
        one_only = {
            "--out": out is not None,
            "--tracks": tracks is not None,
            "--crops": crops is not None,
            "--explain": explain is not None,
            "--report": report_page is not None,
            "--save-gallery": save_gallery is not None,
            "--cache": cache is not None,
            "--counts": counts is not None,
            "--show": show,
        }
        for option in (option for option, given in one_only.items() if given):
            raise UsageError(f"{option} is for a single run; with --out-dir say what is written by --write")
        from .track_many import track_many

        return track_many(
            sources,
            out_dir,
            write,
            quiet=quiet,
            resume=resume,
            overwrite=overwrite,
            workers=workers,
            ray=ray,
            piece_minutes=piece_minutes,
            detector=detector,
            encoder=encoder,
            config=settings,
            device=device,
            precision=precision,
            link=link,
            gallery=gallery,
            max_frames=max_frames,
        )
    for option in (option for option, given in many_only.items() if given):
        raise UsageError(f"{option} is for many videos; give --out-dir DIR too")
    if len(sources) > 1:
        raise UsageError(f"{sources[1]}: a second SOURCE; give --out-dir DIR to track several in one call")
    source = sources[0]
    announcement = None
    outputs = (out, tracks, crops, explain, report_page, save_gallery, counts)
    if all(path is None for path in outputs) and not show:
        out = default_output(source)
        announcement = f"writing {out} (--out, --tracks, --crops or --show choose otherwise)"

    demo = DemoScore(tracks, settings, encoder, detector) if source == "demo" else nullcontext()
    with _interruptible(), demo as score:
        from ..pipeline.api import track_video

        def on_frame(frame: Frame, detections: sv.Detections) -> None:
            nonlocal announcement
            # Not before something has been written: a run that fails at once says one thing only.
            if announcement and not quiet:
                say(announcement)
                announcement = None
            if score is not None:
                score.add(frame, detections)

        report = track_video(
            source,
            out,
            tracks=tracks,
            detector=detector,
            encoder=encoder,
            config=settings,
            # Without a listener a linked run that writes no pictures need not read them again.
            on_frame=on_frame if announcement or score is not None else None,
            crops=crops,
            show=show,
            device=device,
            precision=precision,
            max_frames=max_frames,
            cache=cache,
            explain=explain,
            progress=not quiet,
            link=link,
            gallery=gallery,
            save_gallery=save_gallery,
            counts=counts,
            report_page=report_page,
        )
        if not quiet:
            _show_report(report, score)
        for note in report.notes:
            program.warn(note)
    return INTERRUPTED if report.interrupted else 0


def default_output(source: str) -> Path:
    """The video written for ``source`` where nothing else is asked for, in the current folder.

    >>> default_output("clips/street.avi").name, default_output("0").name
    ('street_tracked.mp4', 'webcam0_tracked.mp4')
    """
    return Path(f"{output_stem(source)}_tracked.mp4")


def _settings(config: str | None, changes: Sequence[str], overlay: str | None) -> RunConfig:
    from ..config import RunConfig
    from ..read_config import config_path, overridden

    path = None if config is None else config_path(config, "track")
    settings = overridden(RunConfig, path, changes, where="--set" if changes else "")
    if overlay is None:
        return settings
    names = [name.strip() for name in overlay.split(",") if name.strip() not in {"", "none"}]
    for name in names:
        if name not in _OVERLAYS:
            raise UsageError(f"--overlay: unknown {name!r}{did_you_mean(name, _OVERLAYS)}")
    draw = settings.draw.model_copy(update={"overlay": tuple(dict.fromkeys(names))})
    return settings.model_copy(update={"draw": draw})


@contextmanager
def _interruptible() -> Iterator[None]:
    """Exit on a Ctrl-C that comes while loading or for the second time, before the run ends in good order."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise typer.Exit(fail(program.name, with_notes(error, "interrupted"), INTERRUPTED)) from None


def _show_report(report: TrackingReport, score: DemoScore | None) -> None:
    from rich.console import Console

    table = report.summary()
    for key, value in score.rows() if score is not None and report.frames else ():
        table.add_row(key, value)
    with suppress(OSError):  # a terminal that has closed
        Console(stderr=True, highlight=False).print(table)
