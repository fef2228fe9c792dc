#!/usr/bin/env bash
# Builds an environment that holds TrackLab and bpbreid_track, for tests and demos.
#
# TrackLab brings sn-trackeval, whose modules overwrite those of trackeval, and an older pandas, so it lives
# apart from the development environment; what that has already (torch) it borrows from there. Prints the path
# of the environment's Python. Does nothing where it stands already.
#
#   scripts/tracklab_environment.sh                     into ~/.cache/bpbreid_track/tracklab-env
#   BPBREID_TRACKLAB_ENV=/some/folder scripts/...       somewhere else
#   TRACKLAB_PYTHON=.venv/bin/python scripts/...        with this Python (3.10 or later), and what is installed there
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${BPBREID_TRACKLAB_ENV:-${BPBREID_CACHE:-$HOME/.cache/bpbreid_track}/tracklab-env}
python=$folder/bin/python

stands() {
    "$python" -c "
import pandas, tracklab.pipeline
from importlib.metadata import entry_points
assert pandas.__version__ < '3'
assert any(point.name == 'bpbreid' for point in entry_points(group='tracklab_plugin'))" >/dev/null 2>&1
}
if [ -x "$python" ] && stands; then
    echo "$python"
    exit 0
fi

fits() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 10))' >/dev/null 2>&1; }
base=${TRACKLAB_PYTHON:-}
if [ -z "$base" ]; then
    for candidate in python python3 python3.11 python3.12 python3.10; do
        if fits "$candidate"; then
            base=$candidate
            break
        fi
    done
fi
if [ -z "$base" ] || ! fits "$base"; then
    echo "needs Python 3.10 or later, found ${base:-none}; name one in TRACKLAB_PYTHON" >&2
    exit 1
fi

if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "$folder: neither empty nor a Python environment; give another folder in BPBREID_TRACKLAB_ENV" >&2
    exit 1
fi
echo "building TrackLab's environment in $folder (several minutes)" >&2
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
"$base" -m venv "$folder"
where='import sysconfig; print(sysconfig.get_paths()["purelib"])'
"$base" -c "$where" >"$("$python" -c "$where")/borrowed.pth"
# TrackLab writes strings and arrays into columns of numbers, which pandas 3 refuses.
"$python" -m pip --quiet --disable-pip-version-check install -e "$root" tracklab==1.3.24 "pandas<3" >&2
if ! stands; then
    "$python" -c "import tracklab.pipeline" >&2
    echo "TrackLab does not import in $folder" >&2
    exit 1
fi
echo "$python"
