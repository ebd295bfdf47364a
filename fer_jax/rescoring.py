"""Released weights measured again, on anybody's file: the figures of `evaluate` without a run's folder."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from fer_jax import display, evaluation, label_sets, released, run_folder, runtime
from fer_jax.config import BadRow, DataConfig, LabelsConfig, LabelSource
from fer_jax.data.load import load_examples
from fer_jax.data.targets import Classes, load_targets
from fer_jax.errors import ConfigError
from fer_jax.figures import calibrate, measure
from fer_jax.trained import OWN_PARTS, choose_usage
from fer_jax.views import CHOICES, ViewChoice

ENDING = ".safetensors"


def are_weights(path: Path) -> bool:
    """Say whether a path means released weights: a file of them, or a name of the package's own."""
    return path.suffix == ENDING or (not path.exists() and str(path) in released.list_names(released.WEIGHTS))


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
    runtime.tune_cpu()
    is_file = path.suffix == ENDING
    classifier = released.read(path.parent if is_file else released.WEIGHTS, path.stem)
    learned = str(classifier.card["training"]["labels"])
    source: LabelSource = labels or ("ferplus" if learned.startswith("FER+") else "fer2013")
    label_sets.check_votes(source, ferplus)
    path_of_data = None if data is None else str(data)
    # Of this source synthetic faces are none: only a file will do.
    examples = load_examples(DataConfig(path=path_of_data, source="kaggle", on_bad_row=on_bad_row or "stop"))
    display.show_data(console, examples)
    asked = LabelsConfig(source=source, ferplus=None if ferplus is None else str(ferplus))
    classes: Classes = 8 if len(classifier.labels) == 8 else 7
    targets = load_targets(asked, examples, classes=classes)
    if targets is not None:
        examples = replace(examples, labels=targets.labels)
    rows = choose_usage(examples, part)
    console.print(f"weights    {classifier.name}: {classifier.card['parameters']:,} parameters")
    console.print(f"rows       {part}: {len(rows):,}, labels of {label_sets.WORDS[source]}")
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
    console.print(evaluation.describe(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        name = f"evaluate_{classifier.name}_{part}{'' if labels is None else f'_{labels}'}.json"
        run_folder.write_json(out / name, result)
        console.print(f"written to {out}: {name}")
