"""Files of strangers: nothing in them runs unasked, and small ones stay small in memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bpbreid_track import Encoder, PartEmbeddings
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources.images import read_image
from bpbreid_track.model.checkpoint import load_checkpoint, save_checkpoint
from bpbreid_track.model.network import BPBReID
from bpbreid_track.model.options import ModelOptions
from bpbreid_track.model.safe_torch import read_torch

SMALL = ModelOptions(backbone="efficientnet_lite0", part_names=("upper", "lower"), input_size=(64, 32), dim=8)


class Doubling(torch.nn.Module):
    """A program that does no harm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.pth.tar", "weights.safetensors"])
def test_a_program_under_the_name_of_weights_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    torch.jit.save(torch.jit.script(Doubling()), str(tmp_path / name))
    with pytest.raises(InputError, match=rf"{name}: a TorchScript program, .* nothing of it was run"):
        Encoder.load(tmp_path / name, device="cpu")


def test_a_program_by_its_name_is_opened_with_a_word_of_trust(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.jit.save(torch.jit.script(Doubling()), str(tmp_path / "model.ts"))
    with pytest.raises(InputError, match=r"model\.ts: not written by bpbreid_track"):
        Encoder.load(tmp_path / "model.ts", device="cpu")
    assert "only if you trust its maker" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 10**7},
        {"input_size": [4096, 4096]},
        {"source_size": [10**6, 1]},
        {"num_identities": 10**9},
        {"part_names": ["x" * 10**6]},
        {"std": [0.0, 1.0, 1.0]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sizes_in_a_header_have_bounds(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(BPBReID(SMALL), path)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["options"] = json.dumps(SMALL.model_dump(mode="json") | change)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(UsageError, match=rf"x\.safetensors: .*{next(iter(change))}"):
        load_checkpoint(path)


def test_tensor_that_repeats_one_number_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.zeros(1).expand(1000, 1000)}}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"x\.pth: refused: a tensor \[1000, 1000\] .* not stored whole"):
        read_torch(tmp_path / "x.pth")


def test_compressed_archive_and_endless_instructions_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(InputError, match=r"packed\.pth: refused: its entry .* is compressed"):
        read_torch(tmp_path / "packed.pth")
    assert torch.equal(read_torch(tmp_path / "plain.pth")["a"], torch.zeros(1 << 20))
    torch.save([{} for _ in range(1 << 21)], tmp_path / "dicts.pth")
    with pytest.raises(InputError, match=r"dicts\.pth: refused: .* instructions"):
        read_torch(tmp_path / "dicts.pth")


def inflated(path: Path, megabytes: int) -> Path:
    """Embeddings that are all zeros, compressed a thousandfold."""
    features = np.zeros((megabytes * 1000, 2, 125), np.float32)
    names = json.dumps(["foreground", "legs"])
    np.savez_compressed(path, features=features, visibility=features[..., 0], part_names=names)
    return path


def test_embeddings_that_inflate_beyond_the_setting_are_refused(tmp_path: Path) -> None:
    path = inflated(tmp_path / "anna.npz", 3)
    assert path.stat().st_size < 50_000
    assert len(PartEmbeddings.load(path)) == 3000
    with pytest.raises(InputError, match=r"anna\.npz: would inflate to 3 MB, refused above 2 MB"):
        PartEmbeddings.load(path, max_megabytes=2)


def test_picture_of_a_billion_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (400, 300)).save(tmp_path / "1.png")
    assert read_image(tmp_path / "1.png").shape == (300, 400, 3)
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "100000")
    with pytest.raises(InputError, match=r"1\.png: 0 million pixels, refused above 0 million"):
        open_source(tmp_path)


def test_video_of_too_many_pixels_is_refused(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "100000")
    with pytest.raises(InputError, match=r"tactical\.mp4: 848 x 478 pixels, refused"):
        open_source(shared / "data/video/soccer-tactical.mp4")


def test_refused_files_raise_the_peak_of_memory_by_little(tmp_path: Path) -> None:
    """In a process of its own, whose peak is its own."""
    inflated(tmp_path / "anna.npz", 300)
    Image.frombytes("1", (12000, 12000), bytes(12000 * 1500)).save(tmp_path / "1.png")
    options = SMALL.model_dump(mode="json") | {"num_identities": 900_000}
    tensors = (
        b'{"__metadata__": '
        + json.dumps(
            {
                "format": "bpbreid_track",
                "format_version": "1",
                "provenance": "{}",
                "options": json.dumps(options),
            }
        ).encode()
        + b', "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    )
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(tensors)) + tensors + bytes(4))
    program = f"""
import resource, sys
from pathlib import Path
from bpbreid_track import PartEmbeddings
from bpbreid_track.errors import InputError
from bpbreid_track.io.sources.images import read_image
from bpbreid_track.model.checkpoint import load_checkpoint
folder = Path({str(tmp_path)!r})
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
readers = {{"anna.npz": PartEmbeddings.load, "1.png": read_image, "x.safetensors": load_checkpoint}}
for name in readers:
    try:
        readers[name](folder / name)
    except InputError:
        continue
    sys.exit(f"{{name}} was read")
print((peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 200
