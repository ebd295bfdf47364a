"""Where does the time of a photo go? Decode, detect, crop, classify and draw, one after the other.

    python -m benchmarks.photos.parts --data fer2013.csv

Photos of 0.3, 2 and 12 megapixels, each with three faces, as JPEG at quality 90. The parts take turns,
after a warm-up; with the views `photo`. Writes benchmarks/results/photos-parts.json, with all raw samples.
"""

import functools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import arena, bench
from benchmarks.photos import scenes
from benchmarks.photos.__main__ import Usage, load_part
from fer_jax import cli
from fer_jax.faces import drawing, pictures
from fer_jax.faces.boxes import Boxes
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT
from fer_jax.faces.detectors import make_detector
from fer_jax.inference.analyzer import Analyzer
from fer_jax.inference.classifiers import load
from fer_jax.report import terminal
from fer_jax.runtime import cpu

PROGRAM: Final = "python -m benchmarks.photos.parts"
QUESTION: Final = "Where does the time of a photo go?"
SIZES: Final = {"0.3": (640, 480), "2": (1600, 1200), "12": (4000, 3000)}
"""Megapixels -> width and height."""
FACES: Final = 3
SHARE: Final = 0.28
"""A face's side, as a share of the photo's height."""

Parts = dict[str, Callable[[], Any]]
"""What each part does with one photo; of the network, one part each."""


@dataclass(frozen=True)
class PartsOptions:
    """Time the parts of the chain on photos of several sizes."""

    data: Path | None = None
    """Kaggle's fer2013.csv."""
    part: Usage = "PublicTest"
    """Rows of the file whose faces are pasted."""
    networks: tuple[str, ...] = ("tiny", "mid", "best")
    """Released weights or runs."""
    rounds: int = 7
    """Turns of each part on each photo."""
    iterations: int = 5
    """Measured calls per turn."""
    out: Path = bench.RESULTS / "photos-parts.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(PartsOptions, argv, prog=PROGRAM), argv))


def _run(options: PartsOptions, argv: Sequence[str] | None) -> int:
    console = terminal.make_console()
    cpu.tune_cpu()
    examples, rows = load_part(options.data, options.part, 10 * FACES)
    prepared: dict[tuple[str, str], Callable[[], Any]] = {}
    found = {}
    for megapixels, size in SIZES.items():
        parts, found[megapixels] = prepare(examples.images[rows], size, options.networks)
        prepared |= {(megapixels, name): run for name, run in parts.items()}
    samples: dict[tuple[str, str], list[list[float]]] = {key: [] for key in prepared}
    for run in prepared.values():
        run()
    with terminal.show_steps(console, "rounds", options.rounds) as advance:
        for _ in range(options.rounds):
            for key, run in prepared.items():
                run()  # Warm again after the others' turns.
                samples[key].append([_time(run) for _ in range(options.iterations)])
            advance()
    results = [
        arena.to_row(arena.Result(name, {"megapixels": megapixels}, samples[megapixels, name]))
        for megapixels, name in prepared
    ]
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "sizes": SIZES,
            "faces": found,
            "networks": options.networks,
            "views": "photo",
            "rounds": options.rounds,
            "iterations": options.iterations,
        },
        results=results,
        extra={"cores": arena.count_cores()},
    )
    console.print(f"written to {options.out}")
    return 0


def prepare(images: np.ndarray, size: tuple[int, int], networks: Sequence[str]) -> tuple[Parts, int]:
    """Make a photo and what each part does with it.

    Args:
        images: faces, uint8 [N, 48, 48, 1]; the first three of which all are found are taken.
        size: width and height of the photo.
        networks: names of released weights, or runs.

    Returns:
        The parts, and how many faces there are.
    """
    detect = make_detector("yunet", min_score=MIN_SCORE, min_face_px=MIN_FACE_PX, has_small_faces=False)
    content = b""
    boxes = Boxes(np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2)))
    for start in range(0, len(images), FACES):
        layout = scenes.lay_out_grid(
            (start,),
            range(start, min(start + FACES, len(images))),
            size=size,
            columns=FACES,
            side=SHARE * size[1],
            roll_deg=0.0,
            blur=0.0,
        )
        photo = scenes.encode(scenes.make_scene(layout, images), layout.quality)
        seen = detect(scenes.decode(photo))
        if not content or len(seen) > len(boxes):
            content, boxes = photo, seen
        if len(boxes) == FACES:
            break
    return make_parts(content, boxes, networks), len(boxes)


def make_parts(content: bytes, boxes: Boxes, networks: Sequence[str]) -> Parts:
    """Make what each part does with a photo, the bytes of a JPEG, whose faces are known."""
    detect = make_detector("yunet", min_score=MIN_SCORE, min_face_px=MIN_FACE_PX, has_small_faces=False)
    image = next(pictures.read_frames(content)).image
    analyzers = {name: Analyzer((load(name),), lambda _: boxes, "photo", CONTRACT) for name in networks}
    first, *_ = analyzers.values()
    found = first.find(image)
    (faces,) = first.classify([found])
    drawn = [drawing.DrawnFace(face.box, face.probabilities, None) for face in faces]
    parts: Parts = {
        "decode": lambda: next(pictures.read_frames(content)),
        "detect": lambda: detect(image),
        "crop": lambda: first.find(image),
    }
    for name, analyzer in analyzers.items():
        parts[f"classify, {name}"] = functools.partial(analyzer.classify, [found])
    parts["draw"] = lambda: drawing.draw(image, drawn, first.labels, abstain_below=0.0)
    return parts


def _time(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
