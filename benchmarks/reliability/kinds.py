"""The twelve kinds of files that are read: how a sound one is made, and who reads it."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch

from bpbreid_track import PartEmbeddings
from bpbreid_track.config import RunConfig
from bpbreid_track.detection.detectors import PrecomputedDetector
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.explain import text
from bpbreid_track.explain.reader import read_log
from bpbreid_track.identities.gallery import load_gallery
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.part_file import part_name
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.model.checkpoint import load_checkpoint, save_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.pipeline.api import track_video
from bpbreid_track.pipeline.cache_file import take_up
from bpbreid_track.pipeline.stored_frames import StoredFrames
from bpbreid_track.read_config import read_settings
from bpbreid_trainer.options import read_options
from bpbreid_trainer.state import State

SMALL = ModelOptions(backbone="efficientnet_lite0", part_names=("upper", "lower"), input_size=(64, 32), dim=8)
WIDTH, HEIGHT, FRAMES = 160, 120, 8


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        path: of the file in a folder of inputs.
        share: how many of a hundred mutated files are of this kind.
        read: reads everything in the file, in a folder with sound files of the other kinds.
        command: the command line that reads it.
    """

    path: str
    share: int
    read: Callable[[Path], object]
    command: Callable[[Path], list[str]]


def _frames(source: Path) -> int:
    with open_source(source) as frames:
        return sum(1 for _ in itertools.islice(frames, 50))


def _boxes(path: Path) -> None:
    frames = [Frame(index, index / 25, np.zeros((HEIGHT, WIDTH, 3), np.uint8)) for index in range(FRAMES)]
    PrecomputedDetector(path)(frames)


def _reasons(path: Path) -> None:
    log = read_log(path)
    lines = list(text.summary(log))
    for number in log.lives:
        lines += text.story(log, number)


def _stored(path: Path) -> None:
    """All frames of a cache, and of the same file as what a killed run left of one."""
    again = path.with_name(f"again-{path.name}")
    again.unlink(missing_ok=True)
    shutil.copy(path, part_name(again))
    if take_up(again, None):
        _all_frames(again)
    _all_frames(path)


def _all_frames(path: Path) -> None:
    frames = StoredFrames(path)
    try:
        for row in range(len(frames)):
            frames[row]
    finally:
        frames.close()


@cache
def _training() -> State:
    network = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 4)).sum().backward()
    optimizer.step()
    return State(read_options("custom", _SETTINGS), {"network": network, "optimizer": optimizer})


def _gallery(path: Path) -> None:
    encoder = SimpleNamespace(part_names=("foreground", "upper", "lower"), dim=8)
    load_gallery(path.parent, encoder)  # type: ignore[arg-type]


def _track(*options: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        out = ["--tracks", str(folder / "out.txt"), "--device", "cpu", "--quiet"]
        return ["bpbreid_track.cli.track", *(word.format(f=folder) for word in options), *out]

    return command


_SETTINGS = [
    "pretrained=false",
    "model.backbone=efficientnet_lite0",
    "parts=strp_2",
    "model.attention=stripes",
    "device=cpu",
    "data.root=crops",  # in the folder of inputs, where commands are run
    "output=run",
]
_SEQUENCE = ("{f}/seq", "--detector", "{f}/seq/det.txt", "--encoder")
KINDS = {
    "safetensors": Kind("x.safetensors", 4, load_checkpoint, _track(*_SEQUENCE, "{f}/x.safetensors")),
    "pth": Kind("x.pth", 8, load_checkpoint, _track(*_SEQUENCE, "{f}/x.pth")),
    "npz": Kind(
        "people/anna.npz", 10, _gallery, _track(*_SEQUENCE, "{f}/good.safetensors", "--gallery", "{f}/people")
    ),
    "cache": Kind("x.cache", 10, _stored, _track(*_SEQUENCE, "none", "--cache", "{f}/x.cache")),
    "explain": Kind("why.jsonl", 10, _reasons, lambda f: ["bpbreid_track.cli.explain", str(f / "why.jsonl")]),
    "yaml": Kind(
        "x.yaml",
        10,
        lambda path: read_settings(RunConfig, path),
        _track(*_SEQUENCE, "none", "--config", "{f}/x.yaml"),
    ),
    "det": Kind("seq/det.txt", 10, _boxes, _track(*_SEQUENCE, "none")),
    "gt": Kind(
        "seq/gt/gt.txt",
        8,
        lambda path: evaluate_tracks(path, path.parents[2] / "result.txt"),
        lambda f: ["bpbreid_track.cli.evaluate", str(f / "seq/gt/gt.txt"), str(f / "result.txt")],
    ),
    "seqinfo": Kind("seq/seqinfo.ini", 10, lambda path: _frames(path.parent), _track(*_SEQUENCE, "none")),
    "picture": Kind("seq/img1/000003.jpg", 10, lambda path: _frames(path.parent), _track(*_SEQUENCE, "none")),
    "video": Kind(
        "x.mp4", 4, _frames, _track("{f}/x.mp4", "--detector", "{f}/seq/det.txt", "--encoder", "none")
    ),
    "state": Kind(
        "run/last.pt",
        6,
        lambda path: _training().load(path),
        lambda _: ["bpbreid_trainer.cli", "fit", "custom", *_SETTINGS, "--resume"],
    ),
}


def make_sound_files(folder: Path) -> None:
    """A sound file of every kind in ``folder``."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    for name in ("seq/img1", "seq/gt", "people", "run"):
        (folder / name).mkdir(parents=True)
    pictures = []
    for number in range(1, FRAMES + 1):
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        picture[20:100, 10 + 8 * number : 40 + 8 * number] = 200
        pictures.append(picture)
        name = f"{number:06d}.{'png' if number % 2 == 0 else 'jpg'}"
        cv2.imwrite(str(folder / "seq/img1" / name), picture)
    boxes = [(n, i, 10 + 8 * n + 50 * i, 20, 30, 80) for n in range(1, FRAMES + 1) for i in (0, 1)]
    rows = [",".join(map(str, box)) for box in boxes]
    (folder / "seq/det.txt").write_text("".join(f"{row},0.9\n" for row in rows))
    (folder / "seq/gt/gt.txt").write_text("".join(f"{row},1,1,1.0\n" for row in rows))
    (folder / "result.txt").write_text("".join(f"{row},0.9,-1,-1,-1\n" for row in rows))
    (folder / "seq/seqinfo.ini").write_text(
        f"[Sequence]\nname=seq\nimDir=img1\nframeRate=25\nseqLength={FRAMES}\nimWidth={WIDTH}\nimHeight={HEIGHT}\n"
    )
    (folder / "x.yaml").write_text(
        "description: an example\ntracker:\n  confirm_seconds: 0.05\n  birth_score: 0.6\n  encode: all\n"
        "detector:\n  confidence: 0.2\n  image_size: 640\ngallery:\n  save_views: 5\n"
    )
    with VideoSink(folder / "x.mp4", WIDTH, HEIGHT, 25) as sink:
        for picture in pictures:
            sink.write(picture)
    save_checkpoint(BPBReID(SMALL).eval(), folder / "x.safetensors")
    shutil.copy(folder / "x.safetensors", folder / "good.safetensors")
    _authors_file(folder / "x.pth")
    parts = torch.nn.functional.normalize(torch.randn(5, 3, 8), dim=-1)
    PartEmbeddings(parts, torch.ones(5, 3), ["foreground", "upper", "lower"]).save(folder / "people/anna.npz")
    _training().save(folder / "run/last.pt")
    for person, number in itertools.product((1, 2), range(4)):
        crops = folder / "crops" / f"cam-{person:04d}"
        crops.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(crops / f"cam_{number:06d}.jpg"), pictures[number][:64, :32])
    track_video(
        folder / "seq",
        detector=folder / "seq/det.txt",
        encoder=None,
        cache=folder / "x.cache",
        explain=folder / "why.jsonl",
        config={"tracker": {"confirm_seconds": 0}},
    )


def _authors_file(path: Path) -> None:
    """The names, settings and some of the tensors of the published layout; too few for a network."""
    backbone = "backbone_appearance_feature_extractor."
    state = {
        f"module.{backbone}layer4.2.conv3.weight": torch.randn(8, 8, 1, 1),
        f"module.{backbone}bn1.num_batches_tracked": torch.tensor(1),
        "module.pixel_classifier.classifier.weight": torch.randn(6, 8, 1, 1),
        "module.pixel_classifier.classifier.bias": torch.randn(6),
        "module.parts_after_pooling_dim_reduce.layers.0.weight": torch.randn(8, 16),
        "module.foreground_identity_classifier.bn.weight": torch.randn(8),
        "module.concat_parts_identity_classifier.bn.weight": torch.randn(40),
        "module.foreground_identity_classifier.classifier.weight": torch.randn(3, 8),
    }
    model = {
        "backbone": "resnet50",
        "dim_reduce": "after_pooling",
        "pooling": "gwap",
        "masks": {"preprocess": "five_v"},
    }
    data = {
        "height": 256,
        "width": 128,
        "norm_mean": [0.485, 0.456, 0.406],
        "norm_std": [0.229, 0.224, 0.225],
    }
    config = {"model": {"bpbreid": model}, "data": data}
    torch.save({"state_dict": state, "epoch": 3, "rank1": 0.5, "config": config}, path)


def copy_sound_files(source: Path, target: Path) -> None:
    """The inputs of one process, which it may damage."""
    shutil.copytree(source, target, copy_function=shutil.copy)
    os.chmod(target, 0o755)
