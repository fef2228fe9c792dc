"""The page of ``--report`` for a long video of many people: size, memory, time to write, time to open.

    python benchmarks/report_page.py MOT/ADL-Rundle-6 [--minutes 20] [--every 3] [--keep FOLDER]

The video is repeated without being encoded again, and so is its ground truth, of which everybody in a
repetition is somebody else. Of these people every ``--every``-th is given to the tracker as a file of boxes;
it tracks by motion alone, and the page is that of a usual run. Nothing is random.

Opening is measured in a headless Chromium with an empty profile, from the request until the first cards are
on the screen, with the processor time of all its processes until then. ``--keep`` keeps page and tracks.
"""

from __future__ import annotations

import argparse
import configparser
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(Path(__file__).resolve().parent), str(_ROOT / "tests")]

from browser import Browser  # noqa: E402
from report import circumstances, print_figures  # noqa: E402

from bpbreid_track import track_video  # noqa: E402
from bpbreid_track.io.mot_format import MotRows, read_ground_truth  # noqa: E402
from bpbreid_track.report_page.page import RunPage  # noqa: E402

# The page is open once it was drawn, was scrolled to the cards, and the pictures of the first of them are
# there and drawn as well.
_DRAWN = """new Promise((done) => {
  const drawn = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
  const whole = (card) => card && [...card.querySelectorAll('img')].every((image) => image.complete);
  const look = () => whole(document.querySelector('.card'))
    ? drawn(() => done(performance.now()))
    : setTimeout(look, 5);
  const begin = () => {
    const card = document.querySelector('.card');
    if (!card) return setTimeout(begin, 5);
    drawn(() => {
      card.scrollIntoView();
      look();
    });
  };
  begin();
})"""


def repeated_video(video: Path, times: int, out: Path) -> None:
    """The packets of ``video`` so many times, one after the other."""
    with av.open(str(out), "w") as written:
        stream, start = None, 0
        for _ in range(times):
            with av.open(str(video)) as read:
                source = read.streams.video[0]
                if stream is None:
                    stream = written.add_stream_from_template(source)
                ends, first = [0], None
                for packet in read.demux(source):
                    if packet.dts is None or packet.pts is None:
                        continue
                    first = packet.dts if first is None else first
                    ends.append(packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    packet.stream = stream
                    written.mux(packet)
                start += max(ends)


def repeated_boxes(truth: MotRows, frames: int, times: int, every: int) -> tuple[str, int]:
    """The boxes of every ``every``-th person of the repetitions as text, and how many people these are."""
    parts, shown = [], 0
    people = np.unique(truth.id)
    for number in range(times):
        kept = people[(np.arange(len(people)) + number) % every == 0]
        shown += len(kept)
        rows = np.flatnonzero(np.isin(truth.id, kept) & (truth.confidence != 0))
        for row in rows[np.argsort(truth.frame[rows], kind="stable")]:
            left, top, width, height = truth.ltwh[row]
            frame = truth.frame[row] + number * frames
            parts.append(f"{frame},-1,{left:.2f},{top:.2f},{width:.2f},{height:.2f},1,-1,-1,-1\n")
    return "".join(parts), shown


def written(video: Path, boxes: Path, folder: Path) -> dict[str, Any]:
    """Track and write the page; figures of that."""
    seconds, before = list[float](), list[float]()
    write = RunPage.write

    def timed(page: RunPage, *values: Any) -> None:
        before.append(_peak_megabytes())
        start = time.process_time()
        write(page, *values)
        seconds.append(time.process_time() - start)

    RunPage.write = timed  # type: ignore[method-assign]
    page, tracks = folder / "run.html", folder / "tracks.csv"
    start = time.process_time()
    config = {"tracker": {"camera_motion": "none"}}
    report = track_video(video, tracks=tracks, detector=boxes, encoder=None, config=config, report_page=page)
    return {
        "frames": report.frames,
        "boxes": report.detections,
        "identities": report.identities,
        "run_cpu_s": round(time.process_time() - start, 1),
        "report_stage_ms_a_frame": round(report.stages["report"].ms, 2),
        "write_cpu_s": round(seconds[0], 2),
        "peak_mb_before_writing": round(before[0]),
        "peak_mb": round(_peak_megabytes()),
        "page_mb": round(page.stat().st_size / 1e6, 2),
    }


def opened(page: Path, rounds: int) -> dict[str, Any]:
    """How long a browser takes; medians."""
    walls, works = [], []
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            Browser(Path(folder)) as browser,
        ):
            before = _processor_seconds(browser)
            browser.open(page)
            walls.append(browser.wait_for(_DRAWN) / 1000)
            works.append(_processor_seconds(browser) - before)
    return {"open_s": round(statistics.median(walls), 2), "open_cpu_s": round(statistics.median(works), 2)}


def _processor_seconds(browser: Browser) -> float:
    family = [psutil.Process(browser.process_id)]
    family += family[0].children(recursive=True)
    return sum(sum(one.cpu_times()[:2]) for one in family)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sequence", type=Path, help="MOTChallenge folder with a video and ground truth")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5, help="how often the page is opened")
    parser.add_argument("--keep", type=Path, help="folder for page and tracks")
    parser.add_argument("--page", type=Path, help="open this page and nothing else")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    facts = circumstances(
        ["av", "supervision"], seed=None, config={key: str(value) for key, value in vars(asked).items()}
    )
    if asked.page is not None:
        print_figures(facts, opened(asked.page, asked.rounds), as_json=asked.json)
        return
    info = configparser.ConfigParser()
    info.read(asked.sequence / "seqinfo.ini")
    frames, rate = (int(info["Sequence"][key]) for key in ("seqLength", "frameRate"))
    times = max(1, round(asked.minutes * 60 * rate / frames))
    (video,) = asked.sequence.glob("*.mp4")
    with tempfile.TemporaryDirectory() as work:
        folder = asked.keep or Path(work)
        folder.mkdir(exist_ok=True)
        long, boxes = Path(work) / "long.mp4", Path(work) / "boxes.txt"
        repeated_video(video, times, long)
        text, people = repeated_boxes(
            read_ground_truth(asked.sequence / "gt" / "gt.txt"), frames, times, asked.every
        )
        boxes.write_text(text, encoding="ascii")
        figures = {"minutes": round(times * frames / rate / 60, 1), "people": people}
        figures |= written(long, boxes, folder)
        figures |= opened(folder / "run.html", asked.rounds)
    print_figures(facts, figures, as_json=asked.json)


if __name__ == "__main__":
    main()
