"""What is the whole chain worth, from a photo to a label? FER2013 faces in synthetic scenes.

    python -m benchmarks.photos measure --data fer2013.csv --ferplus fer2013new.csv
    python -m benchmarks.photos write      # -> docs/results/photos.md, from this and the other JSON files

Each face of PublicTest is pasted once into a scene that becomes a JPEG; the detector finds it or does not,
the crop contract cuts it out, the networks classify it. The same for the crop rules of other programs, on
the same boxes. Writes benchmarks/results/photos.json. What is done is kept in runs/photos: a measurement
that was stopped goes on where it was.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tyro

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.photos import chain, scenes, scores, tables
from fer_jax import cli
from fer_jax.config.data import DataConfig
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError
from fer_jax.faces.choices import MIN_FACE_PX, MIN_SCORE
from fer_jax.faces.crop import CONTRACT
from fer_jax.files import json_line
from fer_jax.inference import labels as inference_labels
from fer_jax.inference import rows as inference_rows
from fer_jax.inference.classifiers import load
from fer_jax.inference.weights import Classifier
from fer_jax.report import terminal
from fer_jax.runs import checkpoint
from fer_jax.runtime import cpu

PROGRAM: Final = "python -m benchmarks.photos"
QUESTION: Final = "What is the whole chain worth, from a photo to a label?"
WORK: Final = bench.ROOT / "runs" / "photos"

Usage = Literal["PublicTest", "PrivateTest"]


@dataclass(frozen=True)
class Photos:
    """Measure the chain from a photo to a label on FER2013 faces in synthetic scenes, or write its page."""

    verb: Annotated[Literal["measure", "write"], tyro.conf.Positional]
    """measure: the chain and the crop rules, and write the JSON; write: the page, from the JSON of this and
    of the package's other programs."""
    data: Path | None = None
    """Kaggle's fer2013.csv, to measure."""
    part: Usage = "PublicTest"
    """Rows of the file whose faces are pasted."""
    faces: int | None = None
    """Only the first so many of them."""
    networks: tuple[str, ...] = ("tiny", "mid", "best", "ferplus")
    """Released weights or runs."""
    rule_networks: tuple[str, ...] = ("tiny", "mid")
    """Those of them that also see what the other crop rules cut out."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for networks that were trained on its votes; without it they are measured by
    FER2013's labels."""
    min_score: float = MIN_SCORE
    """Score from which on a face counts as found."""
    seed: int = 0
    """Seed of the scenes."""
    work: Path = WORK
    """Folder of what is done so far."""
    results: Path = bench.RESULTS
    """Folder of the JSON files."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages, or folders of pages, with the sections to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, measure or write, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Photos, argv, prog=PROGRAM), argv))


def _do(options: Photos, argv: Sequence[str] | None) -> int:
    if options.verb == "write":
        with bench.reading(options.results):
            sections = tables.write_sections(options.results)
        for page in dict.fromkeys(
            write_section(options.pages, name, text) for name, text in sections.items()
        ):
            print(f"written to {page}")
        return 0
    strangers = set(options.rule_networks) - set(options.networks)
    if strangers:
        raise ConfigError(f"--rule-networks has {', '.join(sorted(strangers))}, and --networks does not")
    console = terminal.make_console()
    cpu.tune_cpu()
    examples, rows = load_part(options.data, options.part, options.faces)
    images = examples.images[rows]
    networks = {name: load(name) for name in options.networks}
    folder = options.work / identify(options, examples)
    layouts = scenes.draw_layouts(options.seed, faces=len(images))
    with terminal.show_steps(console, "scenes", len(layouts)) as advance:
        seen = chain.see(layouts, images, folder, advance=advance)
    results: list[dict[str, Any]] = []
    for name, classifier in networks.items():
        has_rules = name in options.rule_networks
        passes = chain.count_passes(has_rules=has_rules)
        weights = checkpoint.state_hash(classifier.network.variables)[:12]
        path = folder / f"logits-{weights}-{'rules' if has_rules else 'views'}.npz"
        with terminal.show_steps(console, name, passes) as advance:
            logits = chain.classify(
                classifier.network, images, seen, path, has_rules=has_rules, advance=advance
            )
        words, labels = find_labels(classifier, examples, rows, options.part, options.ferplus)
        said = {"network": name, "labels": words}
        for row in scores.score_views(logits, labels, seen, min_score=options.min_score):
            results.append({"what": "views", **said, **row})
        if has_rules:
            for row in scores.score_rules(logits, labels, seen, min_score=options.min_score):
                results.append({"what": "rules", **said, **row})
    results += [{"what": "detector", **row} for row in scores.score_detector(seen, scenes=len(layouts))]
    out = options.results / f"{tables.CHAIN if options.part == 'PublicTest' else 'photos-private'}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings=describe_settings(options, layouts, examples),
        results=results,
        extra={},
    )
    console.print(f"written to {out}")
    return 0


def load_part(data: Path | None, part: Usage, faces: int | None) -> tuple[Examples, np.ndarray]:
    """Load a FER2013 file and choose the rows of a part, or the first so many of them.

    Raises:
        FerJaxError: there is no file, or it has no such rows.
    """
    if data is None:
        raise ConfigError(f"--data is missing; give fer2013.csv, which has {part}")
    examples = load_examples(DataConfig(path=str(data)))
    return examples, inference_rows.choose_usage(examples, part)[:faces]


def find_labels(
    classifier: Classifier, examples: Examples, rows: np.ndarray, part: str, ferplus: Path | None
) -> tuple[str, np.ndarray]:
    """Find the labels that a network is measured by: their source in words, and int [N], -1 for none."""
    is_ferplus = classifier.own_labels.source == "ferplus" and ferplus is not None
    source: Literal["ferplus", "fer2013"] = "ferplus" if is_ferplus else "fer2013"
    labelling = inference_labels.choose([classifier], source, ferplus if is_ferplus else None)
    labelled = inference_labels.label_rows(labelling, examples, rows, part=part)
    return labelling.words, np.where(np.isin(rows, labelled.rows), labelled.examples.labels[rows], -1)


def identify(options: Photos, examples: Examples) -> str:
    """Name the folder for what is done: another one for other faces, scenes or code."""
    made_from = [examples.sha256, options.part, options.faces, options.seed, bench.source_key()]
    return hashlib.sha256(json_line(made_from).encode()).hexdigest()[:12]


def describe_settings(
    options: Photos, layouts: Sequence[scenes.Layout], examples: Examples
) -> dict[str, Any]:
    """Describe what was measured, for the JSON."""
    pasted = [face for layout in layouts for face in layout.faces]
    return {
        "part": options.part,
        "faces": len(pasted),
        "scenes": len(layouts),
        "rolled": sum(face.roll_deg != 0 for face in pasted),
        "side_px": [scenes.FACE_PX * factor for factor in scenes.ENLARGED],
        "most_roll_deg": scenes.MOST_ROLL_DEG,
        "sizes": scenes.SIZES,
        "qualities": scenes.QUALITIES,
        "seed": options.seed,
        "min_score": options.min_score,
        "least_score": chain.LEAST_SCORE,
        "min_face_px": MIN_FACE_PX,
        "near": chain.NEAR,
        "like": chain.LIKE,
        "contract": dataclasses.asdict(CONTRACT),
        "data_sha256": examples.sha256,
    }


if __name__ == "__main__":
    sys.exit(main())
