"""Every demo runs, on real frames, and says what appearance did."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from host_scenes import Street

DEMOS = Path(__file__).resolve().parent.parent / "demos"
EXTRA = {"boxmot", "trackers", "norfair", "deep_sort_realtime"}
LEVELS = {"boxmot", "ultralytics", "deep_sort_realtime", "norfair"}
CASES = [
    (path.stem, level)
    for path in sorted(DEMOS.glob("*_demo.py"))
    for level in (("exact", "drop-in") if path.stem.removesuffix("_demo") in LEVELS else (None,))
]


@pytest.mark.parametrize(("demo", "level"), CASES, ids=[f"{demo}-{level}" for demo, level in CASES])
def test_a_demo_runs(
    demo: str,
    level: str | None,
    street: Street,
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = demo.removesuffix("_demo")
    if host in EXTRA:
        pytest.importorskip(host, reason="needs the integrations extra: pip install -e '.[dev]'")
    monkeypatch.syspath_prepend(DEMOS)
    boxes = street.folder / "det" / "yolo11n.txt"
    if demo == "ultralytics_demo":
        weights = shared / "weights" / "yolo11n.pt"
        boxes = weights if weights.exists() else Path("auto")
    words = [str(street.folder / "img1"), "--boxes", str(boxes), "--frames", "12"]
    importlib.import_module(demo).main(words + (["--level", level] if level else []))
    said = capsys.readouterr().out
    found = re.search(r"(\d+) identities; .*: (exact|drop-in) \(.*decided \d+ of \d+ matches", said)
    assert found, said
    assert found[2] == (level or "exact")
    assert int(found[1]) >= 2
