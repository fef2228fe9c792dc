"""TrackLab, really installed in an environment of its own: its command line with our modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from host_scenes import Street

import bpbreid_track
from bpbreid_track.detection.weights import find_detector_weights

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.tracklab


@pytest.fixture(scope="module")
def python() -> Path:
    """TrackLab's environment, built by the script where it does not stand yet."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "tracklab_environment.sh")],
        capture_output=True,
        text=True,
        check=False,
        env={"TRACKLAB_PYTHON": sys.executable, **os.environ},
    )
    if done.returncode:
        pytest.skip(f"TrackLab's environment cannot be built here: {done.stderr.strip()[-300:]}")
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def clip(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The street as the video that TrackLab reads."""
    path = tmp_path_factory.mktemp("tracklab") / "street.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(7))
        stream.height, stream.width = street.images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in street.images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def run(python: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(python), *words], capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


READ_STATE = """
import json, sys, zipfile, pandas
with zipfile.ZipFile(sys.argv[1]) as state:
    rows = pandas.read_pickle(state.open("0.pkl"))
print(json.dumps({
    "shapes": sorted({str(v.shape) for v in [*rows.embeddings, *rows.visibility_scores]}),
    "tracks": [[int(i), int(t)] for i, t in rows[["image_id", "track_id"]].dropna().to_numpy()],
    "detections": len(rows),
}))
"""


def test_their_command_line_runs_with_our_encoder_and_tracker(
    python: Path, clip: Path, shared: Path, tmp_path: Path
) -> None:
    local = shared / "weights" / "yolo11n.pt"
    detector = local if local.exists() else find_detector_weights("auto").path
    # modules/reid=bpbreid is TrackLab's own configuration, whose class TrackLab does not have.
    done = run(
        python,
        *["-m", "tracklab.main", "modules/reid=bpbreid", "modules/track=bpbreid_track"],
        f"modules.reid.cfg.model.load_weights={Path(bpbreid_track.__file__).parent}/weights/default.safetensors",
        "modules.track.cfg.frame_rate=7",
        "pipeline=[bbox_detector,reid,track]",
        f"modules.bbox_detector.cfg.path_to_checkpoint={detector}",
        f"dataset.video_path={clip}",
        f"project_dir={tmp_path}",
        *[
            "visualization=none",
            "eval_tracking=false",
            "use_rich=false",
            "num_cores=0",
            "state.save_file=out.pklz",
        ],
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (state,) = tmp_path.rglob("out.pklz")
    read = run(python, "-c", READ_STATE, str(state), cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout)
    assert found["shapes"] == ["(4, 256)", "(4,)"]
    by_frame: dict[int, set[int]] = {}
    for frame, identity in found["tracks"]:
        by_frame.setdefault(frame, set()).add(identity)
    assert found["detections"] > 20
    assert by_frame[0] & by_frame[max(by_frame)]


IN_THEIR_ENVIRONMENT = """
import json, sys
import numpy as np, pandas as pd
from bpbreid_track.errors import InputError
from bpbreid_track.integrations.report import appearance_report
from bpbreid_track.integrations.tracklab import BPBReId, BPBReIDPartTracker

said = []
for make in (lambda: BPBReId({"model": {"load_weights": "/no/such.pth"}}, "cpu"),
             lambda: BPBReIDPartTracker({"frame_rat": 25})):
    try:
        make()
    except InputError as error:
        said.append(str(error))

rgb = np.random.default_rng(0).integers(0, 255, (120, 90, 3), dtype=np.uint8)
rows = pd.DataFrame({"bbox_ltwh": [np.array([5.2, 8.0, 30.0, 80.0]), np.array([60.0, -10, 50, 100])],
                     "bbox_conf": [0.9, 0.8]}, index=[7, 3])
encoder = BPBReId({}, "cpu")
crops = [encoder.preprocess(rgb, row, None) for _, row in rows.iterrows()]
made = encoder.process(crops, rows, None)
xyxy = np.stack(rows.bbox_ltwh.to_numpy()); xyxy[:, 2:] += xyxy[:, :2]
direct = encoder.encoder.encode(np.ascontiguousarray(rgb[..., ::-1]), xyxy).features.numpy()
tracker = BPBReIDPartTracker({"camera_motion": "none"})
rows = rows.join(made)
first = tracker.process([rgb], rows, None)
nobody = tracker.process([rgb], rows[:0], None)
second = tracker.process([rgb], rows[::-1], None)
report = appearance_report(tracker)
tracker.reset()
print(json.dumps({
    "said": said, "index": made.index.tolist(),
    "off": float(np.abs(np.stack(made.embeddings) - direct).max()),
    "first": first.track_id.to_dict(), "second": second.track_id.to_dict(), "nobody": nobody,
    "level": report.level, "matches": report.matches, "after_reset": appearance_report(tracker).matches}))
"""


def test_the_modules_keep_rows_and_people_together(python: Path, tmp_path: Path) -> None:
    done = run(python, "-c", IN_THEIR_ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    missing, misspelt = found["said"]
    assert "modules/reid=bpbreid_track" in missing
    assert "did you mean 'frame_rate'" in misspelt
    assert found["index"] == [7, 3]
    assert found["off"] < 1e-4
    assert found["first"] == found["second"] == {"7": 1.0, "3": 2.0}
    assert found["nobody"] == []
    assert (found["level"], found["matches"], found["after_reset"]) == ("exact", 2, 0)
