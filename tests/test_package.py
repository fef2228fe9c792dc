"""The package as a whole: a cheap import, and a version."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import bpbreid_track


def test_import_is_light() -> None:
    code = (
        "import sys, torch, bpbreid_track\n"
        "from bpbreid_track import PartEmbeddings, PartTracker, TrackerConfig, part_distance\n"
        "print([m for m in ('ultralytics', 'timm', 'supervision', 'matplotlib', 'av', 'bpbreid_trainer')"
        " if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


LATER = """
import sys
from bpbreid_track.cli.quick_start import load_supervision
load_supervision()
from supervision.annotators import core
from supervision.dataset import utils
assert not {"scipy.interpolate", "scipy.spatial"} & set(sys.modules)
points = [[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0, 0.0]]
smooth = core.splev([0.0, 0.5, 1.0], core.splprep(points, s=0)[0])
from scipy.interpolate import interp1d, splev, splprep
expected = splev([0.0, 0.5, 1.0], splprep(points, s=0)[0])
assert all((one == other).all() for one, other in zip(smooth, expected, strict=True))
import scipy.spatial
assert isinstance(utils.cKDTree([[0.0, 1.0]]), scipy.spatial.cKDTree)
"""


def test_what_supervision_hardly_uses_is_loaded_where_it_is_called() -> None:
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_supervision_that_wants_more_of_scipy_is_imported_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "supervision.py").write_text("from scipy.interpolate import interp1d, splev\n")
    code = (
        "from bpbreid_track.cli.quick_start import load_supervision\nload_supervision()\n"
        "import supervision\nassert supervision.interp1d and supervision.splev.__module__.startswith('scipy')"
    )
    root = str(Path(bpbreid_track.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there() -> None:
    for name in bpbreid_track.__all__:
        assert getattr(bpbreid_track, name) is not None
    assert set(bpbreid_track.__all__) == set(dir(bpbreid_track))


def test_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", bpbreid_track.__version__)
