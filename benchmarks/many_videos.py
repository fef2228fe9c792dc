"""What the process that hands out many videos holds in memory, from the first video to the last.

    python benchmarks/many_videos.py [--clips 1000] [--workers 2] [--seed 0] [--json]

Tiny sequences, a few noisy pictures with the boxes of one walker each, are tracked by motion alone; the
folder of results and the manifest are real. With ``--workers`` the videos are tracked by Ray's workers, else
in this process. Resident memory is read as each video ends and given at a tenth, half and the whole of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from report import as_text, circumstances, print_figures  # noqa: E402

from bpbreid_track.many.api import track_videos  # noqa: E402
from bpbreid_track.many.manifest import MANIFEST, Entry, ManifestWriter, read_manifest  # noqa: E402

_FRAMES, _SIDE = 5, 96


def write_clips(root: Path, count: int, seed: int) -> list[Path]:
    """``count`` sequences of ``_FRAMES`` pictures; all have the same ones."""
    rng = np.random.default_rng(seed)
    pictures = root / "pictures"
    pictures.mkdir()
    for number in range(_FRAMES):
        image = rng.integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(pictures / f"{number + 1}.png"), image)
    boxes = "".join(f"{n + 1},-1,{10 + n},20,20,50,0.9,-1,-1,-1\n" for n in range(_FRAMES))
    clips = []
    for number in range(count):
        clip = root / f"clip{number + 1:05d}"
        (clip / "det").mkdir(parents=True)
        (clip / "img1").symlink_to(pictures)
        (clip / "det/det.txt").write_text(boxes)
        clips.append(clip)
    return clips


def resident_megabytes() -> float:
    """Of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Watch(ManifestWriter):
    """The manifest, which notes how much memory there is whenever a video has ended."""

    sizes: list[float] = []  # noqa: RUF012 - one run a process

    def add(self, entry: Entry) -> None:
        super().add(entry)
        if entry.state != "begun":
            self.sizes.append(resident_megabytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of a table")
    arguments = parser.parse_args()

    import bpbreid_track.many.api as api

    api.ManifestWriter = Watch  # type: ignore[misc]
    with tempfile.TemporaryDirectory(prefix="bpbreid-many-") as name:
        root = Path(name)
        clips = write_clips(root, arguments.clips, arguments.seed)
        start = time.perf_counter()
        report = track_videos(
            clips,
            root / "tracked",
            write=["txt"],
            detector="det/det.txt",
            encoder=None,
            config={"tracker": {"camera_motion": "none"}},
            workers=arguments.workers,
        )
        seconds = time.perf_counter() - start
        done = [entry.state for entry in read_manifest(root / "tracked" / MANIFEST).values()].count("done")
    sizes = Watch.sizes
    found = {
        "videos": {
            "tracked": len(report.tracked),
            "done in the manifest": done,
            "seconds": seconds,
            "MB after the first tenth": sizes[len(sizes) // 10],
            "MB after half": sizes[len(sizes) // 2],
            "MB at the end": sizes[-1],
            "kB a video over the second half": 1000 * (sizes[-1] - sizes[len(sizes) // 2]) / (len(sizes) / 2),
        }
    }
    config = {key: value for key, value in vars(arguments).items() if key != "json"}
    facts = circumstances([], seed=arguments.seed, config=config)
    if arguments.json:
        print_figures(facts, found, as_json=True)
        return
    print(as_text(facts) + "\n")
    for key, value in found["videos"].items():
        print(f"{key}: {value:.2f}" if isinstance(value, float) else f"{key}: {value}")


if __name__ == "__main__":
    main()
