"""An encoder computes in bf16 only where that gives what fp32 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpbreid_track import Encoder
from bpbreid_track.config import EncoderConfig
from bpbreid_track.model import checked_precision, inference
from bpbreid_track.model.exported_encoder import open_exported_encoder
from bpbreid_track.model.openvino_streams import OpenVinoStreams
from bpbreid_track.model.runtimes import open_runtime

openvino = pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def quick_in_bf16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that is quicker in bf16, and an empty cache folder."""
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path / "cache"))
    for module in (checked_precision, inference):
        monkeypatch.setattr(module, "quickest_precision", lambda: "bf16")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Somebody else's: 8 numbers of a picture of 64x32."""
    operations = openvino.opset13
    data = operations.parameter([1, 3, 64, 32], np.float32)
    weights = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    layer = operations.convolution(data, operations.constant(weights), [2, 2], [1, 1], [1, 1], [1, 1])
    means = operations.reduce_mean(operations.relu(layer), operations.constant([2, 3]), keep_dims=False)
    path = tmp_path / "vectors.xml"
    openvino.save_model(openvino.Model([operations.result(means)], [data]), path)
    return path


class WrongInBf16(OpenVinoStreams):
    """Turns vectors round in bf16, as a layer that is computed wrongly may."""

    def __init__(self, core: Any, steps: Any, threads: int, streams: int) -> None:
        super().__init__(core, steps, threads, streams)
        self._wrong = steps[0][1] == "bf16"

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        outputs = super().__call__(images)
        return [output[:, ::-1] for output in outputs] if self._wrong else outputs


def test_a_network_that_only_rounds_is_run_in_bf16(network: Path) -> None:
    assert open_runtime(network).precision == "bf16"


def test_a_network_that_is_computed_wrongly_in_bf16_is_run_in_fp32_and_a_warning_says_so(
    network: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checked_precision, "OpenVinoStreams", WrongInBf16)
    assert open_runtime(network).precision == "fp32"
    assert f"{network}: OpenVINO computes it wrongly in bf16" in caplog.text
    assert open_runtime(network, precision="bf16").precision == "bf16"  # who asks for it gets it


@pytest.mark.parametrize("difference", [0.02, 1.5])
def test_a_network_is_tried_once(network: Path, monkeypatch: pytest.MonkeyPatch, difference: float) -> None:
    monkeypatch.setattr(checked_precision, "_difference", lambda *_: difference)
    first = open_runtime(network).precision
    monkeypatch.setattr(checked_precision, "_difference", lambda *_: pytest.fail("tried again"))
    assert open_runtime(network).precision == first


def test_a_network_that_gives_no_numbers_in_bf16_is_run_in_fp32(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoNumbers(WrongInBf16):
        def __call__(self, images: np.ndarray) -> list[np.ndarray]:
            outputs = super().__call__(images)
            return [np.full_like(output, np.nan) for output in outputs] if self._wrong else outputs

    monkeypatch.setattr(checked_precision, "OpenVinoStreams", NoNumbers)
    assert open_runtime(network).precision == "fp32"


@pytest.mark.parametrize(("difference", "precision"), [(0.02, "bf16"), (1.5, "fp32")])
def test_the_run_that_exports_weights_and_those_after_it_compute_alike(
    monkeypatch: pytest.MonkeyPatch, difference: float, precision: str
) -> None:
    monkeypatch.setattr(checked_precision, "_difference", lambda *_: difference)
    exporting = Encoder.load(runtime="openvino", device="cpu")
    later = open_exported_encoder("default", EncoderConfig(), "cpu", "auto")
    assert later is not None
    assert exporting.precision == later.precision == precision
    crops = list(np.random.default_rng(0).integers(256, size=(2, 128, 64, 3), dtype=np.uint8))
    for first, second in zip(
        exporting.encode_crops(crops).numpy(), later.encode_crops(crops).numpy(), strict=True
    ):
        np.testing.assert_array_equal(first, second)
