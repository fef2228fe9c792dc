"""--cache keeps what the camera did: a later run need not look at the pictures for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bpbreid_track import track_video
from bpbreid_track.errors import InputError
from bpbreid_track.pipeline.cache_file import CacheReader, CacheWriter
from bpbreid_track.pipeline.cached_camera import as_text, from_text
from bpbreid_track.tracking.camera_motion import CameraStep


def tracks_of(pets: Path, det: Path, folder: Path, name: str, **changed: Any) -> bytes:
    """A run of the first frames, whose pictures nobody needs but to follow the camera."""
    given = {"detector": det, "encoder": "none", "max_frames": 5, **changed}
    track_video(pets, tracks=folder / name, cache=folder / "c", **given)
    return (folder / name).read_bytes()


def rewrite(cache: Path, **facts: Any) -> None:
    """The same cache with other facts."""
    reader = CacheReader(cache)
    writer = CacheWriter(cache, reader.facts | facts, reader)
    reader.close()
    writer.finish(reader.facts | facts)


def test_what_the_camera_did_is_known_the_next_time(pets: Path, det: Path, tmp_path: Path) -> None:
    expected = tracks_of(pets, det, tmp_path, "first.csv")
    steps = from_text(CacheReader(tmp_path / "c").facts["camera"])
    assert len(steps) == 5
    before = (tmp_path / "c").read_bytes()
    assert tracks_of(pets, det, tmp_path, "second.csv") == expected
    assert (tmp_path / "c").read_bytes() == before
    cut = as_text([*steps[:3], CameraStep(cut=True), steps[4]])
    rewrite(tmp_path / "c", camera=cut)
    assert tracks_of(pets, det, tmp_path, "third.csv") != expected, "it was asked"


def test_a_cache_that_knows_nothing_of_the_camera_learns_it(pets: Path, det: Path, tmp_path: Path) -> None:
    expected = tracks_of(pets, det, tmp_path, "first.csv")
    rewrite(tmp_path / "c", camera="")
    tracks_of(pets, det, tmp_path, "still.csv", config={"tracker": {"camera_motion": "none"}})
    assert not CacheReader(tmp_path / "c").facts["camera"]
    assert tracks_of(pets, det, tmp_path, "second.csv") == expected
    assert len(from_text(CacheReader(tmp_path / "c").facts["camera"])) == 5


def test_longer_runs_and_regions_follow_the_camera_anew(pets: Path, det: Path, tmp_path: Path) -> None:
    tracks_of(pets, det, tmp_path, "short.csv")
    more = tracks_of(pets, det, tmp_path, "long.csv", max_frames=8)
    assert len(from_text(CacheReader(tmp_path / "c").facts["camera"])) == 8
    (tmp_path / "c").unlink()
    assert tracks_of(pets, det, tmp_path, "anew.csv", max_frames=8) == more
    left = {"regions": {"roi": [[0, 0], [400, 0], [400, 576], [0, 576]]}}
    inside = tracks_of(pets, det, tmp_path, "region.csv", max_frames=8, config=left)
    assert len(from_text(CacheReader(tmp_path / "c").facts["camera"])) == 8
    (tmp_path / "c").unlink()
    assert tracks_of(pets, det, tmp_path, "fresh.csv", max_frames=8, config=left) == inside
    assert not CacheReader(tmp_path / "c").facts["camera"]


def test_damaged_steps_of_the_camera_are_one_clear_line(pets: Path, det: Path, tmp_path: Path) -> None:
    tracks_of(pets, det, tmp_path, "first.csv")
    rewrite(tmp_path / "c", camera="nonsense")
    with pytest.raises(InputError, match="c: this cache is damaged"):
        tracks_of(pets, det, tmp_path, "second.csv")


@pytest.mark.skipif(os.name == "nt", reason="names of files are Unicode there")
def test_a_source_whose_name_is_no_utf8_has_a_cache_too(pets: Path, det: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"stra\xdfe")
    odd.mkdir()
    for picture in sorted((pets / "img1").iterdir())[:5]:
        (odd / picture.name).symlink_to(picture)
    # No more than there are pictures: a warning would hold the name, which pytest-xdist cannot pass on.
    boxes = tmp_path / "det.txt"
    boxes.write_text("".join(row + "\n" for row in det.read_text().split() if int(row.split(",")[0]) <= 5))
    expected = tracks_of(odd, boxes, tmp_path, "first.csv")
    assert tracks_of(odd, boxes, tmp_path, "second.csv") == expected
    kept = CacheReader(tmp_path / "c").facts["made_from"]["source"]["name"] == odd.name
    assert kept
