"""--report: the page on which identities are seen and corrected."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from browser import Browser
from report_data import shown

from bpbreid_track import track_video
from bpbreid_track.cli.edit import run as run_edit
from bpbreid_track.errors import InputError
from bpbreid_track.explain.reader import ReasonLog, read_log
from bpbreid_track.io.sources.base import Frame
from bpbreid_track.io.track_text import read_track_text
from bpbreid_track.report_page import page as page_module
from bpbreid_track.report_page.corrections import apply, read_corrections
from bpbreid_track.report_page.doubt import CLOSE, GAP_SECONDS
from bpbreid_track.report_page.edit import fingerprint
from bpbreid_track.report_page.moments import MOST as MOST_MOMENTS
from bpbreid_track.report_page.views import MOST as MOST_VIEWS

FRAMES = 90
SCRIPT = Path(page_module.__file__).with_name("corrections.js")
PLAIN: dict[str, Any] = {
    "encoder": None,
    "config": {
        "tracker": {"camera_motion": "none"},
        "regions": {"zones": {"<b>hall": "0,0 1,0 1,1 0,1"}},
    },
    "max_frames": FRAMES,
}


@pytest.fixture(scope="module")
def folder(pets: Path, det: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of run.html, tracks.csv and why.jsonl of one run on real frames and boxes."""
    folder = tmp_path_factory.mktemp("run")
    files = {
        "tracks": folder / "tracks.csv",
        "explain": folder / "why.jsonl",
        "report_page": folder / "run.html",
    }
    track_video(pets, detector=det, **files, **PLAIN)
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[str, Any]:
    """What its page shows."""
    return shown(folder / "run.html")


@pytest.fixture(scope="module")
def log(folder: Path) -> ReasonLog:
    """Why its boxes have their identities."""
    return read_log(folder / "why.jsonl")


def frames_of(path: Path) -> dict[int, list[int]]:
    tracks = read_track_text(path)
    found: dict[int, list[int]] = {}
    for frame, identity in zip(tracks.frame.tolist(), tracks.id.tolist(), strict=True):
        found.setdefault(identity, []).append(frame)
    return found


def picture(code: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_the_page_says_of_every_identity_in_which_frames_it_was_seen(
    folder: Path, data: dict[str, Any]
) -> None:
    spans = {one["id"]: one["spans"] for one in data["identities"]}
    seen = {
        identity: [n for first, last, *_ in parts for n in range(first, last + 1)]
        for identity, parts in spans.items()
    }
    assert seen == frames_of(folder / "tracks.csv")
    # The next span begins after a gap; times are those of the frames, 7 a second.
    for parts in spans.values():
        assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(parts))
        for first, last, start, end in parts:
            assert start == pytest.approx((first - 1) / 7, abs=0.01)
            assert end == pytest.approx((last - 1) / 7, abs=0.01)
    assert data["last"] == [FRAMES, pytest.approx((FRAMES - 1) / 7)]
    assert data["tracks"] == fingerprint(read_track_text(folder / "tracks.csv"))


def test_every_identity_has_a_few_small_crops_of_its_own_boxes(
    folder: Path, data: dict[str, Any], pets: Path
) -> None:
    tracks = read_track_text(folder / "tracks.csv")
    for one in data["identities"]:
        assert 1 <= len(one["crops"]) <= MOST_VIEWS
        for frame, code in one["crops"]:
            small = picture(code)
            assert small.shape[0] <= 112
            assert small.shape[1] <= 88
            row = np.flatnonzero((tracks.frame == frame) & (tracks.id == one["id"]))[0]
            image = cv2.imread(str(pets / f"img1/{frame:06d}.jpg"))
            left, top, width, height = tracks.ltwh[row]
            right, bottom = left + width, top + height
            left, top = max(0, round(left)), max(0, round(top))
            cut = image[top : round(bottom), left : round(right)]
            expected = cv2.resize(cut, small.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(small.astype(int) - expected).mean() < 12


def test_returns_and_close_calls_on_the_page_are_those_of_the_reasons(
    data: dict[str, Any], log: ReasonLog
) -> None:
    found = {(m["kind"], m["id"], m["frame"]): m for m in data["moments"]}
    assert len(found) == len(data["moments"]) < MOST_MOMENTS
    back = [
        (frame, reason)
        for frame in log.frames
        for reason in frame.reasons
        if reason.identity is not None and reason.lost >= GAP_SECONDS
    ]
    assert back, "nobody comes back on this footage: the test would show nothing"
    returns = {(identity, frame) for kind, identity, frame in found if kind == "return"}
    assert returns <= {(reason.identity, frame.number) for frame, reason in back}
    for frame, reason in back:  # two within two seconds are one moment
        assert any(i == reason.identity and abs(n - frame.number) < 14 for i, n in returns)
    calls = [key for key in found if key[0] == "close"]
    assert calls
    for _, identity, number in calls:
        frame = log.frame(number)
        reason = next(r for r in frame.reasons if r.identity == identity)
        rival = reason.runner_up
        margin = rival.cost - reason.cost
        if rival.box is not None:
            its = next(r for r in frame.reasons if r.row == rival.box)
            margin += its.runner_up.cost - its.cost
        assert margin < CLOSE
        assert found["close", identity, number]["other"] == rival.identity
        assert f"{identity} was found" in found["close", identity, number]["text"]


def test_a_new_identity_where_a_lost_one_was_nearly_likely_enough_is_a_moment(
    data: dict[str, Any], log: ReasonLog
) -> None:
    starts = [moment for moment in data["moments"] if moment["kind"] == "start"]
    assert starts, "nobody begins beside a lost one on this footage: the test would show nothing"
    for moment in starts:
        life = log.life(moment["id"])
        rivals = [
            rival
            for sighting in life
            if sighting.frame.number <= moment["frame"]
            for rival in sighting.reason.closest
            if rival.identity == moment["other"]
        ]
        assert min(rival.cost for rival in rivals if rival.cost is not None) < CLOSE
        assert f"{moment['id']} began here" in moment["text"]


def test_a_moment_shows_the_person_before_then_and_after(folder: Path, data: dict[str, Any]) -> None:
    seen = frames_of(folder / "tracks.csv")
    for moment in data["moments"]:
        assert picture(moment["scene"]).shape[0] <= 220
        own = {when: frame for identity, when, frame, _ in moment["shots"] if identity is None}
        assert own["then"] == moment["frame"]
        if moment["kind"] == "return":
            assert own["before"] < moment["frame"] - 1
        for identity, _, frame, code in moment["shots"]:
            picture(code)
            assert frame in seen[moment["id"] if identity is None else identity]
            assert identity in {None, moment["other"]}


def test_a_run_writes_the_same_tracks_with_a_page_and_without(
    folder: Path, pets: Path, det: Path, tmp_path: Path
) -> None:
    track_video(pets, tracks=tmp_path / "t.csv", detector=det, **PLAIN)
    assert (tmp_path / "t.csv").read_bytes() == (folder / "tracks.csv").read_bytes()


def test_a_linked_run_shows_the_joined_identities(pets: Path, det: Path, tmp_path: Path) -> None:
    files = {"tracks": tmp_path / "t.csv", "report_page": tmp_path / "run.html"}
    impatient = {"tracker": {"camera_motion": "none", "lost_seconds": 0.1}}
    options = {**PLAIN, "config": impatient}
    report = track_video(pets, detector=det, link=True, **files, **options)
    assert report.joined, "linking joins nobody on this footage: the test would show nothing"
    data, seen = shown(tmp_path / "run.html"), frames_of(tmp_path / "t.csv")
    assert {one["id"] for one in data["identities"]} == seen.keys()
    assert data["tracks"] == fingerprint(read_track_text(tmp_path / "t.csv"))
    assert all(one["crops"] for one in data["identities"])
    for moment in data["moments"]:
        assert {moment["id"], moment["other"] or moment["id"]} <= seen.keys()
        assert moment["id"] != moment["other"]


def test_a_run_that_fails_leaves_the_page_of_what_it_came_to(pets: Path, det: Path, tmp_path: Path) -> None:
    def stop(frame: Frame, detections: sv.Detections) -> None:
        if frame.index == 20:
            raise InputError("enough")

    page = tmp_path / "run.html"
    with pytest.raises(InputError, match="enough"):
        track_video(pets, detector=det, report_page=page, on_frame=stop, **PLAIN)
    assert 21 <= shown(page)["last"][0] < FRAMES


def test_the_page_names_nothing_outside_itself(folder: Path) -> None:
    text = (folder / "run.html").read_text(encoding="utf-8")
    text = text.replace(text.partition('id="data">')[2].partition("</script>")[0], "")
    assert "default-src 'none'" in text
    # The name of a namespace is no address that anybody asks.
    assert set(re.findall(r"\w+://[^\s\"'<]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"<(?:link|iframe|img|script src)", text)


def test_the_page_and_the_program_make_the_same_of_the_same_corrections(
    folder: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: it runs the page's functions here")
    rng = np.random.default_rng(5)
    tracks = read_track_text(folder / "tracks.csv")
    cases = [_random_steps(rng, tracks.id, tracks.frame) for _ in range(150)]
    identities = [
        {**one, "spans": [[*span, one["id"]] for span in one["spans"]]} for one in data["identities"]
    ]
    (tmp_path / "in.json").write_text(json.dumps({"identities": identities, "cases": cases}))
    program = """
        const page = require(process.argv[1]);
        const { identities, cases } = JSON.parse(require("fs").readFileSync(process.argv[2]));
        console.log(JSON.stringify(cases.map((steps) => {
            try { return page.corrected(identities, steps).people; } catch (error) { return error.message; }
        })));
    """
    done = subprocess.run(
        [node, "-e", program, str(SCRIPT), str(tmp_path / "in.json")],
        capture_output=True,
        check=True,
        text=True,
    )
    results = json.loads(done.stdout)
    failed = 0
    for steps, people in zip(cases, results, strict=True):
        path = tmp_path / "c.json"
        path.write_text(json.dumps({"corrections": steps}))
        try:
            expected = apply(tracks.frame, tracks.id, read_corrections(path).steps)
        except InputError as error:
            refused = str(error)
        else:
            refused = None
        if refused is not None:
            assert refused == people
            failed += 1
            continue
        there = {one["id"]: one for one in people}
        assert sorted(there) == np.unique(expected.id[expected.kept]).tolist()
        for identity, one in there.items():
            rows = expected.kept & (expected.id == identity)
            frames = [n for first, last, *_ in one["spans"] for n in range(first, last + 1)]
            assert frames == sorted(tracks.frame[rows].tolist())
            assert one["given"] == (identity in expected.names)
            assert one["name"] == expected.names.get(identity, "")
    assert 20 < failed < 130, "both outcomes are to be compared"


def test_the_buttons_of_a_moment_offer_corrections_that_are_possible(
    data: dict[str, Any], tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: it runs the page's functions here")
    identities = [
        {**one, "spans": [[*span, one["id"]] for span in one["spans"]]} for one in data["identities"]
    ]
    (tmp_path / "in.json").write_text(json.dumps({"identities": identities, "moments": data["moments"]}))
    program = """
        const page = require(process.argv[1]);
        const { identities, moments } = JSON.parse(require("fs").readFileSync(process.argv[2]));
        const { people, last } = page.corrected(identities, []);
        const result = (steps) => {
            try { return page.corrected(identities, steps).people; } catch (error) { return error.message; }
        };
        console.log(JSON.stringify(moments.map((moment) =>
            page.remedies(moment, people, last).map(([text, steps]) => [text, result(steps)]))));
    """
    command = [node, "-e", program, str(SCRIPT), str(tmp_path / "in.json")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    boxes = sum(last - first + 1 for one in identities for first, last, *_ in one["spans"])
    for moment, remedies in zip(data["moments"], json.loads(done.stdout), strict=True):
        assert remedies
        for text, people in remedies:
            if text.startswith("Merge"):  # of two who may have met later on
                continue
            assert isinstance(people, list), people
            assert sum(last - first + 1 for one in people for first, last, *_ in one["spans"]) == boxes
            owner = next(
                one["id"]
                for one in people
                for first, last, *_, was in one["spans"]
                if was == moment["id"] and first == moment["frame"]
            )
            if text.startswith(("Swap", "From here")):
                assert owner == moment["other"]
            else:
                assert owner > max(one["id"] for one in identities)


def _random_steps(rng: np.random.Generator, ids: np.ndarray, frames: np.ndarray) -> list[dict[str, Any]]:
    known = np.unique(ids).tolist()
    known += [max(known) + 1, max(known) + 2]
    steps: list[dict[str, Any]] = []
    for _ in range(rng.integers(1, 5)):
        one, other = (int(i) for i in rng.choice(known, 2, replace=False))
        kind = rng.choice(["merge", "split", "split", "rename", "delete"])
        steps.append(
            {
                "merge": {"merge": [one, other]},
                "split": {
                    "split": {
                        "id": one,
                        "frame": int(rng.choice(frames[ids == one] if (ids == one).any() else frames)),
                    }
                },
                "rename": {"rename": {"id": one, "name": str(rng.choice(["Ann", "Bob", ""]))}},
                "delete": {"delete": one},
            }[str(kind)]
        )
    return steps


def test_in_a_browser_identities_are_corrected_and_the_saved_file_rewrites_the_tracks(
    folder: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    seen = frames_of(folder / "tracks.csv")
    first, second = next((a, b) for a in seen for b in seen if a < b and not set(seen[a]) & set(seen[b]))
    gone = next(i for i in seen if i not in (first, second))
    with Browser(tmp_path) as browser:
        browser.open(folder / "run.html")
        assert browser.run("document.querySelectorAll('.card').length") == len(seen)
        assert browser.run("document.querySelectorAll('.moment').length") == min(9, len(data["moments"]))
        assert browser.run("document.querySelectorAll('#timeline .bar').length") == len(seen)
        assert browser.run("document.querySelectorAll('#map image, #map polygon').length") == 2
        zone = browser.run("document.getElementById('zones').textContent")
        assert zone.endswith("<b>hall" + "".join(data["zones"][0][1:]))
        pictures = "[...document.images].filter((image) => image.complete && !image.naturalWidth).length"
        assert browser.run(pictures) == 0
        for identity in (first, second):
            browser.run(f"document.querySelector('#card-{identity} input[type=checkbox]').click()")
        browser.run("document.getElementById('merge').click()")
        assert browser.run("document.querySelectorAll('.card').length") == len(seen) - 1
        name = f"document.querySelector('#card-{first} input[type=text]')"
        browser.run(f"{name}.value = 'Ann <b>'; {name}.dispatchEvent(new Event('change'))")
        assert browser.run(f"document.querySelector('#card-{first} .name').textContent") == "Ann <b>"
        buttons = f"[...document.querySelectorAll('#card-{gone} button')]"
        delete = f"{buttons}.find((one) => one.textContent === 'Delete')"
        browser.run(f"{delete}.click()")
        browser.run("document.getElementById('undo').click()")
        browser.run(f"{delete}.click()")
        browser.run("document.getElementById('save').click()")
        saved = browser.saved("corrections.json")
        assert browser.run("document.getElementById('message').textContent") == ""
        assert [one for one in browser.addresses if one.split(":")[0] not in {"file", "data", "blob"}] == []
    steps = json.loads(saved.read_text(encoding="utf-8"))["corrections"]
    assert steps == [
        {"merge": [first, second]},
        {"rename": {"id": first, "name": "Ann <b>"}},
        {"delete": gone},
    ]
    out = tmp_path / "new.csv"
    assert (
        run_edit([str(folder / "tracks.csv"), "--corrections", str(saved), "--out", str(out), "--quiet"]) == 0
    )
    after = frames_of(out)
    assert after.keys() == seen.keys() - {second, gone}
    assert after[first] == sorted(seen[first] + seen[second])
