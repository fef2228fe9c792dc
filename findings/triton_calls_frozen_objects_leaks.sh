#!/usr/bin/env bash
# triton 3.9.0 (torch brings it with CUDA): what it says where a program has frozen its objects.
#
# Programs that fork call `gc.freeze()` before, as Python's documentation advises, others to end quickly:
# the collector leaves alone what there is, and nothing else changes.
# Guessed: a library that was imported and never used says nothing at the end.
# Seen: its bindings count their own classes and functions when the interpreter ends. These lie in reference
# cycles that only the collector breaks, and frozen they are still there: some 30 lines on stderr report
# hundreds of leaked types and functions, and blame the bindings. The exit code stays 0. After `gc.unfreeze()`,
# or without `gc.freeze()`, there is not a line.
#
# Prints the lines of each way to end; exit code 1 if that is no longer what was seen on 2026-12-01. Linux, x86-64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check triton==3.9.0
cd "$folder"
lines() { venv/bin/python -c "import gc, triton; $1" 2>&1 >/dev/null | tee said | wc -l; }
plain=$(lines "pass")
thawed=$(lines "gc.freeze(); gc.unfreeze()")
frozen=$(lines "gc.freeze()")
reports=$(grep -c "leaked [0-9]* \(types\|functions\)" said || true)
echo "plain: $plain lines; frozen and thawed: $thawed; frozen: $frozen, $reports of them count leaked types and functions"
if [ "$plain" = 0 ] && [ "$thawed" = 0 ] && [ "$frozen" -gt 10 ] && [ "$reports" = 2 ]; then
    echo "triton 3.9.0 - as seen"
else
    echo "triton 3.9.0 - CHANGED"
    exit 1
fi
