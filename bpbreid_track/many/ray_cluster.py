"""A Ray cluster: one of its own on this machine for one call, or one that runs already."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from ..errors import InputError, install_extra, one_line

# Seconds in which the head of a cluster must answer.
_ANSWER_SECONDS = 5.0
# A session and a socket of Ray need some 70 bytes behind it, its prefix of ours 20.
_LONGEST_FOLDER = 16
# What travels is names and figures: the least that Ray accepts.
_OBJECT_STORE_BYTES = 80 * 1024 * 1024


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster, or with one of its own on this machine; nothing of it stays.

    Args:
        address: of the cluster, ``auto`` for the one of this machine; None begins one for the block.
        workers: for how many a cluster of its own must have room; None for one a core.

    Raises:
        InputError: no Ray, no such cluster, or this process is in one already.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # no GPU asked for: none is seen
    try:
        import ray
    except ImportError as error:
        raise InputError(f"--workers above 1 and --ray need Ray; {install_extra('cluster')}") from error
    if ray.is_initialized():
        raise InputError("this process uses Ray already; call ray.shutdown() before, or track in another one")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as stack:
        if address is None:
            folder = tempfile.mkdtemp(prefix="bpbreid-ray-", dir=_short_folder())
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            options |= {
                "address": "local",
                "num_cpus": max(_cores(), workers or 1),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_temp_dir": folder,
            }
        else:
            _check_reachable(address)
            options["address"] = address
        # Ray says on standard output what its machines report; that belongs to results.
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.enter_context(_own_signals())
        stack.callback(ray.shutdown)
        _connect(ray, address, options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        yield ray


def _connect(ray: Any, address: str | None, options: dict[str, Any]) -> None:
    """Begin or join a cluster; once more where a busy machine has not begun one in the 30 s that Ray allows.

    Raises:
        InputError: there is none.
    """
    for again in (True, False):
        try:
            ray.init(**options)
            return
        except Exception as error:  # each of its parts has errors of its own, some of no other class
            ray.shutdown()
            if address is None and again and "timed out" in str(error):
                continue
            said = one_line(error, 300)
            if address is None:
                mend = "the machine may be too busy for it; without --workers it is not needed"
                raise InputError(f"Ray does not start on this machine: {said}; {mend}") from error
            mend = "one that asks for a token needs RAY_AUTH_MODE=token in the environment"
            if address == "auto":
                mend = "start one with ray start --head, or leave --ray out and give --workers"
            raise InputError(f"no Ray cluster at {address}: {said}; {mend}") from error


def _short_folder() -> str:
    """Where Ray may put its sockets, whose whole path must fit into 107 bytes."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(usual)) > _LONGEST_FOLDER and os.path.isdir("/tmp") else usual


def _check_reachable(address: str) -> None:
    """Tell at once what Ray takes five minutes to find out.

    Raises:
        InputError: nobody answers there.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address}: {one_line(error)}") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put back what Ray, which sets handlers of its own, makes of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
