"""Videos on the workers of Ray: several on this machine, or those of a cluster.

One actor holds one set of networks and tracks one video at a time. This process hands out the next video when
one has ended, so nothing queues anywhere else, and it alone writes the manifest. A worker that dies is
replaced, and its video begun again.
"""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._version import __version__
from ..errors import InputError, Notice, UsageError, one_line
from .in_turn import unreadable
from .manifest import Entry
from .order import Order
from .pieces import Piece, cut
from .plan import Job
from .ray_cluster import cluster
from .show import Show
from .worker import Worker, begun_entry

# How often a video is begun again whose worker died: a video that kills its worker must come to an end.
RETRIES = 2
# Cores of a worker in a cluster without GPUs: more make a single video little faster.
_CORES = 4


Task = Job | Piece


@dataclass(frozen=True)
class Share:
    """What each of some workers gets.

    Attributes:
        workers: how many.
        cores: whole ones for each.
        gpus: for each, a share of one where several use it.
    """

    workers: int
    cores: int
    gpus: float


def share_out(nodes: Sequence[tuple[float, float]], workers: int | None, use_gpus: bool) -> Share:
    """Divide the machines of a cluster.

    Args:
        nodes: cores and GPUs of each machine.
        workers: how many; None for one a GPU, or one for every few cores where there is none.
        use_gpus: whether the networks may run there.

    >>> share_out([(16, 2), (16, 2)], None, True)
    Share(workers=4, cores=8, gpus=1.0)
    >>> share_out([(2, 0)], 2, True)
    Share(workers=2, cores=1, gpus=0.0)
    """
    cores, gpus = sum(node[0] for node in nodes), sum(node[1] for node in nodes) if use_gpus else 0
    workers = workers or int(gpus) or max(1, int(cores) // _CORES)
    most = max(1, int(min(node[0] for node in nodes if node[0] or len(nodes) == 1)))
    each = gpus / workers
    # Shares of one GPU have four digits, more than one are whole.
    each = float(int(each)) if each >= 1 else int(each * 10_000) / 10_000
    return Share(workers, min(most, max(1, int(cores) // workers)), each)


def track_on_ray(
    order: Order,
    settings: dict[str, Any],
    jobs: Sequence[Job],
    workers: int | None,
    address: str | None,
    show: Show,
) -> Iterator[Entry]:
    """An entry for the beginning of each video, and one for its end, in the order in which they happen.

    Args:
        order: what all videos have in common.
        settings: of the order.
        jobs: the videos.
        workers: how many; None for what fits the cluster.
        address: of the cluster; None begins one on this machine, which ends with this call.
        show: is told of pieces of videos that have been searched.

    Raises:
        InputError: no Ray, no such cluster, another version of this program there, or networks that cannot be
            loaded.
    """
    queue = deque(jobs)
    while queue and queue[0].asked.why:
        job = queue.popleft()
        yield begun_entry(job)
        yield unreadable(job)
    if not queue:
        return
    use_gpus = order.device in {"auto", "cuda"}
    if order.device.startswith("cuda:"):
        raise UsageError(f"--device {order.device}: Ray deals out the GPUs; give --device cuda")
    with cluster(address, workers) as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        share = share_out([(n.get("CPU", 0), n.get("GPU", 0)) for n in nodes], workers, use_gpus)
        make = ray.remote(num_cpus=share.cores, num_gpus=share.gpus)(Worker)
        crew = _Crew(ray, lambda: make.remote(order, settings, share.cores), order, show)
        most = share.workers if order.piece_minutes is not None else min(share.workers, len(queue))
        yield from crew.work(queue, most)


class _Crew:
    """Some workers and what each is busy with.

    Args:
        ray: the module.
        hire: makes a worker.
        order: says whether videos are searched in pieces.
        show: is told of them.
    """

    def __init__(self, ray: Any, hire: Any, order: Order, show: Show) -> None:
        self._ray, self._hire, self._order, self._show = ray, hire, order, show
        self._busy: dict[Any, tuple[Any, Task | None]] = {}  # by what they will answer; None: still loading
        self._idle: list[Any] = []
        self._pieces: dict[str, list[Piece]] = {}  # of the videos that were cut
        self._open: Counter[str] = Counter()  # pieces of them that are not searched yet
        self._deaths: Counter[str] = Counter()

    def work(self, jobs: deque[Job], count: int) -> Iterator[Entry]:
        """Everything in ``jobs`` on ``count`` workers.

        Raises:
            InputError: as ``track_on_ray``.
            KeyboardInterrupt: after an entry for each video that was in work then.
        """
        queue: deque[Task] = deque(jobs)
        for _ in range(count):
            self._load()
        try:
            while queue or self._in_work():
                (answer,), _ = self._ray.wait(list(self._busy), num_returns=1)
                worker, task = self._busy.pop(answer)
                try:
                    result = self._ray.get(answer)
                except self._ray.exceptions.RayTaskError as error:
                    raise _raised(error) from None
                except self._ray.exceptions.RayError as error:
                    yield from self._lost(worker, task, queue, error)
                    continue
                if isinstance(task, Piece):
                    yield from self._searched(task, result, queue)
                elif task is not None:
                    yield result
                elif result != __version__:
                    raise InputError(
                        f"a worker of the cluster has version {result} of bpbreid_track, this is "
                        f"{__version__}; install the same one on all machines"
                    )
                self._idle.append(worker)
                yield from self._hand_out(queue)
        except KeyboardInterrupt:
            for job in self._in_work():
                yield replace(begun_entry(job), state="interrupted")
            raise  # nobody may be in work yet

    def _hand_out(self, queue: deque[Task]) -> Iterator[Entry]:
        """Give whoever is idle something to do."""
        while queue and self._idle:
            task = queue.popleft()
            if isinstance(task, Piece):
                worker = self._idle.pop()
                self._busy[worker.search.remote(replace(task, job=absolute(task.job)))] = worker, task
                continue
            key = task.asked.key
            if key not in self._pieces:
                yield begun_entry(task)
                if task.asked.why:
                    yield unreadable(task)
                    continue
                self._pieces[key] = cut(task, self._order)
                if self._pieces[key]:
                    self._open[key] = len(self._pieces[key])
                    queue.extendleft(reversed(self._pieces[key]))
                    continue
            worker = self._idle.pop()
            answer = worker.track.remote(absolute(task), pieces=self._pieces[key])
            self._busy[answer] = worker, task

    def _searched(self, piece: Piece, failure: Entry | None, queue: deque[Task]) -> Iterator[Entry]:
        """A piece is done: the video can be tracked once that was the last one."""
        key = piece.job.asked.key
        if key not in self._open:  # another piece of it has failed
            return
        if failure is not None:
            self._give_up(key, queue)
            yield failure
            return
        self._open[key] -= 1
        count = len(self._pieces[key])
        self._show.searched(piece.job.name, count - self._open[key], count)
        if not self._open[key]:
            del self._open[key]
            queue.appendleft(piece.job)

    def _give_up(self, key: str, queue: deque[Task]) -> None:
        """What is left of the pieces of a video is not searched."""
        self._open.pop(key, None)
        kept = [other for other in queue if _job(other).asked.key != key]
        queue.clear()
        queue.extend(kept)

    def _in_work(self) -> list[Job]:
        """The videos that somebody is busy with."""
        busy = [_job(task) for _, task in self._busy.values() if task is not None]
        return list({job.asked.key: job for job in busy}.values())

    def _load(self) -> None:
        worker = self._hire()
        self._busy[worker.load.remote()] = worker, None

    def _lost(self, worker: Any, task: Task | None, queue: deque[Task], error: Exception) -> Iterator[Entry]:
        """A worker died: another one takes its place, and its video is begun again."""
        self._ray.kill(worker)
        key = "" if task is None else _job(task).asked.key
        what = "it was loading" if task is None else f"it was tracking {_job(task).name}"
        warnings.warn(f"a worker died while {what}; another one does it again", Notice, stacklevel=2)
        self._deaths[key] += 1
        died = self._deaths[key] > RETRIES
        if task is None and died:
            raise InputError(f"workers die while they load the networks: {one_line(error, 300)}")
        if task is not None and died:
            why = f"its worker died {self._deaths[key]} times: {one_line(error, 300)}"
            self._give_up(key, queue)
            yield replace(begun_entry(_job(task)), state="failed", error=why)
        elif task is not None:
            if isinstance(task, Job):
                yield begun_entry(task)
            queue.appendleft(task)
        self._load()


def _job(task: Task) -> Job:
    return task.job if isinstance(task, Piece) else task


def absolute(job: Job) -> Job:
    """The same video by its absolute path: workers have a current folder of their own."""
    if job.asked.stored:
        return job
    return replace(job, asked=replace(job.asked, source=job.asked.key))


def _raised(error: Any) -> BaseException:
    """What a worker raised, as it would have been raised here."""
    cause: BaseException = getattr(error, "cause", error)
    return (
        cause
        if isinstance(cause, InputError)
        else InputError(f"{type(cause).__name__}: {one_line(cause, 300)}")
    )
