"""The rounds of the association by name, and what a pair must reach in those that no setting turns.

Kept apart from the matrices, so that a log of reasons is read without loading torch.
"""

from __future__ import annotations

HIGH, LOW, LOST, NEW = "high", "low", "lost", "new"

# Least overlap (IoU) of a box of low score with the track it continues: such boxes are often nobody's.
MIN_IOU_LOW = 0.5
# Least overlap (IoU times score) with a track that is not confirmed yet.
MIN_IOU_NEW = 0.3
# Least overlap (IoU times score) that brings a lost track back where no part can be compared.
MIN_IOU_LOST = 0.25
# Log-likelihood ratio of position and parts from which a lost track comes back: e times likelier than not.
RECOVERY_LLR = 1.0
