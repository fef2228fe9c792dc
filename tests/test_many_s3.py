"""Results and sources in a bucket, over the protocol of S3 itself: a server on this machine speaks it.

Where moto and s3fs are not installed this is left out: ``pip install 'moto[server]' s3fs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_many import write_sequence
from test_many_addresses import BOXES, brought, states, tree

from bpbreid_track.errors import InputError
from bpbreid_track.io.stores import fetch
from bpbreid_track.many.api import track_videos
from bpbreid_track.many.plan import source_fingerprint
from bpbreid_track.many.sources import expand

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
server = pytest.importorskip("moto.server", reason="moto[server], which stands for S3, is not installed")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The file system of a server with an empty ``bucket``."""
    monkeypatch.chdir(tmp_path)
    there = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    there.start()
    host, port = there.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("bucket")
    yield fs
    fs.rm("bucket", recursive=True)  # servers of one process have the same buckets
    s3fs.S3FileSystem.clear_instance_cache()
    there.stop()


def test_results_in_a_bucket_are_those_of_a_folder_and_go_on_there(
    bucket: Any, pets: Path, tmp_path: Path
) -> None:
    for name, first in (("one", 1), ("two", 100)):
        write_sequence(tmp_path / name, pets, first, 4)
    given = BOXES | {"write": ["txt", "mp4", "crops"]}
    track_videos(["one", "two"], "folder", **given)
    assert track_videos(["one"], "s3://bucket/run", **given).tracked == ["one"]
    report = track_videos(["one", "two"], "s3://bucket/run", resume=True, **given)
    assert (report.whole, report.tracked) == (["one"], ["two"])
    assert states("s3://bucket/run") == {"one": "done", "two": "done"}
    assert tree(brought("s3://bucket/run", tmp_path / "copy")) == tree(tmp_path / "folder")

    # What was there of a folder that is made anew does not stay.
    assert track_videos(["one"], "s3://bucket/run", overwrite=True, max_frames=1, **given).tracked
    left = bucket.find("bucket/run/one.crops")
    assert 0 < len(left) < len(list((tmp_path / "folder/one.crops").rglob("*.jpg")))

    report = track_videos(["one"], "s3://bucket/run", resume=True, overwrite=True, **given)
    assert report.tracked == ["one"]
    with pytest.raises(InputError, match="s3://lost/run"):
        track_videos(["one"], "s3://lost/run", **given)


def test_sources_in_a_bucket_are_those_of_a_folder_whatever_they_are_called(
    bucket: Any, tmp_path: Path
) -> None:
    names = ["a.mp4", "b b.mp4", "ž=1:2+%20#x.mp4"]
    (tmp_path / "videos").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "videos" / name).write_bytes(bytes([number]) * 300_000)
        bucket.put_file(str(tmp_path / "videos" / name), f"bucket/videos/{name}")
    (tmp_path / "copies").mkdir()
    here = expand(["videos"], tmp_path / "out")
    for address in ("s3://bucket/videos/", "s3://bucket/videos/*.mp4"):
        there = expand([address], tmp_path / "out")
        assert [one.why for one in there] == [""] * 3
        assert [source_fingerprint(one) for one in there] == [source_fingerprint(one) for one in here]
    for one in there:
        copy = fetch(one.source, tmp_path / "copies")
        assert copy.read_bytes() == (tmp_path / "videos" / copy.name).read_bytes()
    (lost,) = expand(["s3://bucket/nothing.mp4"], tmp_path / "out")
    assert lost.why
