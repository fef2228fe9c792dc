"""``bpbreid-train``: from images of people to an encoder, on the command line.

Only what parsing needs is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bpbreid_track.cli.common import HELP, Debug, Program, Quiet, run_app

if TYPE_CHECKING:
    from .data import ReidDataset

program = Program("bpbreid-train", no_args_is_help=True)

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of a ReID data set.", show_default=False)
]
Dataset = Annotated[
    str, typer.Option(metavar="NAME", help="Its layout, such as market1501; auto: told by its content.")
]
Query = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Folder of the queries in it.  [default: query]")
]
Gallery = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Folder of the gallery.  [default: bounding_box_test or gallery]"),
]
Weights = Annotated[
    str,
    typer.Option("--encoder", metavar="WEIGHTS", help="Encoder: default, .safetensors, .pth, .onnx or .xml."),
]
Device = Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:1 or mps.")]


def main() -> None:
    """The entry point of ``bpbreid-train``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line with ``arguments`` (without the program's name); returns the exit code."""
    again = "; --resume goes on from the last saved state" if "fit" in arguments[:1] else ""
    return run_app(program.app, program.name, arguments, on_interrupt=f"interrupted{again}")


@program.app.callback(context_settings=HELP)
def _root(
    version: Annotated[bool, program.version_option] = False,
) -> None:
    """Train encoders for bpbreid-track: labels, then fit, evaluate, rank and export.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """


@program.command
def fit(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG.yaml", help="Recipe: a name such as small, or a file.", show_default=False
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="Settings, such as data.root=DIR epochs=60.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train an encoder; needs data.root=DIR. Keeps the best one as OUTPUT/best.safetensors."""
    from .options import read_options

    options = read_options(config, overrides or ())
    if not options.output:
        options = options.model_copy(update={"output": str(Path("runs", Path(config).stem))})

    from .engine import fit as train

    report = train(options, resume=resume, quiet=quiet)
    if quiet or int(os.environ.get("RANK", "0")):
        return
    score = f", best mAP {report.best:.3f} after epoch {report.best_epoch}" if report.best is not None else ""
    typer.echo(
        f"{report.folder / 'best.safetensors'}: {report.epochs} epochs, {report.steps} steps{score}", err=True
    )


@program.command
def crops(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Video, folder of images or MOTChallenge sequence.", show_default=False
        ),
    ],
    tracks: Annotated[
        Path | None,
        typer.Argument(
            metavar="TRACKS",
            help="Its tracks: MOTChallenge .txt, CVAT .xml or .zip, .csv, .jsonl; left out: its gt/gt.txt.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the data set to make.", show_default=False)
    ],
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the camera.  [default: the source's name]")
    ] = None,
    stride: Annotated[int, typer.Option(metavar="N", min=1, help="Every so many frames of a person.")] = 5,
    min_height: Annotated[int, typer.Option(metavar="PX", min=1, help="Leave lower boxes out.")] = 48,
    min_visibility: Annotated[
        float, typer.Option(metavar="V", min=0, max=1, help="Leave boxes out that are hidden more.")
    ] = 0.5,
    min_images: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave persons with fewer crops out.")
    ] = 4,
    holdout: Annotated[
        float,
        typer.Option(metavar="SHARE", min=0, max=0.9, help="Keep so many of the persons back to test on."),
    ] = 0.0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cut a training set out of a tracked video: one folder for each identity."""
    from .crops import cut_crops

    report = cut_crops(
        source,
        tracks,
        out,
        camera=camera,
        stride=stride,
        min_height=min_height,
        min_visibility=min_visibility,
        min_images=min_images,
        holdout=holdout,
        quiet=quiet,
    )
    if not quiet:
        typer.echo("\n".join(report.lines()), err=True)


@program.command
def labels(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a ReID data set.", show_default=False)
    ],
    backend: Annotated[str, typer.Option(metavar="NAME", help="yolo-pose or pifpaf.")] = "yolo-pose",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the labels.  [default: DIR/masks/BACKEND]")
    ] = None,
    dataset: Dataset = "auto",
    splits: Annotated[
        str, typer.Option(metavar="LIST", help="Of train,query,gallery; training needs train.")
    ] = "train",
    query: Query = None,
    gallery: Gallery = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make labels again that are there.")] = False,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="Of the pose network, in place of the usual ones.")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="PYTHON", help="Interpreter of openpifpaf's own environment.")
    ] = None,
    parts: Annotated[
        str, typer.Option(metavar="GROUP", help="Grouping that the contact sheet shows.")
    ] = "eight",
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the human-parsing labels that training needs, and a contact sheet to look at."""
    from .parsing import make_labels

    report = make_labels(
        data,
        backend=backend,
        out=out,
        dataset=dataset,
        splits=[split.strip() for split in splits.split(",")],
        query=query,
        gallery=gallery,
        resume=not fresh,
        weights=weights,
        python=python,
        device=device,
        part_group=parts,
        quiet=quiet,
    )
    if not quiet:
        typer.echo("\n".join(report.lines()), err=True)


@program.command
def evaluate(
    data: Data,
    query: Query = None,
    gallery: Gallery = None,
    dataset: Dataset = "auto",
    encoder: Weights = "default",
    device: Device = "auto",
    precision: Annotated[str, typer.Option(metavar="P", help="auto, fp32, bf16 or fp16.")] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """CMC and mAP of an encoder on a ReID data set. Masks are not needed."""
    samples = _test_set(data, dataset, query, gallery)

    from bpbreid_track.model.encoder import Encoder

    from .evaluate import crop_embedder
    from .evaluate import evaluate as measure

    embed = crop_embedder(Encoder.load(encoder, device=device, precision=precision))
    with _image_progress(samples, quiet or as_json) as tick:
        metrics = measure(embed, samples, tick=tick)
    if as_json:
        typer.echo(json.dumps(metrics.as_dict()))
    else:
        values = "  ".join(f"{name} {100 * value:.1f}" for name, value in metrics.as_dict().items())
        typer.echo(f"{values}  (%, {metrics.queries} queries, {len(samples.gallery)} gallery images)")


@program.command
def rank(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the sheets.")] = Path("ranking"),
    query: Query = None,
    gallery: Gallery = None,
    dataset: Dataset = "auto",
    encoder: Weights = "default",
    device: Device = "auto",
    queries: Annotated[int, typer.Option(metavar="N", min=1, help="How many queries, evenly spread.")] = 8,
    top: Annotated[int, typer.Option(metavar="K", min=1, max=20, help="Gallery images for each.")] = 8,
    worst: Annotated[
        bool, typer.Option("--worst", help="The queries with the lowest average precision.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw whom the encoder takes for whom: ranking sheets with attention, visibility and part distances."""
    samples = _test_set(data, dataset, query, gallery)

    from bpbreid_track.model.encoder import Encoder

    from .visualize import ranking_sheets

    loaded = Encoder.load(encoder, device=device, precision="fp32")
    with _image_progress(samples, quiet) as tick:
        paths = ranking_sheets(loaded, samples, out, queries=queries, top=top, worst=worst, tick=tick)
    if not quiet:
        typer.echo(f"{len(paths)} sheets in {out}", err=True)


@program.command
def attention(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Crops of single persons, in it or in folders inside.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Picture to write.")] = Path("attention.png"),
    encoder: Weights = "default",
    device: Device = "auto",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Most crops, evenly spread.")] = 16,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw what the encoder looks at: for each crop its foreground and every part."""
    from bpbreid_track.model.encoder import Encoder

    from .attention_sheet import attention_sheet

    attention_sheet(Encoder.load(encoder, device=device), images, out, limit=limit)
    if not quiet:
        typer.echo(f"{out}", err=True)


@program.command
def export(
    weights: Annotated[
        list[Path],
        typer.Argument(
            metavar="WEIGHTS...",
            help="A run's folder, a checkpoint or default; several: the average of their weights.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write: .safetensors, .onnx, .xml (OpenVINO) or .ts.")
    ] = Path("encoder.safetensors"),
    half: Annotated[bool, typer.Option("--half", help="Store 16-bit floats: half the size.")] = False,
    visibility: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Attention from which on a part counts as visible, 0 to below 1 (as in WEIGHTS).",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write what bpbreid-track --encoder takes: the network without its identity classifiers."""
    from .export import export_encoder

    export_encoder(weights, out, half=half, visibility=visibility)
    if not quiet:
        typer.echo(f"{out}: {out.stat().st_size / 2**20:.1f} MiB", err=True)


def _test_set(data: Path, name: str, query: str | None, gallery: str | None) -> ReidDataset:
    from .data import load_dataset
    from .evaluate import check_test_set

    samples = load_dataset(data, name, query=query, gallery=gallery, with_masks=False)
    check_test_set(samples)
    return samples


@contextmanager
def _image_progress(samples: ReidDataset, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over all test images; what it yields takes the number of images done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("images", total=len(samples.query) + len(samples.gallery))
        yield lambda count: bar.advance(task, count)
