"""Where do the detector's boxes lie around FER2013's faces? What the crop contract's figures are taken from.

    python -m benchmarks.photos.geometry --data fer2013.csv

Training faces, without their labels, in the scenes of this package, seen by the detector as `predict` uses
it. Writes benchmarks/results/photos-geometry.json.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import bench
from benchmarks.photos import chain, scenes
from fer_jax import cli
from fer_jax.config.data import DataConfig
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError
from fer_jax.faces.choices import MIN_SCORE
from fer_jax.faces.crop import CONTRACT
from fer_jax.inference.rows import choose_usage
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report import terminal
from fer_jax.text import Table, decimal, to_markdown

PROGRAM: Final = "python -m benchmarks.photos.geometry"
QUESTION: Final = "Where do the detector's boxes lie around FER2013's faces?"
QUANTITIES: Final = ("side_by_root_area", "right", "down", "width", "height")
PERCENTILES: Final = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Geometry:
    """Measure the geometry of the detector's boxes on Training faces in scenes."""

    data: Path | None = None
    """Kaggle's fer2013.csv or train.csv."""
    faces: int = 4000
    """How many faces of Training are drawn."""
    seed: int = 1
    """Seed of the choice and of the scenes."""
    out: Path = bench.RESULTS / "photos-geometry.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(Geometry, argv, prog=PROGRAM), argv))


def _run(options: Geometry, argv: Sequence[str] | None) -> int:
    if options.data is None:
        raise ConfigError("--data is missing; give fer2013.csv, which has Training")
    console = terminal.make_console()
    examples = load_examples(DataConfig(path=str(options.data)))
    training = choose_usage(examples, "Training")
    count = min(options.faces, len(training))
    rows = numpy_rng(options.seed, Stream.SHOW).choice(training, count, replace=False)
    images = examples.images[rows]
    layouts = scenes.draw_layouts(options.seed, faces=count)
    finder = chain.make_finder(min_score=MIN_SCORE)
    found: list[tuple[float, ...]] = []
    with terminal.show_steps(console, "scenes", len(layouts)) as advance:
        for layout in layouts:
            picture = scenes.decode(scenes.encode(scenes.make_scene(layout, images), layout.quality))
            boxes = finder.find(picture).boxes
            if boxes is not None:
                matches = chain.match(boxes.xywh, boxes.scores, layout.faces)
                found += [
                    relate(boxes.xywh[box], face)
                    for face, box in zip(layout.faces, matches, strict=True)
                    if box is not None
                ]
            advance()
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"part": "Training", "faces": count, "seed": options.seed, "min_score": MIN_SCORE},
        results=summarise(np.array(found)),
        extra={"found": len(found)},
    )
    console.print(
        f"the contract has {CONTRACT.side_factor} and {CONTRACT.shift_down}\nwritten to {options.out}"
    )
    return 0


def geometry_table(content: Mapping[str, Any]) -> str:
    """Write the percentiles in Markdown."""
    words = {
        "side_by_root_area": "side of FER2013's crop, by √(w · h) of the box",
        "right": "its centre, to the right of the box's, by its side",
        "down": "its centre, below the box's, by its side",
        "width": "width of the box, by its side",
        "height": "height of the box, by its side",
    }
    rows: Table = [["", *(f"{share} %" if share != 50 else "median" for share in PERCENTILES)]]
    rows += [
        [words[row["quantity"]], *(decimal(row[f"p{share}"]) for share in PERCENTILES)]
        for row in content["results"]
    ]
    settings = content["settings"]
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"{content['found']:,} of {settings['faces']:,} faces of {settings['part']} were found, with a "
        f"score of at least {settings['min_score']:g}."
    )


def relate(xywh: np.ndarray, face: scenes.Pasted) -> tuple[float, ...]:
    """Relate a box to the face in it.

    Returns:
        In the order of `QUANTITIES`: the face's side by √(w · h); how far the face's centre lies to the right
        of the box's and below it, the box's width, and its height, all by the face's side.
    """
    x, y, width, height = map(float, xywh)
    right, down = face.x - (x + width / 2), face.y - (y + height / 2)
    root = float(np.sqrt(width * height))
    return face.side / root, right / face.side, down / face.side, width / face.side, height / face.side


def summarise(found: np.ndarray) -> list[dict[str, Any]]:
    """Summarise the quantities of the faces that were found, float64 [F, 5], by percentiles."""
    return [
        {
            "quantity": name,
            **{f"p{share}": float(np.percentile(found[:, column], share)) for share in PERCENTILES},
        }
        for column, name in enumerate(QUANTITIES)
    ]


if __name__ == "__main__":
    sys.exit(main())
