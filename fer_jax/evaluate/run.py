"""The program `evaluate` behind its command line: from a run's folder to figures and pictures of a part."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.special import log_softmax

from fer_jax.config.data import BadRow, DataConfig, LabelsConfig, LabelSource
from fer_jax.data.examples import Examples
from fer_jax.data.load import load_examples
from fer_jax.data.targets import Classes, load_targets
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.evaluate import mistakes, plots, robustness, text
from fer_jax.evaluate.text import describe, members_table
from fer_jax.files import Json, write_json
from fer_jax.images.views import CHOICES, ViewChoice
from fer_jax.inference import ensemble, weights
from fer_jax.inference import labels as inference_labels
from fer_jax.inference.ensemble import average, average_views
from fer_jax.inference.predictor import predict
from fer_jax.inference.rows import OWN_PARTS, choose_rows, choose_usage, find_copies
from fer_jax.inference.run_weights import Trained, load, load_data, load_finished
from fer_jax.metrics.counts import count_predictions
from fer_jax.metrics.predictions import Predictions, calibrate, measure
from fer_jax.metrics.scores import summarise
from fer_jax.report import plots as report_plots
from fer_jax.report import run_page, terminal
from fer_jax.runs import record
from fer_jax.runtime import compile_cache, cpu


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
        part: see `inference.rows.choose_rows`.
        on_bad_row: what a malformed row does; None for what the config says.
        labels: by whose; None for those that the run was trained on.
        ferplus: FER+'s votes; None for the file that its config names.
        views: how each image is shown.
        has_robustness: measure the corruptions too.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cpu.tune_cpu()
    if record.read_config(folder).device.compile_cache:
        console.print(compile_cache.keep_compiled())
    [trained] = inference_labels.choose([load(folder, data, on_bad_row)], labels, ferplus)
    examples = load_data(trained, is_other_file=data is not None)
    terminal.show_data(console, examples)
    asked = inference_labels.measure_by(trained, examples, choose_rows(examples, trained, part), part=part)
    examples, rows = asked.examples, asked.rows
    console.print(f"rows       {part}: {len(rows):,}")
    seen = int(find_copies([trained], examples.images[rows]).sum())
    copies = f"note: {seen:,} of these images are exact copies of images it was trained on"
    for note in (*asked.notes, *([copies] if seen else []), *trained.notes):
        console.print(note, style="yellow")

    stem = folder / f"evaluate_{part}{inference_labels.suffix([trained])}"
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
    write_json(stem.with_suffix(".json"), result)
    written = ", ".join([f"{stem.name}.json", *result["pictures"].values()])
    console.print(f"written to {folder}: {written}")
    console.print(f"the run's page: {run_page.write(folder)}")


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
            as_trained = replace(trained, config=record.read_config(trained.folder))
            own = inference_labels.relabel(as_trained, load_data(as_trained, is_other_file=False))
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
    with terminal.make_bar(console) as bar:
        task = bar.add_task("robustness", total=robustness.passes(trained, images=len(rows)), speed="")
        return robustness.measure(
            trained, examples, rows, is_right=is_right, advance=lambda: bar.advance(task)
        )


def _draw(trained: Trained, result: Json, stem: Path) -> dict[str, str]:
    """Draw the figures; picture name -> file name."""
    title = f"{trained.title}: {result['split']}"
    if result["labels"] != "fer2013":
        title += f", labels of {inference_labels.WORDS[result['labels']]}"
    paths = {
        name: stem.with_name(f"{stem.name}_{name}.png") for name in ("confusion", "reliability", "robustness")
    }
    report_plots.plot_confusion(np.array(result["confusion"]), paths["confusion"], title=title)
    same = "; the temperature is fitted on these same images" if result["split"] == "val" else ""
    plots.plot_reliability(result["calibration"], paths["reliability"], title=title + same)
    if result["robustness"] is None:
        # One of an earlier evaluation would look as if it belonged to this one.
        paths.pop("robustness").unlink(missing_ok=True)
    else:
        plots.plot_robustness(result["robustness"], paths["robustness"], title=title)
    return {name: path.name for name, path in paths.items()}


def evaluate_ensemble(
    folders: Sequence[Path],
    data: Path | None,
    *,
    part: str,
    on_bad_row: BadRow | None,
    labels: LabelSource | None,
    ferplus: Path | None,
    views: ViewChoice,
    out: Path | None,
) -> None:
    """Measure several runs as one, show the figures, and write them as `ensemble_PART.json`.

    The labels are in its name where they are others than the runs' own.

    Args:
        folders: of the runs, at least two.
        data: another file to measure on; None for the data that the first run was trained on.
        part: see `inference.rows.choose_rows`; the split of all runs has to agree on "train", "val" and "test".
        on_bad_row: what a malformed row does; None for what the first run's config says.
        labels: by whose; None for those that the runs were trained on.
        ferplus: FER+'s votes; None for the file that a run's config names.
        views: how each image is shown.
        out: where to write; None for the folder that holds the first run.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cpu.tune_cpu()
    members = [load_finished(folder, data, on_bad_row) for folder in folders]
    members = inference_labels.choose(members, labels, ferplus)
    examples = load_data(members[0], is_other_file=data is not None)
    terminal.show_data(console, examples)
    asked = inference_labels.measure_by(
        members[0], examples, _choose_rows(examples, members, part), part=part
    )
    examples, rows = asked.examples, asked.rows
    console.print(f"rows       {part}: {len(rows):,}")
    seen = int(find_copies(members, examples.images[rows]).sum())
    copies = f"note: {seen:,} of these images are exact copies of images that a run was trained on"
    for note in (*asked.notes, *([copies] if seen else [])):
        console.print(note, style="yellow")

    names = CHOICES[views]
    each = [ensemble.average_views(console, member, examples.images[rows], names) for member in members]
    measured = (average(each, folders), examples.labels[rows])
    held_out = _predict_held_out(console, members, examples, names, measured, part=part)
    result = measure(*measured) | {
        "split": part,
        **asked.facts,
        "data": {"description": examples.description, "sha256": examples.sha256},
        "copies_of_training_images": seen,
        "views": list(names),
        "averaged": "logits",
        "members": [
            _describe(member, logits, measured[1]) for member, logits in zip(members, each, strict=True)
        ],
        "calibration": calibrate(measured, held_out),
        "robustness": None,
    }
    console.print(f"{members_table(result['members'])}\n\n{text.describe(result)}")
    out = folders[0].resolve().parent if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    name = f"ensemble_{part}{inference_labels.suffix(members)}.json"
    write_json(out / name, result)
    console.print(f"written to {out}: {name}")


def _choose_rows(examples: Examples, members: Sequence[Trained], part: str) -> np.ndarray:
    """Choose the rows of a part on which all runs agree."""
    rows, *others = [choose_rows(examples, member, part) for member in members]
    for member, other in zip(members[1:], others, strict=True):
        if not np.array_equal(rows, other):
            raise RunError(
                f"{member.folder} has another split than {members[0].folder}: their {part} images differ; "
                "name runs of one split, or measure on --split PublicTest, PrivateTest or all"
            )
    return rows


def _predict_held_out(
    console: Console,
    members: Sequence[Trained],
    examples: Examples,
    names: Sequence[str],
    measured: Predictions,
    *,
    part: str,
) -> Predictions | None:
    """Predict the validation part that all runs share; None, with a note, where there is none at hand."""
    if part == "val":
        return measured
    first = members[0]
    is_shared = all(
        member.facts["data"]["sha256"] == first.facts["data"]["sha256"]
        and np.array_equal(member.saved["val"], first.saved["val"])
        for member in members
    )
    if not is_shared:
        console.print("note: no temperature, for the runs share no validation part", style="yellow")
        return None
    predicted = []
    for member in members:
        of_member = predict_held_out(console, member, examples, names, measured, part=part)
        if of_member is None:
            return None
        predicted.append(of_member)
    return average([logits for logits, _ in predicted], [m.folder for m in members]), predicted[0][1]


def _describe(member: Trained, logits: np.ndarray, labels: np.ndarray) -> Json:
    figures = summarise(count_predictions(log_softmax(logits, axis=1), labels))
    kept = ("correct", "total", "accuracy", "accuracy_low", "accuracy_high", "loss")
    return {
        "run": member.folder.name,
        "name": member.config.name,
        "seed": member.facts["seed"],
        "checkpoint": member.checkpoint,
    } | {name: figures[name] for name in kept}


ENDING = ".safetensors"


def are_weights(path: Path) -> bool:
    """Say whether a path means released weights: a file of them, or a name of the package's own."""
    return path.suffix == ENDING or (not path.exists() and str(path) in weights.list_names(weights.WEIGHTS))


def evaluate_weights(
    path: Path,
    data: Path | None,
    *,
    part: str,
    on_bad_row: BadRow | None,
    labels: LabelSource | None,
    ferplus: Path | None,
    views: ViewChoice,
    out: Path | None,
) -> None:
    """Measure released weights and show the figures.

    Args:
        path: the file, its card beside it, or a name of the package's own.
        data: the file to measure on; None looks for one as `train` does.
        part: "PublicTest", "PrivateTest" or "all".
        on_bad_row: what a malformed row does; None stops.
        labels: by whose; None for those that the weights learned.
        ferplus: FER+'s votes; None for data/fer2013new.csv.
        views: how each image is shown.
        out: folder for `evaluate_NAME_PART.json`; None writes nothing.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    if part in OWN_PARTS:
        raise ConfigError(
            f"--split {part} is a part of a run's own split, and released weights have no run; give "
            "--split PublicTest, PrivateTest or all"
        )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    cpu.tune_cpu()
    is_file = path.suffix == ENDING
    classifier = weights.read(path.parent if is_file else weights.WEIGHTS, path.stem)
    learned = str(classifier.card["training"]["labels"])
    source: LabelSource = labels or ("ferplus" if learned.startswith("FER+") else "fer2013")
    inference_labels.check_votes(source, ferplus)
    path_of_data = None if data is None else str(data)
    # Of this source synthetic faces are none: only a file will do.
    examples = load_examples(DataConfig(path=path_of_data, source="kaggle", on_bad_row=on_bad_row or "stop"))
    terminal.show_data(console, examples)
    asked = LabelsConfig(source=source, ferplus=None if ferplus is None else str(ferplus))
    classes: Classes = 8 if len(classifier.labels) == 8 else 7
    targets = load_targets(asked, examples, classes=classes)
    if targets is not None:
        examples = replace(examples, labels=targets.labels)
    rows = choose_usage(examples, part)
    console.print(f"weights    {classifier.name}: {classifier.card['parameters']:,} parameters")
    console.print(f"rows       {part}: {len(rows):,}, labels of {inference_labels.WORDS[source]}")
    logits = classifier.predict_logits(examples.images[rows], views=views)
    measured = (logits, examples.labels[rows])
    result = measure(*measured) | {
        "weights": {"name": classifier.name, "sha256": classifier.card["tensors"]["sha256"]},
        "split": part,
        "labels": source,
        "data": {"description": examples.description, "sha256": examples.sha256},
        "views": list(CHOICES[views]),
        "calibration": calibrate(measured, None),
        "robustness": None,
    }
    console.print(text.describe(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        name = f"evaluate_{classifier.name}_{part}{'' if labels is None else f'_{labels}'}.json"
        write_json(out / name, result)
        console.print(f"written to {out}: {name}")
