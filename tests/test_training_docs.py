"""docs/training.md: its commands run one after the other, on real footage, with small settings."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, commands, unknown_extras
from reid_scene import make_reid_set
from test_cli import environment

from bpbreid_track.cli.export import run as export
from bpbreid_track.cli.track import run as track
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_trainer.cli import run as train

FRAMES = 21
# What stands behind each command besides: less work, nothing that is downloaded, nothing that is exported.
TRACK = ["--detector", "det.txt", "--device", "cpu", "--quiet", "--set", "encoder.runtime=torch"]
TRACK += ["--set", "encoder.mirror=false"]
MORE = {
    "crops": ["--quiet"],
    "labels": ["--quiet", "--device", "cpu"],
    "fit": [
        "pretrained=false",
        "model.backbone=efficientnet_lite0",
        "model.input_size=[64,32]",
        "model.dim=16",
        "identities_per_batch=3",
        "epochs=1",
        "evaluate_every=0",
        "workers=0",
        "device=cpu",
        "--quiet",
    ],
    "evaluate": ["--quiet", "--device", "cpu"],
    "rank": ["--quiet", "--device", "cpu", "--queries", "1", "--top", "2"],
    "attention": ["--quiet", "--device", "cpu", "--limit", "2"],
    "export": ["--quiet"],
}


@pytest.fixture
def footage(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page takes for granted: a video, an annotated sequence, downloaded data sets."""
    street, drive = shared / "data/mot/MOT17-09", shared / "data/mot/KITTI-17"
    with open_source(street) as source:
        sink = VideoSink(tmp_path / "match.mp4", source.width, source.height, source.frame_rate)
        for frame in source:
            if frame.index == FRAMES:
                break
            sink.write(frame.image, frame.timestamp)
        sink.close()
    shutil.copy(street / "det/yolo11n.txt", tmp_path / "det.txt")
    (tmp_path / "MOT17-02/gt").mkdir(parents=True)
    for path in (drive / "KITTI-17.mp4", drive / "seqinfo.ini"):
        (tmp_path / "MOT17-02" / path.name).symlink_to(path)
    rows = (drive / "gt/gt.txt").read_text().splitlines(keepends=True)
    early = [row for row in rows if int(row.split(",")[0]) <= FRAMES]
    (tmp_path / "MOT17-02/gt/gt.txt").write_text("".join(early))
    for name in ("Market-1501", "CUHK03", "Occluded_Duke"):
        make_reid_set(shared, tmp_path / name, people=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def carry_out(words: list[str]) -> int:
    """The exit code of a command of the page."""
    program, *rest = words
    if program == "pip":
        return len(unknown_extras(words))
    if program == "bpbreid-track":
        return track([*rest, *TRACK])
    if program == "bpbreid-export":
        return export([*rest, "--quiet"])
    if rest[:2] == ["fit", "finetune"]:  # its network is that of its weights
        return train([*rest, *(word for word in MORE["fit"] if not word.startswith(("model", "pretrained")))])
    if program == "bpbreid-train":
        return train([*rest, *MORE[rest[0]]])
    assert program == "torchrun"
    rest[rest.index("--nproc-per-node") + 1] = "1"
    launch = [sys.executable, "-m", "torch.distributed.run", *rest, *MORE["fit"]]
    paths = environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'trainer'}"}
    return subprocess.run(launch, env=paths, timeout=240).returncode


@pytest.mark.timeout(900)  # twenty commands
def test_the_page_on_training_runs_from_its_first_command_to_its_last(footage: Path) -> None:
    words = commands("docs/training.md")
    programs = {program for program, *_ in words}
    assert programs == {"pip", "bpbreid-track", "bpbreid-export", "bpbreid-train", "torchrun"}
    for command in words:
        assert carry_out(command) == 0, shlex.join(command)
    assert len({path.parent.name for path in (footage / "crops").glob("*-*/*.jpg")}) > 5
    assert {path.name for path in (footage / "held").iterdir()} == {"train", "query", "gallery"}
    assert any((footage / "crops/masks").rglob("*.np[yz]"))
    for run in ("mine", "small", "od", "four", "many"):
        assert (footage / "runs" / run / "best.safetensors").is_file()
    assert len(list((footage / "ranking").glob("*.png"))) == 1
    for name in ("attention.png", "mine.safetensors", "tracked.mp4"):
        assert (footage / name).stat().st_size > 1000
