"""A long video tracked as a whole and searched in pieces: identities, HOTA, AssA, IDF1 of both.

    python benchmarks/pieces.py --sequence MOT/ADL-Rundle-6 --repeats 69 --width 480 --minutes 5 3

The sequence is repeated until it is long, video, boxes and truth alike; with ``--width`` the pictures are
made smaller, and boxes and truth with them. Pieces end where their length says, so in the middle of a repeat.
Truth is scored in two ways: whoever comes back in the next repeat is somebody *new*, or the *same* person.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track.evaluation import evaluate_tracks  # noqa: E402
from bpbreid_track.io.open_source import open_source  # noqa: E402
from bpbreid_track.io.seqinfo import read_seqinfo  # noqa: E402
from bpbreid_track.many.api import track_videos  # noqa: E402

MEASURES = ("HOTA", "DetA", "AssA", "IDF1", "IDSW")


def write_long(sequence: Path, det: str, repeats: int, width: int | None, out: Path) -> tuple[int, int]:
    """A sequence folder ``out`` with ``repeats`` times the video, boxes and truth.

    Returns:
        Its frames, and those of one repeat.
    """
    out.mkdir()
    source = open_source(sequence)
    scale = 1.0 if width is None else width / source.width
    size = (round(source.width * scale) // 2 * 2, round(source.height * scale) // 2 * 2)
    packets, frames = [], 0
    with av.open(str(out / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=source.frame_rate, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.max_b_frames = 0
        for frame in source:
            picture = av.VideoFrame.from_ndarray(frame.image, format="bgr24").reformat(*size)
            packets += stream.encode(picture)
            frames += 1
        packets += stream.encode()
        # Each repeat begins with a picture that needs no other, so encoding once is enough.
        step = round(1 / source.frame_rate / packets[0].time_base)
        contents = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number in range(repeats * len(contents)):
            data, key = contents[number % len(contents)]
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, packets[0].time_base
            packet.pts = packet.dts = number * step
            packet.is_keyframe = key
            container.mux(packet)
    (out / "det").mkdir()
    write_rows(sequence / "det" / det, out / "det/det.txt", repeats, frames, scale, new=False)
    for kind in ("new", "same"):
        write_rows(sequence / "gt/gt.txt", out / f"{kind}.txt", repeats, frames, scale, new=kind == "new")
    rate = read_seqinfo(sequence / "seqinfo.ini").frame_rate
    info = f"[Sequence]\nname=long\nframeRate={rate}\nseqLength={frames * repeats}\n"
    info += f"imDir=img1\nimWidth={size[0]}\nimHeight={size[1]}\nimExt=.jpg\n"
    (out / "seqinfo.ini").write_text(info)
    return frames * repeats, frames


def write_rows(path: Path, out: Path, repeats: int, frames: int, scale: float, *, new: bool) -> None:
    """MOTChallenge rows ``repeats`` times over; with ``new`` everybody has another number in each repeat."""
    rows = np.atleast_2d(np.loadtxt(path, delimiter=","))
    rows = rows[rows[:, 0] <= frames]
    rows[:, 2:6] *= scale
    people = int(rows[:, 1].max())
    with out.open("w", encoding="utf-8") as file:
        for repeat in range(repeats):
            here = rows.copy()
            here[:, 0] += repeat * frames
            here[:, 1] += repeat * people * new
            np.savetxt(
                file,
                here,
                fmt=["%d", "%d", *["%.3f"] * 4, "%.5f", *["%d"] * (rows.shape[1] - 7)],
                delimiter=",",
            )


def figures(folder: Path, tracks: Path, seconds: float) -> dict[str, Any]:
    """Identities and measures of one run."""
    found: dict[str, Any] = {
        "seconds": seconds,
        "identities": len(np.unique(np.loadtxt(tracks, delimiter=",")[:, 1])),
    }
    for kind in ("new", "same"):
        measured = evaluate_tracks(folder / f"{kind}.txt", tracks).as_dict()
        found |= {f"{name} ({kind})": measured[name] for name in MEASURES}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequence", type=Path, required=True, help="folder of a MOTChallenge sequence")
    parser.add_argument("--det", default="yolo11n.txt", help="detection file in <sequence>/det/")
    parser.add_argument("--repeats", type=int, default=69)
    parser.add_argument("--width", type=int, help="of the pictures (those of the sequence)")
    parser.add_argument("--encoder", default="none", help="as for bpbreid-track (none)")
    parser.add_argument("--encode", default="auto", choices=["auto", "all", "ambiguous"])
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 3], help="of a piece (5 3)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bpbreid-pieces-") as name:
        root = Path(name)
        folder = root / "long"
        frames, period = write_long(
            arguments.sequence, arguments.det, arguments.repeats, arguments.width, folder
        )
        given: dict[str, Any] = {
            "write": ["txt"],
            "detector": "det/det.txt",
            "encoder": arguments.encoder,
            "config": {"tracker": {"encode": arguments.encode}},
        }
        texts = []
        for minutes in (None, *arguments.minutes):
            out = root / f"pieces{minutes}"
            several = {} if minutes is None else {"workers": arguments.workers, "piece_minutes": minutes}
            start = time.perf_counter()
            report = track_videos([folder], out, **given, **several)
            if report.failed:
                raise SystemExit(report.failed[0][1])
            tracks = out / "long.txt"
            seconds = time.perf_counter() - start
            texts.append(tracks.read_bytes())
            same = texts[-1] == texts[0]
            row = (
                found["whole"] | {"seconds": seconds}
                if minutes and same
                else figures(folder, tracks, seconds)
            )
            row["as the whole"] = "" if minutes is None else "to the byte" if same else "no"
            found["whole" if minutes is None else f"{minutes:g} min"] = row
            print(f"{minutes}: {row}", file=sys.stderr, flush=True)

    config = {key: str(value) for key, value in vars(arguments).items() if key != "json"}
    config |= {"frames": frames, "frames_a_repeat": period}
    facts = circumstances(["trackeval", "ray"], seed=None, config=config)
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    names = list(found["whole"])
    print("| | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for name, row in found.items():
        cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
