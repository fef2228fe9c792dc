"""Thousands of damaged files of twelve kinds: each is read or refused in one clear line, in bounded memory.

    python benchmarks/reliability/fuzz.py --files 10000

Most files are read by the functions behind the command lines, many in one process; ``--commands`` of each
kind go through the command line itself. Every file follows from the seed, its kind and its number, which a
fault names: ``--only KIND:NUMBER`` reads that one again and leaves it in the folder of ``--keep``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE))

from kinds import KINDS, copy_sound_files, make_sound_files  # noqa: E402
from mutations import mutate  # noqa: E402

MEMORY = 3 << 30  # bytes a process may allocate
PEAK = 1.5e9  # bytes of memory that no process may reach
SECONDS = 60  # for one file
BATCH = 400  # files a process
_COMMAND = """
import atexit, resource, sys
from {module} import main
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
atexit.register(lambda: sys.stderr.write(f"peak {{peak()}}"))
sys.argv = ["fuzz", *sys.argv[1:]]
main()
"""


def damage(folder: Path, sound: Path, kind: str, number: int, seed: int) -> Path:
    """Write damaged file ``number`` of a kind into ``folder``."""
    path = folder / KINDS[kind].path
    path.write_bytes(mutate((sound / KINDS[kind].path).read_bytes(), kind, Random(f"{seed}/{kind}/{number}")))
    return path


def serve(kind: str, first: int, count: int, seed: int, sound: Path, folder: Path) -> None:
    """In a process of its own: read files one after the other and tell the parent on stdout."""
    from bpbreid_track.errors import InputError

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is not for the parent
    for number in range(first, first + count):
        path = damage(folder, sound, kind, number, seed)
        told.write(json.dumps({"begins": number}) + "\n")
        try:
            KINDS[kind].read(path)
            answer = {"end": "read"}
        except InputError as error:
            message = str(error)
            named = path.name in message or path.parent.name in message
            plain = named and "\n" not in message and all(letter.isprintable() for letter in message)
            answer = {"end": "refused"} if plain else {"end": "unclear", "what": message}
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:120]} ({Path(place.filename).name}:{place.lineno})"
            answer = {"end": "fault", "what": what}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        told.write(json.dumps({"done": number, "peak": peak, **answer}) + "\n")


class Tally:
    """What became of the files of one kind."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.peak = 0.0
        self.faults: list[str] = []

    def fault(self, kind: str, number: int, what: str) -> None:
        self.ends["fault"] += 1
        self.faults.append(f"{kind}:{number} {what}")


def run_functions(kind: str, count: int, seed: int, sound: Path, tally: Tally) -> None:
    """Read ``count`` damaged files, ``BATCH`` in a process; a process that dies costs one file."""
    number = 0
    while number < count:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            folder = Path(name) / "inputs"
            copy_sound_files(sound, folder)
            batch = min(BATCH, count - number)
            words = ["--serve", kind, str(number), str(batch), str(seed), str(sound), str(folder)]
            child = subprocess.Popen(
                [sys.executable, __file__, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            assert child.stdout is not None
            current, stop = number, number + batch
            buffer = b""
            while True:
                ready, _, _ = select.select([child.stdout], [], [], SECONDS)
                chunk = os.read(child.stdout.fileno(), 1 << 16) if ready else b""
                if not chunk:
                    break
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in map(json.loads, lines):
                    current = line.get("begins", current)
                    if "done" not in line:
                        continue
                    tally.peak = max(tally.peak, line["peak"])
                    number = line["done"] + 1
                    if line["end"] in {"fault", "unclear"}:
                        tally.fault(kind, line["done"], f"{line['end']}: {line['what']}")
                    elif line["peak"] > PEAK:
                        tally.fault(kind, line["done"], f"peak of {line['peak'] / 1e9:.2f} GB")
                    else:
                        tally.ends[line["end"]] += 1
            if child.poll() is None and not ready:
                child.kill()
                tally.fault(kind, current, f"no end within {SECONDS} s")
                number = current + 1
            elif child.wait() != 0 or number < stop:
                code = child.returncode
                what = signal.Signals(-code).name if code < 0 else f"exit {code}"
                tally.fault(kind, current, f"the process ended: {what}")
                number = current + 1
            child.stdout.close()


def run_commands(kind: str, numbers: range, seed: int, sound: Path, tally: Tally) -> None:
    """The same through the command line: exit 0, 1 or 2, and one line where it is not 0."""
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
            folder = Path(name) / "inputs"
            copy_sound_files(sound, folder)
            damage(folder, sound, kind, number, seed)
            module, *words = KINDS[kind].command(folder)
            program = _COMMAND.format(module=module)
            try:
                done = subprocess.run(
                    [sys.executable, "-c", program, *words],
                    capture_output=True,
                    text=True,
                    errors="replace",
                    cwd=folder,
                    timeout=2 * SECONDS,
                )
            except subprocess.TimeoutExpired:
                tally.fault(kind, number, f"command: no end within {2 * SECONDS} s")
                continue
            said, _, peak = done.stderr.rpartition("peak ")
            errors = [line for line in said.splitlines() if ": error: " in line]
            tally.peak = max(tally.peak, peak_of_command := int(peak or 0) * 1024)
            if done.returncode not in {0, 1, 2}:
                tally.fault(kind, number, f"command: exit {done.returncode}")
            elif "Traceback" in said or "run again with --debug" in said:
                tally.fault(kind, number, f"command: {said.strip()[-200:]}")
            elif peak_of_command > PEAK:
                tally.fault(kind, number, f"command: peak of {peak_of_command / 1e9:.2f} GB")
            elif done.returncode and len(errors) != 1:
                tally.fault(kind, number, f"command: {len(errors)} lines of error")
            else:
                tally.ends["refused by the command" if done.returncode else "read by the command"] += 1


def table(tallies: dict[str, Tally]) -> str:
    """Markdown, a row a kind."""
    ends = ("read", "refused", "read by the command", "refused by the command", "fault")
    lines = ["| kind | " + " | ".join(ends) + " | peak MB |", "|---" * (len(ends) + 2) + "|"]
    total: Counter[str] = Counter()
    for kind, tally in tallies.items():
        total += tally.ends
        lines.append(
            f"| {kind} | " + " | ".join(str(tally.ends[end]) for end in ends) + f" | {tally.peak / 1e6:.0f} |"
        )
    peak = max(tally.peak for tally in tallies.values())
    lines.append("| **all** | " + " | ".join(str(total[end]) for end in ends) + f" | {peak / 1e6:.0f} |")
    return "\n".join(lines)


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        kind, first, count, seed, sound, folder = sys.argv[2:8]
        serve(kind, int(first), int(count), int(seed), Path(sound), Path(folder))
        return 0
    if sys.argv[1:2] == ["--make"]:
        make_sound_files(Path(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="in all, shared among the kinds")
    parser.add_argument("--commands", type=int, default=4, help="of each kind through the command line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--only", metavar="KIND:NUMBER", help="read this one in this process")
    parser.add_argument("--keep", type=Path, help="folder for the inputs of --only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-sound-") as name:
        sound = Path(name) / "sound"
        # In a process of its own: what a child is told of its peak begins with its parent's.
        subprocess.run([sys.executable, __file__, "--make", str(sound)], check=True)
        if options.only:
            kind, _, number = options.only.partition(":")
            folder = options.keep or Path(name) / "inputs"
            copy_sound_files(sound, folder)
            print(KINDS[kind].read(damage(folder, sound, kind, int(number), options.seed)))
            return 0
        tallies: dict[str, Tally] = {}
        began = time.monotonic()
        whole = sum(KINDS[kind].share for kind in options.kinds)
        for kind in options.kinds:
            tally = tallies[kind] = Tally()
            count = round(options.files * KINDS[kind].share / whole)
            run_functions(kind, count, options.seed, sound, tally)
            run_commands(kind, range(count, count + options.commands), options.seed, sound, tally)
            for line in tally.faults:
                print(line, file=sys.stderr, flush=True)
            print(f"{kind}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(tallies))
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
