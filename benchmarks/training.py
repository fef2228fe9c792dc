"""Images a second of training, loading and optimiser included, against the bare backbone's two passes.

    python benchmarks/training.py --data datasets/Market-1501 --masks yolo-pose market1501_resnet50
    python benchmarks/training.py small device=cpu              # on made-up images

The backbone goes forward and backward on tensors that lie ready on the device, in the same precision and
memory format, before and after the training; the figure is the share of its speed that training reaches.
Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "trainer")]

from report import circumstances, print_figures  # noqa: E402

from bpbreid_track.model.backbones.build import build_backbone  # noqa: E402
from bpbreid_track.model.inference import resolve_device  # noqa: E402
from bpbreid_trainer.engine import fit  # noqa: E402
from bpbreid_trainer.learner import autocast_dtype  # noqa: E402
from bpbreid_trainer.logs import read_table  # noqa: E402
from bpbreid_trainer.options import TrainOptions, read_options  # noqa: E402
from bpbreid_trainer.speedups import compile_backbone, freeze_stages, preferred_format  # noqa: E402


def make_data(root: Path, people: int, images: int) -> None:
    """Crops of 128 x 64 as in Market-1501, of coloured noise, with labels."""
    rng = np.random.default_rng(0)
    folder, labels = root / "bounding_box_train", root / "masks" / "made-up" / "bounding_box_train"
    folder.mkdir(parents=True)
    labels.mkdir(parents=True)
    for person in range(1, people + 1):
        for number in range(images):
            coarse = rng.integers(0, 255, (16, 8, 3), dtype=np.uint8)
            stem = f"{person:04d}_c{number % 6 + 1}s1_{number:06d}_01"
            cv2.imwrite(
                str(folder / f"{stem}.jpg"), cv2.resize(coarse, (64, 128), interpolation=cv2.INTER_CUBIC)
            )
            np.save(labels / f"{stem}.npy", rng.random((36, 17, 9), dtype=np.float32).astype(np.float16))


def backbone_speed(options: TrainOptions, batch: int, seconds: float) -> float:
    """Images a second of the bare backbone, forward and backward."""
    device = resolve_device(options.device)
    memory_format = preferred_format(device, options.compile)
    backbone = build_backbone(options.model.backbone).to(device, memory_format=memory_format).train()
    freeze_stages(backbone, options.freeze)
    if options.compile:
        compile_backbone(backbone, device)
    images = torch.randn(batch, 3, *options.model.input_size, device=device)
    images = images.to(memory_format=memory_format)
    dtype = autocast_dtype(options.precision, device)

    def step() -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            features = backbone(images)
        features.float().square().mean().backward()
        for value in backbone.parameters():
            value.grad = None

    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        for _ in range(3):
            step()
        _wait(device)
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _ in range(4):
                step()
            steps += 4
            _wait(device)
        return steps * batch / (time.perf_counter() - began)


def training_speed(options: TrainOptions, folder: Path) -> tuple[float, int]:
    """Images a second from the second epoch on, and the size of a batch."""
    fit(options.model_copy(update={"output": str(folder)}), quiet=True)
    rows = [row for row in read_table(folder / "log.csv") if row["epoch"] > 0]
    return statistics.median(row["images_per_second"] for row in rows), len(rows)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="name or file of a training recipe")
    parser.add_argument("overrides", nargs="*", help="settings as key=value")
    parser.add_argument("--data", help="data set; made-up images where it is left out")
    parser.add_argument("--masks", default="", help="folder of its labels")
    parser.add_argument("--epochs", type=int, default=4, help="of which the first does not count (4)")
    parser.add_argument("--people", type=int, default=64, help="identities of the made-up data (64)")
    parser.add_argument("--seconds", type=float, default=10.0, help="each of two runs of the backbone (10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.data or str(Path(scratch, "data"))
        if not arguments.data:
            make_data(Path(root), arguments.people, 16)
        fixed = [f"data.root={root}", f"data.masks={arguments.masks}", f"epochs={arguments.epochs}"]
        fixed += ["pretrained=false", "evaluate_every=0", "save_seconds=0", "log_every=1000000"]
        options = read_options(arguments.recipe, [*fixed, *arguments.overrides])
        batch = options.identities_per_batch * options.images_per_identity
        before = backbone_speed(options, batch, arguments.seconds)
        speed, epochs = training_speed(options, Path(scratch, "run"))
        after = backbone_speed(options, batch, arguments.seconds)

    bare = (before + after) / 2
    result: dict[str, Any] = {
        "training_images_per_second": round(speed, 1),
        "epochs_measured": epochs,
        "backbone_images_per_second": round(bare, 1),
        "backbone_before_and_after": [round(before, 1), round(after, 1)],
        "share": round(speed / bare, 3),
    }
    facts = circumstances(["torchvision", "timm"], seed=options.seed, config=options.model_dump(mode="json"))
    if torch.cuda.is_available():
        facts["machine"]["gpu"] = torch.cuda.get_device_name()
    print_figures(facts, result, as_json=arguments.json)


if __name__ == "__main__":
    main()
