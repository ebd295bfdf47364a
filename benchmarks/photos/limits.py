"""How far does the detector go? Faces of more and more roll, of all sizes, and ever more blurred.

    python -m benchmarks.photos.limits --data fer2013.csv
    python -m benchmarks.photos.limits --redraw      # the pictures again, from the JSON

The same faces at each value, on smooth noise, and nothing else changes. Sizes are those of a photo of 1.2
megapixels, which the detector looks at reduced; with `--small-faces` it takes a second look. What a head
around the face is worth to it is told by a portrait that comes with matplotlib, in the same sizes. Writes
benchmarks/results/photos-limits.json and docs/images/photos-limits.png.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib import cbook
from PIL import Image

from benchmarks.harness import bench
from benchmarks.photos import chain, plot, scenes
from benchmarks.photos.__main__ import Usage, load_part
from benchmarks.photos.scores import share
from fer_jax import cli
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT
from fer_jax.faces.detectors import make_detector
from fer_jax.files import read_json
from fer_jax.inference.analyzer import Analyzer
from fer_jax.inference.classifiers import load
from fer_jax.report import terminal
from fer_jax.runtime import cpu

PROGRAM: Final = "python -m benchmarks.photos.limits"
QUESTION: Final = "How far does the detector go: roll, size and blur?"
LEAST_FACE_PX: Final = 4.0
"""Of the detector here; by default it leaves out faces below `MIN_FACE_PX`."""
COLUMNS: Final = 2
FACES_PER_SCENE: Final = 4


PORTRAIT: Final = "grace_hopper.jpg"
"""Of matplotlib's sample data: a photo by the US Navy, in the public domain."""
PLACES: Final = 12
"""How many times the portrait is placed, for each size."""


class Curve(NamedTuple):
    """One quantity that grows.

    Attributes:
        values: what it is set to.
        size: of the scenes, in pixels.
        side: of the faces, in pixels; None where it is what grows.
        has_second: whether `--small-faces` is measured too.
    """

    values: tuple[float, ...]
    size: tuple[int, int]
    side: float | None
    has_second: bool


CURVES: Final = {
    "roll": Curve((0, 10, 20, 30, 40, 50, 60), (640, 480), 144, False),
    "size": Curve((8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 144, 200, 300), (1280, 960), None, True),
    "blur": Curve((0, 0.5, 1, 1.5, 2, 3, 4, 6), (640, 480), 144, False),
}
"""Roll in degrees; size in pixels of the photo; blur as a standard deviation in pixels of a 48 × 48 face."""


@dataclass(frozen=True)
class Limits:
    """Measure how far the detector goes, and how accurate a network is on what it still finds."""

    data: Path | None = None
    """Kaggle's fer2013.csv."""
    part: Usage = "PublicTest"
    """Rows of the file whose faces are pasted."""
    faces: int = 200
    """The first so many of them."""
    network: str = "mid"
    """Released weights or a run; with the views `photo`."""
    min_score: float = MIN_SCORE
    """Score from which on a face counts as found."""
    seed: int = 0
    """Seed of the backgrounds."""
    out: Path = bench.RESULTS / "photos-limits.json"
    """The JSON to write."""
    plot: Path = bench.ROOT / "docs" / "images" / "photos-limits.png"
    """The PNG to draw."""
    redraw: bool = False
    """Only draw again, from the JSON."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, draw, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(Limits, argv, prog=PROGRAM), argv))


def _run(options: Limits, argv: Sequence[str] | None) -> int:
    if options.redraw:
        return bench.redraw(options.out, options.plot, plot.plot_limits)
    console = terminal.make_console()
    cpu.tune_cpu()
    examples, rows = load_part(options.data, options.part, options.faces)
    images, labels = examples.images[rows], examples.labels[rows]
    classifier = load(options.network)
    results: list[dict[str, Any]] = []
    analyzers = {
        has_small_faces: Analyzer(
            (classifier,),
            make_detector(
                "yunet",
                min_score=options.min_score,
                min_face_px=LEAST_FACE_PX,
                has_small_faces=has_small_faces,
            ),
            "photo",
            CONTRACT,
        )
        for has_small_faces in (False, True)
    }
    for what, curve in CURVES.items():
        asked = {key: each for key, each in analyzers.items() if curve.has_second or not key}
        with terminal.show_steps(console, what, len(curve.values)) as advance:
            for value in curve.values:
                rows_of = measure(asked, images, labels, what=what, value=value, seed=options.seed)
                for has_small_faces, row in rows_of.items():
                    results.append({"what": what, "small_faces": has_small_faces, "value": value, **row})
                advance(1)
    results += measure_portrait(analyzers, seed=options.seed)
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            "part": options.part,
            "faces": len(images),
            "network": options.network,
            "views": "photo",
            "min_score": options.min_score,
            "min_face_px": LEAST_FACE_PX,
            "usual_min_face_px": MIN_FACE_PX,
            "portrait": PORTRAIT,
            "places": PLACES,
            "side_px": {what: curve.side for what, curve in CURVES.items()},
            "size": {what: curve.size for what, curve in CURVES.items()},
            "seed": options.seed,
        },
        results=results,
        extra={},
    )
    plot.plot_limits(read_json(options.out), options.plot)
    console.print(f"written to {options.out} and {options.plot}")
    return 0


def measure(
    analyzers: Mapping[bool, Analyzer],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    what: str,
    value: float,
    seed: int,
) -> dict[bool, dict[str, Any]]:
    """Measure one point of a curve: faces found, accuracy on them, and false finds, for each analyzer."""
    curve = CURVES[what]
    side = value if curve.side is None else curve.side
    counts = {key: Counter[str]() for key in analyzers}
    for number, start in enumerate(range(0, len(images), FACES_PER_SCENE)):
        layout = scenes.lay_out_grid(
            (seed, number),
            range(start, min(start + FACES_PER_SCENE, len(images))),
            size=curve.size,
            columns=COLUMNS,
            side=side,
            roll_deg=value if what == "roll" else 0.0,
            blur=value / scenes.FACE_PX if what == "blur" else 0.0,
        )
        scene = scenes.decode(scenes.encode(scenes.make_scene(layout, images), layout.quality))
        for key, analyzer in analyzers.items():
            (faces,) = analyzer.analyze([scene])
            boxes = np.array([face.box for face in faces]).reshape(-1, 4)
            matched = chain.match(boxes, np.array([face.detector_score for face in faces]), layout.faces)
            for pasted, box in zip(layout.faces, matched, strict=True):
                if box is not None:
                    counts[key]["seen"] += 1
                    counts[key]["right"] += faces[box].log_probabilities.argmax() == labels[pasted.row]
            counts[key]["false"] += len(faces) - sum(box is not None for box in matched)
    return {
        key: {
            "found": share(each["seen"], len(images)),
            "accuracy": share(int(each["right"]), each["seen"]),
            "false": each["false"],
        }
        for key, each in counts.items()
    }


def measure_portrait(analyzers: Mapping[bool, Analyzer], *, seed: int) -> list[dict[str, Any]]:
    """Measure how often the portrait's face is found at the sizes of the curve `size`; rows of the JSON."""
    curve = CURVES["size"]
    width, height = curve.size
    portrait = Image.open(cbook.get_sample_data(PORTRAIT, asfileobj=False)).convert("RGB")
    square = analyzers[False].find(np.asarray(portrait)).squares[0]
    middle_x, middle_y = square.left + square.side / 2, square.top + square.side / 2
    rows = []
    for value in curve.values:
        factor = value / square.side
        size = (round(factor * portrait.width), round(factor * portrait.height))
        reduced = portrait.resize(size, Image.Resampling.LANCZOS)
        found = Counter[bool]()
        for number in range(PLACES):
            empty = scenes.Layout((seed, number), width, height, "noise", (), 90)
            scene = Image.fromarray(scenes.make_scene(empty, np.zeros((0, 48, 48, 1), np.uint8)))
            rng = np.random.default_rng((seed, number, 2))
            left, top = (int(rng.integers(0, room + 1)) for room in (width - size[0], height - size[1]))
            scene.paste(reduced, (left, top))
            photo = scenes.decode(scenes.encode(np.asarray(scene), empty.quality))
            face = scenes.Pasted(0, left + factor * middle_x, top + factor * middle_y, value, 0.0)
            for key, analyzer in analyzers.items():
                boxes = analyzer.find(photo).boxes
                if boxes is not None:
                    found[key] += chain.match(boxes.xywh, boxes.scores, [face]) != [None]
        for key in analyzers:
            row = {"what": "portrait", "small_faces": key, "value": value, "found": share(found[key], PLACES)}
            rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
