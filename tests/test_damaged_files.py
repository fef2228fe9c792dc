"""Damaged files of every kind: one error that names the file, never another exception."""

from __future__ import annotations

import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

# Benchmarks are scripts: they find one another in their own folder.
sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks" / "reliability"))

from mutations import mutate

from bpbreid_track import PartEmbeddings, track_video
from bpbreid_track.config import RunConfig
from bpbreid_track.errors import InputError
from bpbreid_track.evaluation import evaluate_tracks
from bpbreid_track.explain.reader import FORMAT, VERSION, read_log
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.seqinfo import read_seqinfo
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.model.checkpoint import load_checkpoint
from bpbreid_track.pipeline.cache_layout import FOOTER
from bpbreid_track.pipeline.stored_frames import StoredFrames
from bpbreid_track.read_config import read_settings
from bpbreid_trainer.options import TrainOptions
from bpbreid_trainer.state import State


@pytest.mark.parametrize(
    "line",
    [
        '{"frame": Infinity, "timestamp": 0, "forgotten": [], "boxes": []}',
        '{"frame": 1, "timestamp": 0, "forgotten": 3, "boxes": []}',
        "[" * 100_000,
    ],
    ids=["infinite", "number for a list", "nested"],
)
def test_reasons(tmp_path: Path, line: str) -> None:
    path = tmp_path / "why.jsonl"
    path.write_text(json.dumps({"format": FORMAT, "version": VERSION}) + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"why\.jsonl, line 2: "):
        read_log(path)


@pytest.mark.parametrize("text", ["description: 2001-99-99", "tracker: " + "[" * 5000, "a: &a [*a]"])
def test_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml: "):
        read_settings(RunConfig, path)


@pytest.mark.parametrize(
    "line", ["frameRate=1e999999999", "frameRate=inf", "seqLength=1e3", "seqLength=" + "9" * 5000]
)
def test_sequence_information(tmp_path: Path, line: str) -> None:
    path = tmp_path / "seqinfo.ini"
    path.write_text(f"[Sequence]\n{line}\n")
    with pytest.raises(InputError, match=r"seqinfo\.ini: "):
        read_seqinfo(path)


def test_name_of_a_sequence_reaches_no_terminal_with_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "seqinfo.ini"
    path.write_text("[Sequence]\nname=a\x1b[31mb\nframeRate=30000/1001\n")
    assert read_seqinfo(path).name == "a?[31mb"
    assert float(read_seqinfo(path).frame_rate or 0) == pytest.approx(29.97, abs=1e-3)


def test_embeddings_with_a_damaged_entry(tmp_path: Path) -> None:
    path = tmp_path / "anna.npz"
    names = json.dumps(["foreground", "legs"])
    np.savez_compressed(
        path, features=np.ones((9, 2, 64), np.float32), visibility=np.ones((9, 2)), part_names=names
    )
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("features.npy").header_offset + 60
    data = bytearray(path.read_bytes())
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"anna\.npz: not a PartEmbeddings \.npz"):
        PartEmbeddings.load(path)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("cache")
    (folder / "det.txt").write_text("1,-1,10,10,40,90,0.9\n")
    track_video("demo", detector=folder / "det.txt", encoder=None, cache=folder / "x.cache", max_frames=3)
    return (folder / "x.cache").read_bytes()


@pytest.mark.parametrize("change", ["no names", "notes", "offset", "boxes"])
def test_cache_whose_checksum_is_right(cached: bytes, tmp_path: Path, change: str) -> None:
    start, at_facts, _, end = FOOTER.unpack(cached[-FOOTER.size :])
    index, facts = bytearray(cached[start:at_facts]), json.loads(cached[at_facts : -FOOTER.size])
    if change == "no names":
        del facts["part_names"]
    elif change == "notes":
        facts["notes"] = 5
    else:
        struct.pack_into("<q", index, {"offset": 16, "boxes": 24}[change], -7)
    tail = bytes(index) + json.dumps(facts).encode()
    path = tmp_path / "x.cache"
    path.write_bytes(cached[:start] + tail + FOOTER.pack(start, at_facts, zlib.crc32(tail), end))
    with pytest.raises(InputError, match=r"x\.cache: this cache is damaged"):
        StoredFrames(path)


@pytest.mark.parametrize(
    "model",
    [
        {"test_embeddings": 5},
        {"masks": {"preprocess": "strp_999999999"}},
        {"pooling": [{}]},
        {"backbone": {}},
    ],
    ids=lambda model: next(iter(model)),
)
def test_settings_of_the_authors_format(tmp_path: Path, model: dict[str, Any]) -> None:
    backbone = "backbone_appearance_feature_extractor."
    state = {
        f"{backbone}layer4.2.conv3.weight": torch.zeros(1),
        "pixel_classifier.classifier.weight": torch.zeros(6, 1),
    }
    torch.save({"state_dict": state, "config": {"model": {"bpbreid": model}}}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth: "):
        load_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("change", ["parts", "progress", "options", "random", "shape"])
def test_state_of_a_training(tmp_path: Path, change: str) -> None:
    state = State(TrainOptions(), {"network": torch.nn.Linear(2, 2)})
    path = tmp_path / "last.pt"
    state.save(path)
    document = torch.load(path, weights_only=True)
    if change == "shape":
        document["parts"]["network"]["weight"] = torch.zeros(3, 3)
    else:
        document[change] = 7
    torch.save(document, path)
    with pytest.raises(InputError, match=r"last\.pt: "):
        state.load(path)


def test_boxes_beyond_any_picture(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,10,10,1e300,90,0.9\n")
    with pytest.raises(InputError, match=r"det\.txt, line 1: a box or confidence is beyond 1e9"):
        read_mot(path)


def test_a_frame_far_away_costs_evaluation_no_memory(tmp_path: Path) -> None:
    rows = "".join(f"{frame},1,10,10,40,90,1,-1,-1,-1\n" for frame in (1, 2, 9_000_000_000_000_000))
    for name in ("gt.txt", "result.txt"):
        (tmp_path / name).write_text(rows)
    assert pytest.approx(100) == evaluate_tracks(tmp_path / "gt.txt", tmp_path / "result.txt").HOTA


def test_video_whose_metadata_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with VideoSink(path, 64, 48, 25) as sink:
        for _ in range(3):
            sink.write(np.zeros((48, 64, 3), np.uint8))
    data = path.read_bytes()
    assert b"VideoHandler" in data
    path.write_bytes(data.replace(b"VideoHandler", b"Video\xff\xfendler"))
    with open_source(path) as source:
        assert sum(1 for _ in source) == 3


def test_video_of_an_unknown_codec(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with VideoSink(path, 64, 48, 25) as sink:
        sink.write(np.zeros((48, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    with pytest.raises(InputError, match=r"x\.mp4: holds video of a kind that FFmpeg cannot decode"):
        open_source(path)


def test_folder_of_a_sequence_that_no_file_system_has(tmp_path: Path) -> None:
    (tmp_path / "seqinfo.ini").write_text(f"[Sequence]\nimDir={'i' * 3000}\n")
    with pytest.raises(InputError, match=r"seqinfo\.ini: imDir is no name of a folder"):
        open_source(tmp_path)


def test_an_error_is_one_line_that_can_be_printed() -> None:
    assert str(InputError("a.txt: \x1b[31m red\n and \ufeff more")) == "a.txt: \\x1b[31m red and \\ufeff more"


def test_damage_of_the_fuzzing_benchmark_follows_from_its_seed(cached: bytes) -> None:
    first, again, other = (mutate(cached, "cache", Random(f"{seed}/cache/7")) for seed in (0, 0, 1))
    assert first == again != other
