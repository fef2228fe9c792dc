"""A network run by OpenVINO on a CPU, several pictures side by side."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

# More pictures at once take memory; threads beyond these share the layers of each picture. Crops are small.
_MOST_STREAMS, _MOST_CROPS = 4, 8


class OpenVinoStreams:
    """A network that computes each picture by itself, several side by side, on threads of their own.

    Threads that share a layer wait for the slowest of them after each of hundreds of layers, and beside a
    decoder, a tracker and H.264 one of them is always slow. Pictures side by side wait for each other once.
    On two cores, beside other work, yolo11n took 84 to 127 ms a picture with both threads in each layer, and
    45 to 52 ms with one thread a picture.

    Args:
        core: of OpenVINO.
        steps: the network, or several in a row, each of which takes what the one before it gives: an
            ``openvino.Model`` or a path, and its precision, ``fp32`` or ``bf16``. One that takes
            single pictures only is faster than one for any number, and needs less memory.
        threads: of all streams together.
        streams: pictures side by side; ``stream_count`` and ``crop_streams`` say how many make sense.
    """

    def __init__(self, core: Any, steps: Sequence[tuple[Any, str]], threads: int, streams: int) -> None:
        networks = []
        for model, precision in steps:
            settings = {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": str(streams),
                # By itself OpenVINO takes bf16 where the CPU has it.
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                # Threads tied to cores wait there for whatever else runs on it, other networks among them.
                "ENABLE_CPU_PINNING": False,
            }
            networks.append(core.compile_model(model, "CPU", settings))
        # For each stream the requests of its steps.
        self._streams = [[network.create_infer_request() for network in networks] for _ in range(streams)]
        self._outputs = range(len(networks[-1].outputs))
        self._in_use = threading.Lock()

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """All outputs for N > 0 pictures; threads that share one of these take turns.

        Args:
            images: [N, ...], cast to the type that the network takes.

        Returns:
            Arrays [N, ...], one for each output, which are the caller's.
        """
        starts = range(0, len(images), len(self._streams))
        with self._in_use:
            rounds = [self._side_by_side(images[start : start + len(self._streams)]) for start in starts]
        if len(rounds) == 1:  # megabytes that need not be copied
            return rounds[0]
        return [np.concatenate(outputs) for outputs in zip(*rounds, strict=True)]

    def _side_by_side(self, images: np.ndarray) -> list[np.ndarray]:
        streams = self._streams[: len(images)]
        for (first, *_), image in zip(streams, images, strict=True):
            first.start_async([np.ascontiguousarray(image[None])], share_inputs=True)
        for before, after in itertools.pairwise(range(len(streams[0]))):
            for requests in streams:
                _hand_on(requests[before], requests[after])
        for requests in streams:
            requests[-1].wait()
        # A request writes its next answer into the same memory.
        return [
            np.concatenate([requests[-1].get_output_tensor(index).data for requests in streams])
            for index in self._outputs
        ]


def _hand_on(request: Any, following: Any) -> None:
    """Wait for one step and start the next one on what it gives, where it lies."""
    request.wait()
    for index in range(len(following.input_tensors)):
        following.set_input_tensor(index, request.get_output_tensor(index))
    following.start_async()


def stream_count(threads: int) -> int:
    """Pictures that ``threads`` threads compute side by side: 1, 2 or 4.

    A power of two, so that batches of 8 frames are whole batches of so many.
    """
    return 1 << (min(threads, _MOST_STREAMS).bit_length() - 1)


def crop_streams(threads: int) -> int:
    """Crops of people that ``threads`` threads compute side by side."""
    return min(threads, _MOST_CROPS)


@functools.cache
def openvino_core(openvino: Any) -> Any:
    """The one ``openvino.Core`` of this process, which lives as long as it does.

    On CPUs with AMX the plugin of a core (2026.4) puts the thread's signal stack into memory of its own.
    Cores that come and go can leave the thread with a stack that is gone, and then a signal, such as Ctrl-C
    or the end of a child process, ends the program.
    """
    return openvino.Core()
