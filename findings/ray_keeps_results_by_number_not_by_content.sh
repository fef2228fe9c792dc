#!/usr/bin/env bash
# ray 2.60.0: a task that yields its results one by one (num_returns="streaming"), fails half way and is retried.
#
# It works off six videos and goes on where it was stopped: what is done already stands in a file and is skipped.
# The first attempt yields a, b and c and fails at d; with max_retries and retry_exceptions it is tried again.
# Guessed: the second attempt yields d, e and f, and whoever reads the generator gets a to f, since none was lost.
# Seen: a, b, c, and then the end, without an error. Results are known by their number: d, e and f are the first
# three of the second attempt, those numbers have been read, and what stands there is not given out again. A task that
# is retried must yield all over again; one that resumes loses as many results as were yielded before.
#
# Prints what arrived and what was done; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0
RAY_USAGE_STATS_ENABLED=0 "$folder/venv/bin/python" - "$folder/done" "$folder/ray" 2>/dev/null <<'PY'
import sys
from pathlib import Path

import ray

done, room = Path(sys.argv[1]), sys.argv[2]
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=room)


@ray.remote(num_returns="streaming", max_retries=1, retry_exceptions=True)
def videos(done, resume):
    finished = done.read_text().split() if done.exists() else []
    for name in "abcdef":
        if name in finished and resume:
            continue
        if name == "d" and finished == []:
            raise OSError("a disk that is gone for a moment")
        with done.open("a") as file:
            file.write(name + " ")
        yield name


seen = {}
for resume in (True, False):
    done.unlink(missing_ok=True)
    arrived = [ray.get(result) for result in videos.remote(done, resume)]
    seen[resume] = "".join(arrived), done.read_text().replace(" ", "")
    print("resuming:" if resume else "all over again:", "arrived", *arrived, "| done", done.read_text())
ray.shutdown()
same = seen == {True: ("abc", "abcdef"), False: ("abcdef", "abcabcdef")}
print("ray", ray.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
