"""What each element of the association is worth: the tracker with one of them off or changed at a time.

    python benchmarks/ablation.py --data MOT_FOLDER --cache FOLDER

Boxes, embeddings and the cases whole, gap and veil are those of ``occlusion.py``.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from footage import Arrays, Footage, Model, View  # noqa: E402
from host_vectors import part_model  # noqa: E402
from occlusion import COLUMNS, Runner, add_arguments, measure, sequences_of  # noqa: E402
from occlusion_cases import CASES, Case  # noqa: E402
from peers import part_tracker_peer  # noqa: E402
from report import as_text, circumstances  # noqa: E402

from bpbreid_track.tracking.evidence import ABSENT  # noqa: E402


@dataclass(frozen=True)
class Element:
    """One line of the table: changed settings and constants, and what becomes of the embeddings.

    ``constants`` are named as in ``bpbreid_track.tracking``.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Arrays], Arrays | None] = lambda vectors: vectors
    constants: dict[str, Any] = field(default_factory=dict)


def _columns(keep: slice) -> Callable[[Arrays], Arrays]:
    return lambda vectors: {key: array[:, keep] for key, array in vectors.items()}


def _always_unlikely(away: np.ndarray) -> np.ndarray:
    return np.full_like(away, ABSENT)


def _learns_nothing(*_: object) -> None:
    pass


# Logarithm of the constant of Student's density with 30 degrees of freedom.
_NEARLY_NORMAL = math.lgamma(15.5) - math.lgamma(15.0) - 0.5 * math.log(30 * math.pi)


def _all_visible(vectors: Arrays) -> Arrays:
    return vectors | {"visibility": np.ones_like(vectors["visibility"])}


ELEMENTS = (
    Element("as it is"),
    Element("no appearance", change=lambda _: None),
    Element("visibility ignored: hidden parts compared too", change=_all_visible),
    Element("foreground alone, no parts", change=_columns(slice(0, 1))),
    Element("parts alone, no foreground", change=_columns(slice(1, None))),
    Element("lost people come back by place alone", {"appearance_seconds": 0.0}),
    Element(
        "people move as on a street, whatever the stream shows",
        constants={"motion_calibration.MotionCalibration.learn": _learns_nothing},
    ),
    Element(
        "nearly normal errors of place",
        constants={"place.TAIL": 30.0, "motion_calibration.TAIL": 30.0, "place._LOG_T": _NEARLY_NORMAL},
    ),
    Element("a stranger as likely in one picture", constants={"place.PICTURES": 1.0}),
    Element(
        "who was lost is as likely here as who was in sight",
        constants={"evidence.against_return": np.zeros_like},
    ),
    Element(
        "a return is as unlikely after any time", constants={"evidence.against_return": _always_unlikely}
    ),
    Element("boxes of low score are as good as others", constants={"evidence.FAINT": 0.0}),
    Element("boxes of low score bring nobody back", constants={"evidence.FAINT_RETURN": np.inf}),
    Element("covered boxes teach the memory too", {"max_cover": 1.0}),
    Element("long memory (5 s)", constants={"appearance.MEAN_SECONDS": 5.0}),
    Element("short memory (0.5 s)", constants={"appearance.MEAN_SECONDS": 0.5}),
    Element("lost for 30 s", {"appearance_seconds": 30.0}),
    Element("nobody comes back unforeseen", constants={"evidence.ELSEWHERE": 0.0}),
    Element("tracks start from second boxes too", constants={"lifecycle.BIRTH_IOU": 1.0}),
    Element("no low-score round", {"low_score": 0.5}),
    Element("only boxes in doubt encoded", {"encode": "ambiguous"}),
)


def runner(element: Element, cache: Path) -> Runner:
    """Ours with ``element`` changed."""
    peer = part_tracker_peer(**element.settings)

    def run(footage: Footage, case: Case, out: Path) -> None:
        vectors = footage.vectors(case, Model("bpbreid", part_model), cache)
        with ExitStack() as changed:
            for name, value in element.constants.items():
                changed.enter_context(patch(f"bpbreid_track.tracking.{name}", value))
            footage.track(peer, case, View(), element.change(vectors), out)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)

    sequences = sequences_of(arguments)
    results: dict[str, dict[str, Any]] = {}
    for element in ELEMENTS:
        run = runner(element, arguments.cache)
        results[element.name] = {case.name: measure(run, sequences, case)["COMBINED"] for case in CASES}
        print(f"{element.name}: HOTA {results[element.name]['whole']['HOTA']:.1f}", file=sys.stderr)

    config = {"det": arguments.det, "min_score": arguments.min_score, "sequences": arguments.sequences}
    facts = circumstances(["trackeval"], seed=0, config=config)
    if arguments.json:
        print(json.dumps({"about": facts, "results": results}))
        return
    print(as_text(facts) + "\n")
    head = [f"{case.name} {key}" for case in CASES for key in COLUMNS]
    print("| | " + " | ".join(head) + " |\n|---|" + "---:|" * len(head))
    for name, figures in results.items():
        cells = [
            f"{figures[case.name][key]:.1f}" if key != "IDSW" else str(figures[case.name][key])
            for case in CASES
            for key in COLUMNS
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
