"""How trackers do on footage nobody chose a setting on: all sequences, at lower frame rates and backwards.

    python benchmarks/generalisation.py --data MOT_FOLDER --cache FOLDER [--osnet WEIGHTS.pth]
        [--openvino MODEL.xml] [--csv FILE] [--figure FILE.svg] [--as-written] [--choose SETTING=V1,V2]

A *look* is a sequence as one case shows it (whole, with a gap, with a veil: ``occlusion_cases.py``) at a part
of its frame rate, forwards or backwards. Every tracker reads the same boxes, those of each file in
``<sequence>/det/`` from score 0.1. Ours runs with the bundled encoder, by motion alone, and with the vectors
that peers get as one part that always shows; peers run with their own defaults, by motion alone and, those
that take a vector, with each network that is given.

A run with ``--csv`` that was stopped goes on where it was: figures in the file are not measured again. Delete
the file after a change to a tracker.

``--as-written`` adds ours as the command line writes it: only boxes in doubt encoded, boxes smoothed, gaps
and absences filled in. No peer does so, and it is compared with none.

``--choose`` asks whether settings chosen on some footage hold on other footage: each sequence is reported
under the values that were best on all the others; with ``--as-written``, as they are written.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import logging
import os
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from footage import Model, View  # noqa: E402
from generalisation_runs import Entry, Figures, Job, footage_of, pending, run_all  # noqa: E402
from generalisation_tables import (  # noqa: E402
    Row,
    behind_text,
    figure,
    grouped,
    held_out,
    hota_by,
    key_of,
    shortfalls,
    summary,
    who,
)
from host_vectors import openvino_reid, osnet, part_model  # noqa: E402
from occlusion_cases import Case  # noqa: E402
from peers import OURS, PEERS, settings  # noqa: E402
from report import as_text, circumstances  # noqa: E402

from bpbreid_track import TrackerConfig  # noqa: E402
from bpbreid_track.config import SmoothConfig, validated  # noqa: E402
from bpbreid_track.errors import InputError, UsageError  # noqa: E402
from bpbreid_track.read_config import run_config  # noqa: E402

USUAL_DET = "yolo11n.txt"
PARTS, NONE, OSNET = "parts", "none", "OSNet x0.25"


def sequences_in(data: Path, names: list[str] | None, det: str | None) -> list[tuple[Path, str]]:
    """Folders with ground truth and pictures, each with every detection file that trackers can read."""
    found = []
    for folder in [data / name for name in names] if names else sorted(data.iterdir()):
        pictures = any((folder / "img1").glob("*.jpg")) or (folder / f"{folder.name}.mp4").is_file()
        if not pictures or not (folder / "gt" / "gt.txt").is_file():
            if names:
                raise SystemExit(f"{folder}: no gt/gt.txt, or neither img1/*.jpg nor {folder.name}.mp4")
            continue
        files = sorted(path.name for path in (folder / "det").glob(det or "*.txt"))
        for name in sorted(files, key=lambda name: name != USUAL_DET):
            try:
                footage = footage_of(folder, name)
            except InputError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            if not len(footage.scores) or footage.scores.max() > 1:
                print(f"left out: {folder / 'det' / name} (no scores from 0.1 to 1)", file=sys.stderr)
            else:
                found.append((folder, name))
    return found


def with_parts(ours: str, changed: dict[str, Any], smooth: SmoothConfig | None) -> Entry:
    """Ours with the bundled encoder; with ``smooth`` as the command line writes it."""
    model = Model("bpbreid", part_model)
    if smooth is None:
        return Entry(ours, PARTS, model, changed)
    return Entry(f"{ours}, as written", PARTS, model, {"encode": "ambiguous", **changed}, smooth)


def entries_of(
    arguments: argparse.Namespace, ours: str, changed: dict[str, Any], smooth: SmoothConfig | None
) -> list[Entry]:
    """Every line of the tables."""
    networks = {}
    if arguments.osnet:
        networks[OSNET] = Model("osnet", functools.partial(osnet, arguments.osnet))
    if arguments.openvino:
        short = arguments.openvino.stem.rpartition("-")[2]
        networks[f"OpenVINO {short}"] = Model(short, functools.partial(openvino_reid, arguments.openvino))
    entries = [with_parts(ours, changed, None), Entry(ours, NONE, None, changed)]
    if smooth is not None:
        entries.insert(0, with_parts(ours, changed, smooth))
    entries += [Entry(ours, label, model, changed) for label, model in networks.items()]
    for peer in PEERS:
        if not peer.installed:
            print(f"left out: {peer.name} ({peer.package} is not installed)", file=sys.stderr)
            continue
        if not peer.needs_vectors:
            entries.append(Entry(peer.name, NONE, None))
        if peer.takes_vectors:
            entries += [Entry(peer.name, label, model) for label, model in networks.items()]
    return [entry for entry in entries if arguments.only in entry.tracker]


def candidates_of(
    choose: list[str], ours: str, changed: dict[str, Any], smooth: SmoothConfig | None
) -> dict[str, Entry]:
    """Ours with each combination of the values of ``--choose``, by the values."""
    import yaml

    names, values = [], []
    for option in choose:
        name, _, texts = option.partition("=")
        if name not in TrackerConfig.model_fields or name == "frame_rate" or not texts:
            raise UsageError(f"--choose {option}: expected SETTING=V1,V2 with a setting of the tracker")
        names.append(name)
        values.append([yaml.safe_load(text) for text in texts.split(",")])
    found = {}
    for combination in itertools.product(*values):
        chosen = dict(zip(names, combination, strict=True))
        where = " ".join(f"{name}={value}" for name, value in chosen.items())
        config = validated(TrackerConfig, changed | chosen, f"--choose {where}")
        as_it_is = config == TrackerConfig(**changed)
        name = ours if as_it_is else f"{ours}, {where}"
        found[where] = with_parts(name, changed | chosen, smooth)
    return found


def tables(rows: list[Row], ours: str) -> str:
    """Everything that is printed of the trackers as they are."""
    text = []
    for det, own in grouped(rows, lambda row: row["det"]).items():
        text += [f"## Boxes of {det}", "### Mean over all looks", summary(own)]
        text += ["### HOTA by sequence", hota_by(own, "sequence")]
        text += ["### HOTA by frame rate", hota_by(sorted(own, key=lambda row: row["step"]), "step", "1/{}")]
    text.append("## Where ours is behind")
    parts = shortfalls(rows, (ours, PARTS), lambda rival: rival[0] != ours and rival[1] == OSNET)
    text.append(behind_text("With the bundled encoder, behind the best peer with OSNet", *parts))
    rows = [row for row in rows if row["case"] != "veil"]  # motion alone sees no veil, only its gap
    motion = shortfalls(rows, (ours, NONE), lambda rival: "ByteTrack" in rival[0] and rival[1] == NONE)
    text.append(behind_text("By motion alone, behind the best ByteTrack", *motion))
    return "\n\n".join(text)


def parse() -> argparse.Namespace:
    """The command line."""

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",") if part]

    def steps(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of MOTChallenge sequences with images")
    add("--cache", type=Path, required=True, help="where embeddings are kept")
    add("--osnet", type=Path, help="weights of OSNet x0.25")
    add("--openvino", type=Path, help="a re-identification network of the Open Model Zoo (.xml)")
    add("--sequences", help="comma-separated names; by default all with ground truth and pictures")
    add("--det", help="detection file in each <sequence>/det/; by default each one there")
    add("--steps", type=steps, default=[1, 2, 4, 8], help="every how many frames (1,2,4,8)")
    add("--bands", type=numbers, default=[0.35, 0.5, 0.65], help="middles of gaps (0.35,0.5,0.65)")
    add("--veils", type=numbers, default=[0.5], help="middles of veils (0.5)")
    add("--only", default="", help="trackers whose name contains this")
    add("--config", help="preset or YAML file for ours")
    add("--as-written", action="store_true", help="ours as the command line writes it, too")
    add("--choose", action="append", default=[], metavar="SETTING=V1,V2", help="may be given again")
    add("--csv", type=Path, help="write figures to this file as they come; those in it are kept")
    add("--figure", type=Path, help="draw HOTA by frame rate to this SVG file")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes (number of cores)")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    logging.disable(logging.INFO)
    if arguments.figure and importlib.util.find_spec("matplotlib") is None:
        raise SystemExit("--figure needs matplotlib: pip install '.[train]'")
    ours = OURS[0].name + (f", {Path(arguments.config).stem}" if arguments.config else "")
    try:
        given = run_config(arguments.config)
        changed = given.tracker.changed()
        changed.pop("frame_rate", None)
        smooth = given.smooth if arguments.as_written else None
        candidates = candidates_of(arguments.choose, ours, changed, smooth) if arguments.choose else {}
    except UsageError as error:
        raise SystemExit(str(error)) from error

    names = arguments.sequences.split(",") if arguments.sequences else None
    footage = sequences_in(arguments.data, names, arguments.det)
    shown = list(dict.fromkeys(folder.name for folder, _ in footage))
    if not footage:
        raise SystemExit(f"{arguments.data}: no sequence with ground truth, pictures and boxes")
    if candidates and len(shown) < 2:
        raise SystemExit("--choose needs two sequences: one is held out")
    entries = entries_of(arguments, ours, changed, smooth)
    if not entries:
        raise SystemExit(f"no tracker's name contains {arguments.only!r}")
    cases = [Case("whole"), *(Case("gap", band) for band in arguments.bands)]
    cases += [Case("veil", band, True) for band in arguments.veils]
    looks = list(
        itertools.product(cases, itertools.starmap(View, itertools.product(arguments.steps, (0, 1))))
    )
    figures = Figures(arguments.csv)

    def wanted(entries: list[Entry]) -> list[Job]:
        return [Job(entry, *place, looks, arguments.cache) for place in footage for entry in entries]

    usual = with_parts(ours, changed, smooth)
    tried = [usual, *candidates.values()]
    everything = {job.title: job for job in wanted([*entries, *(tried if candidates else [])])}
    failed = run_all(pending(list(everything.values()), figures), figures, arguments.jobs)

    def measured(entries: list[Entry]) -> list[Row]:
        keys = dict.fromkeys(key_of(job.row(look)) for job in wanted(entries) for look in job.looks)
        return [row for row in map(figures.rows.get, keys) if row is not None and who(row) not in failed]

    rows = measured(entries)
    config = {"sequences": shown, "det": arguments.det or "all", "min_score": 0.1, "steps": arguments.steps}
    config |= {"bands": arguments.bands, "veils": arguments.veils}
    config |= {peer.name: peer.settings for peer in PEERS if peer.installed and peer.settings != "defaults"}
    facts = circumstances(
        [*dict.fromkeys(peer.package for peer in PEERS), "trackeval"],
        seed=None,
        config=config | {ours: settings(OURS[0]) | changed},
    )
    print(as_text(facts) + "\n\n" + tables(rows, ours))
    if candidates:
        values = {entry.tracker: where for where, entry in candidates.items()}
        print(
            "\n## Settings chosen on the other sequences\n\n"
            + held_out(measured(tried), values, usual.tracker)
        )
    if arguments.figure:
        figure(measured([entry for entry in entries if entry.hindsight is None]), ours, arguments.figure)
    if failed:
        raise SystemExit(f"not in the tables: {', '.join(map(', '.join, sorted(failed)))}")


if __name__ == "__main__":
    main()
