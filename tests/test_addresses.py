"""What is shown of the address of a stream: never a password, a token or a signature."""

from __future__ import annotations

from pathlib import Path

import pytest

from bpbreid_track.cli.track import default_output, run
from bpbreid_track.io.addresses import public_name, without_secrets

ADDRESSES = {
    "rtsp://anna:hunter2@cam:554/live": "rtsp://cam:554/live",
    "rtsp://anna:hunt/er2@cam:554/live": "rtsp://cam:554/live",
    "rtsp://anna:hunt?er2#x@cam/live": "rtsp://cam/live",
    "rtsp://anna:hunt@er2@cam/live": "rtsp://cam/live",
    "rtsp://anna:it's hunter2@cam/live": "rtsp://cam/live",
    'rtsp://anna:<">hunter2@cam:554/live': "rtsp://cam:554/live",
    "rtsp://hunter2@cam/live": "rtsp://cam/live",
    "http://cam/video.cgi?user=anna&pwd=hunter2&channel=1": "http://cam/video.cgi?user=***&pwd=***&channel=1",
    "http://cam/a.m3u8?X-Amz-Credential=hunter2;st=hunter2": "http://cam/a.m3u8?X-Amz-Credential=***;st=***",
    "http://cam/a?hunter2": "http://cam/a?***",
    "http://cam/a?channel=1_password=hunter2": "http://cam/a?channel=***",
    "http://cam/a?v=1#token=hunter2": "http://cam/a?v=***#token=***",
    "rtsp://cam/user=anna_password=hunter2_channel=1_stream=0.sdp": "rtsp://cam/user=***",
    "rtsp://cam:8554/h264?channel=1&subtype=0": "rtsp://cam:8554/h264?channel=1&subtype=0",
    "udp://@239.0.0.1:1234": "udp://@239.0.0.1:1234",
    "http://cam/@live/a.m3u8": "http://cam/@live/a.m3u8",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_secrets_of_an_address_are_hidden_and_its_place_is_shown(address: str) -> None:
    assert public_name(address) == ADDRESSES[address]
    assert "hunter" not in without_secrets(f"[Errno 5] no answer: '{address}'; failed")
    assert "hunt" not in str(default_output(address))


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
@pytest.mark.parametrize(
    "address",
    [
        "rtsp://anna:hunt/er2@127.0.0.1:1/live",
        "http://127.0.0.1:1/v.mjpg?user=anna&pwd=hunter2&token=hunter2",
    ],
)
def test_no_secret_reaches_the_terminal(
    address: str, debug: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([address, "--encoder", "none", "--tracks", str(tmp_path / "t.txt"), *debug]) == 1
    shown = "".join(capfd.readouterr())
    assert "127.0.0.1:1" in shown
    assert "hunt" not in shown
    assert "er2" not in shown
