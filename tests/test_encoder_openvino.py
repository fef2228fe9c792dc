"""A checkpoint through OpenVINO: the embeddings of torch, exported once, and torch where that fails."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_encoders import PEOPLE, frame, network

from bpbreid_track import Encoder, track_video
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.model.checkpoint import save_checkpoint

BOXES = np.array([*PEOPLE, [0, 0, 0, 0]])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkpoint, beside an empty cache."""
    pytest.importorskip("openvino")
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "cache"))
    save_checkpoint(network(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_openvino_gives_the_embeddings_of_torch_and_is_exported_once(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exact = Encoder.load(weights, device="cpu", precision="fp32")
    fast, again = (
        Encoder.load(weights, device="cpu", precision="fp32", runtime=name) for name in ("openvino", "auto")
    )
    assert (exact.runtime, fast.runtime, again.runtime) == ("torch", "openvino", "openvino")
    assert [record.getMessage() for record in caplog.records] == [
        "exporting net.safetensors for openvino, once; this takes some seconds"
    ]
    found, expected = fast.encode(frame(), BOXES), exact.encode(frame(), BOXES)
    torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.visibility, expected.visibility, atol=1e-4, rtol=0)
    assert torch.equal(found.features, again.encode(frame(), BOXES).features)
    # Attention maps are torch's.
    torch.testing.assert_close(fast.attend(frame(), BOXES).maps, exact.attend(frame(), BOXES).maps)


def test_a_copy_and_a_pickled_encoder_are_run_by_openvino_too_also_where_the_export_is_gone(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = Encoder.load(weights.name, device="cpu", precision="fp32", runtime="openvino")
    expected = encoder.encode(frame(), BOXES)
    data = pickle.dumps(encoder)
    others = [copy.deepcopy(encoder), pickle.loads(data)]
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    others.append(pickle.loads(data))
    for other in others:
        assert other.runtime == "openvino"
        found = other.encode(frame(), BOXES)
        assert torch.equal(found.features, expected.features)
        assert torch.equal(found.visibility, expected.visibility)


def test_a_pickled_encoder_is_run_by_torch_where_its_weights_are_gone_and_one_line_says_so(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder.load(weights, device="cpu", precision="fp32", runtime="openvino")
    expected = encoder.encode(frame(), BOXES)
    data = pickle.dumps(encoder)
    weights.unlink()
    caplog.clear()
    other = pickle.loads(data)
    assert other.runtime == "torch"
    assert len(caplog.records) == 1
    assert "net.safetensors is run by torch, OpenVINO failed" in caplog.text
    torch.testing.assert_close(other.encode(frame(), BOXES).features, expected.features, atol=1e-4, rtol=0)


def test_where_openvino_fails_torch_does_it_and_one_line_says_so(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BPBREID_CACHE", str(weights))  # a file is no folder
    encoder = Encoder.load(weights, device="cpu", precision="fp32", runtime="auto")
    assert encoder.runtime == "torch"
    assert "net.safetensors is run by torch, OpenVINO failed" in caplog.text
    assert len(encoder.encode(frame(), BOXES)) == len(BOXES)


def test_what_openvino_cannot_do_is_wrong_usage_where_it_is_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Encoder.load(weights, device="cpu", precision="fp16", runtime="auto").runtime == "torch"
    with pytest.raises(UsageError, match="in fp32 or bf16"):
        Encoder.load(weights, device="cpu", precision="fp16", runtime="openvino")
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        Encoder.load(weights, device="cpu", runtime="openvno")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install openvino"):
        Encoder.load(weights, device="cpu", precision="fp32", runtime="openvino")
    assert Encoder.load(weights, device="cpu", precision="fp32", runtime="auto").runtime == "torch"


def test_a_run_says_what_ran_its_encoder(weights: Path, shared: Path) -> None:
    pets = shared / "data/mot/PETS09-S2L1-300"
    options = {"detector": pets / "det/det.txt", "encoder": weights, "device": "cpu", "max_frames": 2}
    report = track_video(pets, **options)  # type: ignore[arg-type]
    assert "OpenVINO" in report.encoder
