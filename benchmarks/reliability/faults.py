"""What a run leaves: kills, a full disk, a folder that goes, a stream that breaks, another run.

    python benchmarks/reliability/faults.py [--kills 5] [--only NAME] [--json]

Every fault is a real one that strikes a real ``bpbreid-track`` in a process of its own, on a made-up
film of 25 frames a second with boxes for it. Columns: the exit code (-9: killed), the frames of the
track file and whether its last row is whole, the frames of the video that decode, how many seconds of
film lie between the two, how many lines there are on stderr, and the last of them. The small disk is a
tmpfs where this user may mount one, else a limit on the size of files. With ``--link`` the video is
drawn at the end; a kill before that leaves tracks alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT.parent), str(_ROOT)]

import av  # noqa: E402
import numpy as np  # noqa: E402
from report import as_text, circumstances  # noqa: E402

RATE, SECONDS = 25, 40
_PROGRAM = "from bpbreid_track.cli.track import main; main()"
_SMALL = 400_000  # bytes


class Film:
    """A moving pattern and boxes for it.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.stream, self.boxes = folder / "film.mp4", folder / "film.ts", folder / "det.txt"
        rng = np.random.default_rng(0)
        scene = rng.integers(0, 255, (45, 160, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        with av.open(str(self.path), "w") as whole, av.open(str(self.stream), "w") as live:
            for container in (whole, live):
                video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "25"})
                video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
                for index in range(RATE * SECONDS):
                    shift = index % 640
                    picture = np.ascontiguousarray(np.roll(scene, -shift, axis=1)[:, :640])
                    container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
                container.mux(video.encode())
        rows = (
            f"{n + 1},-1,{(40 * k + n) % 560},{40 + 30 * k},50,130,0.9\n"
            for n in range(RATE * SECONDS)
            for k in range(6)
        )
        self.boxes.write_text("".join(rows))


class Run:
    """A ``bpbreid-track`` that is going on, and what it leaves.

    Args:
        film: what it tracks.
        folder: where it writes ``o.mp4`` and ``t.jsonl``.
        source: in place of the film.
        before: Python that its process runs first.
        more: further arguments.
    """

    def __init__(
        self, film: Film, folder: Path, *more: str, source: str | None = None, before: str = "pass"
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        arguments = [source or str(film.path), "--detector", str(film.boxes), "--encoder", "none", "--quiet"]
        arguments += ["--out", str(folder / "o.mp4"), "--tracks", str(folder / "t.jsonl"), *more]
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{_PROGRAM}", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT.parent), "OMP_NUM_THREADS": "1"},
        )

    def wait_for(self, frames: int) -> None:
        """Until so many frames are in the track file, or the run has ended."""
        path = self.folder / "t.jsonl"
        while self.process.poll() is None:
            if path.is_file() and path.read_bytes().count(b"\n") >= frames:
                return
            time.sleep(0.005)

    def end(self, seconds: float = 120) -> dict[str, Any]:
        """Wait for its end; one row of the table."""
        _, said = self.process.communicate(timeout=seconds)
        text = next((p.read_text() for p in self._files("t", ".jsonl")), "")
        rows = text.splitlines()
        whole = not text or (text.endswith("\n") and _parses(rows[-1]))
        video = next((p for p in self._files("o", ".mp4")), None)
        frames = _decodes(video)
        lines = [line for line in said.splitlines() if line.strip()]
        said = re.sub(r"/\S*/", "", lines[-1].removeprefix("bpbreid-track: ")) if lines else ""
        return {
            "exit": self.process.returncode,
            "tracks": len(rows),
            "last row": "whole" if whole else "CUT",
            "video": frames,
            "lost s": max(0, len(rows) - frames) / RATE,
            "lines": len(lines),
            "said": said,
        }

    def _files(self, stem: str, suffix: str) -> Iterator[Path]:
        for name in (f"{stem}{suffix}", f"{stem}.part{suffix}"):
            if (self.folder / name).is_file():
                yield self.folder / name


def _parses(row: str) -> bool:
    try:
        return bool(json.loads(row))
    except ValueError:
        return False


def _decodes(video: Path | None) -> int:
    if video is None:
        return 0
    try:
        with av.open(str(video)) as container:
            return sum(1 for _ in container.decode(video=0))
    except av.error.FFmpegError:
        return 0


def kills(film: Film, folder: Path, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """SIGKILL at moments nobody chose, once more with ``--link``."""
    rng = random.Random(0)
    for number in range(count + 1):
        linked = number == count
        run = Run(film, folder / f"kill{number}", *(["--link"] if linked else []))
        frames = rng.randrange(40, 400)
        run.wait_for(frames)
        time.sleep(rng.random() * 0.2)
        run.process.kill()
        yield f"SIGKILL at frame {frames}{', --link' if linked else ''}", run.end()


def cache_kills(film: Film, folder: Path, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """SIGKILL of runs with one ``--cache``, each going on where the one before ended; the last is not killed.

    The last column says how many frames the run found in the cache.
    """
    rng = random.Random(1)
    place = folder / "cache"
    place.mkdir()
    for number in range(count + 1):
        last = number == count
        run = Run(film, place / f"run{number}", "--cache", str(place / "c"))
        if not last:
            frames = 60 * (number + 1) + rng.randrange(60)
            run.wait_for(frames)
            run.process.kill()
        row = run.end()
        found = re.search(r"its (\d+) frames are used", row["said"])
        yield (
            "--cache, to its end" if last else f"--cache, SIGKILL at frame {frames}",
            {**row, "said": f"{found[1]} frames found" if found else row["said"]},
        )


def signals(film: Film, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name)
        run = Run(
            film,
            folder / name,
            before=f"import signal; signal.signal({number:d}, signal.SIG_DFL)"
            if name != "SIGINT"
            else "import signal; signal.signal(2, signal.default_int_handler)",
        )
        run.wait_for(100)
        run.process.send_signal(number)
        yield name, run.end()


def small_disk(film: Film, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, more in (("", []), (" with --cache", ["--cache"])):
        place = folder / f"disk{bool(more):d}"
        with _tmpfs(place) as mounted:
            before = "" if mounted else f"import resource; resource.setrlimit(1, ({_SMALL}, {_SMALL}))"
            cache = [*more, str(place / "c")] if more else []
            row = Run(film, place, *cache, before=before or "pass").end()
        yield f"{'tmpfs' if mounted else 'files'} of {_SMALL // 1000} kB{name}", row


@contextmanager
def _tmpfs(folder: Path) -> Iterator[bool]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL}", "none", str(folder)]
    mounted = (
        shutil.which("mount") is not None
        and not subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def removed_folder(film: Film, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    run = Run(film, folder / "gone")
    run.wait_for(100)
    shutil.rmtree(folder / "gone")
    yield "folder removed", run.end()


def two_writers(film: Film, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    first = Run(film, folder / "shared")
    first.wait_for(1)
    second = Run(film, folder / "shared")
    _, said = second.process.communicate(timeout=120)
    whole = first.end()
    refused = {"exit": second.process.returncode, "lines": len(said.splitlines())}
    yield "two writers: the first", whole
    yield "two writers: the second", {**whole, **refused, "said": re.sub(r"/\S*/", "", said.strip())}


def streams(film: Film, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A stream that breaks off, comes back, goes silent, comes back and ends."""
    data = film.stream.read_bytes()
    plans = iter(["drop", "stall", "end"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            plan = next(plans, None)
            if plan is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            step = len(data) // SECONDS // 10
            for tenth in range(40):  # four seconds of film
                self.wfile.write(data[tenth * step : (tenth + 1) * step])
                time.sleep(0.1)
            if plan == "stall":
                time.sleep(15)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run = Run(film, folder / "live", source=f"http://127.0.0.1:{server.server_port}/live")
        yield "HTTP: drops, stalls, returns", run.end()
        server.shutdown()


def main() -> None:
    cases: dict[str, Callable[..., Iterator[tuple[str, dict[str, Any]]]]] = {
        "kills": kills,
        "cache_kills": cache_kills,
        "signals": signals,
        "small_disk": small_disk,
        "removed_folder": removed_folder,
        "two_writers": two_writers,
        "streams": streams,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--only", choices=cases)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    about = circumstances(["av"], seed=0, config={"film": f"{SECONDS} s at {RATE}/s, 640 x 360"})
    if not given.json:
        print(as_text(about), "\n", flush=True)
        print(f"{'fault':38} exit  tracks  last row  video  lost s  lines  said")
    rows = {}
    with tempfile.TemporaryDirectory(prefix="bpbreid-faults-") as name:
        film = Film(Path(name))
        for key, case in cases.items():
            if given.only not in (None, key):
                continue
            extra = (given.kills,) if case in (kills, cache_kills) else ()
            for fault, row in case(film, Path(name), *extra):
                rows[fault] = row
                if not given.json:
                    print(
                        f"{fault:38} {row['exit']:4}  {row['tracks']:6}  {row['last row']:8}  "
                        f"{row['video']:5}  {row['lost s']:6.2f}  {row['lines']:5}  {row['said']}",
                        flush=True,
                    )
    if given.json:
        print(json.dumps({"about": about, "faults": rows}))


if __name__ == "__main__":
    main()
