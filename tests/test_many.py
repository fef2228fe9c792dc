"""Many videos in one call: what is asked for, names, the manifest, going on, bad videos among good ones."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import av
import cv2
import pytest

from bpbreid_track import track_video, track_videos
from bpbreid_track.cli.track import run
from bpbreid_track.config import RunConfig
from bpbreid_track.errors import InputError, Notice, UsageError
from bpbreid_track.many.manifest import MANIFEST, Entry, ManifestWriter, read_manifest
from bpbreid_track.many.order import Order, endings
from bpbreid_track.many.plan import Plan, make_plan
from bpbreid_track.many.results import FolderResults
from bpbreid_track.many.sources import expand


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_clip(path: Path, pets: Path, first: int, frames: int = 6) -> None:
    """A video of some frames of a sequence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=7, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 768, 576, "yuv420p"
        for number in range(first, first + frames):
            image = cv2.imread(str(pets / f"img1/{number:06d}.jpg"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def write_sequence(folder: Path, pets: Path, first: int, frames: int = 6) -> None:
    """Some frames of a sequence, with their boxes."""
    (folder / "img1").mkdir(parents=True)
    (folder / "det").mkdir()
    for number in range(1, frames + 1):
        shutil.copy(pets / f"img1/{first + number - 1:06d}.jpg", folder / f"img1/{number:06d}.jpg")
    rows = [row.split(",", 1) for row in (pets / "det/det.txt").read_text().splitlines()]
    kept = [f"{int(n) - first + 1},{rest}\n" for n, rest in rows if first <= int(n) < first + frames]
    (folder / "det/det.txt").write_text("".join(kept))


def keys(asked: list) -> list[str]:
    return [os.path.relpath(one.key) for one in asked]


# What is asked for.


def test_every_file_of_a_folder_of_videos_is_a_source_in_natural_order(tmp_path: Path) -> None:
    for name in ("clips/10.mp4", "clips/2.MTS", "clips/notes.txt", "clips/.hidden.mp4", "clips/sub/x.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    with pytest.warns(Notice, match="folders inside it are passed over \\(sub\\)"):
        found = expand(["clips"], tmp_path / "out")
    assert keys(found) == ["clips/2.MTS", "clips/10.mp4", "clips/notes.txt"]


def test_a_folder_of_pictures_and_a_sequence_are_one_source(tmp_path: Path) -> None:
    for name in ("pictures/1.jpg", "pictures/clip.mp4", "walk/img1/1.jpg", "street/seqinfo.ini"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert keys(expand(["pictures", "walk", "street"], tmp_path / "out")) == ["pictures", "walk", "street"]


def test_a_list_names_a_path_a_line_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("lists/a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "lists/week.txt").write_text("# monday\na.mp4\n\n../b.mp4\nlost.mp4\n", encoding="utf-8-sig")
    found = expand(["b.mp4", "lists/week.txt"], tmp_path / "out")
    assert keys(found) == ["b.mp4", "lists/a.mp4", "lists/lost.mp4"]
    assert [one.why for one in found] == ["", "", "no such file or folder"]


def test_lists_and_folders_that_name_nothing_are_failures_not_silence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x9f")
    found = expand(["empty", "none.txt", "binary.txt", "x*.mp4"], tmp_path / "out")
    assert [bool(one.why) for one in found] == [True] * 4


def test_a_pattern_of_videos_is_all_of_them_and_one_of_pictures_is_one_source(tmp_path: Path) -> None:
    for name in ("a1.mp4", "a2.mp4", "1.jpg", "2.jpg"):
        (tmp_path / name).touch()
    assert keys(expand(["a*.mp4", "*.jpg"], tmp_path / "out")) == ["a1.mp4", "a2.mp4", "*.jpg"]


@pytest.mark.parametrize("source", ["rtsp://anna:secret@10.0.0.7/live", "0", ""])
def test_what_has_no_end_is_refused_without_its_password(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        expand(["a.mp4", source], tmp_path / "out")
    assert "secret" not in str(caught.value)


def test_results_are_not_written_into_a_folder_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.mp4").touch()
    with pytest.raises(UsageError, match="would be written into"):
        expand(["clips"], tmp_path / "clips")


# Names, and what is done again.


def order(folder: Path, *write: str) -> Order:
    return Order(folder, endings(write or ["mp4", "txt"]), "det.txt", "none", RunConfig())


def plan(folder: Path, sources: list[str], known: dict[str, Entry] | None = None, **flags: bool) -> Plan:
    flags = {"resume": False, "overwrite": False} | flags
    wanted = order(folder)
    with closing(FolderResults(folder)) as there:
        return make_plan(expand(sources, folder), known or {}, there, wanted, wanted.settings(), **flags)


def test_clashing_names_are_numbered_also_against_files_that_lie_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a/x.mp4", "b/x.avi", "c/X.mov", "d/y.mp4", "e/z.mp4", "e/z.part.mp4", "out/y.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [job.name for job in plan(out, ["a", "b", "c", "d", "e"]).jobs]
    assert names == ["x", "x-2", "X-3", "y-2", "z", "z.part-2"]


def test_no_output_takes_the_name_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "runs.mp4").touch()
    wanted = order(tmp_path / "out", "jsonl")
    asked = expand(["runs.mp4"], tmp_path / "out")
    with closing(FolderResults(tmp_path / "out")) as there:
        done = make_plan(asked, {}, there, wanted, wanted.settings(), resume=False, overwrite=False)
    assert done.jobs[0].outputs == {"tracks": "runs-2.jsonl"}


def entry(tmp_path: Path, source: str, state: str, **changes: object) -> dict[str, Entry]:
    """The manifest of one source, whose outputs lie there."""
    from bpbreid_track.many.plan import source_fingerprint

    wanted = order(tmp_path / "out")
    (one,) = expand([source], tmp_path / "out")
    outputs = wanted.outputs(Path(source).stem)
    (tmp_path / "out").mkdir(exist_ok=True)
    for name in outputs.values():
        (tmp_path / "out" / name).touch()
    facts = {"fingerprint": source_fingerprint(one), "settings": wanted.settings()} | changes
    return {one.key: Entry(state, one.key, Path(source).stem, outputs, **facts)}  # type: ignore[arg-type]


def test_what_is_whole_is_left_out_by_resume_and_replaced_by_overwrite_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    known = entry(tmp_path, "a.mp4", "done")
    with pytest.raises(UsageError, match=r"1 of 1 sources have results there already, first a; --resume"):
        plan(tmp_path / "out", ["a.mp4"], known)
    resumed = plan(tmp_path / "out", ["a.mp4"], known, resume=True)
    assert (resumed.jobs, resumed.whole) == ([], ["a"])
    assert [job.name for job in plan(tmp_path / "out", ["a.mp4"], known, overwrite=True).jobs] == ["a"]


@pytest.mark.parametrize("change", ["content", "settings", "outputs"])
def test_what_is_whole_but_other_is_replaced_by_overwrite_alone(change: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    known = entry(tmp_path, "a.mp4", "done")
    said = "content of its source"
    if change == "content":
        (tmp_path / "a.mp4").write_bytes(b"b")
    elif change == "settings":
        config = RunConfig(tracker={"lost_seconds": 7}).model_dump(mode="json", exclude={"description"})
        settings = order(tmp_path).settings() | {"config": config}
        known, said = (
            entry(tmp_path, "a.mp4", "done", settings=settings),
            "tracker.lost_seconds 7.0 there, 3.0 now",
        )
    else:
        (one,) = known.values()
        known, said = (
            {one.source: Entry("done", one.source, "a", {"video": "a.mp4"}, one.fingerprint, one.settings)},
            "a.txt",
        )
    with pytest.raises(UsageError, match=said):
        plan(tmp_path / "out", ["a.mp4"], known, resume=True)
    assert len(plan(tmp_path / "out", ["a.mp4"], known, resume=True, overwrite=True).jobs) == 1


@pytest.mark.parametrize("state", ["begun", "failed", "interrupted"])
def test_what_is_not_whole_is_done_again_under_its_name(state: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    known = entry(tmp_path, "a.mp4", state)
    assert [job.name for job in plan(tmp_path / "out", ["a.mp4"], known, resume=True).jobs] == ["a"]
    with pytest.raises(UsageError, match="--resume"):
        plan(tmp_path / "out", ["a.mp4"], known)


def test_an_output_that_is_gone_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    known = entry(tmp_path, "a.mp4", "done")
    (tmp_path / "out/a.txt").unlink()
    assert len(plan(tmp_path / "out", ["a.mp4"], known, resume=True).jobs) == 1


# The manifest.


def test_half_a_line_at_the_end_is_passed_over_and_makes_room_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / MANIFEST
    first, second = (Entry("done", f"/{name}", name, {"tracks": f"{name}.txt"}) for name in "ab")
    writer = ManifestWriter(path)
    writer.add(first)
    writer.close()
    path.write_bytes(path.read_bytes() + b'{"state": "do')
    assert read_manifest(path) == {"/a": first}
    writer = ManifestWriter(path)
    writer.add(second)
    writer.close()
    assert read_manifest(path) == {"/a": first, "/b": second}


def test_names_that_are_no_text_survive_the_manifest(tmp_path: Path) -> None:
    odd = Entry("done", "/clip\udcff.mp4", "clip", {})
    writer = ManifestWriter(tmp_path / MANIFEST)
    writer.add(odd)
    writer.close()
    assert read_manifest(tmp_path / MANIFEST) == {odd.source: odd}


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        '{"state": "done"}',
        '{"state": "x", "source": "a", "name": "a", "outputs": {}}',
        '{"state": "done", "source": "a", "name": "a", "outputs": {"gallery": "../../home"}}',
        '{"state": "done", "source": "a", "name": "a", "outputs": {"gallery": ".."}}',
        '{"state": "begun", "source": "a", "name": "../a", "outputs": {}}',
        '{"state": "done", "source": "a", "name": "a", "outputs": []}',
    ],
)
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(line + "\n")
    with pytest.raises(InputError, match=r"runs\.jsonl, line 1: not an entry"):
        read_manifest(tmp_path / MANIFEST)


# The command.


USAGE = [
    pytest.param(["a.mp4", "b.mp4"], "b.mp4: a second SOURCE; give --out-dir", id="two sources"),
    pytest.param(["a.mp4", "--resume"], "--resume is for many videos; give --out-dir", id="resume"),
    pytest.param(["a.mp4", "--out-dir", "o", "--out", "o.mp4"], "--out is for a single run", id="one file"),
    pytest.param(["a.mp4", "--out-dir", "rtsp://u:pw@h/o"], "rtsp://h/o: results go into a", id="stream"),
    pytest.param(["a.mp4", "--out-dir", "o", "--write", "mp3"], "unknown 'mp3'", id="unknown kind"),
    pytest.param(["a.mp4", "--out-dir", "o", "--write", "txt,csv"], "are both tracks", id="two of a kind"),
    pytest.param(
        ["a.mp4", "--out-dir", "o", "--write", "gallery", "--encoder", "none"],
        "needs an encoder",
        id="gallery",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_wrong_usage_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capfd.readouterr().err
    assert len(shown.splitlines()) == 1
    assert message in shown
    assert not list(tmp_path.iterdir())


def test_bad_videos_do_not_stop_the_good_ones_and_resume_does_the_rest(
    shared: Path,
    pets: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_clip(tmp_path / "clips/a.mp4", pets, 1)
    write_clip(tmp_path / "clips/z.mp4", pets, 100)
    (tmp_path / "clips/broken.mp4").write_bytes((tmp_path / "clips/a.mp4").read_bytes()[:900])
    (tmp_path / "clips/empty.mp4").touch()
    (tmp_path / "clips/notes.txt").write_text("This is not a video.\n")
    call = ["clips", "--out-dir", "tracked", "--detector", str(shared / "weights/yolo11n.pt")]
    call += ["--device", "cpu", "--write", "txt,gallery"]

    assert run(call) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    table = [line for line in shown.err.splitlines() if line.strip().startswith("clips/")]
    assert [line.split()[0] for line in table] == ["clips/broken.mp4", "clips/empty.mp4", "clips/notes.txt"]
    assert "2 tracked, 3 failed; 12 frames" in shown.err
    assert caplog.text.count("is not the file that Ultralytics publishes under this name") == 1
    known = {entry.name: entry for entry in read_manifest(tmp_path / "tracked" / MANIFEST).values()}
    assert {name: entry.state for name, entry in known.items()} == {
        "a": "done",
        "broken": "failed",
        "empty": "failed",
        "notes": "failed",
        "z": "done",
    }
    assert known["a"].figures["frames"] == 6
    assert "the file is empty" in (known["empty"].error or "")
    assert sorted(path.name for path in (tmp_path / "tracked").iterdir()) == [
        "a.gallery",
        "a.txt",
        MANIFEST,
        "z.gallery",
        "z.txt",
    ]
    assert list((tmp_path / "tracked/a.gallery").glob("*.npz"))

    # The second video that these networks saw: as if it had been the first.
    single = ["--detector", call[4], "--device", "cpu", "--tracks", "z.txt", "--quiet"]
    assert run(["clips/z.mp4", *single]) == 0
    assert (tmp_path / "z.txt").read_bytes() == (tmp_path / "tracked/z.txt").read_bytes()

    before = (tmp_path / "tracked/a.txt").stat().st_mtime_ns
    shutil.copy(tmp_path / "clips/z.mp4", tmp_path / "clips/empty.mp4")
    for name in ("broken.mp4", "notes.txt"):
        (tmp_path / "clips" / name).unlink()
    capfd.readouterr()
    assert run([*call, "--resume"]) == 0
    said = capfd.readouterr().err
    assert "2 of 3 are whole already; going on with empty (clips/empty.mp4)" in said
    assert "1 tracked, 2 whole before; 6 frames" in said
    assert (tmp_path / "tracked/a.txt").stat().st_mtime_ns == before
    assert (tmp_path / "tracked/empty.txt").read_bytes() == (tmp_path / "tracked/z.txt").read_bytes()
    assert run([*call, "--resume", "--quiet"]) == 0
    assert run(call) == 2


def test_sequences_bring_their_own_boxes_and_settings_hold_for_all(pets: Path, tmp_path: Path) -> None:
    for name, first in (("one", 1), ("two", 150)):
        write_sequence(tmp_path / name, pets, first)
    call = ["one", "two", "--out-dir", "tracked", "--detector", "det/det.txt", "--encoder", "none"]
    assert run([*call, "--write", "jsonl,crops,explain", "--max-frames", "5", "--quiet"]) == 0
    for name in ("one", "two"):
        track_video(
            name,
            tracks=f"{name}.jsonl",
            detector=f"{name}/det/det.txt",
            encoder=None,
            max_frames=5,
        )
        lines = (tmp_path / f"tracked/{name}.jsonl").read_text()
        assert lines == (tmp_path / f"{name}.jsonl").read_text()
        assert len(lines.splitlines()) == 5
        rows = [row for line in lines.splitlines() for row in json.loads(line)["tracks"]]
        assert (
            sum(not row["filled"] for row in rows)
            == len(list((tmp_path / f"tracked/{name}.crops").rglob("*.jpg")))
            > 0
        )
        assert (tmp_path / f"tracked/{name}.explain.jsonl").stat().st_size


def test_crops_of_a_run_that_was_killed_do_not_stand_in_the_way(pets: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "one", pets, 1)
    (tmp_path / "tracked/one.crops.part/00001").mkdir(parents=True)
    (tmp_path / "tracked/one.crops.part/00001/000001.jpg").touch()
    outputs = {"crops": "one.crops"}
    writer = ManifestWriter(tmp_path / "tracked" / MANIFEST)
    writer.add(Entry("begun", str(tmp_path / "one"), "one", outputs))
    writer.close()
    call = [
        "one",
        "--out-dir",
        "tracked",
        "--detector",
        "det/det.txt",
        "--encoder",
        "none",
        "--write",
        "crops",
    ]
    assert run([*call, "--resume", "--quiet"]) == 0
    assert sorted(path.name for path in (tmp_path / "tracked").iterdir()) == ["one.crops", MANIFEST]
    pictures = list((tmp_path / "tracked/one.crops").rglob("*.jpg"))
    assert pictures
    assert all(path.stat().st_size for path in pictures)


def test_two_calls_do_not_write_into_one_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from bpbreid_track.io.locks import FolderClaim

    (tmp_path / "a.mp4").touch()
    claim = FolderClaim(tmp_path / "tracked")
    assert run(["a.mp4", "--out-dir", "tracked", "--encoder", "none", "--detector", "det.txt"]) == 1
    assert "another run is writing it" in capfd.readouterr().err
    claim.release()


@pytest.mark.parametrize("sources", ["a.mp4", Path("a.mp4")])
def test_one_source_that_is_no_list_is_not_taken_letter_by_letter(sources: str | Path) -> None:
    with pytest.raises(UsageError, match=r"^sources: expected a list, got .*a\.mp4.* alone"):
        track_videos(sources, "tracked")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"^write: expected a list, got 'txt' alone"):
        track_videos(["a.mp4"], "tracked", write="txt")
    assert not Path("tracked").exists()
