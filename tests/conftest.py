"""Fixtures shared by test files: material that is not part of the repository, and what is made of it."""

from __future__ import annotations

import os
import shutil
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Workers share the cores; threads of several that wait for each other would be slower than one.
    _CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    _WORKERS = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _CORES // _WORKERS)))

from host_scenes import Street, read_street
from reid_scene import make_reid_set

from bpbreid_track import Encoder
from bpbreid_track.detection.weights import wheel_weights

if TYPE_CHECKING:
    from bpbreid_trainer.engine import FitReport

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


@pytest.fixture
def cfg_node(monkeypatch: pytest.MonkeyPatch) -> type[dict]:
    """A class that pickles as yacs' CfgNode does, for writing files; reading must do without it."""

    class CfgNode(dict):
        def __init__(self, values: dict[str, Any]) -> None:
            super().__init__({k: CfgNode(v) if isinstance(v, dict) else v for k, v in values.items()})
            self.__dict__["__immutable__"] = True
            self.__dict__["__deprecated_keys__"] = set()
            self.__dict__["__renamed_keys__"] = {}

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode


@pytest.fixture(scope="session")
def reid_set(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ReID data set of a few people with labels."""
    return make_reid_set(shared, tmp_path_factory.mktemp("reid") / "set")


@pytest.fixture(scope="session")
def finished(reid_set: Path, tmp_path_factory: pytest.TempPathFactory) -> FitReport:
    """An uninterrupted training of two epochs of three steps."""
    from training_runs import options

    from bpbreid_trainer.engine import fit

    output = tmp_path_factory.mktemp("runs") / "finished"
    return fit(options(reid_set, output, log_every=1, save_steps=1), quiet=True)


@pytest.fixture
def film(shared: Path, tmp_path: Path) -> tuple[str, str]:
    """A video of 25 frames a second and boxes for it."""
    boxes = tmp_path / "det.txt"
    boxes.write_text("".join(f"{n + 1},-1,{20 + n % 300},60,60,160,0.9\n" for n in range(400)))
    return str(shared / "data/video/basketball-broadcast.mp4"), str(boxes)


@pytest.fixture
def cache(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in use, of the cache ``filled`` of the tests that ask for it."""
    folder = shutil.copytree(filled, tmp_path / "cache")
    monkeypatch.setenv("BPBREID_CACHE", str(folder))
    return folder
