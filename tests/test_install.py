"""What is installed: the wheel holds all that runs, the image is made of it, the notebook runs on it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent


def copied() -> list[str]:
    """What the Dockerfile copies; each path keeps its name."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made of that and nothing else, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("dist/*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_weights_settings_and_every_module(site: Path) -> None:
    command = ["git", "ls-files", "bpbreid_track", "configs", "trainer"]
    listed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout.split()
    wanted = {re.sub("^configs/", "bpbreid_track/configs/", name.removeprefix("trainer/")) for name in listed}
    assert {"bpbreid_track/weights/default.safetensors", "bpbreid_track/configs/track/cpu.yaml"} <= wanted
    assert wanted <= {path.relative_to(site).as_posix() for path in site.rglob("*")}


def test_the_image_is_given_what_it_copies_and_no_more() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert first == "*"
    assert sorted(line[1:] for line in rest if line.startswith("!")) == sorted(copied())


@pytest.mark.parametrize("notebook", sorted((ROOT / "demos").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_on_the_wheel(
    notebook: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(site))
    document = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in document.cells)  # pictures would swell the history
    where = "import bpbreid_track, bpbreid_trainer\nprint(bpbreid_track.__file__, bpbreid_trainer.__file__)"
    document.cells.append(nbformat.v4.new_code_cell(where))
    nbclient.NotebookClient(document, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in document.cells for output in cell.get("outputs", ())]
    said = "".join(output["text"] for output in shown if output.get("name") == "stdout")
    assert re.search(r"[1-9]\d* identities in 10 frames", said)
    assert all(Path(name).is_relative_to(site) for name in said.splitlines()[-1].split())
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert (tmp_path / "tracks.csv").stat().st_size > 0
