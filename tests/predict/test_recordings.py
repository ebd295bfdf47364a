"""Videos that are written: codecs, sizes, and what is left when it goes wrong."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fer_jax.errors import RunError
from fer_jax.faces.videos import open_video
from fer_jax.predict.recordings import writing_video

av = pytest.importorskip("av", reason="needs fer-jax[video]")


def paint(gray: int, *, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), gray, np.uint8)


def read(path: Path) -> list[tuple[float, tuple[int, ...], float]]:
    """Give time, shape and mean gray level of each frame."""
    with open_video(path) as video:
        frames = list(video.read_frames(every=1, warn=print))
    return [(each.time_s or 0, each.image.shape, float(each.image.mean())) for each in frames]


@pytest.mark.parametrize("has_h264", [True, False])
def test_times_are_kept_with_either_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_h264: bool
) -> None:
    if not has_h264:
        monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    times = (0.0, 0.04, 0.1, 0.5)
    with writing_video(tmp_path / "a.mp4", fps=25) as write:
        for number, time_s in enumerate(times):
            write(paint(60 * number), time_s)
    with av.open(str(tmp_path / "a.mp4")) as container:
        is_mpeg4 = container.streams.video[0].codec_context.name == "mpeg4"
    assert is_mpeg4 == (not has_h264 or "libx264" not in av.codecs_available)
    found = read(tmp_path / "a.mp4")
    np.testing.assert_allclose([time_s for time_s, _, _ in found], times, atol=1e-4)
    np.testing.assert_allclose([gray for _, _, gray in found], [0, 60, 120, 180], atol=6)


def test_a_colon_in_the_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with writing_video(Path("12:30.mp4"), fps=25) as write:
        write(paint(60), 0.0)
    assert len(read(tmp_path / "12:30.mp4")) == 1


def test_the_first_frame_decides_on_the_size_which_is_even(tmp_path: Path) -> None:
    with writing_video(tmp_path / "a.mp4", fps=None) as write:
        write(paint(100, width=63, height=47), 0.0)
        write(paint(200, width=128, height=96), 0.04)
    (_, first, dark), (_, second, light) = read(tmp_path / "a.mp4")
    assert first == second == (48, 64, 3)
    np.testing.assert_allclose([dark, light], [100, 200], atol=6)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file grow over 20,000 bytes, which stands for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("frames", [2, 60])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, small_disk: None, frames: int) -> None:
    """With two frames the encoder holds all until the end; with sixty it is noticed on the way."""
    noise = np.random.default_rng(0).integers(0, 256, (frames, 240, 320, 3), np.uint8)
    wanted = f"cannot be written: {os.strerror(errno.EFBIG)}"
    with pytest.raises(RunError, match=wanted), writing_video(tmp_path / "a.mp4", fps=25) as write:
        for number in range(frames):
            write(noise[number], number / 25)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_between_leaves_the_old_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("old")
    with pytest.raises(OSError, match="mine"), writing_video(path, fps=25) as write:
        write(paint(0), 0.0)
        raise OSError("mine")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.mp4", "old")]
    for place in (tmp_path, path / "b.mp4"):
        with pytest.raises(RunError, match=r"is a folder|cannot be written"), writing_video(place, fps=None):
            pass
