"""Headless Chromium with the browser demo, and with a camera that shows a moving face."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import cbook
from PIL import Image

from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import RunError
from web.server import make_server

PATIENCE_MS: Final = 120_000
"""How long a step of the page may take, on a machine that is busy with other things."""
CAMERA_FRAMES: Final = 30
DRAWN_FACES: Final = (372, 216, 32, 391)
"""Numbers of synthetic faces: happy, surprised, sad and neutral."""
CAMERA_FLAGS: Final = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@contextmanager
def open_chromium(demo: Path) -> Iterator[tuple[Any, str]]:
    """Serve the demo, and start Chromium with a camera that shows a moving face.

    Yields:
        The browser, and the address of the page.

    Raises:
        RunError: playwright or Chromium is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise RunError("this needs playwright: pip install 'fer-jax[dev]'") from None
    with sync_playwright() as tools, make_server(demo, 0) as server:
        program = shutil.which("chromium") or tools.chromium.executable_path
        if not Path(program).exists():
            raise RunError("no Chromium is installed; on Debian: apt install chromium")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with camera_file() as camera:
                flags = ["--no-sandbox", *CAMERA_FLAGS, f"--use-file-for-fake-video-capture={camera}"]
                browser = tools.chromium.launch(executable_path=program, args=flags)
                yield browser, f"http://127.0.0.1:{server.server_port}/"
                browser.close()
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def camera_file() -> Iterator[Path]:
    """Write what the fake camera shows, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "camera.mjpeg"
        write_camera(path)
        yield path


def write_camera(path: Path) -> None:
    """Write pictures one after the other, JPEG, as Chromium's fake camera takes them: a face that moves."""
    with path.open("wb") as file:
        for turn in np.linspace(0, 2 * np.pi, CAMERA_FRAMES, endpoint=False):
            frame = make_background(480, 640)
            place = (round(200 + 120 * np.sin(turn)), round(60 + 40 * np.cos(turn)))
            frame.paste(read_portrait(240), place)
            frame.save(file, format="JPEG", quality=90)


def read_portrait(width: int) -> Image.Image:
    """Read the portrait of Grace Hopper that comes with matplotlib, in some width in pixels."""
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return picture.convert("RGB").resize((width, width * 600 // 512), Image.Resampling.LANCZOS)


def make_sheet() -> Image.Image:
    """Draw a picture of synthetic faces, side by side in two rows, which anybody may show."""
    sheet = make_background(600, 640)
    faces = draw_examples(seed=0, examples=400)
    for number, row in enumerate(DRAWN_FACES):
        face = Image.fromarray(faces.images[row, ..., 0]).resize((240, 240), Image.Resampling.BICUBIC)
        sheet.paste(face, (53 + 293 * (number % 2), 40 + 280 * (number // 2)))
    return sheet


def make_background(height: int, width: int) -> Image.Image:
    """Make smooth colours without a face."""
    across, down = np.arange(width) / width, np.arange(height)[:, None] / height
    levels = [120 + 60 * across + 40 * down, 130 + 0 * across + 50 * down, 200 - 60 * across - 30 * down]
    return Image.fromarray(np.stack(levels, axis=-1).astype(np.uint8))


def wait_for(page: Any, element: str, words: str) -> None:
    """Wait until an element of the page says some words; a text of a program would be against its policy."""
    says = "([element, words]) => document.getElementById(element).textContent.includes(words)"
    page.wait_for_function(says, arg=[element, words], timeout=PATIENCE_MS)
