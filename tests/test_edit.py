"""bpbreid-edit: what corrections do to track files and videos."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bpbreid_track import track_video
from bpbreid_track.cli.edit import run
from bpbreid_track.errors import InputError, UsageError
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sinks.tracks import open_track_sink
from bpbreid_track.io.track_text import read_track_text
from bpbreid_track.report_page.corrections import Delete, Merge, Rename, Split, apply, read_corrections
from bpbreid_track.report_page.edit import fingerprint

FRAMES = 40
KINDS = (".txt", ".csv", ".jsonl")


@pytest.fixture(scope="module")
def tracked(pets: Path, det: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of tracks.txt, tracks.csv and tracks.jsonl of one run on real boxes."""
    folder = tmp_path_factory.mktemp("tracked")
    sinks = [open_track_sink(folder / f"tracks{kind}") for kind in KINDS]
    track_video(
        pets,
        detector=det,
        encoder=None,
        config={"tracker": {"camera_motion": "none"}},
        max_frames=FRAMES,
        on_frame=lambda frame, boxes: [sink.write(frame, boxes) for sink in sinks],
    )
    for sink in sinks:
        sink.close()
    return folder


def lives(path: Path) -> dict[int, list[int]]:
    """Frames of each identity."""
    found: dict[int, list[int]] = {}
    tracks = read_track_text(path)
    for frame, identity in zip(tracks.frame.tolist(), tracks.id.tolist(), strict=True):
        found.setdefault(identity, []).append(frame)
    return found


def apart(seen: dict[int, list[int]]) -> tuple[int, int]:
    """Two identities that are never seen at once, the earlier one first."""
    return next((a, b) for a in seen for b in seen if a < b and not set(seen[a]) & set(seen[b]))


def together(seen: dict[int, list[int]]) -> tuple[int, int, int]:
    """Two identities and the first frame that has both."""
    return next(
        (a, b, min(set(seen[a]) & set(seen[b])))
        for a in seen
        for b in seen
        if a < b and set(seen[a]) & set(seen[b])
    )


def write(path: Path, corrections: Sequence[Any], **more: Any) -> Path:
    path.write_text(json.dumps({"corrections": corrections, **more}), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """Frame, identity and all else of every row, as the file writes it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        found = []
        for line in text.splitlines():
            record = json.loads(line)
            found += [
                (record["frame"], t["id"], json.dumps({**t, "id": 0, "name": ""})) for t in record["tracks"]
            ]
        return found
    place = 2 if path.suffix == ".csv" else 1
    lines = text.splitlines()[1 if path.suffix == ".csv" else 0 :]
    cells = [line.split(",") for line in lines]
    return [(int(c[0]), int(c[place]), ",".join([*c[1:place], *c[place + 1 :]])) for c in cells]


@pytest.mark.parametrize("kind", KINDS)
def test_corrections_change_the_identities_and_not_a_letter_else(
    tracked: Path, tmp_path: Path, kind: str
) -> None:
    path, out = tracked / f"tracks{kind}", tmp_path / f"new{kind}"
    seen = lives(path)
    first, second = apart(seen)
    split, gone = [i for i in seen if i not in (first, second) and len(seen[i]) > 8][:2]
    middle = seen[split][len(seen[split]) // 2]
    steps = [
        {"merge": [first, second]},
        {"split": {"id": split, "frame": middle}},
        {"delete": gone},
    ]
    corrections = write(tmp_path / "c.json", steps, tracks=fingerprint(read_track_text(path)))
    assert run([str(path), "--corrections", str(corrections), "--out", str(out), "--quiet"]) == 0
    expected = []
    for frame, identity, rest in rows_of(path):
        if identity == gone:
            continue
        new = first if identity == second else identity
        if identity == split and frame >= middle:
            new = max(seen) + 1
        expected.append((frame, new, rest))
    assert rows_of(out) == expected
    if kind == ".jsonl":  # frames in which nobody is left are frames all the same
        assert len(out.read_text().splitlines()) == FRAMES


def test_a_file_that_nothing_changes_is_the_same_bytes(tracked: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        path, out = tracked / f"tracks{kind}", tmp_path / f"same{kind}"
        assert run([str(path), "--corrections", str(write(tmp_path / "c.json", [])), "--out", str(out)]) == 0
        assert out.read_bytes() == path.read_bytes()


def test_a_name_is_written_where_runs_with_a_gallery_write_it(tracked: Path, tmp_path: Path) -> None:
    one = min(lives(tracked / "tracks.csv"))
    corrections = write(tmp_path / "c.json", [{"rename": {"id": one, "name": '=Ann, "A"'}}])
    for kind in (".csv", ".jsonl"):
        path, out = tracked / f"tracks{kind}", tmp_path / f"named{kind}"
        assert run([str(path), "--corrections", str(corrections), "--out", str(out)]) == 0
        names = read_track_text(out)
        assert {name for i, name in zip(names.id.tolist(), names.name, strict=True) if i != one} == {""}
    with (tmp_path / "named.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0])[-2:] == ["confidence", "name"]
    # A spreadsheet takes it for text.
    assert {row["name"] for row in table if int(row["id"]) == one} == {'\'=Ann, "A"'}
    assert {n for i, n in zip(names.id.tolist(), names.name, strict=True) if i == one} == {'=Ann, "A"'}


def test_text_without_a_place_for_names_says_so(
    tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tracked / "tracks.txt", tmp_path / "new.txt"
    corrections = write(tmp_path / "c.json", [{"rename": {"id": min(lives(path)), "name": "Ann"}}])
    assert run([str(path), "--corrections", str(corrections), "--out", str(out), "--quiet"]) == 0
    assert "no place for names" in capsys.readouterr().err
    assert out.read_bytes() == path.read_bytes()


def test_one_run_has_one_fingerprint_in_every_kind_of_file(tracked: Path) -> None:
    assert len({fingerprint(read_track_text(tracked / f"tracks{kind}")) for kind in KINDS}) == 1


def test_corrections_of_other_tracks_are_refused(
    tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tracked / "tracks.csv", tmp_path / "new.csv"
    corrections = write(tmp_path / "c.json", [{"delete": min(lives(path))}], tracks="0123456789abcdef")
    assert run([str(path), "--corrections", str(corrections), "--out", str(out)]) == 1
    assert "was made for other tracks" in capsys.readouterr().err
    assert not out.exists()


def test_a_correction_that_is_not_possible_is_one_line_and_nothing_is_written(
    tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tracked / "tracks.csv", tmp_path / "new.csv"
    seen = lives(path)
    one, other, frame = together(seen)
    cases = [
        ([{"delete": 999}], "correction 1 (delete): no identity 999: the tracks have none of this number"),
        (
            [{"delete": one}, {"rename": {"id": one, "name": "A"}}],
            f"no identity {one}: correction 1 deleted it",
        ),
        ([{"split": {"id": one, "frame": seen[one][0]}}], "leaves nothing on one side"),
        (
            [{"split": {"id": one, "frame": seen[one][-1] + 1}}],
            f"lives from frame {seen[one][0]} to {seen[one][-1]}",
        ),
        (
            [{"merge": [one, other]}],
            f"correction 1 (merge): identities {one} and {other} are at two places at once in frame {frame}",
        ),
        ([{"merge": [one, one]}], "names an identity twice"),
        ([{"merge": [one]}], 'expected {"merge": [3, 7]}'),
        ([{"join": [one, other]}], "unknown 'join'; known: merge, split, rename, delete"),
        ([{"split": {"id": one, "frame": 2.5}}], 'expected {"split": {"id": 4, "frame": 120}}'),
        ([{"rename": {"id": one}}], 'expected {"rename": {"id": 3, "name": "Ann"}}'),
        ([{"delete": True}], 'expected {"delete": 9}'),
        ([7], "expected one of merge, split, rename and delete, got 7"),
    ]
    for steps, words in cases:
        corrections = write(tmp_path / "c.json", steps)
        assert run([str(path), "--corrections", str(corrections), "--out", str(out)]) == 1, steps
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert str(corrections) in message
        assert words in message
        assert not out.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[]", 'expected an object with a list "corrections"'),
        ('{"corrections": [], "version": 9}', "this program reads"),
        ('{"corrections": [], "tracks": 7}', "is the fingerprint"),
        ('{"corrections": [{"merge": [1, 2], "merge": [3, 4]}]}', "'merge' stands twice in one object"),
    ],
    ids=["empty", "a list", "another version", "fingerprint a number", "a key twice"],
)
def test_a_file_that_holds_no_corrections_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_corrections(path)
    with pytest.raises(InputError, match="No such file"):
        read_corrections(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "1,1,0,0,x,10,1\n"),
        ("a.csv", "frame,id\n1,2\n"),
        ("b.csv", "frame,id,left,top,width,height,confidence\n1,1.5,0,0,5,5,1\n"),
        ("a.jsonl", '{"frame": 1}\n'),
        ("b.jsonl", '{"frame": 1, "tracks": [{"id": 1}]}\n'),
    ],
    ids=["letters for numbers", "no boxes", "half an id", "no tracks", "a track without a box"],
)
def test_a_file_that_holds_no_tracks_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        read_track_text(tmp_path / name)


def test_other_peoples_text_keeps_its_blanks_and_its_boxes_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "theirs.txt"
    path.write_text("2 7  1 2 3 4 0.5 -1\r\n\r\n1, 7, 1, 2, 3, 4, 1, 1, 1\n1,-1,5,5,5,5,1")
    tracks = read_track_text(path)
    result = apply(tracks.frame, tracks.id, [Split(7, 2)])
    text = tracks.rewritten(result.id, result.kept, result.names)
    assert text == b"2 8  1 2 3 4 0.5 -1\r\n\r\n1, 7, 1, 2, 3, 4, 1, 1, 1\n1,-1,5,5,5,5,1"


def test_names_follow_the_person_they_were_given_to() -> None:
    frame, ids = np.array([1, 2, 3, 4]), np.array([1, 1, 2, 3])
    result = apply(frame, ids, [Rename(2, "Ann"), Merge((1, 2)), Split(1, 3), Rename(3, "Bob"), Delete(3)])
    assert result.id.tolist() == [1, 1, 4, 3]
    assert result.kept.tolist() == [True, True, True, False]
    assert result.names == {1: "Ann", 4: ""}
    assert ids.tolist() == [1, 1, 2, 3], "what was given is left alone"


def test_the_video_is_painted_from_the_corrected_tracks(pets: Path, tracked: Path, tmp_path: Path) -> None:
    path, video = tracked / "tracks.csv", tmp_path / "new.mp4"
    seen = lives(path)
    kept = next(i for i in seen if seen[i][0] == 1)
    others = [{"delete": i} for i in seen if i != kept]
    corrections = write(tmp_path / "c.json", [*others, {"rename": {"id": kept, "name": "Ann"}}])
    arguments = ["--corrections", str(corrections), "--out", str(tmp_path / "new.csv"), "--quiet"]
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(1, 13):
        (clip / f"{number:06d}.jpg").write_bytes((pets / f"img1/{number:06d}.jpg").read_bytes())
    assert run([str(path), *arguments, "--source", str(clip), "--video", str(video)]) == 0
    with open_source(video) as painted, open_source(clip) as plain:
        pairs = [(one.image.astype(int), other.image) for one, other in zip(painted, plain, strict=True)]
    assert len(pairs) == 12
    changed = np.abs(pairs[0][0] - pairs[0][1]).max(axis=2) > 90
    rows = read_track_text(path)
    row = next(r for r in range(len(rows.id)) if rows.id[r] == kept and rows.frame[r] == 1)
    left, top, width, height = rows.ltwh[row]
    y, x = np.nonzero(changed)
    assert len(y) > 100
    # The box with its label above, and nothing elsewhere.
    assert left - 6 <= x.min() <= x.max() <= max(left + width + 6, left + 120)
    assert top - 40 <= y.min() <= y.max() <= top + height + 6


def test_a_source_that_ends_before_the_tracks_is_told_of(
    pets: Path, tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "one.png"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    arguments = ["--corrections", str(write(tmp_path / "c.json", [])), "--out", str(tmp_path / "new.csv")]
    video = ["--source", str(picture), "--video", str(tmp_path / "new.mp4")]
    assert run([str(tracked / "tracks.csv"), *arguments, *video]) == 0
    assert f"ends with frame 1, the tracks with frame {FRAMES}" in " ".join(capsys.readouterr().err.split())


def test_what_makes_no_sense_is_said_before_anything_is_written(
    tracked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, corrections = str(tracked / "tracks.csv"), str(write(tmp_path / "c.json", []))
    assert run([path, "--corrections", corrections, "--out", str(tmp_path / "new.txt")]) == 2
    assert (
        run([path, "--corrections", corrections, "--out", str(tmp_path / "n.csv"), "--source", "a.mp4"]) == 2
    )
    capsys.readouterr()
    for ours in (path, str(tracked / ".." / tracked.name / "tracks.csv")):
        assert run([path, "--corrections", corrections, "--out", ours]) == 2
        assert "is read by this run and would be overwritten" in capsys.readouterr().err
    video = ["--source", str(tmp_path / "absent.mp4"), "--video", str(tmp_path / "v.mp4")]
    assert run([path, "--corrections", corrections, "--out", str(tmp_path / "n.csv"), *video]) == 1
    with pytest.raises(UsageError, match="ends in"):
        read_track_text(tmp_path / "tracks.xml")
    assert {item.name for item in tmp_path.iterdir()} == {"c.json"}
