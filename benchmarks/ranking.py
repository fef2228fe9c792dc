"""Seconds and peak memory of CMC and mAP at the full size of Market-1501, on random embeddings.

    python benchmarks/ranking.py                  # 3,368 x 19,732 images, 9 parts of 512, on the best device
    python benchmarks/ranking.py --device cpu --json

Memory is what the ranking takes beyond the embeddings it is given: the device's own count on CUDA, else the
growth of the process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from report import circumstances, print_figures

from bpbreid_track import PartEmbeddings
from bpbreid_track.evaluation import rank_embeddings
from bpbreid_track.model.inference import resolve_device

MIB = 2**20


def random_embeddings(rows: int, parts: int, dim: int, seed: int, device: torch.device) -> PartEmbeddings:
    """Unit vectors; a fifth of the parts is hidden, the foreground never."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(rows, parts, dim, generator=generator), dim=-1)
    visibility = (torch.rand(rows, parts, generator=generator) > 0.2).float()
    visibility[:, 0] = 1
    names = ("foreground", *(f"part_{index}" for index in range(1, parts)))
    return PartEmbeddings(features, visibility, names).to(device)


class PeakMemory:
    """Most memory in MiB used inside, beyond what was used at the start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.mib = 0.0

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
        else:
            self._start = _resident()
            self._done = threading.Event()
            self._watcher = threading.Thread(target=self._watch)
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.mib = (torch.cuda.max_memory_allocated(self.device) - self._start) / MIB
        else:
            self._done.set()
            self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.mib = max(self.mib, (_resident() - self._start) / MIB)


def _resident() -> int:
    """Bytes of memory of this process."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=19732)
    parser.add_argument("--parts", type=int, default=9, help="P, the foreground included (9)")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--people", type=int, default=750)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    arguments = parser.parse_args()

    device = resolve_device(arguments.device)
    query = random_embeddings(arguments.queries, arguments.parts, arguments.dim, 1, device)
    gallery = random_embeddings(arguments.gallery, arguments.parts, arguments.dim, 2, device)
    generator = torch.Generator().manual_seed(3)
    people = [torch.randint(arguments.people, (len(side),), generator=generator) for side in (query, gallery)]
    cameras = [torch.randint(6, (len(side),), generator=generator) for side in (query, gallery)]
    seconds, mib = [], 0.0
    for _ in range(arguments.repeats):
        with PeakMemory(device) as memory:
            began = time.perf_counter()
            metrics = rank_embeddings(query, gallery, *people, *cameras)
            seconds.append(time.perf_counter() - began)
        mib = max(mib, memory.mib)

    result: dict[str, Any] = {
        "queries": arguments.queries,
        "gallery": arguments.gallery,
        "embeddings_mib": round((query.features.nbytes + gallery.features.nbytes) / MIB),
        "seconds_first": round(seconds[0], 2),
        "seconds_best": round(min(seconds), 2),
        "peak_mib_beyond_embeddings": round(mib),
        "mAP_of_chance": round(metrics.mAP, 5),
    }
    config = {key: value for key, value in vars(arguments).items() if key != "json"} | {"device": str(device)}
    facts = circumstances([], seed=1, config=config)
    if device.type == "cuda":
        facts["machine"]["gpu"] = torch.cuda.get_device_name(device)
    print_figures(facts, result, as_json=arguments.json)


if __name__ == "__main__":
    main()
