"""README and docs: every command and every snippet runs as it stands there, on a few real frames.

docs/training.md has a test of its own, and so have the demos, which are the snippets for Ultralytics.
"""

from __future__ import annotations

import glob
import itertools
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
import typer
from host_scenes import table
from pages import ROOT, blocks, commands, unknown_extras
from test_demos import EXTRA

from bpbreid_track import Encoder, PartTracker, export_tracks, track_video
from bpbreid_track.cli import edit, evaluate, explain, export, link, track, tune
from bpbreid_track.io.mot_format import read_mot
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_trainer import cli as trainer

FRAMES, SCALE = 4, 1.25  # of a picture of 768 x 576; some pages draw lines at 640,690
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if path != ROOT / "docs/training.md"
)
PROGRAMS = {
    module.program.name: module for module in (track, evaluate, explain, edit, export, link, tune, trainer)
}
# What stands behind each command besides: less work, nothing that is downloaded, nothing that is exported.
BOXES = ["--detector", "det.txt", "--device", "cpu", "--quiet"]
LOOKS = ["--set", "encoder.runtime=torch", "--set", "encoder.mirror=false", "--set", "gallery.save_views=2"]
MOTION = ["--encoder", "none"]
MORE = {
    "bpbreid-tune": ["--detector", "det/yolo11n.txt", "--trials", "2", "--device", "cpu", "--quiet", *MOTION],
    "bpbreid-train": ["--min-images", "1", "--quiet"],
    "bpbreid-link": ["--no-pictures"],
}
CALL = r"__import__('inspect').signature(track_videos).bind(\1)"
LOOKED_AT = {"encoder": {"runtime": "torch", "mirror": False}, "gallery": {"save_views": 2}}
# Commands that need the encoder.
BY_LOOKS = {"--gallery", "--save-gallery", "--teams", "--explain", "txt,gallery"}
# What wants a cluster, a bucket, or a network that finds people in many videos: other tests run it, so here
# only its options are looked at.
PARSED = {"--workers", "--ray", "s3://bucket/run", "--classes", "list.txt", "cam1.mp4", "tracked/*"}
# What other tests run in environments of their own, and the checks of the development environment.
OTHERS = {"tracklab", "python", "ruff", "mypy", "lint-imports", "mkdocs", "pytest"}
# The numbers that pages speak of are not those of the people in this film.
NUMBERS = {"7": "1", "12": "2", "431": "3"}


def people() -> Iterator[tuple[np.ndarray, sv.Detections]]:
    """Frames and their boxes."""
    for index in itertools.count(1):
        image = cv2.imread(f"street/img1/{index:06d}.jpg")
        if image is None:
            return
        rows = read_mot("det.txt")
        here = rows.frame == index
        count = int(here.sum())
        yield (
            image,
            sv.Detections(rows.xyxy[here], confidence=rows.confidence[here], class_id=np.zeros(count, int)),
        )


def write_sequence(folder: Path, pets: Path) -> None:
    """A MOTChallenge sequence of the first frames."""
    for name in ("img1", "gt", "det"):
        (folder / name).mkdir(parents=True)
    for index in range(1, FRAMES + 1):
        image = cv2.imread(str(pets / f"img1/{index:06d}.jpg"))
        cv2.imwrite(str(folder / f"img1/{index:06d}.jpg"), cv2.resize(image, None, fx=SCALE, fy=SCALE))
    for name in ("gt/gt.txt", "det/yolo11n.txt"):
        rows = [row.split(",") for row in (pets / name).read_text().splitlines()]
        for row in rows:
            row[2:6] = [f"{float(value) * SCALE:.2f}" for value in row[2:6]]
        (folder / name).write_text("".join(",".join(row) + "\n" for row in rows if int(row[0]) <= FRAMES))


@pytest.fixture(scope="module")
def world(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages take for granted."""
    folder = tmp_path_factory.mktemp("world")
    write_sequence(folder / "street", pets)
    for name in ("street", "square"):
        shutil.copytree(folder / "street", folder / "MOT" / name)
    shutil.copy(folder / "street/det/yolo11n.txt", folder / "det.txt")
    film = VideoSink(folder / "video.mp4", round(768 * SCALE), round(576 * SCALE), 7)
    for index in range(FRAMES):
        film.write(cv2.imread(str(folder / f"street/img1/{index + 1:06d}.jpg")), index / 7)
    film.close()
    for name in ("match", "hall", "monday", "tuesday", "a", "b", "cam1", "cam2", "cam3", "final"):
        shutil.copy(folder / "video.mp4", folder / f"{name}.mp4")
    for name in ("clips", "monday"):
        (folder / name).mkdir()
        shutil.copy(folder / "video.mp4", folder / name / f"{name}_1.mp4")
    (folder / "list.txt").write_text("video.mp4\n")
    (folder / "mine.yaml").write_text("tracker: {appearance_seconds: 20}\n")
    (folder / "zones.yaml").write_text(blocks("docs/regions.md", "yaml")[0])
    (folder / "corrections.json").write_text('{"corrections": [{"rename": {"id": 1, "name": "Ann"}}]}')
    cv2.imwrite(str(folder / "pitch.png"), np.full((720, 960), 255, np.uint8))
    views = {"save_gallery": folder / "views", "config": LOOKED_AT, "device": "cpu"}
    track_video(folder / "video.mp4", detector=folder / "det.txt", **views)
    for end in ("jsonl", "csv"):
        tracks = folder / f"tracks.{end}"
        track_video(folder / "video.mp4", tracks=tracks, detector=folder / "det.txt", encoder=None)
    for name in ("corrected.xml", "task_7.zip"):
        export_tracks(folder / "tracks.jsonl", "cvat", folder / name, video=folder / "video.mp4")
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, to write into."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    return folder


def completed(words: list[str]) -> list[str]:
    """A command as a shell hands it on, with what makes it quick."""
    program, *rest = words
    if program == "bpbreid-explain":
        rest = [NUMBERS.get(word, word) for word in rest]
    rest = [found for word in rest for found in (sorted(glob.glob(word)) if "*" in word else [word])]
    if program == "bpbreid-track":
        more = [*BOXES, *(LOOKS if BY_LOOKS & set(rest) else MOTION)]
        if "demo" in rest:  # has boxes of its own
            more = ["--max-frames", str(FRAMES), "--quiet", *MOTION]
        return [*rest, *more]
    return [*rest, *MORE.get(program, [])]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_the_commands_of_a_page_run_one_after_the_other(page: str, here: Path) -> None:
    for words in commands(page):
        program = words[0]
        if program == "pip":
            assert not unknown_extras(words)
        elif program == "mv":
            shutil.move(*words[1:])
        elif program not in PROGRAMS:
            assert program in OTHERS
        elif PARSED & set(words):
            typer.main.get_command(PROGRAMS[program].program.app).make_context(program, words[1:])
        else:
            assert PROGRAMS[program].run(completed(words)) == 0, shlex.join(words)


def quickened(page: str, snippet: str) -> str:
    """A snippet whose runs take the boxes there are; ``...`` stands for more of the same."""
    more = f"config={LOOKED_AT}" if "gallery" in snippet else "encoder=None"
    runs = rf"\1, detector='det.txt', device='cpu', {more})"
    snippet = re.sub(r"^(report = track_video\(.*)\)$", runs, snippet, flags=re.MULTILINE)
    # Of many videos a file of boxes is none: only the words of the call are looked at.
    snippet = re.sub(r"^report = track_videos\((.*)\)\n.*", CALL, snippet, flags=re.MULTILINE)
    if "/integrations/" in page:  # the encoder is loaded already
        snippet = re.sub(r"\b(ReIDModel|Embedder|PartDeepSort)\(\)", r"\1(encoder)", snippet)
        snippet = snippet.replace("PartBotSort(", "PartBotSort(encoder, ").replace(
            "Encoder.load()", "encoder"
        )
    return snippet.replace('"person"), ...]', '"person")]')


def taken_for_granted(page: str, encoder: Encoder) -> dict[str, Any]:
    """The names that the snippets of a page use and do not make."""
    frame, boxes = next(people())
    names: dict[str, Any] = {"encoder": encoder, "my_frames": people, "frame": frame, "detections": boxes}
    names |= {"xyxy": boxes.xyxy, "scores": boxes.confidence, "crops": [frame[:200, :100]], "sv": sv}
    names |= {"frames": np.array([1, 1, 2]), "ids": np.array([3, 4, 7]), "tracker": PartTracker()}
    if page.endswith("boxmot.md"):
        names["detections"] = table(boxes.xyxy, boxes.confidence)
    if page.endswith("deep_sort_realtime.md"):
        from deep_sort_realtime.deepsort_tracker import DeepSort

        names |= {"left": 10.0, "top": 20.0, "width": 30.0, "height": 90.0, "score": 0.9, "mine": ["mine"]}
        names |= {"deep_sort": DeepSort(embedder=None), "detections": [([10, 20, 30, 90], 0.9, "person")]}
    if page.endswith("gallery.md"):
        shutil.copytree("views", "people")
    if page.endswith("supervision.md"):
        names["smoother"] = sv.DetectionsSmoother()
    return names


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python") and not page.endswith("ultralytics.md")]
)
def test_the_snippets_of_a_page_run_one_after_the_other(
    page: str, here: Path, bundled_encoder: Encoder
) -> None:
    for host in EXTRA:
        if page.endswith(f"{host}.md"):
            pytest.importorskip(host, reason="needs the integrations extra: pip install -e '.[dev]'")
    names = taken_for_granted(page, bundled_encoder)
    for number, snippet in enumerate(blocks(page, "python")):
        exec(compile(quickened(page, snippet), f"{page}, snippet {number}", "exec"), names)
