"""Labels from openpifpaf's fields, as the paper makes them, computed in openpifpaf's own environment."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bpbreid_track.errors import InputError

from .jobs import Job

DEFAULT_CHECKPOINT = "shufflenetv2k16"
_SCRIPT = "scripts/pifpaf_environment.sh"
_WORKER = Path(__file__).with_name("pifpaf_worker.py")


def environment_python() -> Path:
    """What scripts/pifpaf_environment.sh makes: below ``BPBREID_PIFPAF_ENV``, by default in the cache."""
    from bpbreid_track.detection.weights import cache_folder

    folder = os.environ.get("BPBREID_PIFPAF_ENV")
    environment = Path(folder).expanduser() if folder else cache_folder() / "pifpaf-env"
    return environment / "bin" / "python"


class PifPaf:
    """The 17 + 19 confidence fields of the target person, the other persons removed.

    Args:
        checkpoint: path of openpifpaf weights (a pickle: load only what you trust), or a name that openpifpaf
            downloads.
        python: interpreter with openpifpaf; by default ``environment_python()``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: no such interpreter.
    """

    name = "pifpaf"

    def __init__(
        self,
        checkpoint: str | None = None,
        *,
        python: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ) -> None:
        self._checkpoint = checkpoint or DEFAULT_CHECKPOINT
        self._python = environment_python() if python is None else Path(python).expanduser()
        self._device = device
        if not self._python.is_file():
            raise InputError(f"{self._python}: no environment with openpifpaf; {_SCRIPT} builds it")

    def label(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
        """Write the label file of each job; yields the job and how many persons were decoded in it.

        Raises:
            InputError: weights that cannot be had, an unreadable image, or openpifpaf failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            listing, log = Path(folder) / "jobs.json", Path(folder) / "stderr.txt"
            pairs = [[str(job.image.absolute()), str(job.out.absolute())] for job in jobs]
            listing.write_text(json.dumps(pairs), encoding="utf-8")
            command = [str(self._python), str(_WORKER), str(listing), self._checkpoint, self._device]
            # The folder of this program's packages is no place for that interpreter to look into.
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            with (
                log.open("w", encoding="utf-8") as errors,
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
                ) as worker,
            ):
                try:
                    yield from self._results(worker, jobs)
                finally:
                    worker.terminate()
            if worker.returncode:
                last = (
                    log.read_text(encoding="utf-8", errors="replace").strip() or "no message"
                ).splitlines()[-1]
                raise InputError(f"{self._python}: openpifpaf failed (exit {worker.returncode}): {last}")

    def _results(self, worker: subprocess.Popen[str], jobs: Sequence[Job]) -> Iterator[tuple[Job, int]]:
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith("{"):
                continue  # openpifpaf's own chatter
            event = json.loads(line)
            if "error" in event:
                raise InputError(" ".join(f"pifpaf: {event['error']}".split()))
            yield jobs[event["job"]], event["persons"]
        worker.wait()
