"""Many videos whose results, or which themselves, lie at an address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_many import write_clip, write_sequence
from test_many_processes import PROGRAM, ROOT, linux

from bpbreid_track.cli.link import run as run_link
from bpbreid_track.cli.track import run
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.stores import Store
from bpbreid_track.many.api import track_videos
from bpbreid_track.many.manifest import MANIFEST, read_manifest
from bpbreid_track.many.plan import source_fingerprint
from bpbreid_track.many.sources import expand

fsspec = pytest.importorskip("fsspec", reason="the extra 'cluster' is not installed")
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper  # noqa: E402

BOXES: dict[str, Any] = {"detector": "det/det.txt", "encoder": None}


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))


class Bucket(AsyncFileSystemWrapper):
    """A store of objects: asynchronous, and asked for a folder it would make a bucket."""

    protocol, cachable = "bucket", False

    def __init__(self) -> None:
        super().__init__(fsspec.filesystem("memory"))

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return (
            path.removeprefix("bucket://") if isinstance(path, str) else list(map(cls._strip_protocol, path))
        )

    def makedirs(self, *_: Any, **__: Any) -> None:
        raise AssertionError("a bucket was made")

    mkdir = mkdirs = makedirs


fsspec.register_implementation("bucket", Bucket, clobber=True)


@pytest.fixture(params=["file", "dir", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a folder: on disk; in a file system whose paths are none of this machine; in a bucket."""
    if request.param == "bucket":
        emptied_memory()
        return "bucket://b/run"
    (tmp_path / "disk").mkdir()
    return f"{'dir::' * (request.param == 'dir')}file://{tmp_path}/disk/run"


def emptied_memory() -> Any:
    """The file system in memory, of which a process has one."""
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return fs


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the manifest."""
    files = [path for path in folder.rglob("*") if path.is_file() and MANIFEST not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def brought(address: str, folder: Path) -> Path:
    """A copy of all that lies at an address, made by fsspec alone."""
    fs, path = fsspec.core.url_to_fs(address)
    for item in fs.find(path):
        local = folder / str(item).rpartition("/run/")[2]
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(fs.cat_file(item))
    return folder


def states(address: str) -> dict[str, str]:
    """Of each name, what the manifest says."""
    files = Store(address).read(MANIFEST).values()
    lines = [json.loads(data) for data in files if data.endswith(b"\n")]  # the rest is being written
    return {line["name"]: line["state"] for line in lines}


def test_results_at_an_address_are_those_of_a_folder_and_go_on_there(
    address: str, pets: Path, tmp_path: Path
) -> None:
    for name, first in (("one", 1), ("two", 100)):
        write_sequence(tmp_path / name, pets, first)
    (tmp_path / "broken.mp4").write_text("no video")
    given = BOXES | {"write": ["txt", "crops"]}
    track_videos(["one", "two"], "folder", **given)

    report = track_videos(["one", "broken.mp4"], address, **given)
    assert (report.tracked, [source for source, _ in report.failed]) == (["one"], ["broken.mp4"])
    with pytest.raises(UsageError, match=r"1 of 2 sources have results there already, first one; --resume"):
        track_videos(["one", "two"], address, **given)
    report = track_videos(["one", "two"], address, resume=True, **given)
    assert (report.whole, report.tracked) == (["one"], ["two"])
    assert states(address) == {"one": "done", "broken": "failed", "two": "done"}
    with pytest.raises(UsageError, match="max_frames none there, 3 now"):
        track_videos(["one"], address, resume=True, max_frames=3, **given)

    copy = brought(address, tmp_path / "copy")
    assert tree(copy) == tree(tmp_path / "folder")
    entries = {entry.name: entry for entry in read_manifest(copy / MANIFEST).values()}
    local = {entry.name: entry for entry in read_manifest(Path("folder", MANIFEST)).values()}
    assert entries["one"].settings == local["one"].settings
    assert entries["one"].fingerprint == local["one"].fingerprint
    assert not list((tmp_path / "scratch").glob("bpbreid-*"))

    # What was there of a folder that is made anew does not stay.
    report = track_videos(["one"], address, overwrite=True, max_frames=2, **given)
    assert report.tracked == ["one"]
    left = [name for name in tree(brought(address, tmp_path / "after")) if name.startswith("one.crops/")]
    assert 0 < len(left) < len([name for name in tree(copy) if name.startswith("one.crops/")])


def test_names_that_others_have_at_the_address_are_numbered(address: str, pets: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "one", pets, 1, 2)
    write_sequence(tmp_path / "other/one", pets, 1, 2)
    Store(address).write("one.txt", b"somebody's")
    assert track_videos(["one"], address, write=["txt"], **BOXES).tracked == ["one-2"]
    assert track_videos(["other/one"], address, write=["txt"], **BOXES).tracked == ["one-3"]
    assert brought(address, tmp_path / "copy").joinpath("one.txt").read_bytes() == b"somebody's"


def test_a_folder_in_which_there_is_nothing_is_there(pets: Path, tmp_path: Path) -> None:
    emptied_memory()
    write_sequence(tmp_path / "one", pets, 1, 2)
    (tmp_path / "one/det/det.txt").write_text("")
    given = BOXES | {"write": ["crops"]}
    assert track_videos(["one"], "memory://bucket/run", **given).tracked == ["one"]
    assert track_videos(["one"], "memory://bucket/run", resume=True, **given).whole == ["one"]


def test_the_manifest_names_nothing_that_is_not_there_whole(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that breaks off at the second file of a folder: no ``done``, and the next call mends it."""
    from fsspec.implementations.memory import MemoryFileSystem

    emptied_memory()
    write_sequence(tmp_path / "one", pets, 1)
    write_sequence(tmp_path / "two", pets, 100)
    given = BOXES | {"write": ["txt", "crops"]}
    put_file, put = MemoryFileSystem.put_file, list[str]()

    def breaks_off(self: Any, lpath: str, rpath: str, **kwargs: Any) -> None:
        put.append(rpath)
        if len(put) == 3:
            raise PermissionError(13, "memory://anna:secret@bucket/run is closed")
        put_file(self, lpath, rpath, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "put_file", breaks_off)
    report = track_videos(["one", "two"], "memory://bucket/run", **given)
    assert report.tracked == ["two"]
    assert states("memory://bucket/run") == {"one": "failed", "two": "done"}
    ((_, why),) = report.failed
    assert why.startswith("memory://bucket/run/one.crops: ")
    assert "secret" not in why
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    report = track_videos(["one", "two"], "memory://bucket/run", resume=True, **given)
    assert (report.whole, report.tracked) == (["two"], ["one"])
    track_videos(["one", "two"], "folder", **given)
    assert tree(brought("memory://bucket/run", tmp_path / "copy")) == tree(tmp_path / "folder")


@linux
def test_a_call_that_was_killed_goes_on_at_the_address(pets: Path, tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    for number, name in enumerate(names):
        write_sequence(tmp_path / name, pets, 1 + 90 * number, 40)
    address = f"dir::file://{tmp_path}/run"
    given = ["--detector", "det/det.txt", "--encoder", "none", "--write", "txt,mp4", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")}
    call = subprocess.Popen([*PROGRAM, *names, "--out-dir", address, *given], env=environment)
    deadline = time.monotonic() + 120
    while states(address) != {"one": "done", "two": "begun"} and time.monotonic() < deadline:
        time.sleep(0.005)
    call.kill()
    call.wait()
    assert states(address) == {"one": "done", "two": "begun"}
    report = track_videos(names, address, write=["txt", "mp4"], resume=True, **BOXES)
    assert (report.whole, report.tracked) == (["one"], ["two", "three"])
    assert sorted(Store(address).names()) == [
        *(f"{name}.{ending}" for name in sorted(names[:1]) for ending in ("mp4", "txt")),
        MANIFEST,
        *(f"{name}.{ending}" for name in sorted(names[1:]) for ending in ("mp4", "txt")),
    ]


@linux
@pytest.mark.timeout(900)  # Ray and two workers are a dozen processes, which a busy machine starts slowly
def test_workers_copy_what_they_track_also_in_pieces(pets: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    write_sequence(tmp_path / "long", pets, 1, 24)
    write_sequence(tmp_path / "short", pets, 100, 6)
    (tmp_path / "disk").mkdir()
    address, given = f"dir::file://{tmp_path}/disk/run", BOXES | {"write": ["txt"]}
    track_videos(["long", "short"], "alone", **given)
    report = track_videos(["long", "short"], address, workers=2, piece_minutes=8 / 60 / 7, **given)
    assert sorted(report.tracked) == ["long", "short"]
    assert tree(brought(address, tmp_path / "copy")) == tree(tmp_path / "alone")
    assert not list((tmp_path / "scratch").glob("bpbreid-*"))
    with pytest.raises(UsageError, match="need a folder that they share"):
        track_videos(["long"], address, ray="auto", piece_minutes=1, **given)


# Sources.


def test_a_video_at_an_address_is_tracked_as_one_in_a_folder(
    shared: Path, pets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fs = emptied_memory()
    write_clip(tmp_path / "clips/a.mp4", pets, 1, 4)
    for name, data in {
        "a.mp4": (tmp_path / "clips/a.mp4").read_bytes(),
        "b.mp4": (tmp_path / "clips/a.mp4").read_bytes()[:900],
        "c.jpg": b"",
        ".hidden": b"",
    }.items():
        fs.pipe_file(f"/videos/{name}", data)
    (tmp_path / "list.txt").write_text("memory://videos/a.mp4\n")
    call = ["--detector", str(shared / "weights/yolo11n.pt"), "--device", "cpu", "--encoder", "none"]
    call += ["--write", "txt,explain", "--quiet"]
    assert run(["clips/a.mp4", "--out-dir", "alone", *call]) == 0
    capfd.readouterr()
    assert run(["list.txt", "memory://videos", "--out-dir", "tracked", *call]) == 1
    bad, picture = sorted(capfd.readouterr().err.splitlines())
    assert bad.startswith("bpbreid-track: error: memory://videos/b.mp4: ")
    assert "scratch" not in bad
    assert picture.startswith("bpbreid-track: error: memory://videos/c.jpg: pictures are read from folders")
    assert tree(tmp_path / "tracked") == tree(tmp_path / "alone")
    assert not list((tmp_path / "scratch").glob("bpbreid-*"))

    fs.pipe_file("/videos/a.mp4", b"another film")
    assert run(["memory://videos/a.mp4", "--out-dir", "tracked", "--resume", *call]) == 2
    assert "another content of its source" in capfd.readouterr().err


@pytest.mark.parametrize("size", [0, 1000, 2_000_000])
def test_a_source_keeps_its_fingerprint_when_it_moves_to_an_address(size: int, tmp_path: Path) -> None:
    data = bytes(range(250)) * (size // 250)
    (tmp_path / "a.mp4").write_bytes(data)
    fsspec.filesystem("memory").pipe_file("/videos/a.mp4", data)
    (here,), (there,) = expand(["a.mp4"], tmp_path), expand(["memory://videos/a.mp4"], tmp_path)
    assert source_fingerprint(here) == source_fingerprint(there)


# People of several videos.


def test_people_are_joined_from_an_address_as_from_a_folder(
    pets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    emptied_memory()
    for name, first in (("one", 1), ("two", 10)):
        write_sequence(tmp_path / name, pets, first, 4)
    for out_dir in ("folder", "memory://bucket/run"):
        track_videos(["one", "two"], out_dir, detector="det/det.txt", write=["txt", "gallery"])
    assert run_link(["folder", "--out", "people"]) == 0
    assert run_link(["memory://bucket/run", "--out", "people-2"]) == 0
    assert tree(tmp_path / "people") == tree(tmp_path / "people-2")
    capfd.readouterr()
    assert run_link(["memory://bucket/nothing", "--out", "people-3"]) == 1
    assert "memory://bucket/nothing: no runs.jsonl there" in capfd.readouterr().err


# What is not there.


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        pytest.param(
            "sss://bucket/run", 2, "sss://bucket/run: fsspec knows no addresses of this kind", id="?"
        ),
        pytest.param("http://host/run", 2, "results go into a folder, or to an address such as", id="web"),
    ],
)
def test_addresses_of_no_store_are_one_line(
    address: str, code: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").touch()
    assert run(["a.mp4", "--out-dir", address, "--encoder", "none", "--detector", "det.txt"]) == code
    shown = capfd.readouterr().err
    assert len(shown.splitlines()) == 1
    assert message in shown
    assert not list((tmp_path / "scratch").glob("bpbreid-*"))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("fsspec", r"s3://\*\*\*.*: addresses need fsspec; pip install 'bpbreid-track\[cluster\]'"),
        ("s3fs", r"Install s3fs to access S3; pip install s3fs"),
    ],
)
def test_packages_that_are_missing_are_named(
    missing: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=message.replace(r"\*\*\*.*", "bucket/run")) as caught:
        track_videos(["a.mp4"], "s3://anna:secret@bucket/run", detector="det.txt", encoder=None)
    assert "secret" not in str(caught.value)


def test_results_that_were_copied_between_folder_and_address_are_not_mixed(
    pets: Path, tmp_path: Path
) -> None:
    fs = emptied_memory()
    write_sequence(tmp_path / "one", pets, 1, 2)
    fs.pipe_file("/bucket/run/runs.jsonl", b"")
    with pytest.raises(InputError, match=r"memory://bucket/run/runs\.jsonl: is a file"):
        track_videos(["one"], "memory://bucket/run", write=["txt"], **BOXES)
    (tmp_path / "copy" / MANIFEST).mkdir(parents=True)
    with pytest.raises(InputError, match="copied from an address"):
        track_videos(["one"], "copy", write=["txt"], **BOXES)
