"""How precise is the audit's list of label errors, and what does it estimate? Planted errors tell.

    python -m benchmarks.accuracy.label_errors
    python -m benchmarks.accuracy.label_errors --redraw

Draws synthetic faces, relabels a tenth of them at random, and searches for label errors with small networks
of more and more epochs. The list's precision, of all of it and of what an audit would mark drop, stands
beside the estimate. Writes benchmarks/results/label_errors.json and the section `label_errors` of docs/.
"""

import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli, fer2013
from fer_jax.audit import confident_learning, cross_validation
from fer_jax.audit.rules import MIN_CORRECT, MIN_WRONG
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig, TrainConfig
from fer_jax.data.synthetic import draw_examples
from fer_jax.files import Json, read_json
from fer_jax.text import decimal, percent, to_markdown

PROGRAM = "python -m benchmarks.accuracy.label_errors"
SECTION = "label_errors"
FOLDS = 2
WIDTHS = (8, 16, 32)


@dataclass(frozen=True)
class LabelErrors:
    """Plant label errors, search for them, and compare the estimated precision with the true one."""

    examples: int = 2800
    """Synthetic faces."""
    noise: float = 0.1
    """Share of them with a random other label."""
    epochs: tuple[int, ...] = (2, 4, 8, 16, 32)
    """Epochs of the networks; a row each."""
    seed: int = 0
    """Seed of the faces, of the planted errors and of the networks."""
    work: Path = Path("runs/label_errors")
    """Folder of the finished folds; it is deleted at the end."""
    out: Path = bench.RESULTS / "label_errors.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(LabelErrors, argv, prog=PROGRAM), bench.to_command(PROGRAM, argv)))


def _run(options: LabelErrors, command: str) -> int:
    if not options.redraw:
        rows = [_search(options, epochs) for epochs in options.epochs]
        names = ("examples", "noise", "seed")
        bench.write(
            options.out,
            question="How precise is the list of label errors, and what does an audit estimate?",
            command=command,
            settings={name: getattr(options, name) for name in names} | {"folds": FOLDS, "widths": WIDTHS},
            results=rows,
            extra={},
        )
        for epochs in options.epochs:
            shutil.rmtree(options.work / f"epochs{epochs}")
        with contextlib.suppress(OSError):  # It holds something else.
            options.work.rmdir()
    print(f"written to {write_section(options.pages, SECTION, table(read_json(options.out)))}")
    return 0


def _search(options: LabelErrors, epochs: int) -> Json:
    """Search for the planted errors with networks of so many epochs."""
    faces = draw_examples(seed=options.seed, examples=options.examples)
    rng = np.random.default_rng(options.seed)
    is_wrong = rng.random(len(faces)) < options.noise
    others = (faces.labels + rng.integers(1, fer2013.CLASS_COUNT, len(faces))) % fer2013.CLASS_COUNT
    labels = np.where(is_wrong, others, faces.labels).astype(np.int32)
    blocks = tuple(ConvBlock(features=width, pool=True) for width in WIDTHS)
    config = Config(
        name="small",
        model=ModelConfig(blocks=blocks, dense_features=64, dense_dropout_rate=0.25),
        optimizer=OptimizerConfig(peak_rate=0.002),
        train=TrainConfig(batch_size=32, epochs=epochs, seed=options.seed),
    )
    crossed = cross_validation.cross_validate(
        bench.make_console(),
        config,
        replace(faces, labels=labels, sha256=f"{faces.sha256} with planted errors {options.noise}"),
        np.arange(len(faces)),
        folds=FOLDS,
        work=options.work / f"epochs{epochs}",
        clock=time.monotonic,
    )
    found = confident_learning.find_label_errors(crossed.probabilities, labels)
    wrong = confident_learning.estimate_wrong(crossed.probabilities, labels)
    row: Json = {
        "epochs": epochs,
        "correct": int((crossed.probabilities.argmax(axis=1) == labels).sum()),
        "total": len(labels),
        "planted": int(is_wrong.sum()),
    }
    for name, rows in (
        ("listed", found.flagged),
        ("probable", found.flagged[wrong[found.flagged] >= MIN_WRONG]),
    ):
        estimate = float(wrong[rows].mean()) if len(rows) else None
        row[name] = {"rows": len(rows), "planted": int(is_wrong[rows].sum()), "estimated_precision": estimate}
    return row


def table(content: dict[str, Any]) -> str:
    """Lay out the results as Markdown."""
    head = ["epochs", "right on unseen rows"]
    for name in ("listed", "probably wrong"):
        head += [name, "of them planted", "estimated"]
    rows = [head]
    for each in content["results"]:
        cells = [str(each["epochs"]), percent(each["correct"] / each["total"])]
        for part in (each["listed"], each["probable"]):
            share = part["planted"] / part["rows"] if part["rows"] else None
            cells += [f"{part['rows']:,}", percent(share), percent(part["estimated_precision"])]
        rows.append(cells)
    settings = content["settings"]
    return (
        f"{to_markdown(rows, left_columns=0)}\n\n"
        f"{settings['examples']:,} synthetic faces, {percent(settings['noise'], digits=0)} of them with a "
        f"random other label; {settings['folds']} small networks a row. Probably wrong: listed, with a "
        f"probability of at least {decimal(MIN_WRONG, digits=1)}; an audit marks these drop if the networks "
        f"are right on {percent(MIN_CORRECT, digits=0)} of the unseen rows."
    )


if __name__ == "__main__":
    sys.exit(main())
