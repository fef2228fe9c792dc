"""From a request to a run that can start: the source opened, the networks there, the files made."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..config import RunConfig
from ..detection.classes import classes_by_motion
from ..detection.detectors import Detector, PrecomputedDetector
from ..errors import UsageError
from ..identities.gallery import load_gallery
from ..identities.identity_manager import IdentityManager
from ..identities.track_history import TrackHistory
from ..io.open_source import open_source
from ..io.sinks.window import WindowSink
from ..io.sources.base import Source
from ..tracking.camera_motion import KnownCamera
from ..tracking.encode_policy import resolve_encode
from .bridges import Bridges
from .cached_networks import StoredDetector, asked_for, stored_networks, weights_of
from .counting import Regions, load_regions
from .interrupts import Interrupts
from .linked_run import Again, LinkedRun, check_rereadable
from .networks import detector_of, encoder_in_words, load_encoder
from .open_cache import open_cache
from .outputs import Outputs
from .progress import ProgressView
from .replay import ReplayTracker
from .report import TrackingReport
from .request import Request
from .run import Run
from .steps import online_stages, replay_stages

if TYPE_CHECKING:
    from ..model.part_encoder import PartEncoder
    from ..report_page.page import RunPage


@dataclass(frozen=True)
class Prepared:
    """A run that has everything it needs.

    Attributes:
        request: as it was adapted to the source.
        encoder: that tells people apart; None: motion alone.
        run: the reading that tracks.
        linked: both readings, where results are settled later; else None.
        report: what is known of the run before it starts.
        view: progress; None: none is shown.
        page: of the run, if one was asked for.
        identities: who is who beyond the tracker, if anybody asks.
        by_motion: numbers of the classes that are no people.
    """

    request: Request
    encoder: PartEncoder | None
    run: Run
    linked: LinkedRun | None
    report: TrackingReport
    view: ProgressView | None
    page: RunPage | None
    identities: IdentityManager | None
    by_motion: frozenset[int]

    def go(self) -> None:
        """Run to the end, to an error or to an interrupt; fills in ``report``."""
        max_frames, on_frame = self.request.max_frames, self.request.on_frame
        if self.linked is None:
            self.run.go(self.report, max_frames, on_frame, self.view)
        else:
            self.linked.go(self.run, self.report, max_frames, on_frame, self.view)

    def write_page(self) -> None:
        """The page of the run, of what it came to; without a frame there is none."""
        if self.page is not None and self.page.lives.frames:
            settled = {} if self.identities is None else self.identities.settled
            self.page.write(self.report.to_dict(), settled)


def prepare(request: Request, outputs: Outputs, stack: ExitStack) -> Prepared:
    """Open the source, load the networks, make the files.

    Args:
        request: checked.
        outputs: all that it names, checked.
        stack: lets go of what was opened, where this or what follows fails before the run has begun.

    Raises:
        UsageError: the source or the networks do not allow what was asked.
        InputError: something cannot be read or written.
    """
    source = request.source
    reader = source if isinstance(source, Source) else open_source(source)
    stack.callback(reader.close)
    regions = load_regions(request.settings.regions, reader.width, reader.height)
    if request.settled_later:
        again_seen = bool(request.out or request.crops or request.report_page or request.on_frame)
        check_rereadable(source, reader, again_seen, "--link" if request.link else "--teams")
    window = WindowSink(reader.name) if request.show else None
    if window is not None:
        stack.callback(window.close)
    # A stated rate is meant to overrule what the file says; a camera's clock cannot be overruled.
    own_rate = "frame_rate" in request.settings.tracker.model_fields_set and not reader.live
    request = request.for_source(reader, own_rate=own_rate)
    asked = None
    if request.cache is not None:
        asked = asked_for(
            request.detector, request.encoder, request.settings, request.device, request.precision
        )
    detector, encoder = _networks(request, reader, asked)
    by_motion = classes_by_motion(detector)
    request = request.with_tracker(encode=resolve_encode(request.settings.tracker.encode, encoder))
    settings = request.settings
    cache = None
    if request.cache is not None:
        others = outputs.paths.values()
        cache = open_cache(request.cache, reader, detector, encoder, settings.detector, others, asked)
        stack.callback(cache.close)
    # Where some boxes or frames are left out, other corners of the pictures are followed.
    follows = settings.tracker.camera_motion == "flow" and settings.detector.every == 1
    kept = cache if follows and regions.region is None else None
    known = None if kept is None else kept.camera(request.max_frames)
    camera = None if known is None else KnownCamera(known)
    history = TrackHistory() if request.settled_later else None
    identities = _identities(request, encoder, history, by_motion)
    page = None
    if request.report_page is not None:
        from ..report_page.page import RunPage  # only runs that write a page load what makes it

        page = RunPage(request.report_page, settled_later=request.settled_later, by_motion=by_motion)
    interrupts = Interrupts()
    written = request.first_outputs() if request.settled_later else outputs
    stages = online_stages(
        reader,
        detector,
        encoder,
        settings,
        written,
        regions=regions,
        cache=cache,
        camera=camera,
        steps=kept.steps if kept is not None and camera is None else None,
        shown=window is not None,
        handed_on=request.on_frame is not None,
        use_timestamps=not own_rate,
        identities=identities,
        page=page,
    )
    looked_at = page is not None or window is not None or request.save_gallery is not None
    looked_at |= camera is None and settings.tracker.camera_motion != "none"
    # Teams are told by colours, and a cache knows nothing of frames that were not searched.
    looked_at |= settings.teams > 0 or settings.detector.every > 1
    looked_at |= request.on_frame is not None and not request.settled_later
    looked_at |= bool({"crops", "video"} & written.paths.keys())
    read = None if cache is None else functools.partial(cache.frames, reader, pictures=looked_at)
    in_turn = isinstance(detector, StoredDetector) and not looked_at
    run = Run(reader, stages, read=read, in_turn=in_turn, window=window, interrupts=interrupts)
    linked = None
    if history is not None and identities is not None:
        linked = LinkedRun(
            source,
            reader,
            _second_reading(request, encoder, regions, page, by_motion),
            identities,
            history,
            *request.linked_outputs(),
            interrupts,
            settings.tracker.frame_rate if own_rate else None,
            _bridges(settings, encoder, by_motion),
        )
    report = TrackingReport(
        source=reader.name,
        detector=getattr(detector, "description", detector.name),
        encoder=encoder_in_words(request.encoder, encoder),
        config=settings.model_dump(mode="json"),
        outputs={kind: str(path) for kind, path in outputs.paths.items()},
    )
    about = {key: getattr(report, key) for key in ("source", "detector", "encoder", "config")}
    written.open(reader, about, _bridges(settings, encoder, by_motion))
    stack.callback(written.discard)
    if linked is not None:
        linked.open()
    return Prepared(
        request, encoder, run, linked, report, _view(request, reader), page, identities, by_motion
    )


def _networks(
    request: Request, reader: Source, asked: dict[str, object] | None
) -> tuple[Detector, PartEncoder | None]:
    """Detector and encoder, or stand-ins where a cache has all that is asked of them."""
    settings = request.settings
    parts_painted = "parts" in settings.draw.overlay and (request.out is not None or request.show)
    more_asked = request.gallery is not None or settings.teams > 0 or bool(settings.detector.classes)
    if request.cache is not None and asked is not None and not more_asked and not parts_painted:
        known = stored_networks(request.cache, asked, request.max_frames)
        if known is not None:
            return known[0], cast("PartEncoder | None", known[1])
    detector = detector_of(request.detector, settings.detector, request.device)
    if isinstance(detector, PrecomputedDetector):
        detector.check_frames(reader)
    return detector, load_encoder(request.encoder, settings, request.device, request.precision)


def _bridges(settings: RunConfig, encoder: PartEncoder | None, by_motion: frozenset[int]) -> Bridges:
    """What fills in long absences: of people who were known by their parts, where frames wait at all."""
    wanted = encoder is not None and settings.smooth.lag_seconds > 0
    return Bridges(settings.smooth.bridge_seconds if wanted else 0, by_motion)


def _identities(
    request: Request, encoder: PartEncoder | None, history: TrackHistory | None, by_motion: frozenset[int]
) -> IdentityManager | None:
    """What follows identities beyond the tracker; None where nothing asks for it."""
    settings, gallery = request.settings, request.gallery
    saves = request.save_gallery is not None
    if encoder is None and (gallery is not None or saves):
        raise UsageError(
            "a gallery needs an encoder: people are known by their parts; leave out --encoder none"
        )
    known = None
    if gallery is not None and encoder is not None:
        known = load_gallery(gallery, encoder, settings.gallery.max_megabytes, weights_of(encoder))
    if history is None and known is None and not saves:
        return None
    return IdentityManager(
        settings,
        history=history,
        gallery=known,
        save=saves,
        joins=request.link,
        by_motion=by_motion,
    )


def _second_reading(
    request: Request,
    encoder: PartEncoder | None,
    regions: Regions,
    page: RunPage | None,
    by_motion: frozenset[int],
) -> Again:
    """Makes the run that writes what is settled."""

    def again(
        source: Source, recorded: ReplayTracker, outputs: Outputs, interrupts: Interrupts | None
    ) -> Run:
        stages = replay_stages(source, recorded, encoder, request.settings, outputs, regions, page, by_motion)
        return Run(source, stages, interrupts=interrupts)

    return again


def _view(request: Request, reader: Source) -> ProgressView | None:
    if not request.progress:
        return None
    known = [count for count in (reader.frame_count, request.max_frames) if count is not None]
    label = request.progress if isinstance(request.progress, str) else "tracking"
    return ProgressView(min(known, default=None), label=label)
