"""Video files as phones, editors and recorders write them: orientation, cover pictures, names."""

from __future__ import annotations

import gc
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from bpbreid_track.io.open_source import open_source
from bpbreid_track.io.sinks.video import VideoSink

WIDTH, HEIGHT = 320, 240
# a, b, u, c, d, v, x, y, w of the display matrix, and the corners that browsers then show, row by row.
MATRICES = {
    "as stored": ((1, 0, 0, 0, 1, 0, 0, 0, 1), "RGBk"),
    "turn 90": ((0, 1, 0, -1, 0, 0, HEIGHT, 0, 1), "BRkG"),
    "turn 180": ((-1, 0, 0, 0, -1, 0, WIDTH, HEIGHT, 1), "kBGR"),
    "turn 270": ((0, -1, 0, 1, 0, 0, 0, WIDTH, 1), "GkRB"),
    "mirror left-right": ((-1, 0, 0, 0, 1, 0, WIDTH, 0, 1), "GRkB"),
    "mirror up-down": ((1, 0, 0, 0, -1, 0, 0, HEIGHT, 1), "BkRG"),
    "transpose": ((0, 1, 0, 1, 0, 0, 0, 0, 1), "RBGk"),
    "anti-transpose": ((0, -1, 0, -1, 0, 0, HEIGHT, WIDTH, 1), "kGBR"),
}


def quarters() -> np.ndarray:
    """A picture with a red, a green, a blue and a black quarter."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (0, 0, 255)
    image[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0)
    image[HEIGHT // 2 :, : WIDTH // 2] = (255, 0, 0)
    return image


def write_video(path: Path, *, cover: bool = False, frames: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if cover:
            picture = container.add_stream("mjpeg", rate=25)
            picture.width, picture.height, picture.pix_fmt = 160, 120, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            small = np.full((120, 160, 3), 60, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(small, format="bgr24")))
            container.mux(picture.encode())
        for _ in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(quarters(), format="bgr24")))
        container.mux(video.encode())
    return path


def corners(image: np.ndarray) -> str:
    height, width = image.shape[:2]
    points = [image[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join("k" if point.max() < 90 else "BGR"[int(point.argmax())] for point in points)


@pytest.mark.parametrize("name", MATRICES)
def test_all_eight_orientations_come_out_upright(name: str, tmp_path: Path) -> None:
    matrix, expected = MATRICES[name]
    data = write_video(tmp_path / "plain.mp4").read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # of version 0
    values = [round(value * (1 << (30 if k % 3 == 2 else 16))) for k, value in enumerate(matrix)]
    path = tmp_path / "turned.mp4"
    path.write_bytes(data[:at] + struct.pack(">9i", *values) + data[at + 36 :])
    with open_source(path) as source:
        images = [frame.image for frame in source]
        shapes = {image.shape for image in images}
        assert shapes == {(source.height, source.width, 3)}
    assert [corners(image) for image in images] == [expected] * 5


def test_pictures_that_nobody_holds_are_let_go(tmp_path: Path) -> None:
    path = write_video(tmp_path / "plain.mp4", frames=60)
    with open_source(path) as source:
        gc.collect()
        gc.disable()
        try:
            assert sum(1 for _ in source) == 60
            assert gc.collect() < 60  # in cycles: PyAV makes three objects of a picture whose matrix is read
        finally:
            gc.enable()


def atoms(data: bytes, at: int, end: int) -> list[tuple[bytes, bytes]]:
    found = []
    while at < end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append((kind, data[at : at + size]))
        at += size
    return found


@pytest.mark.parametrize("first", [False, True])
def test_a_cover_picture_is_not_taken_for_the_video(first: bool, tmp_path: Path) -> None:
    path = write_video(tmp_path / "covered.mp4", cover=True, frames=30)
    if first:  # metadata before tracks: then the cover is the first stream
        data, out = path.read_bytes(), b""
        for kind, atom in atoms(data, 0, len(data)):
            if kind == b"moov":  # behind the media, so nothing that points into it moves
                order = {b"mvhd": 0, b"udta": 1}
                children = sorted(atoms(atom, 8, len(atom)), key=lambda child: order.get(child[0], 2))
                atom = atom[:8] + b"".join(child for _, child in children)
            out += atom
        path.write_bytes(out)
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "mjpeg"
    with open_source(path) as source:
        assert (source.width, source.height) == (WIDTH, HEIGHT)
        assert len(list(source)) == 30


@pytest.mark.parametrize("name", ["12:30.mp4", "cam1:am.mp4", "2024-11-14T22:57:44+02:00.mp4"])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_colon_in_a_relative_name_is_no_protocol(
    name: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / name)
    with open_source(f"{prefix}{name}") as source:
        images = [frame.image for frame in source]
    assert len(images) == 5
    sink = VideoSink(f"{prefix}out {name}", WIDTH, HEIGHT, 25)
    for number, image in enumerate(images):
        sink.write(image, number / 25)
    sink.close()
    with open_source(tmp_path / f"out {name}") as source:
        assert len(list(source)) == 5


@pytest.mark.parametrize("ending", ["mkv", "flv"])
def test_sound_that_lasts_longer_is_no_damage_of_the_pictures(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"talk.{ending}"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=48000, layout="mono")
        for place in range(30):
            noise = np.random.default_rng(place).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            picture = av.VideoFrame.from_ndarray(noise, format="bgr24")
            picture.pts, picture.time_base = 25 + place, Fraction(1, 25)  # a second after the sound
            container.mux(video.encode(picture))
        container.mux(video.encode())
        for start in range(0, 5 * 48000, 1024):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode())
    with open_source(path) as source:
        assert len(list(source)) == 30
        assert source.notes == []
        assert source.frame_count == (30 if ending == "mkv" else pytest.approx(125, abs=5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if ending == "mkv":
        with open_source(path) as source:
            assert len(list(source)) < 28
            assert "of about 30 frames could be decoded; the file is damaged" in source.notes[0]
