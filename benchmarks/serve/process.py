"""A server to measure: a process that says on its first lines where it listens, and photos to send to it."""

import contextlib
import io
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.harness import bench
from benchmarks.harness.arena import PATIENCE_SECONDS, tail
from fer_jax.data.synthetic import draw_examples
from fer_jax.errors import RunError

ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:(\d+)")
START_SECONDS: Final = 300.0
GRAY: Final = 128


@dataclass
class Served:
    """A server in work.

    Attributes:
        pid: of its process.
        port: where it listens, on 127.0.0.1.
        status: with which it ended on SIGTERM; None: it has not ended.
    """

    pid: int
    port: int
    status: int | None = None

    def rss_mib(self) -> float:
        """Return the present memory of the process in MiB; on Linux only."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024


@contextmanager
def serving(command: Sequence[str], log: Path, *, environment: Mapping[str, str]) -> Iterator[Served]:
    """Run a server until the block ends, and then tell it to end.

    Args:
        command: prints `http://127.0.0.1:PORT` in a line when it is ready.
        log: file for what it writes on stderr.
        environment: all variables.

    Raises:
        RunError: it was not ready in time, or ended before.
    """
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, cwd=bench.ROOT, env=dict(environment), stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        # A server that says nothing must not be waited for without end.
        too_late = threading.Timer(START_SECONDS, process.kill)
        too_late.start()
        try:
            found = None
            while process.stdout is not None and found is None and (line := process.stdout.readline()):
                found = ADDRESS.search(line)
            too_late.cancel()
            if found is None:
                raise RunError(f"the server did not start; it wrote:\n{tail(log.read_bytes())}")
            served = Served(process.pid, int(found[1]))
            yield served
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                served.status = process.wait(PATIENCE_SECONDS)
        finally:
            too_late.cancel()
            process.kill()


def draw_photos(*, seed: int, faces: int, size: tuple[int, int]) -> list[Image.Image]:
    """Draw RGB photos of a width and a height, each with one synthetic face, which the detector finds."""
    width, height = size
    side = height // 2
    photos = []
    for face in draw_examples(seed=seed, examples=max(faces, 7)).images[:faces, :, :, 0]:
        photo = Image.new("L", size, GRAY)
        large = Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS)
        photo.paste(large, ((width - side) // 2, (height - side) // 2))
        photos.append(photo.convert("RGB"))
    return photos


def encode(photo: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a photo in one of Pillow's formats."""
    photo.save(file := io.BytesIO(), format=kind, **options)
    return file.getvalue()


def encode_variety(photo: Image.Image) -> list[bytes]:
    """Encode a photo in many of the ways in which the formats of the API can be written."""
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    return [
        encode(photo, "JPEG", quality=90),
        encode(photo, "JPEG", progressive=True, exif=turned),
        encode(photo.convert("CMYK"), "JPEG"),
        encode(photo.convert("L"), "JPEG"),
        encode(photo, "PNG"),
        encode(photo.convert("P"), "PNG"),
        encode(photo.convert("RGBA"), "PNG"),
        encode(deep, "PNG"),
        encode(photo, "PNG", save_all=True, append_images=[photo.rotate(90)]),
        encode(photo, "WEBP", quality=80),
        encode(photo.convert("RGBA"), "WEBP", lossless=True),
        encode(photo, "WEBP", save_all=True, append_images=[photo.rotate(90)]),
    ]
