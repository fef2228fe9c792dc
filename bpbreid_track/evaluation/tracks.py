"""HOTA, CLEAR MOT and identity measures of tracks, by TrackEval under the MOTChallenge rules.

Nothing is measured here: the rows are checked, laid out as TrackEval's ``MotChallenge2DBox`` wants them, and
its own preprocessing and metric classes do the rest, so that the figures are those of its scripts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import InputError, UsageError, did_you_mean, install_extra
from ..io.mot_format import ALL_FRAMES, Frames, MotRows, frames_text
from ..io.seqinfo import read_seqinfo
from .pairs import Pair, read_pair, sequence_files

Benchmark = Literal["auto", "MOT15", "MOT16", "MOT17", "MOT20"]
BENCHMARKS = ("auto", "MOT15", "MOT16", "MOT17", "MOT20")
PathLike = str | os.PathLike[str]

_CLASSES = 13
_FAMILIES = ("HOTA", "CLEAR", "Identity")


@dataclass(frozen=True)
class TrackingMetrics:
    """Quality of the tracks of one sequence, or of several together.

    Shares are per cent, as TrackEval prints them and papers report them (HOTA 60.9); counts are integers.

    Attributes:
        HOTA: geometric mean of DetA and AssA, averaged over the overlap thresholds 0.05, 0.10, ... 0.95.
        DetA, DetRe, DetPr: detection accuracy, recall and precision, averaged likewise.
        AssA, AssRe, AssPr: association accuracy, recall and precision, averaged likewise.
        LocA: mean overlap of the matched boxes, averaged likewise. A threshold at which none matches counts
            as 100, so bad boxes can have more of it than middling ones; MOTP says how boxes sit.
        IDF1, IDP, IDR: F1, precision and recall of the best one-to-one assignment of identities, at IoU 0.5.
        MOTA: 1 - (FN + FP + IDSW) / boxes of the ground truth, at IoU 0.5. Can be negative.
        MOTP: mean overlap of the boxes matched for MOTA.
        IDSW: identity switches.
        Frag: how often a tracked person is found again after frames in which they were not. Being out of the
            ground truth counts too, if others are in it then, so a perfect result need not have 0.
        MT, ML: persons tracked in more than 80 %, in less than 20 % of their boxes.
        FP, FN: false boxes, missed boxes.
    """

    HOTA: float
    DetA: float
    AssA: float
    DetRe: float
    DetPr: float
    AssRe: float
    AssPr: float
    LocA: float
    IDF1: float
    IDP: float
    IDR: float
    MOTA: float
    MOTP: float
    IDSW: int
    Frag: int
    MT: int
    ML: int
    FP: int
    FN: int

    def as_dict(self) -> dict[str, float | int]:
        """Names and values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class FolderMetrics:
    """Quality over several sequences.

    Attributes:
        combined: all sequences as one, which is TrackEval's ``COMBINED_SEQ``: not the mean of the rows.
        sequences: each sequence by name.
    """

    combined: TrackingMetrics
    sequences: dict[str, TrackingMetrics]


def evaluate_tracks(
    gt: PathLike, result: PathLike, *, benchmark: Benchmark = "auto", frames: Frames = ALL_FRAMES
) -> TrackingMetrics:
    """Compare a result with the ground truth of one sequence.

    Args:
        gt: MOTChallenge ground truth, a folder with gt/gt.txt, CVAT's .xml or .zip, or a .csv or .jsonl of a
            run. The sequence's length is that of ``../seqinfo.ini``, if there is one; ``labels.txt`` beside
            gt.txt, as CVAT writes one, says which class is a person.
        result: MOTChallenge result, or any of the same. Frames may be missing; an empty file is a tracker
            that found nobody.
        benchmark: whose rules. ``MOT15``: rows of confidence 0 are dropped from the ground truth; a result
            box on such a person counts as false. ``MOT16`` to ``MOT20``: besides, only class 1 counts, and a
            result box that lies on a distractor (a person on a vehicle, a statue, a reflection) is dropped.
            ``auto``: MOT15 unless columns 8 and 9 of the ground truth read as class and visibility, and then
            MOT20 for sequences of that name, else MOT17.
        frames: first and last frame that are judged, of both files; by default all.

    Raises:
        InputError: a file is missing or malformed (named with its line), an identity occurs twice in a frame,
            no row of the ground truth counts, or TrackEval is not installed.
    """
    return evaluate_pair(read_pair(gt, result), benchmark, frames)


def evaluate_pair(pair: Pair, benchmark: Benchmark = "auto", frames: Frames = ALL_FRAMES) -> TrackingMetrics:
    """``evaluate_tracks`` of files that are read already.

    Raises:
        InputError: as ``evaluate_tracks``.
    """
    return _summary(_evaluate(pair, benchmark, frames))


def evaluate_folder(
    gt_folder: PathLike,
    result_folder: PathLike,
    *,
    sequences: Sequence[str] | None = None,
    benchmark: Benchmark = "auto",
    frames: Frames = ALL_FRAMES,
) -> FolderMetrics:
    """Compare results with the ground truth of many sequences, each and all together.

    Args:
        gt_folder: holds ``<sequence>/gt/gt.txt`` (or an .xml or .zip of CVAT in its place) and, where known,
            ``<sequence>/seqinfo.ini``.
        result_folder: holds ``<sequence>.txt``, ``.csv`` or ``.jsonl``.
        sequences: names to evaluate; by default all in ``gt_folder``.
        benchmark: as in ``evaluate_tracks``, for each sequence by itself.
        frames: as in ``evaluate_tracks``, for each sequence by itself.

    Raises:
        InputError: as in ``evaluate_tracks``, and for a sequence without result or with two.
        UsageError: a name in ``sequences`` that ``gt_folder`` does not have.
    """
    files = sequence_files(gt_folder, result_folder, sequences)
    return evaluate_pairs({name: read_pair(*both) for name, both in files.items()}, benchmark, frames)


def evaluate_pairs(
    pairs: Mapping[str, Pair], benchmark: Benchmark = "auto", frames: Frames = ALL_FRAMES
) -> FolderMetrics:
    """``evaluate_folder`` of files that are read already, by the names of their sequences.

    Raises:
        InputError: as ``evaluate_tracks``.
    """
    raw = {name: _evaluate(pair, benchmark, frames) for name, pair in pairs.items()}
    combined = {
        family: metric.combine_sequences({name: each[family] for name, each in raw.items()})
        for family, metric in _metrics().items()
    }
    return FolderMetrics(_summary(combined), {name: _summary(each) for name, each in raw.items()})


def _trackeval() -> Any:
    try:
        import trackeval
    except ImportError:
        raise InputError(
            f"evaluation of tracks needs the package trackeval; {install_extra('eval')}"
        ) from None
    return trackeval


def _metrics() -> dict[str, Any]:
    metrics = _trackeval().metrics
    quiet = {"PRINT_CONFIG": False}
    return {"HOTA": metrics.HOTA(), "CLEAR": metrics.CLEAR(quiet), "Identity": metrics.Identity(quiet)}


def _evaluate(pair: Pair, benchmark: Benchmark, frames: Frames) -> dict[str, dict[str, Any]]:
    """What TrackEval's metric classes return for one sequence, by the name of the class."""
    if benchmark not in BENCHMARKS:
        raise UsageError(f"benchmark {benchmark!r}{did_you_mean(benchmark, BENCHMARKS)}")
    trackeval = _trackeval()
    gt_path, gt, result_path, result = pair.gt_path, pair.gt, pair.result_path, pair.result
    _require_identities(gt_path, gt)
    _require_identities(result_path, result)
    rules = _rules(gt_path, gt, benchmark)
    counted_rows(gt_path, gt, benchmark)
    _require_persons(result_path, result)
    _require_frames_of_the_sequence(gt_path, gt, result_path, result)
    gt, result = gt.within(frames), result.within(frames)
    if frames != ALL_FRAMES and not _counts(gt, rules).any():
        raise InputError(f"{gt_path}: no row that counts in frames {frames_text(frames)}")
    # Frames without any box change no figure, and TrackEval allocates memory for each up to the last.
    numbers = np.union1d(gt.frame, result.frame)
    gt, result = (replace(rows, frame=np.searchsorted(numbers, rows.frame) + 1) for rows in (gt, result))
    # TrackEval cuts what marks a row down to a whole number, and tracks of a run have scores there.
    gt = replace(gt, confidence=(gt.confidence != 0).astype(np.float32))
    with tempfile.TemporaryDirectory(prefix="bpbreid-eval-") as name:
        folder = Path(name)
        _write(folder / "gt" / "sequence" / "gt" / "gt.txt", gt, None if rules == "MOT15" else gt.extra[:, 0])
        _write(folder / "results" / "tracker" / "data" / "sequence.txt", result)
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "gt"),
                "TRACKERS_FOLDER": str(folder / "results"),
                "TRACKERS_TO_EVAL": ["tracker"],
                "BENCHMARK": rules,
                "SEQ_INFO": {"sequence": len(numbers)},
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        raw = dataset.get_raw_seq_data("tracker", "sequence")
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    return {family: metric.eval_sequence(data) for family, metric in _metrics().items()}


def counted_rows(path: Path, gt: MotRows, benchmark: Benchmark = "auto") -> np.ndarray:
    """bool [N], the rows of the ground truth by which a result is judged.

    Raises:
        InputError: there is none; says why.
    """
    if not len(gt):
        raise InputError(f"{path}: no rows; there is nothing to compare with")
    marked, kind = gt.confidence != 0, gt.extra[:, 0]
    counted = _counts(gt, _rules(path, gt, benchmark))
    if counted.any():
        return counted
    if not marked.any():
        why = "column 7 is 0 throughout, which marks boxes that do not count; write 1 there"
    else:
        found = ", ".join(f"{each:g}" for each in np.unique(kind[marked]))
        why = (
            f"column 8 says class {found}, and only class 1, a person, counts; put labels.txt beside it, "
            "which names the classes from 1 on, a label a line, or write 1 there"
        )
    raise InputError(f"{path}: none of its {len(gt)} rows counts: {why}")


def _counts(gt: MotRows, rules: str) -> np.ndarray:
    """bool [N], the rows of the ground truth that count under the rules of a benchmark."""
    marked: np.ndarray = gt.confidence != 0
    return marked if rules == "MOT15" else marked & (gt.extra[:, 0] == 1)


def _require_identities(path: Path, rows: MotRows) -> None:
    """Raise unless every row has an identity, and no identity two boxes in a frame."""
    if (rows.id < 0).any():
        row = int((rows.id < 0).argmax())
        raise InputError(
            f"{path}, line {rows.line[row]}: id {rows.id[row]}; a track needs an id of 0 or more; "
            "detection files have none, nor have boxes that CVAT holds as shapes in place of tracks"
        )
    order = np.lexsort((rows.line, rows.id, rows.frame))
    frame, identity = rows.frame[order], rows.id[order]
    twice = np.flatnonzero((frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1]))
    if len(twice):
        row = order[twice + 1].min()
        raise InputError(
            f"{path}, line {rows.line[row]}: id {rows.id[row]} occurs twice in frame {rows.frame[row]}"
        )


def _require_persons(path: Path, result: MotRows) -> None:
    """Raise for a result of several classes: TrackEval knows persons only."""
    kind = result.extra[:, 0]
    # Fractions are world coordinates, as in MOT15, and say nothing about the class.
    if (kind == np.floor(kind)).all() and (kind > 1).any():
        row = int((kind > 1).argmax())
        raise InputError(
            f"{path}, line {result.line[row]}: class {kind[row]:g} in column 8; "
            "only persons are evaluated (1, or -1 for no class)"
        )


def _rules(path: Path, gt: MotRows, benchmark: Benchmark) -> str:
    """The benchmark whose preprocessing applies."""
    kind, visibility = gt.extra[:, 0], gt.extra[:, 1]
    unclassed = ~((kind == np.floor(kind)) & (kind >= 1) & (kind <= _CLASSES))
    if benchmark == "auto":
        # MOT15 has world coordinates there, or -1.
        if unclassed.any() or not ((visibility >= 0) & (visibility <= 1)).all():
            return "MOT15"
        return "MOT20" if path.resolve().parent.parent.name.startswith("MOT20") else "MOT17"
    if benchmark != "MOT15" and unclassed.any():
        row = int(unclassed.argmax())
        raise InputError(
            f"{path}, line {gt.line[row]}: {benchmark} wants a class of 1 to {_CLASSES} in column 8, "
            f"got {kind[row]:g}; is this MOT15 ground truth?"
        )
    return benchmark


def _require_frames_of_the_sequence(gt_path: Path, gt: MotRows, result_path: Path, result: MotRows) -> None:
    """Raise for frames beyond the end that seqinfo.ini states."""
    info_path = gt_path.resolve().parent.parent / "seqinfo.ini"
    if gt_path.resolve().parent.name != "gt" or not info_path.is_file():
        return
    length = read_seqinfo(info_path).length
    if length is None:
        return
    for path, rows in ((gt_path, gt), (result_path, result)):
        late = rows.frame > length
        if late.any():
            row = int(late.argmax())
            raise InputError(
                f"{path}, line {rows.line[row]}: frame {rows.frame[row]} of a sequence of {length} "
                f"(seqLength in {info_path})"
            )


def _write(path: Path, rows: MotRows, classes: np.ndarray | None = None) -> None:
    """Rows as TrackEval reads them: exact, and identities closed up (it allocates memory by the largest)."""
    path.parent.mkdir(parents=True)
    identity = np.unique(rows.id, return_inverse=True)[1] + 1
    kind = np.full(len(rows), -1.0) if classes is None else classes
    table = np.column_stack([rows.frame, identity, rows.ltwh, rows.confidence, kind])
    np.savetxt(path, table, delimiter=",", fmt="%.17g")


def _summary(raw: dict[str, dict[str, Any]]) -> TrackingMetrics:
    """The figures of ``TrackingMetrics`` out of what the metric classes returned."""
    hota, clear, identity = (raw[family] for family in _FAMILIES)
    averages = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
    shares = {name: float(np.mean(hota[name])) for name in averages}
    shares |= {name: float(identity[name]) for name in ("IDF1", "IDP", "IDR")}
    shares |= {name: float(clear[name]) for name in ("MOTA", "MOTP")}
    values: dict[str, Any] = {name: 100 * value for name, value in shares.items()}
    values |= {name: int(clear[name]) for name in ("IDSW", "Frag", "MT", "ML")}
    return TrackingMetrics(**values, FP=int(clear["CLR_FP"]), FN=int(clear["CLR_FN"]))
