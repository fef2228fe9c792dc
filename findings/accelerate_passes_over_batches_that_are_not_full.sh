#!/usr/bin/env bash
# accelerate 1.15.0: a batch sampler of one's own on two processes, as Accelerator.prepare() splits it
# (accelerate.data_loader.BatchSamplerShard).
#
# Four clips of 5 frames. No batch mixes two clips and a batch has 4 frames at most, so the sampler, a subclass of
# torch's BatchSampler, yields 4, 1, 4, 1, 4, 1, 4, 1.
# Guessed: the processes take turns, and each frame is used by one of them; at the end some are used twice, so that
# both have the same number of batches.
# Seen: only the last clip is used. A round of batches is handed out if its last one is full; if not, all of the round
# is overwritten by the next, also by its full batches, also with even_batches=False and drop_last=False. 12 of the 20
# frames are never seen, or 15, while len() promises 4 batches for each process instead of 1. No error, no warning: an
# epoch is short, and identities that are only in the lost clips are never learnt. With clips of 4, 6 and 4 frames all
# is well, and so with a sampler that has no batch_size.
#
# Prints the batches; exit code 1 if they are no longer those seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check accelerate==1.15.0 torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import accelerate
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler


class Clips(BatchSampler):
    """Batches of at most ``batch_size`` frames of one clip each."""

    def __init__(self, frames, batch_size):
        self.frames, self.batch_size, self.drop_last = frames, batch_size, False

    def __iter__(self):
        begin = 0
        for count in self.frames:
            clip = list(range(begin, begin + count))
            begin += count
            for first in range(0, count, self.batch_size):
                yield clip[first : first + self.batch_size]

    def __len__(self):
        return sum(-(-count // self.batch_size) for count in self.frames)


def never_seen(frames, even_batches):
    """What each of two processes gets, how many batches len() says, and the frames that nobody gets."""
    shares = [BatchSamplerShard(Clips(frames, 4), 2, rank, even_batches=even_batches) for rank in range(2)]
    batches = [list(share) for share in shares]
    used = {frame for share in batches for batch in share for frame in batch}
    return batches, [len(share) for share in shares], sorted({*range(sum(frames))} - used)


seen = {}
for frames in ((4, 6, 4), (5, 5, 5, 5)):
    for even in (True, False):
        seen[frames, even] = never_seen(frames, even)
        batches, said, lost = seen[frames, even]
        print(f"clips of {frames}, even_batches={even}: {batches}, len() {said}, {len(lost)} frames never seen")
same = all(seen[(4, 6, 4), even][1:] == ([2, 2], []) for even in (True, False))
same = same and seen[(5, 5, 5, 5), True] == ([[[15, 16, 17, 18]], [[19, 0, 1, 2]]], [4, 4], list(range(3, 15)))
same = same and seen[(5, 5, 5, 5), False] == ([[[15, 16, 17, 18]], [[19]]], [4, 4], list(range(15)))
print("accelerate", accelerate.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
