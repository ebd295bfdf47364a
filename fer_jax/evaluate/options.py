"""The options of `evaluate`, which are its command line too: the docstrings are the help text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import tyro

from fer_jax.config.data import OWN_PARTS, BadRow, Fit, LabelSource, Part
from fer_jax.errors import ConfigError
from fer_jax.files import expand_home
from fer_jax.images.view_choice import ViewChoice

if TYPE_CHECKING:
    from fer_jax.runs.sources import Released

SUFFIXES: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class EvaluateOptions:
    """Measure a trained network: a run, released weights, or several of either as an ensemble.

    Of a run, the weights that its config selects are measured: those of its best epoch, or of its last. The
    results are printed and written into the run's folder, as evaluate_PART.json and pictures (with --views
    flip: evaluate_PART_flip.json):

    - accuracy, top-2 and balanced accuracy, macro F1, loss (cross-entropy, nats) and precision, recall and F1
      of each class, with 95 % bootstrap intervals: how much they would vary on other images of the same kind;
    - ROC-AUC of each class: how often an image of the class gets a higher score for it than an image of
      another class;
    - accuracy without the images that are exact copies of training images;
    - calibration: ECE is the mean difference between confidence and accuracy. One temperature, fitted on the
      run's validation part, divides the logits and corrects what it can;
    - abstention: accuracy if the least certain images are left out, by thresholds of the confidence that are
      chosen on the validation part;
    - with FER+'s votes: how often one human rater agrees with the others, and how often the network does;
    - robustness: accuracy under blur, noise, JPEG, brightness, contrast, occlusion, and a face box that is
      shifted, scaled or rotated, at five strengths each;
    - the most confident mistakes, what the network looked at (saliency), and the training images that are
      nearest to a mistake in the last features.

    Finally the run's page, report.html, is written anew. It and the pictures show images of the data: do not
    publish those of FER2013.

    Several runs are measured as an ensemble: the mean of their logits. The metrics of the ensemble and of
    each run are written as ensemble_RUNS_PART.json, without corruptions, mistakes and pictures.

    Released weights, given by name, file or folder, are measured with metrics only; several are an ensemble.
    Of a FER2013 file --split is PublicTest, which also chooses their thresholds, or PrivateTest; of your own
    pictures it is all.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The run's folder, such as runs/run6-seed0; or the folders of several, or one that holds several; or
    released weights: mid, or some/folder/mid.safetensors, or several, or a folder that holds several. Cards
    beside weights may be named too, so that some/folder/best-* is an ensemble."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    split: Part = "val"
    """train, val, test: the parts of the run's own split; PublicTest, PrivateTest: the file's rows of that
    usage; all: every labelled row of the file."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it."""
    fit: Fit | None = None
    """How pictures of your own in --data become 48 × 48 gray: refuse, resize or detect, as --data.fit of
    `train` says; by default as those that the network was trained on."""
    class_map: str | None = None
    """Which of their labels is which class, as --data.class-map of `train` says; by default as for the
    training data. Classes are matched with the network's by name."""
    labels: LabelSource | None = None
    """Whose labels to measure by; by default those that the run was trained on. ferplus: the majority of
    FER+'s votes; only rows that have one count, and for a network of seven classes rows that contempt wins
    are left out. fer2013: the file's labels; they have no contempt, so that answer of a network of eight
    classes counts as wrong. With labels other than the run's own the files get names of their own, such as
    evaluate_val_ferplus.json."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv, for its labels and for the human raters; else the one that the run was trained
    with, else data/fer2013new.csv. For the raters it is also looked for beside the data."""
    views: ViewChoice = "single"
    """Test-time augmentation: the views in which each image is shown; their logits are averaged. single: as
    it is; flip: also mirrored; shifts: also shifted by 2 px to each side; flip-shifts: all of these, and the
    shifted ones mirrored; ten-crop: five crops of 44 px, enlarged, and mirrored; flip-zooms: as it is, and
    the middle 92 and 85 percent of its side enlarged, each also mirrored. Compare a result only with others
    from the same views."""
    robustness: bool = True
    """Measure the corruptions too: 46 more passes over some two thousand images, or all. One run only."""
    out: Path | None = None
    """Folder for the results of an ensemble of runs, by default the one that holds the first run; for those
    of released weights, by default none: they are only shown."""
    overwrite: bool = False
    """Replace a result of the same name that was made from other data, runs or views, and the file of
    --predictions."""
    predictions: Path | None = None
    """Also write the prediction for every image as a table, a row an image, to this .csv or .parquet file:
    its row in the data (from 0), usage, label, prediction, the probability of each class, and whether it is
    an exact copy of a training image."""


def check(options: EvaluateOptions) -> None:
    """Check what can be checked before anything is computed, or JAX imported.

    Raises:
        FerJaxError: a user error: the command line, the data, a run's folder or the name of weights.
    """
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.data.readers import ferplus
    from fer_jax.runs import outputs, sources

    if options.predictions is not None:
        _check_suffix(options.predictions)
    if options.ferplus is not None:
        ferplus.find(options.ferplus)
    found, folders = sources.find_all(options.runs)
    data = _check_released(found[0], options) if found else _check_runs(folders, options)
    if options.out is not None:
        outputs.check_folder("--out", options.out)
    if options.predictions is not None:
        outputs.check_file(
            "--predictions",
            options.predictions,
            inputs=_list_inputs(data, folders, options),
            may_replace=options.overwrite,
        )


def _list_inputs(data: Path | None, folders: Sequence[Path], options: EvaluateOptions) -> list[Path]:
    """List the data, and where FER+'s votes are or are looked for."""
    from fer_jax.data.targets import DEFAULT_FILE, place_beside
    from fer_jax.runs import record

    named = [options.ferplus, *(record.read_config(each).labels.ferplus for each in folders[:1])]
    votes = [DEFAULT_FILE, *(expand_home(each) for each in named if each is not None)]
    return votes if data is None else [data, place_beside(data), *votes]


def _check_runs(folders: Sequence[Path], options: EvaluateOptions) -> Path | None:
    """Check runs and the data to measure them on, which is returned; None: synthetic faces."""
    from fer_jax.runs import inputs

    data = inputs.check_data(
        folders[0], options.data, options.on_bad_row, fit=options.fit, class_map=options.class_map
    )
    if len(folders) > 1:
        for folder in folders:
            inputs.read_finished(folder)
    elif options.out is not None:
        raise ConfigError("--out is for several runs; the results of one run are written into its folder")
    return data


def _check_released(first: "Released", options: EvaluateOptions) -> Path | None:
    from fer_jax.runs import sources

    if options.split in OWN_PARTS:
        raise ConfigError(
            f"--split {options.split} is a part of a run's own split, and released weights have no run; "
            "give --split PublicTest, PrivateTest or all"
        )
    return sources.check_data(first, options.data, fit=options.fit, class_map=options.class_map)


def _check_suffix(path: Path) -> None:
    """Check that a table of this name can be written.

    Raises:
        ConfigError: another suffix than .csv or .parquet, or a package is missing.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--predictions {path}: wanted a name that ends in .csv or .parquet")
    if path.suffix == ".parquet":
        from fer_jax.runs import inputs

        inputs.check_parquet("--predictions", path)
