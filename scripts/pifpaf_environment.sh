#!/usr/bin/env bash
# Builds the environment that `bpbreid-train labels --backend pifpaf` runs in.
#
# openpifpaf pins an old torch and does not import beside a current matplotlib, so it lives apart from
# bpbreid_track. Prints the path of the environment's Python. Does nothing where it stands already.
#
#   scripts/pifpaf_environment.sh                     into ~/.cache/bpbreid_track/pifpaf-env
#   BPBREID_PIFPAF_ENV=/some/folder scripts/...       somewhere else
#   PIFPAF_PYTHON=python3.10 scripts/...              with this Python (3.8 to 3.11)
set -euo pipefail

folder=${BPBREID_PIFPAF_ENV:-${BPBREID_CACHE:-$HOME/.cache/bpbreid_track}/pifpaf-env}
python=$folder/bin/python

if [ -x "$python" ] && "$python" -c "import openpifpaf" >/dev/null 2>&1; then
    echo "$python"
    exit 0
fi

fits() { "$1" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))' >/dev/null 2>&1; }
base=${PIFPAF_PYTHON:-}
if [ -z "$base" ]; then
    for candidate in python3.11 python3.10 python3.9 python3.8 python3 python; do
        if fits "$candidate"; then
            base=$candidate
            break
        fi
    done
fi
if [ -z "$base" ] || ! fits "$base"; then
    echo "openpifpaf needs Python 3.8 to 3.11, found ${base:-none of them}; name one in PIFPAF_PYTHON" >&2
    exit 1
fi

if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "$folder: neither empty nor a Python environment; give another folder in BPBREID_PIFPAF_ENV" >&2
    exit 1
fi
echo "building openpifpaf's environment in $folder (several minutes: it compiles)" >&2
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
"$base" -m venv "$folder"
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@" >&2; }
# Its setup.py asks for the torch at hand while it compiles: hence no build isolation, and the order.
pip install torch==2.2.2 torchvision==0.17.2 "numpy<2" "matplotlib<3.9" "setuptools<70" wheel pillow \
    pysparkling python-json-logger importlib_metadata
pip install --no-deps --no-build-isolation openpifpaf==0.13.11
"$python" -c "import openpifpaf" >&2
echo "$python"
