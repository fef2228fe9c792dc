"""The encoder through every runtime and precision that works here: crops a second, change of distances.

python benchmarks/encoder.py --weights default --runtimes MOT/ADL-Rundle-6
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bpbreid_track import part_distance
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.model.encoder import Encoder
from bpbreid_track.model.export import export
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.runtimes import open_runtime

# Crops whose distances are compared, and as many others to calibrate on.
_CROPS = 200
_FILES = {"openvino": "network.xml", "onnx": "network.onnx"}


def people(sequence: Path, count: int) -> list[np.ndarray]:
    """``count`` crops of the ground truth, spread over a sequence."""
    rows = read_mot(sequence / "gt" / "gt.txt")
    chosen = np.unique(np.linspace(0, len(rows.frame) - 1, count).astype(int))
    wanted = {int(number) for number in rows.frame[chosen]}
    crops = []
    source = open_source(sequence)
    for frame in source:
        if frame.index + 1 in wanted:
            for row in chosen[rows.frame[chosen] == frame.index + 1]:
                x1, y1, x2, y2 = np.clip(rows.xyxy[row], 0, [*frame.image.shape[1::-1]] * 2).astype(int)
                if x2 > x1 and y2 > y1:
                    crops.append(frame.image[y1:y2, x1:x2].copy())
    source.close()
    return crops


def encoders(
    network: BPBReID, mirror: bool | None, calibration: list[np.ndarray], folder: Path
) -> Iterator[tuple[str, str, Encoder]]:
    """Runtime, precision and encoder of each way that works here; fp32 through torch is the first."""
    for precision in ("fp32", "bf16"):
        yield "torch", precision, Encoder(network, device="cpu", precision=precision, mirror=mirror)
    for runtime, name in _FILES.items():
        for held in ("fp32", "int8"):
            path = folder / held / name
            path.parent.mkdir(exist_ok=True)
            export(network, path, precision=held, calibration=calibration)  # type: ignore[arg-type]
            for precision in ("fp32", "bf16") if (runtime, held) == ("openvino", "fp32") else (held,):
                opened = open_runtime(path, device="cpu", precision=precision)
                yield runtime, precision, Encoder(opened, mirror=mirror)


def compare(
    network: BPBReID, sequence: Path, batch: int, rounds: int, mirror: bool | None
) -> list[list[Any]]:
    """A line for each way: crops a second, ratio to torch in fp32, change of the part distances."""
    crops = people(sequence, 2 * _CROPS)
    shown, calibration = crops[::2], crops[1::2]
    with tempfile.TemporaryDirectory() as folder:
        ways = list(encoders(network, mirror, calibration, Path(folder)))
        seconds: dict[int, list[float]] = {number: [] for number in range(len(ways))}
        for _ in range(rounds + 1):
            for number, (_runtime, _precision, encoder) in enumerate(ways):
                start = time.perf_counter()
                encoder.encode_crops(shown[:batch])
                seconds[number].append(time.perf_counter() - start)
        truth, lines = None, []
        for number, (runtime, precision, encoder) in enumerate(ways):
            found = encoder.encode_crops(shown)
            distances = part_distance(found, found).numpy()
            truth = distances if truth is None else truth
            known = np.isfinite(truth) & np.isfinite(distances) & ~np.eye(len(truth), dtype=bool)
            change = 100 * np.abs(distances[known] - truth[known]) / truth[known]
            ratios = [a / b for a, b in zip(seconds[0][1:], seconds[number][1:], strict=True)]
            speed = len(shown[:batch]) / statistics.median(seconds[number][1:])
            lines.append(
                [
                    runtime,
                    precision,
                    f"{speed:.1f}",
                    f"{statistics.median(ratios):.2f}",
                    f"{change.mean():.2f} %",
                    f"{np.percentile(change, 95):.2f} %",
                ]
            )
    return lines


def table(lines: list[list[Any]]) -> str:
    """Lines as a Markdown table."""
    head = ("runtime", "precision", "crops a second", "ratio", "distances: mean change", "95th percentile")
    rows = [f"| {' | '.join(head)} |", "|---|---|---:|---:|---:|---:|"]
    return "\n".join([*rows, *(f"| {' | '.join(line)} |" for line in lines)])
