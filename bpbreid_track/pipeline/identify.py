"""The stage that follows who is who beyond the tracker."""

from __future__ import annotations

from ..identities.identity_manager import IdentityManager
from .stage import FrameStage, Item


class Identify(FrameStage):
    """Names from a gallery, views for one, and what linking and teams go by."""

    name = "identify"

    def __init__(self, identities: IdentityManager) -> None:
        super().__init__()
        self._identities = identities

    def step(self, item: Item) -> None:
        with self.watches["identify"].measure():
            embeddings = item.embeddings if item.searched else None
            item.detections = self._identities.take(item.frame, item.detections, embeddings, item.step)
