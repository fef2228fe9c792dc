"""Does a tracker that runs for days grow or slow down? Memory and time a frame over a very long stream.

    python benchmarks/reliability/soak.py [--frames 1000000] [--people 6] [--seconds 600] [--json]

A made-up stream of 25 frames a second: people walk through, are hidden for a while, leave and never come
back, and new ones enter, so identities are given without end. Boxes and part embeddings go straight into
``PartTracker``. Memory is the resident set of the process. Growth is the slope of a line through it over
the second half of the run, when caches are full; time a frame is compared between the second and the
last tenth.
"""

from __future__ import annotations

import os

# Before numpy and torch are imported, which read these once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT.parent), str(_ROOT)]

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import supervision as sv  # noqa: E402
import torch  # noqa: E402
from report import as_text, circumstances  # noqa: E402

from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig  # noqa: E402

RATE, WIDTH, HEIGHT = 25, 1280, 720
PARTS, DIM = ("foreground", "head", "torso", "legs"), 32
SAMPLES = 400  # looks at the memory


def stream(
    people: int, rng: np.random.Generator
) -> Iterator[tuple[sv.Detections, PartEmbeddings, np.ndarray]]:
    """Boxes, embeddings and true numbers of who is seen, frame by frame, without end."""
    number = np.arange(people)
    place = rng.uniform([0, 200], [WIDTH, HEIGHT - 200], (people, 2))
    speed = rng.normal(0, 60 / RATE, (people, 2)) * [1, 0.2]
    looks = _unit(rng.normal(size=(people, len(PARTS), DIM)))
    left = rng.integers(2 * RATE, 40 * RATE, people)  # frames until this person leaves
    hidden = np.zeros(people, int)
    while True:
        place += speed
        left -= 1
        for k in np.flatnonzero((left < 0) | (place[:, 0] < -80) | (place[:, 0] > WIDTH + 80)):
            number[k] = number.max() + 1
            side = rng.random() < 0.5
            place[k] = (-40 if side else WIDTH + 40), rng.uniform(200, HEIGHT - 200)
            speed[k] = (1 if side else -1) * rng.uniform(40, 120) / RATE, rng.normal(0, 10) / RATE
            looks[k] = _unit(rng.normal(size=(len(PARTS), DIM)))
            left[k], hidden[k] = rng.integers(2 * RATE, 40 * RATE), 0
        hidden = np.maximum(hidden - 1, 0)
        begins = (hidden == 0) & (rng.random(people) < 1 / (8 * RATE))
        hidden[begins] = rng.integers(3, 4 * RATE, begins.sum())
        seen = np.flatnonzero(hidden == 0)
        centre = place[seen] + rng.normal(0, 1, (len(seen), 2))
        half = np.array([25, 65])
        xyxy = np.hstack([centre - half, centre + half]).astype(np.float32)
        scores = rng.choice([0.3, 0.9], len(seen), p=[0.1, 0.9]).astype(np.float32)
        features = _unit(looks[seen] + rng.normal(0, 0.4 / DIM**0.5, (len(seen), len(PARTS), DIM)))
        visibility = (rng.random((len(seen), len(PARTS))) < 0.85).astype(np.float32)
        detections = sv.Detections(xyxy, confidence=scores, class_id=np.zeros(len(seen), int))
        embeddings = PartEmbeddings(torch.from_numpy(features).float(), torch.from_numpy(visibility), PARTS)
        yield detections, embeddings, number[seen]


def soak(frames: int, people: int, seed: int, seconds: float) -> dict[str, Any]:
    """Run it; ends early after ``seconds``."""
    tracker = PartTracker(TrackerConfig(frame_rate=RATE))
    process, source = psutil.Process(), stream(people, np.random.default_rng(seed))
    every = max(1, frames // SAMPLES)
    memory: list[tuple[int, int]] = []
    clock: list[tuple[int, float]] = []
    spent, entered, begin = 0.0, 0, time.monotonic()
    done = 0
    for done in range(1, frames + 1):
        detections, embeddings, truth = next(source)
        entered = max(entered, int(truth.max(initial=-1)) + 1)
        start = time.process_time()
        tracker.update(detections, embeddings=embeddings)
        spent += time.process_time() - start
        if done % every == 0:
            memory.append((done, process.memory_info().rss))
            clock.append((done, spent))
            if time.monotonic() - begin > seconds:
                break
    at, held = np.array(memory).T
    half = at >= done / 2
    slope = float(np.polyfit(at[half], held[half], 1)[0]) if half.sum() > 2 else float("nan")
    ticks, times = np.array(clock).T
    tenth = np.interp(done * np.array([0.1, 0.2, 0.9, 1.0]), ticks, times)
    return {
        "frames": done,
        "hours of video": done / RATE / 3600,
        "people who entered": entered,
        "identities given": tracker.stats.identities,
        "tracks held at the end": len(tracker.tracks.ids),
        "memory after a tenth, MB": float(np.interp(done / 10, at, held)) / 1e6,
        "memory at the end, MB": float(held[-1]) / 1e6,
        "growth, bytes a frame": slope,
        "ms a frame, second tenth": 1e3 * (tenth[1] - tenth[0]) / (done / 10),
        "ms a frame, last tenth": 1e3 * (tenth[3] - tenth[2]) / (done / 10),
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    out: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=6, help="at a time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = soak(given.frames, given.people, given.seed, given.seconds)
    about = circumstances(["psutil"], seed=given.seed, config={"people": given.people, "rate": RATE})
    if given.json:
        print(json.dumps({"about": about, "figures": found}))
        return
    print(as_text(about))
    for name, value in found.items():
        print(f"{name:26} {value:12,.2f}" if isinstance(value, float) else f"{name:26} {value:12,}")


if __name__ == "__main__":
    main()
