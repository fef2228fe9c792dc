"""Other trackers with our appearance in them, beside their own and none, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from host_steps import Step, boxmot_step, deep_sort_step, norfair_step, part_tracker_step, ultralytics_step
from peers import OURS, PEERS

from bpbreid_track.integrations.report import AppearanceReport, appearance_report
from bpbreid_track.integrations.vectors import Vector, flat_vectors

Report = Callable[[], AppearanceReport]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        host: tracker.
        label: its appearance, in words.
        model: whose embeddings it gets; None: none.
        vector: how part embeddings are given to it; None: as they are.
        build: from frames a second, a fresh tracker and its report, where there is one.
    """

    host: str
    label: str
    model: str | None
    vector: Vector | None
    build: Callable[[float], tuple[Step, Report | None]]

    def appearance(self, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
        """What the step gets besides boxes: vectors [N, D] or None, and visibility or None."""
        if self.model is None:
            return None, None
        if self.model != "bpbreid":
            return arrays["vectors"], None
        features, visibility = arrays["features"], arrays["visibility"]
        if self.vector is None:
            return features, visibility
        import torch

        from bpbreid_track import PartEmbeddings

        names = [str(number) for number in range(visibility.shape[1])]
        people = PartEmbeddings(torch.from_numpy(features), torch.from_numpy(visibility), names)
        return flat_vectors(people, self.vector), None


def _by_motion(name: str) -> Callable[[float], tuple[Step, None]]:
    """A tracker of ``PEERS`` or ``OURS`` by motion alone."""
    peer = next(peer for peer in (*PEERS, *OURS) if peer.name == name)
    return lambda rate: (peer.build(rate, False), None)


def _boxmot_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from boxmot.trackers.config import load_tracker_config

        from bpbreid_track.integrations import boxmot as ours
        from bpbreid_track.integrations.boxmot_parts import BotSort, PartBotSort

        options = {**load_tracker_config("botsort"), "use_cmc": False, "frame_rate": round(rate)}
        tracker = PartBotSort(**options) if exact else BotSort(**options)
        report = tracker.appearance if exact else ours.watch(tracker)
        return boxmot_step(tracker), lambda: report

    return build


def _ultralytics_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from ultralytics.utils import YAML, IterableSimpleNamespace

        from bpbreid_track.integrations import ultralytics as ours

        appearance = "parts" if exact else "foreground"
        settings = YAML.load(ours.TRACKER) | {"gmc_method": "none", "appearance": appearance}
        tracker = ours.BPBReIDTracker(IterableSimpleNamespace(**settings))
        return ultralytics_step(tracker), lambda: appearance_report(tracker)

    return build


def _deep_sort_host(exact: bool) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from bpbreid_track.integrations import deep_sort_realtime as ours

        tracker = ours.DeepSort(embedder=None)
        if exact:
            tracker.tracker.metric = ours.PartMetric(tracker.tracker.metric.matching_threshold)
        report = ours.watch(tracker)
        return deep_sort_step(lambda raw, vectors: ours.update_tracks(tracker, raw, vectors)), lambda: report

    return build


def _norfair_host(vector: Vector) -> Callable[[float], tuple[Step, Report]]:
    def build(rate: float) -> tuple[Step, Report]:
        from bpbreid_track.integrations import norfair as ours

        tracker = ours.ReIDTracker(vector)
        return norfair_step(tracker), lambda: appearance_report(tracker)

    return build


def _part_tracker_host(rate: float) -> tuple[Step, Report]:
    from bpbreid_track import PartTracker, TrackerConfig

    tracker = PartTracker(TrackerConfig(frame_rate=rate))
    return part_tracker_step(tracker), lambda: appearance_report(tracker)


NONE, FLAT, EXACT = "none", "foreground vector (drop-in)", "part distance (exact)"

HOSTS = (
    Row("boxmot BoT-SORT", NONE, None, None, _by_motion("boxmot BoT-SORT")),
    Row("boxmot BoT-SORT", "its own: OSNet x0.25", "osnet", None, _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", FLAT, "bpbreid", "foreground", _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", "concat vector (drop-in)", "bpbreid", "concat", _boxmot_host(exact=False)),
    Row("boxmot BoT-SORT", EXACT, "bpbreid", "parts", _boxmot_host(exact=True)),
    Row("ultralytics BoT-SORT", NONE, None, None, _by_motion("ultralytics BoT-SORT")),
    Row("ultralytics BoT-SORT", FLAT, "bpbreid", "foreground", _ultralytics_host(exact=False)),
    Row("ultralytics BoT-SORT", EXACT, "bpbreid", "parts", _ultralytics_host(exact=True)),
    Row("deep-sort-realtime", NONE, None, None, _by_motion("deep-sort-realtime")),
    Row("deep-sort-realtime", "its own: MobileNetV2", "mobilenet", None, _deep_sort_host(exact=False)),
    Row("deep-sort-realtime", FLAT, "bpbreid", "foreground", _deep_sort_host(exact=False)),
    Row("deep-sort-realtime", EXACT, "bpbreid", "parts", _deep_sort_host(exact=True)),
    Row("norfair", NONE, None, None, _by_motion("norfair")),
    Row("norfair", FLAT, "bpbreid", "foreground", _norfair_host("foreground")),
    Row("norfair", EXACT, "bpbreid", "parts", _norfair_host("parts")),
    Row("trackers BoT-SORT", NONE, None, None, _by_motion("trackers BoT-SORT")),
    Row("PartTracker", NONE, None, None, _by_motion("bpbreid_track")),
    Row("PartTracker", EXACT, "bpbreid", None, _part_tracker_host),
)
