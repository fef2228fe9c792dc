"""From video to video: whole programs on the same video, in turn, each in a process of its own.

    python benchmarks/end_to_end.py VIDEO --weights yolo11n.pt --frames 120 [--osnet osnet_x0_25_msmt17.pth]

Time counts from the first frame read to the written video closed; what else a process took has a column of
its own, loading. Networks are exported before. Memory is the peak of the process. All search at
``--image-size`` with boxes from score 0.1, unless the name says otherwise. Ratios are to the first way within
a round, and medians over the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from report import as_text, circumstances  # noqa: E402

SCORE = 0.1
Run = Callable[[argparse.Namespace, Path], tuple[int, float]]


def _ours(config: str | None = None, runtime: str = "auto", video: bool = True, **options: Any) -> Run:
    """``bpbreid-track`` with a preset, or with the defaults at the size of the others; else only tracks."""

    def run(arguments: argparse.Namespace, out: Path) -> tuple[int, float]:
        from bpbreid_track import track_video

        settings: Any = config or {
            "detector": {"image_size": arguments.image_size, "confidence": SCORE, "runtime": runtime},
            "encoder": {"runtime": runtime},
        }
        given = {"detector": arguments.weights, "config": settings, "device": "cpu", **options}
        outputs = {"out": out / "ours.mp4"} if video else {"tracks": out / "ours.txt"}
        report = track_video(arguments.video, **outputs, max_frames=arguments.frames, **given)
        return report.frames, report.seconds

    return run


def _detector_alone(runtime: str) -> Run:
    def run(arguments: argparse.Namespace, out: Path) -> tuple[int, float]:
        from bpbreid_track.config import DetectorConfig
        from bpbreid_track.detection.detectors import load_detector
        from bpbreid_track.io.open_source import open_source
        from bpbreid_track.pipeline.threads import batched

        config = DetectorConfig(image_size=arguments.image_size, confidence=SCORE, runtime=runtime)  # type: ignore[arg-type]
        detector = load_detector(arguments.weights, config, "cpu")
        start, count = time.perf_counter(), 0
        with open_source(arguments.video) as source:
            for frames in batched(itertools.islice(source, arguments.frames), detector.batch_size):
                detector(frames)
                count += len(frames)
        return count, time.perf_counter() - start

    return run


def _ultralytics(arguments: argparse.Namespace, out: Path) -> tuple[int, float]:
    """``yolo track`` as it comes: BoT-SORT, the annotated video written."""
    from bpbreid_track.detection.weights import import_ultralytics

    model = import_ultralytics().YOLO(arguments.weights)
    size = {"imgsz": arguments.image_size, "conf": SCORE, "device": "cpu", "verbose": False}
    model.predict(_blank(), **size)  # loads the network
    options = {"tracker": "botsort.yaml", "classes": [0], "save": True, "stream": True, "project": str(out)}
    start = time.perf_counter()
    results: Iterator[Any] = model.track(arguments.video, **size, **options)
    count = sum(1 for _ in itertools.islice(results, arguments.frames))
    return count, time.perf_counter() - start


def _boxmot(arguments: argparse.Namespace, out: Path) -> tuple[int, float]:
    """BoxMOT's BoT-SORT with OSNet x0.25 on Ultralytics' boxes, drawn and written with OpenCV."""
    import cv2
    import numpy as np
    from boxmot import create_tracker
    from boxmot.trackers.specs import TrackerSpec
    from host_steps import boxmot_step
    from host_vectors import osnet

    from bpbreid_track.detection.weights import import_ultralytics

    model = import_ultralytics().YOLO(arguments.weights)
    size = {"imgsz": arguments.image_size, "conf": SCORE, "classes": [0], "device": "cpu", "verbose": False}
    model.predict(_blank(), **size)
    vectors = osnet(Path(arguments.osnet))
    options = {"frame_rate": 30, "use_cmc": False, "use_embeddings": True}
    step = boxmot_step(create_tracker(TrackerSpec("botsort", options=tuple(sorted(options.items())))))
    video = cv2.VideoCapture(arguments.video)
    shape = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    start, count = time.perf_counter(), 0
    writer = cv2.VideoWriter(str(out / "boxmot.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, shape)
    while count < arguments.frames:
        read, image = video.read()
        if not read:
            break
        boxes = model.predict(image, **size)[0].boxes.cpu().numpy()
        xyxy = boxes.xyxy.astype(np.float32)
        found = vectors(image, xyxy)["vectors"] if len(xyxy) else np.zeros((0, 512), np.float32)
        ids, shown, _ = step(xyxy, boxes.conf.astype(np.float32), found, None)
        for identity, (left, top, right, bottom) in zip(
            ids.tolist(), shown.astype(int).tolist(), strict=True
        ):
            cv2.rectangle(image, (left, top), (right, bottom), (0, 255, 0), 2)
            cv2.putText(image, str(identity), (left, top - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 255, 0), 2)
        writer.write(image)
        count += 1
    writer.release()
    return count, time.perf_counter() - start


def _blank() -> Any:
    import numpy as np

    return np.zeros((64, 64, 3), np.uint8)


WAYS: dict[str, Run] = {
    "bpbreid-track": _ours(),
    "bpbreid-track, all through torch": _ours(runtime="torch"),
    "bpbreid-track, motion only": _ours(encoder=None),
    "bpbreid-track, no video written": _ours(video=False),
    "bpbreid-track, motion only, no video written": _ours(video=False, encoder=None),
    "bpbreid-track, preset cpu (640, every other frame)": _ours("cpu"),
    "detector alone, OpenVINO": _detector_alone("openvino"),
    "detector alone, torch": _detector_alone("torch"),
    "yolo track (BoT-SORT)": _ultralytics,
    "BoxMOT BoT-SORT, OSNet x0.25": _boxmot,
}


def measure(name: str, options: list[str]) -> dict[str, float]:
    """One way in a process of its own: frames, seconds, those besides, and the peak of memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, *options, "--one", name], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name}: failed, see above")
    # Linux counts in KiB, macOS in bytes.
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    found: dict[str, float] = json.loads(text.splitlines()[-1])
    return found | {"loading": time.perf_counter() - start - found["seconds"], "mib": peak}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video")
    parser.add_argument("--weights", required=True, help="a .pt of Ultralytics")
    parser.add_argument("--osnet", help="osnet_x0_25_msmt17.pth, for BoxMOT")
    parser.add_argument("--image-size", type=int, default=960)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="ways whose name contains this")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        with tempfile.TemporaryDirectory() as folder:
            frames, seconds = WAYS[arguments.one](arguments, Path(folder))
        print(json.dumps({"frames": frames, "seconds": seconds}))
        return
    names = [name for name in WAYS if arguments.only in name]
    if not arguments.osnet:
        names = [name for name in names if "OSNet" not in name]
        print("left out: BoxMOT with OSNet (no --osnet)", file=sys.stderr)
    if any(name.startswith(("bpbreid", "detector")) for name in names):
        measure(next(iter(WAYS)), [*sys.argv[1:], "--frames", "2"])  # exports what is not exported yet
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(arguments.rounds):
        for name in names:
            rounds[name].append(measure(name, sys.argv[1:]))
            print(f"round {number + 1}, {name}: {rounds[name][-1]}", file=sys.stderr)
    packages = ["ultralytics", "openvino", "boxmot", "av", "opencv-python"]
    print(as_text(circumstances(packages, seed=None, config=vars(arguments))) + "\n")
    print("| way | frames a second | time, ratio | loading, s | memory, MiB |\n|---|---:|---:|---:|---:|")
    for name in names:
        fps = statistics.median(run["frames"] / run["seconds"] for run in rounds[name])
        pairs = zip(rounds[name], rounds[names[0]], strict=True)
        ratio = statistics.median(own["seconds"] / first["seconds"] for own, first in pairs)
        loading, memory = (statistics.median(run[key] for run in rounds[name]) for key in ("loading", "mib"))
        print(f"| {name} | {fps:.1f} | {ratio:.2f} | {loading:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
