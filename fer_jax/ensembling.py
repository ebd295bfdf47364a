"""Several runs as one: their logits are averaged over the same images and views.

Logits and not probabilities: that is the rule for views too, so that it does not matter in which order views
and runs are averaged, and what comes out are logits, which calibration takes as it takes any others. It is
the geometric mean of the probabilities, scaled to sum to 1: a class that one network rules out stays
unlikely. A network of larger logits has more to say than the others; runs of one recipe are alike in that.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy.special import log_softmax

from fer_jax import display, evaluation, label_sets, run_folder, runtime
from fer_jax.config import BadRow, LabelSource
from fer_jax.config_file import Json
from fer_jax.data.examples import Examples
from fer_jax.errors import RunError
from fer_jax.figures import Predictions, calibrate, measure
from fer_jax.metrics import count_predictions, summarise
from fer_jax.tables import Table, align
from fer_jax.trained import Trained, choose_rows, find_copies, load_data, load_finished
from fer_jax.views import CHOICES, ViewChoice


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
        part: see `trained.choose_rows`; the split of all runs has to agree on "train", "val" and "test".
        on_bad_row: what a malformed row does; None for what the first run's config says.
        labels: by whose; None for those that the runs were trained on.
        ferplus: FER+'s votes; None for the file that a run's config names.
        views: how each image is shown.
        out: where to write; None for the folder that holds the first run.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    runtime.tune_cpu()
    members = [load_finished(folder, data, on_bad_row) for folder in folders]
    members = label_sets.choose(members, labels, ferplus)
    examples = load_data(members[0], is_other_file=data is not None)
    display.show_data(console, examples)
    asked = label_sets.measure_by(members[0], examples, _choose_rows(examples, members, part), part=part)
    examples, rows = asked.examples, asked.rows
    console.print(f"rows       {part}: {len(rows):,}")
    seen = int(find_copies(members, examples.images[rows]).sum())
    copies = f"note: {seen:,} of these images are exact copies of images that a run was trained on"
    for note in (*asked.notes, *([copies] if seen else [])):
        console.print(note, style="yellow")

    names = CHOICES[views]
    each = [evaluation.average_views(console, member, examples.images[rows], names) for member in members]
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
    console.print(f"{members_table(result['members'])}\n\n{evaluation.describe(result)}")
    out = folders[0].resolve().parent if out is None else out
    out.mkdir(parents=True, exist_ok=True)
    name = f"ensemble_{part}{label_sets.suffix(members)}.json"
    run_folder.write_json(out / name, result)
    console.print(f"written to {out}: {name}")


def average(logits: Sequence[np.ndarray], folders: Sequence[Path]) -> np.ndarray:
    """Average the logits of several networks.

    Args:
        logits: of each, float64 [N, C].
        folders: of each, for messages.

    Returns:
        float64 [N, C].

    Raises:
        RunError: they are about other numbers of classes.
    """
    for folder, each in zip(folders, logits, strict=True):
        if each.shape != logits[0].shape:
            raise RunError(
                f"{folder} tells {each.shape[1]} classes apart, and {folders[0]} {logits[0].shape[1]}; "
                "name runs of as many classes"
            )
    mean: np.ndarray = np.mean(logits, axis=0)
    return mean


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
        of_member = evaluation.predict_held_out(console, member, examples, names, measured, part=part)
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


def members_table(members: Sequence[Json]) -> str:
    """Lay out how each member does alone, and their mean, for the terminal."""
    rows: Table = [["run", "accuracy", "correct", "of", "loss, nats"]]
    rows += [
        [
            each["run"],
            f"{100 * each['accuracy']:.2f} %",
            f"{each['correct']:,}",
            f"{each['total']:,}",
            f"{each['loss']:.4f}",
        ]
        for each in members
    ]
    accuracies = np.array([each["accuracy"] for each in members])
    spread = 100 * accuracies.std(ddof=1)
    mean_loss = np.mean([each["loss"] for each in members])
    rows.append(["mean", f"{100 * accuracies.mean():.2f} ± {spread:.2f} %", "", "", f"{mean_loss:.4f}"])
    return align(rows)
