"""How long many videos would take on so many workers: a simulation from measured stage times.

    python benchmarks/scaling.py --stages decode=12,detect=180,... [--cores 2] [--videos 120 --minutes 90]
    python benchmarks/scaling.py --manifest tracked/runs.jsonl [--workers 1 2 8 32]

Nothing is run. A worker takes the next video when it has ended one, as ``bpbreid-track --workers`` does. For
each frame it needs the time of the slowest stage, or, where that is more, the work of all stages that run on
the CPU shared out over its cores. ``--gpu`` names the stages that do not. With ``--manifest`` the videos are
those of the manifest, with the frames and stage times that it has. A disk or network that all share is left
out.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track.many.manifest import read_manifest  # noqa: E402

Video = tuple[int, dict[str, float]]  # frames, and milliseconds a frame of each stage


def seconds_of(video: Video, cores: float, gpu: Sequence[str]) -> float:
    """What one video takes on a worker with so many cores."""
    frames, stages = video
    on_cpu = sum(ms for name, ms in stages.items() if name not in gpu)
    return frames * max(max(stages.values()), on_cpu / cores) / 1000


def makespan(durations: Sequence[float], workers: int, load: float) -> float:
    """Seconds until the last of ``workers`` has ended; each loads its networks first.

    >>> makespan([3.0, 3.0, 2.0], 2, 1.0)
    6.0
    """
    free = [load] * workers
    for duration in durations:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--stages", help="name=ms,... of work a frame, of one stage each")
    source.add_argument("--manifest", type=Path, help="runs.jsonl of bpbreid-track --out-dir")
    parser.add_argument("--gpu", nargs="*", default=[], help="stages that run on a GPU")
    parser.add_argument("--cores", type=float, default=2, help="of each worker (2)")
    parser.add_argument("--load", type=float, default=10, help="seconds in which a worker is ready (10)")
    parser.add_argument("--videos", type=int, default=120)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--rate", type=float, default=25, help="frames a second of the videos (25)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8, 32, 64, 128])
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    if arguments.manifest is not None:
        done = [e.figures for e in read_manifest(arguments.manifest).values() if e.state == "done"]
        videos: list[Video] = [(figures["frames"], figures["stages"]) for figures in done]
    else:
        stages = {name: float(ms) for name, ms in (item.split("=") for item in arguments.stages.split(","))}
        videos = [(round(arguments.minutes * 60 * arguments.rate), stages)] * arguments.videos
    if not videos:
        raise SystemExit(f"{arguments.manifest}: no video that was tracked to its end")
    durations = [seconds_of(video, arguments.cores, arguments.gpu) for video in videos]
    alone = makespan(durations, 1, arguments.load)
    found = {}
    for workers in arguments.workers:
        seconds = makespan(durations, workers, arguments.load)
        found[str(workers)] = {
            "hours": seconds / 3600,
            "times as fast": alone / seconds,
            "frames a second": sum(frames for frames, _ in videos) / seconds,
        }
    config = {key: str(value) for key, value in vars(arguments).items() if key != "json"}
    facts = circumstances([], seed=0, config=config)
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    print("| workers | hours | times as fast | frames a second |\n|---:|---:|---:|---:|")
    for name, row in found.items():
        print(f"| {name} | {row['hours']:.2f} | {row['times as fast']:.1f} | {row['frames a second']:.1f} |")


if __name__ == "__main__":
    main()
