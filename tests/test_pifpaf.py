"""The openpifpaf back end, with openpifpaf really installed in its own environment.

Published weights need the internet, so the network here is rigged: its image features are the brightness, and
every bright spot is the middle of a small person. Its decoder and its fields are openpifpaf's own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from bpbreid_track.errors import InputError
from bpbreid_track.model.part_groups import CHANNELS
from bpbreid_trainer import cli
from bpbreid_trainer.parsing import pifpaf_worker
from bpbreid_trainer.parsing.jobs import Job
from bpbreid_trainer.parsing.pifpaf import PifPaf, environment_python
from bpbreid_trainer.parsing.skeleton import CONNECTIONS

ROOT = Path(__file__).resolve().parent.parent
installed = pytest.mark.pifpaf

RIGGED_NETWORK = """
import sys

import torch
from openpifpaf.network import heads, nets
from openpifpaf.plugins.coco import CocoKp
from torch import nn

# x and y of the 17 joints around the spot, in cells of 8 pixels
POSE = [(0, -1.5), (.2, -1.7), (-.2, -1.7), (.4, -1.5), (-.4, -1.5), (.6, -.7), (-.6, -.7), (.8, 0), (-.8, 0),
        (.8, .7), (-.8, .7), (.4, .6), (-.4, .6), (.4, 1.3), (-.4, 1.3), (.4, 2), (-.4, 2)]
cif, caf = CocoKp().head_metas[:2]
base = nn.Sequential(nn.AvgPool2d(8, 8, ceil_mode=True))
base.stride = 8
made = []
for index, meta in enumerate((cif, caf)):
    meta.upsample_stride, meta.head_index = 1, index
    head = heads.CompositeField4(meta, 3)
    nn.init.zeros_(head.conv.weight)
    head.conv.weight.data.view(head.n_fields, head.n_components, 3)[:, 1, 0] = 2.0
    bias = torch.zeros(head.n_fields, head.n_components)
    for field in range(head.n_fields):
        ends = [field] if meta is cif else [end - 1 for end in caf.skeleton[field]]
        for place, end in enumerate(ends):
            bias[field, 2 + 2 * place : 4 + 2 * place] = torch.tensor(POSE[end], dtype=torch.float)
    bias[:, -meta.n_scales :] = 3.0
    head.conv.bias.data = bias.flatten()
    made.append(head)
torch.save({"model": nets.Shell(base, nn.ModuleList(made)), "epoch": 0}, sys.argv[1])
"""


@pytest.fixture(scope="session")
def python() -> Path:
    """openpifpaf's environment, built by the script where it does not stand yet."""
    script = ROOT / "scripts" / "pifpaf_environment.sh"
    done = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    path = Path(done.stdout.strip().splitlines()[-1])
    assert path == environment_python()
    return path


@pytest.fixture(scope="session")
def checkpoint(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pifpaf") / "rigged.pkl"
    subprocess.run([str(python), "-c", RIGGED_NETWORK, str(path)], check=True, capture_output=True)
    return path


def image_with(path: Path, *spots: tuple[int, int]) -> Path:
    """Black, 257 x 129 (what the network is fed with), with bright spots of 32 pixels at (x, y)."""
    image = np.zeros((257, 129, 3), np.uint8)
    for x, y in spots:
        image[y : y + 32, x : x + 32] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


TOP, BELOW = (48, 32), (8, 160)


@installed
@pytest.mark.timeout(1800)
def test_fields_keep_the_target_and_lose_the_others(python: Path, checkpoint: Path, tmp_path: Path) -> None:
    jobs = [
        Job(image_with(tmp_path / f"{name}.png", *spots), tmp_path / "out" / f"{name}.npy")
        for name, spots in (("one", [TOP]), ("two", [TOP, BELOW]), ("nobody", []))
    ]
    persons = {job.image.stem: count for job, count in PifPaf(str(checkpoint), device="cpu").label(jobs)}
    assert persons == {"one": 1, "two": 2, "nobody": 0}
    one, two, nobody = (np.load(job.out).astype(np.float32) for job in jobs)
    assert one.shape == two.shape == (36, 33, 17)
    rows, columns = (slice(TOP[1] // 8, TOP[1] // 8 + 4), slice(TOP[0] // 8, TOP[0] // 8 + 4))
    assert (one[:, rows, columns] > 0.9).all()
    assert (two[:, rows, columns] > 0.9).all()
    other = two[:, BELOW[1] // 8 : BELOW[1] // 8 + 4, BELOW[0] // 8 : BELOW[0] // 8 + 4]
    assert not other.any()
    assert not nobody.any()


@installed
@pytest.mark.timeout(1800)
def test_the_command_labels_a_data_set_with_pifpaf(
    python: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0001_c1_1.jpg", "0002_c1_1.jpg", "0002_c2_1.jpg"):
        image_with(tmp_path / "bounding_box_train" / name, TOP)
    command = [
        "labels",
        str(tmp_path),
        "--backend",
        "pifpaf",
        "--weights",
        str(checkpoint),
        "--device",
        "cpu",
    ]
    assert cli.run(command) == 0
    assert "3 labels made" in capsys.readouterr().err
    folder = tmp_path / "masks" / "pifpaf"
    assert len(list((folder / "bounding_box_train").glob("*.npy"))) == 3
    assert (folder / "contact_sheet.png").is_file()
    assert cli.run(command) == 0
    assert "0 labels made, 3 were there" in capsys.readouterr().err


@installed
@pytest.mark.timeout(1800)
def test_what_fails_over_there_is_said_in_one_line_here(
    python: Path, checkpoint: Path, tmp_path: Path
) -> None:
    good = image_with(tmp_path / "good.png", TOP)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")

    def error(weights: Path, image: Path) -> str:
        with pytest.raises(InputError) as caught:
            list(PifPaf(str(weights), device="cpu").label([Job(image, tmp_path / "x.npy")]))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "bad.png: not a readable image" in error(checkpoint, bad)
    assert "cannot load weights" in error(tmp_path / "none.pkl", good)
    assert "cannot load weights" in error(bad, good)
    assert not (tmp_path / "x.npy").exists()


@installed
@pytest.mark.timeout(1800)
def test_the_script_is_quick_where_the_environment_stands(python: Path) -> None:
    script = ROOT / "scripts" / "pifpaf_environment.sh"
    done = subprocess.run([str(script)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str(python)
    version = subprocess.run(
        [str(python), "-c", "import openpifpaf; print(openpifpaf.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == "0.13.11"


# --------------------------------------------- without openpifpaf: the worker's own functions


def test_the_worker_orders_channels_as_everybody() -> None:
    assert pifpaf_worker.SKELETON == CONNECTIONS
    assert pifpaf_worker.JOINTS + len(pifpaf_worker.SKELETON) == len(CHANNELS)


@pytest.mark.parametrize(
    ("size", "fed"),
    [((64, 128), (129, 257)), ((100, 300), (97, 305)), ((900, 1800), (321, 641)), ((5, 90), (17, 257))],
)
def test_images_are_fed_at_a_size_the_fields_cover(size: tuple[int, int], fed: tuple[int, int]) -> None:
    assert pifpaf_worker.network_size(*size) == fed


def standing(x: float, y: float, height: float) -> np.ndarray:
    """Joints one below the other, evenly spaced."""
    return np.column_stack([np.full(17, x), y + np.linspace(0, height, 17), np.ones(17)])


def test_a_cell_belongs_to_whose_joint_is_nearest() -> None:
    poses = np.stack([standing(16, 8, 160), standing(80, 8, 160)])
    kept = pifpaf_worker.keep_target(np.ones((36, 24, 12)), poses, target=0, stride=8)
    columns = np.arange(12) * 8
    for channel in range(36):
        assert kept[channel, :, columns < 48].all()
        assert not kept[channel, :, columns > 48].any()


def test_a_joint_that_the_target_hides_is_cleared_around_the_others_only() -> None:
    poses = np.stack([standing(16, 8, 160), standing(80, 8, 160)])
    poses[0, 15, 2] = 0
    kept = pifpaf_worker.keep_target(np.ones((36, 24, 12)), poses, target=0, stride=8)[15]
    other = poses[1, 15, :2] / 8
    rows, columns = np.argwhere(kept == 0).T
    assert len(rows)
    assert np.hypot(columns - other[0], rows - other[1]).max() <= 2
    assert kept[round(poses[0, 15, 1] / 8), 2] == 1


def test_the_target_of_several_is_at_the_top_centre() -> None:
    poses = np.stack([standing(20, 4, 90), standing(60, 10, 90), standing(64, 60, 90)])
    assert pifpaf_worker.target_person(poses, 128) == 1
    poses[1, :5, 2] = 0  # no face: the topmost joint that shows counts
    assert pifpaf_worker.target_person(poses, 128) == 1


def test_a_missing_environment_names_the_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BPBREID_PIFPAF_ENV", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"scripts/pifpaf_environment\.sh builds it"):
        PifPaf()
    monkeypatch.delenv("BPBREID_PIFPAF_ENV")
    monkeypatch.setenv("BPBREID_CACHE", str(tmp_path))
    assert environment_python() == tmp_path / "pifpaf-env" / "bin" / "python"


def run_script(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BPBREID_PIFPAF_ENV": str(folder), **variables}
    script = ROOT / "scripts" / "pifpaf_environment.sh"
    return subprocess.run([str(script)], env=environment, capture_output=True, text=True, check=False)


def test_the_script_refuses_a_python_that_openpifpaf_cannot_use(tmp_path: Path) -> None:
    done = run_script(tmp_path / "env", PIFPAF_PYTHON="/bin/false")
    assert done.returncode == 1
    assert "needs Python 3.8 to 3.11" in done.stderr
    assert not (tmp_path / "env").exists()


def test_the_script_deletes_nothing_that_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "thesis.tex").exists()
