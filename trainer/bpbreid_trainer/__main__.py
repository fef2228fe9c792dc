"""``torchrun --nproc-per-node 4 -m bpbreid_trainer fit ...``: training in several processes."""

from .cli import main

main()
