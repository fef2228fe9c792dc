"""What a written video takes over from its source: shape of the pixels, levels, colours, sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from bpbreid_track import track_video
from bpbreid_track.cli.track import run
from bpbreid_track.io.sinks.colour import to_yuv420
from bpbreid_track.io.sinks.video import VideoSink
from bpbreid_track.io.sources.base import Sound

RATE = 25


def copy(source: Path, out: Path, frames: int | None = None) -> list[str]:
    """``source`` written again without boxes; returns the notes."""
    empty = out.with_name("det.txt")
    empty.write_text("9999,-1,0,0,9,9,0.9\n")
    report = track_video(
        source, out, detector=empty, encoder="none", max_frames=frames, config={"draw": {"overlay": []}}
    )
    return report.notes


# --- shape of the pixels


def write_anamorphic(path: Path, aspect: Fraction) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 180, 144, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.full((144, 180, 3), 90, np.uint8), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def shown(path: Path) -> tuple[int, int, Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height, Fraction(stream.sample_aspect_ratio or 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(10, 11), Fraction(1)], ids=str)
def test_pixels_keep_their_shape(tmp_path: Path, aspect: Fraction, suffix: str) -> None:
    source = write_anamorphic(tmp_path / "in.mp4", aspect)
    assert copy(source, tmp_path / f"o{suffix}") == []
    assert shown(tmp_path / f"o{suffix}") == (180, 144, aspect)


def test_pixels_of_a_turned_video_are_turned_too(tmp_path: Path) -> None:
    source = write_anamorphic(tmp_path / "in.mp4", Fraction(64, 45))
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    quarter = (0, 1, 0, -1, 0, 0, 0, 0, 1)
    for k, value in enumerate(quarter):
        data[at + 4 * k : at + 4 * k + 4] = (value << (30 if k % 3 == 2 else 16)).to_bytes(
            4, "big", signed=True
        )
    source.write_bytes(data)
    copy(source, tmp_path / "o.mp4")
    assert shown(tmp_path / "o.mp4") == (144, 180, Fraction(45, 64))


# --- levels and colours


def ramp_video(path: Path, pixels: str, colour_range: ColorRange, space: int) -> Path:
    """Every luma of the range in a block of its own, without loss."""
    low, high = (0, 255) if colour_range == ColorRange.JPEG else (16, 235)
    levels = np.arange(low, high + 1, dtype=np.uint8)
    levels = np.pad(levels, (0, 256 - len(levels)), mode="edge")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 256, 256, pixels
        context = stream.codec_context
        context.colorspace, context.color_range = space, colour_range
        picture = av.VideoFrame(256, 256, pixels)
        luma = np.repeat(levels.reshape(16, 16).repeat(16, 0), 16, 1)
        for number, plane in enumerate(picture.planes):
            rows = np.full((plane.height, plane.line_size), 128, np.uint8)
            if number == 0:
                rows[:, :256] = luma
            plane.update(rows.tobytes())
        picture.colorspace, picture.color_range = space, colour_range
        for index in range(3):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def brightness(path: Path) -> np.ndarray:
    """Light of each block of the first picture, 0 to 255, as a player shows it."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        plane = picture.planes[0]
        luma = (
            np.frombuffer(plane, np.uint8)
            .reshape(plane.height, plane.line_size)[:, : plane.width]
            .astype(float)
        )
        full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
    means = luma.reshape(16, 16, 16, 16)[:, 4:12, :, 4:12].mean(axis=(1, 3)).ravel()
    return means if full else (means - 16) * 255 / 219


@pytest.mark.parametrize(
    ("pixels", "colour_range", "space"),
    [
        ("yuv420p", ColorRange.MPEG, Colorspace.ITU709),
        ("yuv420p", ColorRange.UNSPECIFIED, 2),
        ("yuv420p", ColorRange.MPEG, Colorspace.ITU601),
        ("yuv420p", ColorRange.JPEG, Colorspace.ITU709),
        ("yuvj420p", ColorRange.JPEG, Colorspace.ITU601),
        ("yuv422p", ColorRange.MPEG, Colorspace.ITU709),
        ("yuv444p", ColorRange.MPEG, Colorspace.ITU709),
    ],
)
def test_a_grey_ramp_keeps_its_levels(
    tmp_path: Path, pixels: str, colour_range: ColorRange, space: int
) -> None:
    source = ramp_video(tmp_path / "in.mp4", pixels, colour_range, space)
    copy(source, tmp_path / "o.mp4")
    change = brightness(tmp_path / "o.mp4") - brightness(source)
    assert abs(change.mean()) < 0.25
    assert np.abs(change).max() < 1.3  # one level of the 220 that there are


def test_levels_are_rounded_not_cut() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(2, axis=0)
    planes = to_yuv420(np.ascontiguousarray(grey))
    error = planes[0].astype(float) - (16 + np.arange(256) * 219 / 255)
    assert np.abs(error).max() < 0.65
    assert abs(error.mean()) < 0.1
    assert set(planes[2].tolist()) == {128}


@pytest.mark.parametrize("rounded_down", [False, True])
def test_colour_patches_keep_their_levels(rounded_down: bool) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    image = patches.repeat(8, axis=0).repeat(8, axis=1)
    planes = to_yuv420(image)
    if rounded_down:  # as it comes from a video
        video = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        video.colorspace, video.color_range = Colorspace.ITU709, ColorRange.MPEG
        change = to_yuv420(video.to_ndarray(format="bgr24"), True).astype(float) - planes
        luma, colours = change[:192], change[192:]
        assert np.abs(change).max() <= 2
    else:
        weights = np.array([0.0722, 0.7152, 0.2126])
        luma = planes[:192] - (16 + image @ weights * 219 / 255)
        colours = np.zeros(1)
        assert np.abs(luma).max() < 0.65
    assert abs(luma.mean()) < 0.15
    assert abs(colours.mean()) < 0.15


def test_written_video_states_its_colours(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "o.mp4", 64, 64, RATE) as sink:
        sink.write(np.full((64, 64, 3), 90, np.uint8))
    with av.open(str(tmp_path / "o.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (Colorspace.ITU709, ColorRange.MPEG)
        assert (context.color_primaries, context.color_trc) == (1, 1)


@pytest.mark.parametrize("name", ["soccer-broadcast.mp4", "street-crowd.avi"])
def test_a_real_video_gets_no_darker(shared: Path, tmp_path: Path, name: str) -> None:
    source = shared / "data/video" / name
    copy(source, tmp_path / "o.mp4", frames=6)
    means = []
    for path in (source, tmp_path / "o.mp4"):
        with av.open(str(path)) as container:
            pictures = [picture for picture, _ in zip(container.decode(video=0), range(6), strict=False)]
        means.append(
            [
                np.frombuffer(p.planes[0], np.uint8).reshape(p.height, -1)[:, : p.width].mean()
                for p in pictures
            ]
        )
    assert np.abs(np.subtract(*means)).max() < 0.5


# --- sound


def write_with_sound(path: Path, codec: str, *, seconds: float = 3.0, sound_seconds: float = 3.0) -> Path:
    """A dark video with a beep at every whole second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        rate = 48000 if codec == "libopus" else 44100
        audio = container.add_stream(codec, rate=rate)
        audio.layout = "mono"
        for _ in range(round(seconds * RATE)):
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40, np.uint8), format="bgr24"))
            )
        container.mux(video.encode())
        time = np.arange(round(sound_seconds * rate)) / rate
        wave = (np.sin(2 * np.pi * 440 * time) * (time % 1 < 0.1) * 16000).astype(np.int16)
        for at in range(0, len(wave), 1024):
            piece = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="s16", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, at, Fraction(1, rate)
            container.mux(audio.encode(piece))
        container.mux(audio.encode())
    return path


def beeps(path: Path) -> list[float]:
    """When each beep begins, in seconds after the first picture."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        begin = float(first.pts * first.time_base)
    with av.open(str(path)) as container:
        times: list[float] = []
        for piece in container.decode(audio=0):
            samples = piece.to_ndarray().reshape(-1).astype(float)
            if piece.format.name.startswith("s16"):
                samples /= 32768
            loud = np.flatnonzero(np.abs(samples) > 0.1)
            times += (float(piece.pts * piece.time_base) + loud / piece.sample_rate - begin).tolist()
    heard = np.array(times)
    return heard[np.diff(heard, prepend=-9) > 0.3].round(2).tolist()


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("name", "codec", "out"),
    [
        ("in.mp4", "aac", "o.mp4"),
        ("in.mp4", "aac", "o.mkv"),
        ("in.mkv", "libopus", "o.mp4"),
        ("in.mkv", "pcm_s16le", "o.mov"),
        ("in.ts", "aac", "o.mp4"),
        ("in.ts", "aac", "o.mkv"),
    ],
)
def test_sound_is_copied_in_step_with_the_pictures(tmp_path: Path, name: str, codec: str, out: str) -> None:
    source = write_with_sound(tmp_path / name, codec)
    assert copy(source, tmp_path / out) == []
    assert beeps(source)[:3] == pytest.approx([0, 1, 2], abs=0.09)
    # Matroska has no time before the first picture, where the first packet of AAC lies.
    assert beeps(tmp_path / out)[:3] == pytest.approx([0, 1, 2], abs=0.05 if out.endswith("mkv") else 0.02)
    if not name.endswith(".ts"):
        assert set(packets(tmp_path / out)) <= set(packets(source))


def test_sound_ends_with_the_pictures(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4", "aac")
    copy(source, tmp_path / "o.mp4", frames=30)
    assert beeps(tmp_path / "o.mp4") == pytest.approx([0, 1], abs=0.02)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(1.2, abs=0.05)
        assert sum(1 for _ in container.decode(video=0)) == 30


def test_pictures_go_on_where_the_sound_ends(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4", "aac", sound_seconds=1.0)
    assert copy(source, tmp_path / "o.mp4") == []
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 75


def test_linked_and_cached_runs_have_sound_too(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4", "aac")
    boxes = tmp_path / "det.txt"
    boxes.write_text("".join(f"{n + 1},-1,5,5,20,50,0.9\n" for n in range(75)))
    for number, options in enumerate(({"link": True}, {"cache": tmp_path / "c"}, {"cache": tmp_path / "c"})):
        out = tmp_path / f"o{number}.mp4"
        track_video(source, out, detector=boxes, encoder="none", **options)
        assert beeps(out)[:3] == pytest.approx([0, 1, 2], abs=0.02)


def test_sound_that_cannot_be_copied_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_with_sound(tmp_path / "in.mov", "pcm_mulaw")
    (tmp_path / "det.txt").write_text("1,-1,0,0,9,9,0.9\n")
    assert run(["in.mov", "--detector", "det.txt", "--encoder", "none", "--out", "o.mp4", "--quiet"]) == 0
    line = "bpbreid-track: warning: o.mp4: has no sound: pcm_mulaw does not go into this kind of file\n"
    assert capsys.readouterr().err == line
    assert run(["in.mov", "--detector", "det.txt", "--encoder", "none", "--out", "o.mov", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert beeps(tmp_path / "o.mov")[:3] == pytest.approx([0, 1, 2], abs=0.02)


def test_a_source_that_states_why_it_has_no_sound(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "o.mp4", 64, 64, 25, sound=Sound("camera", lost="it is live"))
    sink.write(np.zeros((64, 64, 3), np.uint8))
    sink.close()
    assert sink.notes == [f"{tmp_path / 'o.mp4'}: has no sound: it is live"]


def test_a_disk_without_room_for_two_keeps_the_fragments(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "o.mp4", 64, 64, 25)
    for index in range(60):
        sink.write(np.full((64, 64, 3), index, np.uint8))
    (tmp_path / "o.part2.mp4").mkdir()  # nothing can be written there
    sink.close()
    assert sink.notes == [f"{tmp_path / 'o.mp4'}: no room to put its index to the front; it is fragmented"]
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
