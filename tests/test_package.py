"""The package as a whole: a cheap import, and a version."""

from __future__ import annotations

import re
import subprocess
import sys

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


def test_every_public_name_is_there() -> None:
    for name in bpbreid_track.__all__:
        assert getattr(bpbreid_track, name) is not None
    assert set(bpbreid_track.__all__) == set(dir(bpbreid_track))


def test_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", bpbreid_track.__version__)
