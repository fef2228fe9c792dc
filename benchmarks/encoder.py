"""How much of a backbone's speed the encoder keeps, and what crop loops cost beside it.

    python benchmarks/encoder.py
    python benchmarks/encoder.py --backbones resnet50 --precisions fp32,bf16 --device cuda --batch 256 --json

In every round each way is timed once, one after the other, so that a busy machine slows all of them alike:

* ``encoder``   frames and boxes to PartEmbeddings with ``Encoder.encode``;
* ``backbone``  the same folded backbone in the same precision on the same images, ready in memory;
* ``opencv``    crops resized and normalised one by one with OpenCV and numpy, then one pass of the network;
* ``pil``       crops resized and normalised one by one with PIL and torchvision, then one pass;
* ``single``    as ``opencv``, with a pass of the network for every crop.

With ``--runtimes MOT_SEQUENCE`` torch, OpenVINO and onnxruntime encode its people in fp32, bf16 and int8.

Frames are seeded noise and boxes have the sizes of pedestrians: neither changes the time. Weights are random,
or those of ``--weights`` (``default``: the bundled encoder).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from encoder_runtimes import compare  # noqa: E402
from encoder_runtimes import table as runtimes_table  # noqa: E402
from PIL import Image  # noqa: E402
from report import as_text, circumstances  # noqa: E402
from torch import Tensor  # noqa: E402
from torchvision import transforms  # noqa: E402

from bpbreid_track.model.checkpoint import load_checkpoint  # noqa: E402
from bpbreid_track.model.crops import crop_source, normalise  # noqa: E402
from bpbreid_track.model.encoder import Encoder  # noqa: E402
from bpbreid_track.model.find_weights import find_encoder_weights  # noqa: E402
from bpbreid_track.model.host_crops import pixel_boxes  # noqa: E402
from bpbreid_track.model.inference import exact_float32, inference_copy, resolve_device  # noqa: E402
from bpbreid_track.model.network import BPBReID  # noqa: E402
from bpbreid_track.model.options import ModelOptions  # noqa: E402

SEED = 0
FRAME = (1080, 1920)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def scene(people: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame uint8 [H, W, 3] and ``people`` boxes xyxy float [N, 4] inside it."""
    random = np.random.default_rng(SEED)
    frame = random.integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    heights = random.uniform(80, 500, people)
    sizes = np.column_stack([0.41 * heights, heights])
    corners = random.uniform(0, 1, (people, 2)) * (np.array(FRAME[::-1]) - sizes)
    return frame, np.hstack([corners, corners + sizes])


def ways(encoder: Encoder, network: BPBReID, people: int, loops: bool) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; each call handles ``people`` crops."""
    device, precision, size = encoder.device, encoder.precision, encoder.input_size
    dtype, options = TYPES[precision], network.options
    frame, xyxy = scene(people)
    fast = inference_copy(network, device, precision)
    boxes, _ = pixel_boxes(xyxy, *FRAME)
    cut = crop_source([frame], device).cut(np.zeros(people, dtype=np.int64), boxes, size)
    ready = normalise(cut, options.mean, options.std).to(dtype)
    mean, std = (np.array(values, dtype=np.float32) for values in (options.mean, options.std))
    prepare = transforms.Compose(
        [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize(options.mean, options.std)]
    )

    def with_opencv() -> list[Tensor]:
        images = []
        for x1, y1, x2, y2 in boxes.tolist():
            crop = cv2.cvtColor(cv2.resize(frame[y1:y2, x1:x2], size[::-1]), cv2.COLOR_BGR2RGB)
            images.append(torch.from_numpy((crop / np.float32(255) - mean) / std).permute(2, 0, 1))
        return images

    def with_pil() -> list[Tensor]:
        return [prepare(Image.fromarray(frame[y1:y2, x1:x2, ::-1])) for x1, y1, x2, y2 in boxes.tolist()]

    def forward(images: Tensor) -> Tensor:
        return fast.embed_tensors(images.to(device, dtype, memory_format=torch.channels_last))[0]

    found: dict[str, Callable[[], Any]] = {
        "encoder": lambda: encoder.encode(frame, xyxy),
        "backbone": lambda: fast.backbone(ready),
    }
    if loops:
        found["opencv"] = lambda: forward(torch.stack(with_opencv()))
        found["pil"] = lambda: forward(torch.stack(with_pil()))
        found["single"] = lambda: [forward(image[None]) for image in with_opencv()]
    return found


def interleaved(
    found: dict[str, Callable[[], Any]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each way in each of ``rounds`` rounds, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds + 1):
        for name, way in found.items():
            start = time.perf_counter()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


@torch.no_grad()
def measure(backbone: str, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row of the result: crops a second of each way, and the share of the bare backbone's speed."""
    network = _network(backbone, arguments)
    device = resolve_device(arguments.device)
    encoder = Encoder(
        network, device=device, precision=precision, batch_size=arguments.batch, mirror=arguments.mirror
    )
    with exact_float32():
        seconds = interleaved(
            ways(encoder, network, arguments.batch, arguments.loops), arguments.rounds, device
        )
    ratios = [bare / whole for bare, whole in zip(seconds["backbone"], seconds["encoder"], strict=True)]
    speeds = {name: arguments.batch / statistics.median(values) for name, values in seconds.items()}
    return {
        "backbone": backbone,
        "precision": precision,
        "input": list(network.options.input_size),
        "crops_per_second": {name: round(speed, 2) for name, speed in speeds.items()},
        "encoder_to_backbone": round(statistics.median(ratios), 3),
    }


def _network(name: str, arguments: argparse.Namespace) -> BPBReID:
    if arguments.weights:
        return load_checkpoint(find_encoder_weights(arguments.weights))
    torch.manual_seed(SEED)
    size = (384, 128) if name == "hrnet_w32" and arguments.tall else (256, 128)
    return BPBReID(ModelOptions(backbone=name, input_size=size)).eval()  # type: ignore[arg-type]


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0]["crops_per_second"])
    lines = [
        "crops per second, medians; ratio: median over the rounds of encoder to bare backbone",
        "",
        f"| backbone | precision | {' | '.join(names)} | ratio |",
        "|---|---|" + "---:|" * (len(names) + 1),
    ]
    for row in rows:
        speeds = " | ".join(f"{row['crops_per_second'][name]:.1f}" for name in names)
        lines.append(
            f"| {row['backbone']} | {row['precision']} | {speeds} | {row['encoder_to_backbone']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", default="resnet50,resnet50_ibn,hrnet_w32,efficientnet_lite0")
    parser.add_argument("--weights", help="a checkpoint or default, in place of --backbones")
    parser.add_argument("--precisions", default="fp32,bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--batch", type=int, default=32, help="crops in a frame, and in a pass of the network"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tall", action="store_true", help="hrnet_w32 at 384x128 instead of 256x128")
    parser.add_argument("--loops", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="mirrored crops too, two passes of the network (as the weights say; random ones do not)",
    )
    parser.add_argument(
        "--runtimes", type=Path, metavar="MOT_SEQUENCE", help="compare runtimes on its people, with --weights"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    if arguments.runtimes and not arguments.weights:
        parser.error("--runtimes needs --weights, for example default")
    facts = circumstances(
        ["torchvision", "timm", "opencv-python", "pillow", "openvino", "onnxruntime"],
        seed=SEED,
        config=vars(arguments) | {"threads": torch.get_num_threads()},
    )
    if arguments.device != "cpu":
        facts["machine"]["gpu"] = torch.cuda.get_device_name(resolve_device(arguments.device))
    if arguments.runtimes:
        network = load_checkpoint(find_encoder_weights(arguments.weights)).eval()
        lines = compare(network, arguments.runtimes, arguments.batch, arguments.rounds, arguments.mirror)
        print(as_text(facts), runtimes_table(lines), sep="\n\n")
        return
    rows = []
    for backbone in [arguments.weights] if arguments.weights else arguments.backbones.split(","):
        for precision in arguments.precisions.split(","):
            print(f"{backbone} {precision} ...", file=sys.stderr)
            rows.append(measure(backbone, precision, arguments))
    if arguments.json:
        print(json.dumps(facts | {"rows": rows}, indent=2))
    else:
        print(as_text(facts), table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
