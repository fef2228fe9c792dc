"""Fixtures shared by all tests: where the material lies that is not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Workers share the cores; threads of several that wait for each other would be slower than one.
    _CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _WORKERS = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _CORES // _WORKERS)))

from host_scenes import Street, read_street

from bpbreid_track import Encoder
from bpbreid_track.detection.weights import wheel_weights

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first builds the environment of its package, which takes minutes, once."""
    for item in items:
        if item.get_closest_marker("pifpaf") or item.get_closest_marker("tracklab"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real sequences, crops and weights (``BPBREID_TEST_DATA``, by default ../shared)."""
    folder = Path(os.environ.get("BPBREID_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data at {folder}: set BPBREID_TEST_DATA to the folder with data/ and weights/")
    return folder


@pytest.fixture(scope="session")
def pets(shared: Path) -> Path:
    """A MOTChallenge sequence of 300 frames, 7 a second."""
    return shared / "data/mot/PETS09-S2L1-300"


@pytest.fixture(scope="session")
def det(pets: Path) -> Path:
    """Its boxes by another detector."""
    return pets / "det/det.txt"


@pytest.fixture(scope="session")
def pose_weights() -> Path:
    """The detector that needs no download."""
    path = wheel_weights()
    assert path is not None, "the extra 'offline' belongs to the development environment"
    return path


@pytest.fixture(scope="session")
def bundled_encoder() -> Encoder:
    """The bundled encoder, exact numbers."""
    return Encoder.load(device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def street(shared: Path, bundled_encoder: Encoder) -> Street:
    """Real frames with boxes and embeddings."""
    return read_street(shared, bundled_encoder)
