"""Network streams: real servers on this machine, real video through them."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest

from bpbreid_track.errors import InputError
from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sources import live as live_source
from bpbreid_track.io.sources import video as video_source
from bpbreid_track.io.sources.latest_frame import LatestFrame


@pytest.fixture(scope="module")
def transport_stream(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """165 frames of real video as MPEG-TS, which can be sent over a bare socket."""
    path = tmp_path_factory.mktemp("ts") / "stream.ts"
    with (
        av.open(str(shared / "data/video/basketball-broadcast.mp4")) as source,
        av.open(str(path), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path.read_bytes()


@contextmanager
def camera(data: bytes, connections: int) -> Iterator[str]:
    """The address of a server that sends ``data`` to each of so many callers and then is gone."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server:
            for _ in range(connections):
                caller, _ = server.accept()
                with caller:
                    caller.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    thread.join(timeout=5)


def test_stream_that_breaks_off_is_reconnected(
    transport_stream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_source, "_RECONNECT_WAITS", (0.2, 0.2))
    with camera(transport_stream, connections=2) as address, open_source(address) as source:
        assert (source.live, source.frame_count, source.width) == (True, None, 854)
        frames = list(source)
    assert len(frames) + source.dropped_frames == pytest.approx(2 * 165, abs=2)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(later.timestamp > earlier.timestamp for earlier, later in itertools.pairwise(frames))
    assert frames[-1].timestamp == pytest.approx(2 * 165 * 1001 / 30000 + 0.2, abs=0.4)
    assert "reconnected" in source.notes[0]
    assert "attempts to reconnect failed" in source.notes[1]


def test_live_stream_can_be_left_early(transport_stream: bytes) -> None:
    with camera(transport_stream, connections=1) as address, open_source(address) as source:
        for frame in source:
            if frame.index == 3:
                break
    assert not any(thread.name == "newest-frame" and thread.is_alive() for thread in threading.enumerate())


def test_video_over_http_is_read_completely(shared: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(shared / "data/video"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with open_source(f"{address}/people-detection.264") as source:
            assert not source.live
            assert sum(1 for _ in source) == 596
        with pytest.raises(InputError, match="404"):
            open_source(f"{address}/nothing.mp4")
        server.shutdown()


def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_source, "_NETWORK_SECONDS", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(InputError, match="no answer in time"),
    ):
        open_source(f"tcp://127.0.0.1:{server.getsockname()[1]}")


def test_password_stays_out_of_messages() -> None:
    with pytest.raises(InputError) as caught:
        open_source("rtsp://admin:hunter2@127.0.0.1:1/stream")
    assert "rtsp://127.0.0.1:1/stream" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_slow_reader_gets_the_newest_item_and_a_count_of_the_rest() -> None:
    def camera_items() -> Iterator[int]:
        for item in range(50):
            yield item
            time.sleep(0.005)

    newest = LatestFrame(camera_items())
    taken = []
    for item in newest:
        taken.append(item)
        time.sleep(0.03)
    assert taken == sorted(taken)
    assert taken[-1] == 49
    assert newest.dropped == 50 - len(taken) > 10


def test_error_of_the_camera_reaches_the_reader() -> None:
    def broken() -> Iterator[int]:
        yield 1
        time.sleep(0.05)
        raise InputError("unplugged")

    with pytest.raises(InputError, match="unplugged"):
        list(LatestFrame(broken()))
