#!/usr/bin/env bash
# accelerate 1.15.0: gather_for_metrics of boxes, in one process.
#
# Five images with 2, 3, 1, 4 and 2 people, in batches of two images. The people of a batch stand in one tensor, row
# after row, since each image has another number of them.
# Guessed: the 12 people that went in. gather_for_metrics takes away what is there twice, and that can only be what was
# added so that all processes get as many batches; in one process nothing is added.
# Seen: 11. As many rows are kept of each tensor of the last batch as it has images, 1, whatever the rows are; of the
# two people of the last image one is gone. No error, no warning. gather() gives back all of them, and with six images
# nothing is missing, so a small test of round numbers is green. The more people an image has, the more are lost.
#
# Prints the image of each person; exit code 1 if that is no longer what was seen on 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check accelerate==1.15.0 torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import accelerate
import torch
from torch.utils.data import DataLoader

one_process = accelerate.Accelerator(cpu=True)


def gathered(people, gather):
    """Of each batch of two images: the image of each person that ``gather`` gives back."""

    def join(images):
        return torch.cat([torch.full((people[image],), image) for image in images])

    loader = one_process.prepare(DataLoader(range(len(people)), batch_size=2, collate_fn=join))
    return [gather(batch).tolist() for batch in loader]


five, six = [2, 3, 1, 4, 2], [2, 3, 1, 4, 2, 3]
seen = {
    "gather, 5 images": gathered(five, one_process.gather),
    "gather_for_metrics, 5 images": gathered(five, one_process.gather_for_metrics),
    "gather_for_metrics, 6 images": gathered(six, one_process.gather_for_metrics),
}
for name, batches in seen.items():
    print(f"{name}: {batches}, {sum(map(len, batches))} people")
before = [[0, 0, 1, 1, 1], [2, 3, 3, 3, 3]]
same = one_process.num_processes == 1
same = same and list(seen.values()) == [[*before, [4, 4]], [*before, [4]], [*before, [4, 4, 5, 5, 5]]]
print("accelerate", accelerate.__version__, "- as seen" if same else "- CHANGED")
sys.exit(not same)
PY
