"""The program `evaluate` behind its command line: from a run's folder to figures and pictures of a part."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax import (
    display,
    insight_pictures,
    label_sets,
    mistakes,
    page,
    pictures,
    report,
    robustness,
    run_folder,
    run_record,
    runtime,
)
from fer_jax.config import BadRow, LabelSource
from fer_jax.config_file import Json
from fer_jax.data.examples import Examples
from fer_jax.errors import DataError
from fer_jax.figures import Predictions, calibrate, measure
from fer_jax.tables import Table, align
from fer_jax.trained import Trained, choose_rows, find_copies, load, load_data, predict
from fer_jax.views import CHOICES, ViewChoice, show


def evaluate_run(
    folder: Path,
    data: Path | None,
    *,
    part: str,
    on_bad_row: BadRow | None,
    labels: LabelSource | None,
    ferplus: Path | None,
    views: ViewChoice,
    has_robustness: bool,
) -> None:
    """Measure a run's selected weights, show the figures, and write them and their pictures into its folder.

    Args:
        folder: the run's.
        data: another file to measure on; None for the data that the run was trained on.
        part: see `trained.choose_rows`.
        on_bad_row: what a malformed row does; None for what the config says.
        labels: by whose; None for those that the run was trained on.
        ferplus: FER+'s votes; None for the file that its config names.
        views: how each image is shown.
        has_robustness: measure the corruptions too.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    runtime.tune_cpu()
    if run_record.read_config(folder).device.compile_cache:
        console.print(runtime.keep_compiled())
    [trained] = label_sets.choose([load(folder, data, on_bad_row)], labels, ferplus)
    examples = load_data(trained, is_other_file=data is not None)
    display.show_data(console, examples)
    asked = label_sets.measure_by(trained, examples, choose_rows(examples, trained, part), part=part)
    examples, rows = asked.examples, asked.rows
    console.print(f"rows       {part}: {len(rows):,}")
    seen = int(find_copies([trained], examples.images[rows]).sum())
    copies = f"note: {seen:,} of these images are exact copies of images it was trained on"
    for note in (*asked.notes, *([copies] if seen else []), *trained.notes):
        console.print(note, style="yellow")

    stem = folder / f"evaluate_{part}{label_sets.suffix([trained])}"
    names = CHOICES[views]
    plain_logits, features = predict(trained, examples.images[rows])
    logits = plain_logits.astype(np.float64)
    if views != "single":
        logits = average_views(console, trained, examples.images[rows], names)
    measured = (logits, examples.labels[rows])
    held_out = predict_held_out(console, trained, examples, names, measured, part=part)
    result = measure(*measured) | {
        "split": part,
        **asked.facts,
        "data": {"description": examples.description, "sha256": examples.sha256},
        "checkpoint": trained.checkpoint,
        "copies_of_training_images": seen,
        "views": list(names),
        "calibration": calibrate(measured, held_out),
        "robustness": None,
    }
    if has_robustness:
        is_right = plain_logits.argmax(axis=1) == measured[1]
        result["robustness"] = _measure_robustness(console, trained, examples, rows, is_right)
    drawn = _draw(trained, result, stem)
    console.print(describe(result))
    result["mistakes"], drawn_faces = mistakes.write_pictures(
        trained, examples, rows, logits, features, stem=stem
    )
    result["pictures"] = drawn | drawn_faces
    run_folder.write_json(stem.with_suffix(".json"), result)
    written = ", ".join([f"{stem.name}.json", *result["pictures"].values()])
    console.print(f"written to {folder}: {written}")
    console.print(f"the run's page: {page.write(folder)}")


def average_views(console: Console, trained: Trained, images: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Average the logits of images over views.

    Args:
        console: where the bar is shown.
        trained: the weights.
        images: uint8 [N, 48, 48, 1].
        names: of the views, at least one.

    Returns:
        float64 [N, C].
    """
    total = np.zeros((len(images), trained.config.model.classes))
    with display.make_bar(console) as bar:
        task = bar.add_task("views", total=len(names), speed="")
        for name in names:
            total += predict(trained, show(images, name))[0]
            bar.advance(task)
    return total / len(names)


def predict_held_out(
    console: Console,
    trained: Trained,
    examples: Examples,
    names: Sequence[str],
    measured: Predictions,
    *,
    part: str,
) -> Predictions | None:
    """Predict the run's validation part, on which a temperature is fitted, in the same views.

    Args:
        console: where the bar and a note are shown.
        trained: the weights.
        examples: the data that is measured, with the labels it is measured by: the run's own, or other.
        names: of the views.
        measured: the predictions of the part that is measured.
        part: its name.

    Returns:
        `measured` itself where that is the validation part; None, with a note, where the run's own data is
        not at hand.
    """
    if part == "val":
        return measured
    try:
        own = examples
        if examples.sha256 != trained.facts["data"]["sha256"]:
            as_trained = replace(trained, config=run_record.read_config(trained.folder))
            own = label_sets.relabel(as_trained, load_data(as_trained, is_other_file=False))
        rows = choose_rows(own, trained, "val")
    except DataError as error:
        console.print(
            f"note: no temperature, for the validation part is not at hand: {error}", style="yellow"
        )
        return None
    return average_views(console, trained, own.images[rows], names), own.labels[rows]


def _measure_robustness(
    console: Console, trained: Trained, examples: Examples, rows: np.ndarray, is_right: np.ndarray
) -> Json:
    with display.make_bar(console) as bar:
        task = bar.add_task("robustness", total=robustness.passes(trained, images=len(rows)), speed="")
        return robustness.measure(
            trained, examples, rows, is_right=is_right, advance=lambda: bar.advance(task)
        )


def _draw(trained: Trained, result: Json, stem: Path) -> dict[str, str]:
    """Draw the figures; picture name -> file name."""
    title = f"{trained.title}: {result['split']}"
    if result["labels"] != "fer2013":
        title += f", labels of {label_sets.WORDS[result['labels']]}"
    paths = {
        name: stem.with_name(f"{stem.name}_{name}.png") for name in ("confusion", "reliability", "robustness")
    }
    pictures.plot_confusion(np.array(result["confusion"]), paths["confusion"], title=title)
    same = "; the temperature is fitted on these same images" if result["split"] == "val" else ""
    insight_pictures.plot_reliability(result["calibration"], paths["reliability"], title=title + same)
    if result["robustness"] is None:
        # One of an earlier evaluation would look as if it belonged to this one.
        paths.pop("robustness").unlink(missing_ok=True)
    else:
        insight_pictures.plot_robustness(result["robustness"], paths["robustness"], title=title)
    return {name: path.name for name, path in paths.items()}


def describe(result: Json) -> str:
    """Lay out the figures of an evaluation for the terminal, in tables."""
    parts = [_figures_table(result), _class_table(result), report.confusion_table(result["confusion"])]
    parts.append(_calibration_lines(result))
    if result["robustness"] is not None:
        parts.append(robustness.table(result["robustness"]))
    return "\n\n".join(parts)


def _figures_table(result: Json) -> str:
    intervals, total = result["intervals"], result["total"]
    rows: Table = [["", "value", "95 % interval"]]
    for name, words in (
        ("accuracy", "accuracy"),
        ("top2_accuracy", "top-2 accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("macro_f1", "macro F1"),
    ):
        rows.append([words, f"{_percent(result[name])} %", _percent_interval(intervals[name])])
    ece = result["calibration"]["ece"]
    rows.append(["calibration error", f"{_percent(ece)} %", _percent_interval(intervals["ece"])])
    auc = result["macro_roc_auc"]
    rows.append(["mean ROC-AUC", _decimal(auc), _decimal_interval(intervals["macro_roc_auc"])])
    rows.append(["loss, nats", f"{result['loss']:.4f}", _decimal_interval(intervals["loss"])])
    lines = align(rows).splitlines()
    lines[1] += f"   {result['correct']:,} of {total:,}"
    lines[2] += f"   {result['top2_correct']:,}"
    count = len(result["views"])
    shown = "one view" if count == 1 else f"{count} views, logits averaged: {', '.join(result['views'])}"
    return "\n".join([*lines, f"{intervals['resamples']:,} bootstrap resamples of the images; {shown}"])


def _class_table(result: Json) -> str:
    rows: Table = [["class", "precision", "recall", "F1", "ROC-AUC", "95 % interval", "count", "predicted"]]
    for each in result["per_class"]:
        label = each["label"]
        rows.append(
            [
                label,
                *(_percent(each[name]) for name in ("precision", "recall", "f1")),
                _decimal(result["roc_auc"][label]),
                _decimal_interval(result["intervals"]["roc_auc"][label]),
                f"{each['count']:,}",
                f"{each['predicted']:,}",
            ]
        )
    return align(rows)


def _calibration_lines(result: Json) -> str:
    found, scaled = result["calibration"], result["calibration"]["scaled"]
    if scaled is None:
        return f"calibration: ECE {_percent(found['ece'])} %; no temperature was fitted"
    line = (
        f"temperature {found['temperature']:.3f}, fitted on {found['fitted_on']}: "
        f"ECE {_percent(found['ece'])} % -> {_percent(scaled['ece'])} %, "
        f"loss {result['loss']:.4f} -> {scaled['loss']:.4f}"
    )
    if result["split"] == found["fitted_on"]:
        line += "\nfitted and measured on the same images, which flatters what it gains a little"
    return line


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.2f}"


def _percent_interval(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{_percent(ends[0])} to {_percent(ends[1])}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _decimal_interval(ends: list[float] | None) -> str:
    return "-" if ends is None else f"{_decimal(ends[0])} to {_decimal(ends[1])}"
