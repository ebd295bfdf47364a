"""What does an accuracy on PublicTest mean? Without copies, beside one human rater, and with abstention.

    nice python -m benchmarks.accuracy.ceiling --data fer2013.csv --ferplus fer2013new.csv
    python -m benchmarks.accuracy.ceiling --redraw

Measures released weights in a single view and with flip TTA, by FER2013's labels and, if they were trained on
FER+'s votes, by these too. Writes benchmarks/results/ceiling.json and the section `ceiling` of docs/.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.special import log_softmax

from benchmarks.accuracy.tiers import PART
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from fer_jax import cli
from fer_jax.config.data import DataConfig, LabelSource
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.errors import ConfigError
from fer_jax.evaluate import beside
from fer_jax.evaluate.subject import Subject
from fer_jax.files import Json, read_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import classifiers
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.predictor import predict_choices
from fer_jax.inference.rows import choose_usage
from fer_jax.metrics.abstention import trace_curve
from fer_jax.metrics.calibration import confidences_of
from fer_jax.metrics.scores import copy_free, proportion
from fer_jax.runtime import cpu
from fer_jax.text import percent, to_markdown

PROGRAM: Final = "python -m benchmarks.accuracy.ceiling"
SECTION: Final = "ceiling"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip")
COVERAGES: Final = (1.0, 0.9, 0.8, 0.7, 0.5)
LABELS: Final = {"fer2013": "FER2013", "ferplus": "FER+ majority"}
"""Source of labels -> its words in the table."""


@dataclass(frozen=True)
class Ceiling:
    """Measure released weights on PublicTest: without copies, beside one human rater, and with abstention."""

    networks: tuple[str, ...] = ("tiny", "tiny80", "mid", "best", "ferplus")
    """Released weights."""
    data: Path | None = None
    """FER2013 file."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv."""
    out: Path = bench.RESULTS / "ceiling.json"
    """The JSON to write."""
    pages: tuple[Path, ...] = field(default=PAGES)
    """Pages that are searched for the section."""
    redraw: bool = False
    """Only write the section again, from the JSON."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, measure, write, and return the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(Ceiling, argv, prog=PROGRAM), bench.to_command(PROGRAM, argv)))


def _run(options: Ceiling, command: str) -> int:
    if not options.redraw:
        if options.data is None or options.ferplus is None:
            raise ConfigError("--data and --ferplus are missing; give fer2013.csv and FER+'s fer2013new.csv")
        cpu.tune_cpu()
        examples = load_examples(DataConfig(path=str(options.data), source="kaggle"))
        rows = [row for name in options.networks for row in _measure(name, examples, options.ferplus)]
        bench.write(
            options.out,
            question="What does an accuracy on PublicTest mean?",
            command=command,
            settings={"part": PART, "data": examples.contents, "data_sha256": examples.sha256},
            results=rows,
            extra={},
        )
    print(f"written to {write_section(options.pages, SECTION, table(read_json(options.out)))}")
    return 0


def _measure(name: str, examples: Examples, votes_file: Path) -> Iterator[Json]:
    """Measure a network by FER2013's labels, and by those of its training."""
    console, classifier = bench.make_console(), classifiers.load(name)
    public = choose_usage(examples, PART)
    by_views = predict_choices(classifier.network, examples.images[public], VIEWS)
    sources: list[LabelSource] = ["fer2013"]
    sources += [classifier.own_labels.source] if classifier.own_labels.source != "fer2013" else []
    for source in sources:
        labelling = inference_labels.choose([classifier], source, votes_file)
        rows = inference_labels.label_rows(labelling, examples, public, part=PART)
        is_copy = beside.find_copies(Subject([], [classifier]), examples, rows)
        votes = beside.find_votes(console, labelling, examples, is_asked=True)
        for views, every in by_views.items():
            logits = every[np.isin(public, rows.rows)]
            confidences, is_right = confidences_of(log_softmax(logits, axis=1), rows.labels)
            curve = trace_curve(confidences, is_right)
            row: Json = {
                "name": classifier.name,
                "tensors_sha256": classifier.card["tensors"]["sha256"],
                "labels": source,
                "views": views,
                **proportion(int(is_right.sum()), len(is_right)),
                "copy_free": copy_free(is_right, is_copy),
                "copies": None if is_copy is None else _proportion(is_right[is_copy]),
                "raters": beside.measure_raters(votes, rows, logits),
                "most_certain": [each for each in curve if each["coverage"] in COVERAGES],
            }
            console.print(
                f"{classifier.name:<8} {source:<8} {views:<6} {row['correct']:,} of {row['total']:,}"
            )
            yield row


def _proportion(is_right: np.ndarray) -> Json | None:
    return proportion(int(is_right.sum()), len(is_right)) if len(is_right) else None


def table(content: dict[str, Any]) -> str:
    """Lay out the results as Markdown: what an accuracy means, and what abstention gains."""
    head = ["network", "by the labels of", "views", "accuracy"]
    whole = [[*head, "without copies", "on the copies", "one human rater", "network, same raters"]]
    certain = [[*head, *(f"most certain {percent(each, digits=0)}" for each in COVERAGES[1:])]]
    for row in content["results"]:
        first = [f"`{row['name']}`", LABELS[row["labels"]], row["views"], _cell(row)]
        raters = [_rater_cell(row["raters"], name) for name in ("rater", "network")]
        whole.append([*first, _cell(row["copy_free"]), _cell(row["copies"]), *raters])
        answers = [each for each in row["most_certain"] if each["coverage"] < 1]
        certain.append([*first, *(_cell(each | {"total": each["answered"]}) for each in answers)])
    return (
        f"{to_markdown(whole, left_columns=3)}\n\n{_explain(content)}\n\n"
        f"{to_markdown(certain, left_columns=3)}\n\n"
        f"Accuracy on the images of {PART} that a network is most certain of, by the largest probability "
        "without a temperature. They are chosen among the measured images themselves."
    )


def _cell(counts: Json | None) -> str:
    if counts is None:
        return "–"
    return f"{percent(counts['accuracy'])} ({counts['correct']:,} of {counts['total']:,})"


def _rater_cell(raters: Json | None, name: str) -> str:
    if raters is None:
        return "–"
    return f"{percent(raters[name]['accuracy'])} ({raters[name]['expected_correct']:,.1f})"


def _explain(content: dict[str, Any]) -> str:
    return (
        f"Measured on {PART}, from the weights as they are stored, on {content['machine']}. Copies: exact "
        "copies of Training images. One human rater: how often one rater of FER+ makes the choice that most "
        "of the others make, on the same images, with all ten choices, and ties in equal parts; in brackets "
        "the expected number of images. Network, same raters: how often the network meets the choice of the "
        "same others. These raters did not make FER2013's labels, so a network that learns those labels can "
        "be right by them where most raters say something else."
    )


if __name__ == "__main__":
    sys.exit(main())
