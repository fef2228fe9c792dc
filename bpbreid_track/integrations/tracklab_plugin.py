"""What TrackLab loads at its start: where our configurations are, and the class that one of its own names."""

from __future__ import annotations

import sys

config_package = "pkg://bpbreid_track.integrations.tracklab_configs"

# TrackLab's modules/reid/bpbreid.yaml names a class that TrackLab does not have. Other programs built on
# hydra load this plugin too: they are left alone.
if "tracklab.pipeline" in sys.modules:
    from tracklab import wrappers

    if not hasattr(wrappers, "BPBReId"):
        from .tracklab import BPBReId

        wrappers.BPBReId = BPBReId
