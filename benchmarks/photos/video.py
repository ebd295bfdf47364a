"""How fast is a video? By its parts and as a whole, with its memory and the changes of its labels.

    python -m benchmarks.photos.video --data fer2013.csv

Writes a clip of moving FER2013 faces (640 × 360, 30 frames a second, H.264), times its parts one by one on
the first frames, and lets `fer_jax.stream` run over all of it. Writes benchmarks/results/photos-video.json.
The clip is kept in runs/photos and used again.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import arena, bench
from benchmarks.photos import scenes
from benchmarks.photos.__main__ import WORK, Usage, load_part
from benchmarks.photos.scenes import Layout, Pasted
from fer_jax import cli
from fer_jax.api import faces as api
from fer_jax.errors import RunError
from fer_jax.faces import drawing, videos
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT
from fer_jax.faces.detectors import make_detector
from fer_jax.faces.pictures import Picture
from fer_jax.inference.analyzer import Analyzer
from fer_jax.inference.classifiers import load
from fer_jax.predict import recordings
from fer_jax.report import terminal
from fer_jax.runtime import cpu

PROGRAM: Final = "python -m benchmarks.photos.video"
QUESTION: Final = "How fast is a video, does its memory stay flat, and what does smoothing do to its labels?"
SIZE: Final = (640, 360)
FPS: Final = 30
SIDES: Final = (96.0, 130.0)
"""Of the two faces, in pixels."""
SECONDS_A_FACE: Final = 4.0
"""After this the other pixels of another person take a face's place."""
BATCH: Final = 8
VIEWS: Final = "flip"
"""The views of `predict` in videos."""
"""Frames whose faces are classified together, as `stream` does."""
PAUSE: Final = 500
"""Frames between two looks at the memory."""
WARM_UP: Final = 1000
"""Frames before memory counts: queues and allocators fill."""


@dataclass(frozen=True)
class VideoOptions:
    """Time a video by its parts, and watch its memory and its labels."""

    data: Path | None = None
    """Kaggle's fer2013.csv."""
    part: Usage = "PublicTest"
    """Rows of the file whose faces are shown."""
    frames: int = 10_000
    """Length of the clip."""
    timed_frames: int = 300
    """The first so many frames are used to time the parts."""
    network: str = "mid"
    """Released weights or a run."""
    smooth: float = 0.3
    """Time constant of the smoothing, seconds."""
    seed: int = 0
    """Seed of the background and the ways of the faces."""
    work: Path = WORK
    """Folder of the clip."""
    out: Path = bench.RESULTS / "photos-video.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(VideoOptions, argv, prog=PROGRAM), argv))


def _run(options: VideoOptions, argv: Sequence[str] | None) -> int:
    console = terminal.make_console()
    cpu.tune_cpu()
    if options.frames <= WARM_UP + PAUSE:
        console.print("note: too few frames to tell whether memory stays flat")
    examples, rows = load_part(options.data, options.part, None)
    name = f"clip-{examples.sha256[:8]}-{options.part}-{options.seed}-{options.frames}.mp4"
    clip = options.work / name
    if not clip.exists():
        with terminal.show_steps(console, "writing the clip", options.frames) as advance:
            write_clip(clip, examples.images[rows], frames=options.frames, seed=options.seed, advance=advance)
    console.print("timing the parts")
    parts = time_parts(clip, options.network, frames=options.timed_frames)
    with terminal.show_steps(console, "streaming", options.frames) as advance:
        streamed = stream(clip, options.network, smooth_s=options.smooth, advance=advance)
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "size": SIZE,
            "fps": FPS,
            "frames": options.frames,
            "timed_frames": options.timed_frames,
            "faces": len(SIDES),
            "seconds_a_face": SECONDS_A_FACE,
            "network": options.network,
            "views": VIEWS,
            "smooth_s": options.smooth,
            "seed": options.seed,
        },
        results=[{"name": part, "frames_per_s": rate} for part, rate in parts.items()],
        extra={"stream": streamed, "cores": arena.count_cores()},
    )
    console.print(f"written to {options.out}")
    return 0


# The clip.


def write_clip(
    path: Path, images: np.ndarray, *, frames: int, seed: int, advance: Callable[[], None]
) -> None:
    """Write a clip in which two faces move around, and every few seconds become other people's.

    Args:
        path: of the MP4.
        images: faces, uint8 [N, 48, 48, 1], shown in their order.
        frames: how many.
        seed: of the background and the ways.
        advance: called after each frame.
    """
    width, height = SIZE
    empty = Layout((seed,), width, height, "noise", (), 90)
    background = scenes.make_scene(empty, images)
    with recordings.writing_video(path, fps=FPS) as write:
        for number in range(frames):
            frame = background.copy()
            for face in place_faces(number / FPS, len(images), seed=seed):
                _paste(frame, images[face.row, ..., 0], face)
            write(frame, number / FPS)
            advance()


def _paste(frame: np.ndarray, pixels: np.ndarray, face: Pasted) -> None:
    """Paste a face into a frame uint8 [H, W, 3]; only the pixels around it are touched."""
    reach = math.ceil(face.side)
    top, left = max(0, int(face.y) - reach), max(0, int(face.x) - reach)
    window = frame[top : int(face.y) + reach, left : int(face.x) + reach]
    around = window.astype(np.float64)
    scenes.paste(around, pixels, replace(face, x=face.x - left, y=face.y - top))
    window[:] = np.floor(np.clip(around, 0, 255) + 0.5)


def place_faces(time_s: float, images: int, *, seed: int) -> list[Pasted]:
    """Say where the faces are: each in its half of the frame, on a smooth way, with a little roll."""
    width, height = SIZE
    placed = []
    turn = int(time_s / SECONDS_A_FACE)
    for number, side in enumerate(SIDES):
        phases = np.random.default_rng((seed, number)).uniform(0, 2 * math.pi, size=3)
        right, down, roll = (
            math.sin(2 * math.pi * time_s / period + phase)
            for period, phase in zip((7.1, 5.3, 9.7), phases, strict=True)
        )
        room = width / len(SIDES) / 2
        x = (2 * number + 1) * room + 0.3 * room * right
        y = height / 2 + 0.25 * (height / 2) * down
        row = (turn * len(SIDES) + number) % images
        placed.append(Pasted(row, x, y, side, 8 * roll))
    return placed


# Its parts, one by one.


def time_parts(clip: Path, network: str, *, frames: int) -> dict[str, float]:
    """Time each part alone on the same frames; frames a second."""
    detect = make_detector("yunet", min_score=MIN_SCORE, min_face_px=MIN_FACE_PX, has_small_faces=False)
    classifier = load(network)
    rates: dict[str, float] = {}

    def timed(name: str, run: Callable[[], list[Any]]) -> list[Any]:
        started = time.perf_counter()
        made = run()
        rates[name] = len(made) / (time.perf_counter() - started)
        return made

    images = [picture.image for picture in timed("decode", lambda: _decode(clip, frames))]
    detect(images[0])
    boxes = timed("detect", lambda: [detect(image) for image in images])
    known = iter(boxes)
    cutter = Analyzer((classifier,), lambda _: next(known), VIEWS, CONTRACT)
    found = timed("crop", lambda: [cutter.find(image) for image in images])
    batches = [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
    for batch in batches[:2]:
        cutter.classify(batch)
    seen = timed("classify", lambda: [faces for batch in batches for faces in cutter.classify(batch)])
    drawn = [
        [drawing.DrawnFace(face.box, face.probabilities, number) for number, face in enumerate(faces)]
        for faces in seen
    ]
    timed(
        "draw",
        lambda: [
            drawing.draw(image, faces, classifier.labels, abstain_below=0.0)
            for image, faces in zip(images, drawn, strict=True)
        ],
    )
    return rates


def _decode(clip: Path, frames: int) -> list[Picture]:
    def warn(message: str) -> None:
        raise RunError(message)

    with videos.open_video(clip) as video:
        return list(islice(video.read_frames(every=1, warn=warn), frames))


# All of it.


def stream(clip: Path, network: str, *, smooth_s: float, advance: Callable[[], None]) -> dict[str, Any]:
    """Let `fer_jax.stream` run over a clip.

    Returns:
        For JSON: frames, faces and seconds; `rss_mib`, the memory after every 500 frames; and how often the
        label of a track changed from one frame to the next, by the frames alone and smoothed.
    """
    frames = faces = 0
    tracks: set[int | None] = set()
    changes = {"raw": 0, "smooth": 0}
    last: dict[str, dict[int | None, int]] = {"raw": {}, "smooth": {}}
    memory = []
    started = time.perf_counter()
    for frame in api.stream(clip, network, video_views=VIEWS, smooth=smooth_s):
        frames += 1
        for each in frame.faces:
            faces += 1
            tracks.add(each.track)
            raw, smooth = int(each.face.probabilities.argmax()), int(each.probabilities.argmax())
            for kind, label in (("raw", raw), ("smooth", smooth)):
                changes[kind] += last[kind].get(each.track, label) != label
                last[kind][each.track] = label
        if frames % PAUSE == 0:
            memory.append(read_rss_mib())
        advance()
    seconds = time.perf_counter() - started
    return {
        "frames": frames,
        "faces": faces,
        "tracks": len(tracks),
        "seconds": seconds,
        "frames_per_s": frames / seconds,
        "times_real_time": frames / FPS / seconds,
        "rss_every_frames": PAUSE,
        "rss_mib": memory,
        "changes": changes,
    }


def read_rss_mib() -> float | None:
    """Read the memory that this process has now, in MiB; None where the system is not Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
