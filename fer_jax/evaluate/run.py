"""The work of `evaluate`: one path for runs and released weights, one or several as an ensemble.

The networks are read, then the data, its labels and the rows of the part. Each network's logits are averaged
over the views, and these over the networks. From the mean come all metrics, and a temperature. A single run
gets robustness, pictures and its page too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from scipy.special import log_softmax

from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.evaluate import beside, mistakes, plots, predictions, robustness, text
from fer_jax.evaluate.beside import Validation
from fer_jax.evaluate.options import EvaluateOptions
from fer_jax.evaluate.subject import (
    Subject,
    choose_stem,
    choose_subject_rows,
    describe_weights,
    load_subject,
    load_subject_data,
    refuse_other_result,
)
from fer_jax.files import Json, write_json, write_table
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.labels import LabelledRows, Labelling
from fer_jax.inference.predictor import Predictor, average, predict_views
from fer_jax.inference.rows import choose_rows, list_labelled
from fer_jax.inference.run_weights import Trained, load_own_data
from fer_jax.metrics.counts import count_predictions
from fer_jax.metrics.predictions import Predictions, calibrate, measure
from fer_jax.metrics.scores import copy_free, summarise
from fer_jax.report import run_page, terminal
from fer_jax.runtime import cpu
from fer_jax.text import counted


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was predicted, for which images.

    Attributes:
        labelling: whose labels they are measured by.
        rows: the N rows of the part that have a label.
        views: in which each image was shown.
        each: logits of each network, float64 [N, C].
        logits: their mean, float64 [N, C].
        held_out: the same networks' predictions of the validation part, for the temperature; None without.
        validation: the predictions on which thresholds are chosen; None without.
        is_copy: bool [N], exact copies of training images; None for released weights whose training images
            are not in the data.
        votes: FER+'s for all rows of the data, int64 [rows, 10]; None without.
    """

    subject: Subject
    labelling: Labelling
    part: str
    rows: LabelledRows
    views: ViewChoice
    each: list[np.ndarray]
    logits: np.ndarray
    held_out: Predictions | None
    validation: Validation | None
    is_copy: np.ndarray | None
    votes: np.ndarray | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the C classes."""
        return self.subject.members[0].network.names

    def to_json(self) -> Json:
        """Compute all metrics, with the facts that they depend on; `robustness` is None."""
        measured = (self.logits, self.rows.labels)
        examples = self.rows.examples
        return measure(*measured, self.names) | {
            "split": self.part,
            **self.rows.facts,
            "data": {"description": examples.description, "sha256": examples.sha256},
            **({} if self.is_copy is None else {"copies_of_training_images": int(self.is_copy.sum())}),
            "copy_free": copy_free(self.logits.argmax(axis=1) == self.rows.labels, self.is_copy),
            "raters": beside.measure_raters(self.votes, self.rows, self.logits),
            "views": list(CHOICES[self.views]),
            **self._describe_networks(),
            "calibration": calibrate(measured, self.held_out),
            "abstention": beside.measure_abstention(measured, self.validation),
            "robustness": None,
        }

    def _describe_networks(self) -> Json:
        facts = [*map(_describe_run, self.subject.runs), *map(describe_weights, self.subject.weights)]
        if len(facts) == 1:
            return {name: facts[0][name] for name in ("checkpoint", "weights") if name in facts[0]}
        return {
            "averaged": "logits",
            "members": [
                each | self._measure_member(logits) for each, logits in zip(facts, self.each, strict=True)
            ],
        }

    def _measure_member(self, logits: np.ndarray) -> Json:
        counts = count_predictions(log_softmax(logits, axis=1), self.rows.labels)
        metrics = summarise(counts, self.names)
        kept = ("correct", "total", "accuracy", "accuracy_low", "accuracy_high", "loss")
        without = copy_free(logits.argmax(axis=1) == self.rows.labels, self.is_copy)
        return {"copy_free": without} | {name: metrics[name] for name in kept}


def _describe_run(run: Trained) -> Json:
    return {
        "run": run.folder.name,
        "name": run.config.name,
        "seed": run.record.seed,
        "finished": run.record.finished,
        "checkpoint": run.checkpoint,
    }


def evaluate(options: EvaluateOptions) -> None:
    """Measure the networks that the options name, show the results and write them.

    Raises:
        FerJaxError: a user error: the command line, the data, a run's folder or the weights.
    """
    console = terminal.make_console()
    evaluation, result = measure_part(console, options)
    console.print(text.describe(result))
    write(console, evaluation, result, options)
    if options.predictions is not None:
        table = predictions.make_table(
            evaluation.rows, evaluation.logits, evaluation.names, evaluation.is_copy
        )
        write_table(options.predictions, table, is_parquet=options.predictions.suffix == ".parquet")
        console.print(f"predictions of {counted(len(table), 'image')} written to {options.predictions}")


def measure_part(console: Console, options: EvaluateOptions) -> tuple[Evaluation, Json]:
    """Measure the networks and the part that the options name.

    Returns:
        What was predicted, and all metrics: the content of `evaluate_PART.json`, so far without pictures.

    Raises:
        FerJaxError: as `evaluate`.
    """
    cpu.tune_cpu()
    subject = load_subject(console, options)
    labelling = inference_labels.choose(subject.members, options.labels, options.ferplus)
    evaluation = predict_part(console, subject, labelling, options)
    with terminal.show_steps(console, "measuring", None):
        result = evaluation.to_json()
    if subject.only_run is not None and options.robustness:
        result["robustness"] = _measure_robustness(console, subject.only_run, evaluation.rows)
    return evaluation, result


def predict_part(
    console: Console, subject: Subject, labelling: Labelling, options: EvaluateOptions
) -> Evaluation:
    """Predict the part that the options name, and the validation part for a temperature.

    Raises:
        FerJaxError: the data cannot be used, or the networks do not go together.
    """
    part, runs = options.split, subject.runs
    examples = load_subject_data(console, subject, options)
    terminal.show_data(console, examples)
    rows = inference_labels.label_rows(
        labelling, examples, choose_subject_rows(subject, examples, part), part=part
    )
    refuse_other_result(subject, labelling, options, examples)
    is_copy = beside.find_copies(subject, examples, rows)
    votes = beside.find_votes(console, labelling, examples, is_asked=options.ferplus is not None)
    for each in subject.weights:
        console.print(f"weights    {each.name}: {each.card['parameters']:,} parameters")
    console.print(f"rows       {part}: {len(rows.rows):,}")
    notes = [*beside.describe_copies(subject, is_copy), *beside.describe_hold_out(subject, part)]
    for line in (*rows.notes, *notes, *(line for run in runs for line in run.notes)):
        console.print(line, style="yellow")
    logits_each = _predict(console, subject.members, rows.images, options.views)
    logits = average(logits_each, subject.names)
    held_out: Predictions | None = (logits, rows.labels)
    if part != "val":
        held_out = predict_held_out(console, runs, labelling, rows.examples, options.views)
    return Evaluation(
        subject=subject,
        labelling=labelling,
        part=part,
        rows=rows,
        views=options.views,
        each=logits_each,
        logits=logits,
        held_out=held_out,
        validation=_choose_validation(console, subject, rows, options, logits, held_out),
        is_copy=is_copy,
        votes=votes,
    )


def _choose_validation(
    console: Console,
    subject: Subject,
    rows: LabelledRows,
    options: EvaluateOptions,
    logits: np.ndarray,
    held_out: Predictions | None,
) -> Validation | None:
    """Choose what thresholds are chosen on: the runs' validation part, for released weights PublicTest.

    Returns:
        None if the runs have no validation part at hand, or the data no PublicTest.
    """
    if not subject.weights:
        return None if held_out is None else Validation("val", held_out)
    if options.split == beside.PUBLIC:
        return Validation(beside.PUBLIC, (logits, rows.labels))
    others = list_labelled(rows.examples, beside.PUBLIC)
    if not len(others):
        return None
    found = _predict(console, subject.members, rows.examples.images[others], options.views)
    return Validation(beside.PUBLIC, (average(found, subject.names), rows.examples.labels[others]))


def predict_held_out(
    console: Console, runs: Sequence[Trained], labelling: Labelling, examples: Examples, views: ViewChoice
) -> Predictions | None:
    """Predict the validation part that the runs share, on which a temperature is fitted, in the same views.

    `examples` are the data that is measured, with the labels to measure by: the runs' own data, or
    another file.

    Returns:
        None without runs, and with a note if the runs' validation parts differ or their data is not at hand.
    """
    if not runs:
        return None
    first = runs[0]
    data_sha256 = first.record.data.sha256
    is_shared = all(
        run.record.data.sha256 == data_sha256 and np.array_equal(run.saved["val"], first.saved["val"])
        for run in runs
    )
    if not is_shared:
        console.print(
            "note: no temperature and no threshold, for the runs share no validation part", style="yellow"
        )
        return None
    try:
        own = examples
        if examples.sha256 != data_sha256:
            own = inference_labels.relabel(labelling, load_own_data(first))
        rows = choose_rows(own, first, "val")
    except DataError as error:
        console.print(
            f"note: no temperature and no threshold, for the validation part is not at hand: {error}",
            style="yellow",
        )
        return None
    each = _predict(console, runs, own.images[rows], views)
    return average(each, [run.folder for run in runs]), own.labels[rows]


def _predict(
    console: Console, members: Sequence[Predictor], images: np.ndarray, views: ViewChoice
) -> list[np.ndarray]:
    """Predict the logits of each network, float64 [N, C]."""
    with terminal.show_steps(console, "views", len(members) * len(CHOICES[views])) as advance:
        return [predict_views(member.network, images, views, advance=advance) for member in members]


def _measure_robustness(console: Console, run: Trained, rows: LabelledRows) -> Json:
    with terminal.show_steps(console, "robustness", robustness.count_passes(len(rows.rows))) as advance:
        return robustness.measure(run.network, rows.examples, rows.rows, advance=advance)


def write(console: Console, evaluation: Evaluation, result: Json, options: EvaluateOptions) -> None:
    """Write the JSON; for a single run also the pictures, which it names, and the run's page.

    Nothing is written for released weights without a folder in the options.
    """
    run, labelling = evaluation.subject.only_run, evaluation.labelling
    stem = choose_stem(evaluation.subject, labelling, options)
    if stem is None:
        return
    if run is not None:
        with terminal.show_steps(console, "drawing", None):
            pictures = plots.draw(result, title=_title(run, result["split"], labelling), stem=stem)
        found, faces = mistakes.write_pictures(run, evaluation.rows, evaluation.logits, stem=stem)
        result |= {"mistakes": found, "pictures": pictures | faces}
    write_json(stem.with_name(f"{stem.name}.json"), result)
    written = ", ".join([f"{stem.name}.json", *result.get("pictures", {}).values()])
    console.print(f"written to {stem.parent}: {written}")
    if run is not None:
        console.print(f"the run's page: {run_page.write(run.folder)}")


def _title(run: Trained, part: str, labelling: Labelling) -> str:
    words = f"{run.title}: {part}"
    return words if labelling.config.source == "fer2013" else f"{words}, labels of {labelling.words}"
