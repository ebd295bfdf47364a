"""Videos written on the spot, read back and broken; and what stands in for a camera."""

import importlib.util
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fer_jax.errors import ConfigError, DataError
from fer_jax.faces.pictures import Picture
from fer_jax.faces.videos import open_camera, open_video
from fer_jax.predict.recordings import writing_video

av = pytest.importorskip("av", reason="needs fer-jax[video]")

TIMES = (0.0, 0.04, 0.1, 0.5, 0.6, 1.0)


def paint(number: int, *, width: int = 64, height: int = 48) -> np.ndarray:
    """Paint a gray frame whose level is its number, with a white top left corner."""
    image = np.full((height, width, 3), 20 * (number % 12), np.uint8)
    image[: height // 3, : width // 3] = 255
    return image


def write(path: Path, times: tuple[float, ...] = TIMES, **size: int) -> Path:
    with writing_video(path, fps=25) as write_frame:
        for number, time_s in enumerate(times):
            write_frame(paint(number, **size), time_s)
    return path


def refuse(message: str) -> None:
    raise AssertionError(message)


def read(path: Path, *, every: int = 1) -> list[Picture]:
    with open_video(path) as video:
        return list(video.read_frames(every=every, warn=refuse))


def test_a_copy_keeps_times_and_pictures(tmp_path: Path) -> None:
    frames = read(write(tmp_path / "顔.mp4"))
    assert [each.frame for each in frames] == list(range(len(TIMES)))
    np.testing.assert_allclose([each.time_s or 0 for each in frames], TIMES, atol=1e-4)
    for each in frames:
        np.testing.assert_allclose(each.image.astype(int), paint(each.frame), atol=40)
        assert abs(each.image[40, 40] - 20.0 * each.frame).max() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["顔.mp4"]


def test_every_second_frame_keeps_its_number_and_time(tmp_path: Path) -> None:
    frames = read(write(tmp_path / "a.mp4"), every=2)
    assert [each.frame for each in frames] == [0, 2, 4]
    np.testing.assert_allclose([each.time_s or 0 for each in frames], TIMES[::2], atol=1e-4)


def test_what_is_known_about_a_video(tmp_path: Path) -> None:
    times = tuple(number / 25 for number in range(10))
    with open_video(write(tmp_path / "a.mp4", times, width=65, height=47), name="mine") as video:
        assert (video.name, video.width, video.height, video.frame_count) == ("mine", 66, 48, 10)
        assert video.fps == pytest.approx(25) and video.duration_s == pytest.approx(0.4)
        assert not video.is_live


def test_a_codec_without_a_decoder_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(write(tmp_path / "a.mp4"))) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_NOBODY/KNOWS/I"[:15]))
    with pytest.raises(DataError, match=r"found no video that can be decoded \(Matroska"):
        read(path)


def test_rotation_is_applied(tmp_path: Path) -> None:
    """As a phone writes it: the matrix turns the coded frame clockwise, so its top left becomes top right."""
    path = write(tmp_path / "phone.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(content)
    image = read(path)[0].image
    assert image.shape == (64, 48, 3)
    assert image[:10, -10:].min() > 200 and image[:10, :10].max() < 50


def test_pixels_become_square(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for number in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(paint(number), format="rgb24")))
        container.mux(stream.encode(None))
    assert read(path)[0].image.shape == (48, 96, 3)


def test_a_video_that_is_cut_off_gives_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", tuple(number / 25 for number in range(60)))
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 4])
    said: list[str] = []
    with open_video(path) as video:
        count = len(list(video.read_frames(every=1, warn=said.append)))
    assert 10 < count < 60
    assert len(said) == 1 and f"cut off; {count} frames could be read" in said[0]


def test_where_times_start_again_they_go_on(tmp_path: Path) -> None:
    """As in files that were joined, such as those of a security camera."""
    with av.open(str(tmp_path / "part.ts"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(paint(number), format="rgb24")))
        container.mux(stream.encode(None))
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "part.ts").read_bytes() * 2)
    times = [each.time_s or 0 for each in read(joined)]
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=1e-3)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_slow_video_is_whole(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"slow.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(paint(number), format="rgb24")))
        container.mux(stream.encode(None))
    assert [each.time_s for each in read(path)] == [0, 1, 2, 3, 4]


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_what_is_no_video_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("Dear diary\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 10)
    write_sound(tmp_path / "sound.mp4")
    write(tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "no-index.mp4").write_bytes(whole[:40])
    (tmp_path / "no-frames.mp4").write_bytes(whole[: whole.index(b"mdat") + 4])
    messages = {
        "empty.mp4": "the file is empty",
        "notes.txt": "found no video",
        "list.mp4": r"cannot be opened|found no video",
        "noise.mp4": "cannot be opened",
        "sound.mp4": "found sound alone",
        "no-index.mp4": r"cannot be opened|found no video",
        "no-frames.mp4": r"no frame of the video can be decoded|cannot be opened",
        "gone.mp4": "No such file",
        ".": "is a folder",
    }
    for name, message in messages.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)


def test_a_camera() -> None:
    with open_camera("lavfi:testsrc2=size=64x48:rate=30") as video:
        frames = video.read_frames(every=1, warn=refuse)
        found = [next(frames) for _ in range(3)]
    assert [each.image.shape for each in found] == [(48, 64, 3)] * 3
    np.testing.assert_allclose([each.time_s or 0 for each in found], [0, 1 / 30, 2 / 30], atol=1e-6)
    assert video.frame_count is None and video.duration_s is None


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"^camera:79 cannot be opened"), open_camera("79"):
        pass


def test_without_the_extra_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for opening in (open_video(tmp_path / "a.mp4"), open_camera("0")):
        with pytest.raises(ConfigError, match=r"pip install 'fer-jax\[video\]'"), opening:
            pass
