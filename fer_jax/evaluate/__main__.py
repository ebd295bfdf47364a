"""Measure a trained run on any part of its data, or on another file, and show what it knows and does not.

python -m fer_jax.evaluate runs/run6-seed0 --split val

Several runs are measured as one ensemble.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fer_jax import cli
from fer_jax.config.data import BadRow, LabelSource
from fer_jax.errors import ConfigError
from fer_jax.images.views import ViewChoice
from fer_jax.inference.rows import Part


@dataclass(frozen=True)
class EvaluateCommand:
    """Measure the weights that a run's config selects: its best epoch, or its last.

    Prints and writes into the run's folder, as evaluate_PART.json and pictures:

    - accuracy, top-2 and balanced accuracy, macro F1, loss (cross-entropy, nats) and the figures of each
      class, with 95 % bootstrap intervals: how far they would move on other images of the same kind;
    - ROC-AUC of each class: how often a face of the class looks more like it than a face of another;
    - calibration: ECE is the mean distance between how sure the network is and how often it is right. One
      temperature, fitted on the run's validation part, divides the logits and mends what it can;
    - robustness: accuracy under blur, noise, JPEG, brightness, contrast, occlusion, and a face box that is
      shifted, scaled or turned, in five strengths each;
    - the most confident mistakes, what the network looked at (saliency), and the training faces that lie
      nearest to a mistake in the last features.

    At its end the run's page, report.html, is written anew. It and the pictures show faces of the data: do
    not publish those of FER2013.

    Released weights, by their name or file, are measured on PublicTest or PrivateTest of a FER2013 file: the
    figures alone.

    Several runs are measured as an ensemble, whose logits are the mean of theirs: its figures, and how each
    run does alone, are written as ensemble_PART.json. No corruptions, mistakes or pictures then.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The run's folder, such as runs/run6-seed0; or folders of several, or one that holds several; or
    released weights: mid, or some/folder/mid.safetensors."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    split: Part = "val"
    """train, val, test: the parts of the run's own split; PublicTest, PrivateTest: the file's rows of that
    usage; all: every labelled row of the file."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""
    labels: LabelSource | None = None
    """By whose labels; by default those that the run was trained on. ferplus: the majority of FER+'s votes;
    only rows that have one count, and for a network of seven classes rows that contempt wins are left out.
    fer2013: the file's labels; they know no contempt, so that answer of a network of eight classes counts
    as wrong. Other labels than the run's own make files of their own, such as evaluate_val_ferplus.json."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv; else the one that the run was trained with, else data/fer2013new.csv."""
    views: ViewChoice = "single"
    """Ways in which each image is shown (test-time augmentation); their logits are averaged. single: as it
    is; flip: and mirrored; shifts: and shifted by 2 px to each side; flip-shifts: all of these, and the
    shifted ones mirrored; ten-crop: five crops of 44 px, enlarged, and mirrored. A figure from several views
    compares only with others from the same views."""
    robustness: bool = True
    """Measure the corruptions too: 45 more passes over the images, or over 2,048 of them. One run only."""
    out: Path | None = None
    """Folder for an ensemble's figures, by default the one that holds the first run; for those of released
    weights, by default none: they are shown alone."""


def main(argv: list[str] | None = None) -> int:
    """Parse, measure, and return the exit status."""
    return cli.run(lambda: _evaluate(cli.parse(EvaluateCommand, argv, prog="python -m fer_jax.evaluate")))


def _evaluate(options: EvaluateCommand) -> int:
    if not options.runs:
        raise ConfigError("no run was named; give one such as runs/run6-seed0, or several for an ensemble")
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from fer_jax.evaluate import run
    from fer_jax.runs import location

    weights = [path for path in options.runs if run.are_weights(path)]
    if weights and len(options.runs) > 1:
        raise ConfigError(f"{weights[0]} are released weights, which are measured alone; name nothing else")
    if weights:
        run.evaluate_weights(
            weights[0],
            options.data,
            part=options.split,
            on_bad_row=options.on_bad_row,
            labels=options.labels,
            ferplus=options.ferplus,
            views=options.views,
            out=options.out,
        )
        return 0
    # A single path may hold several runs; where it is no run at all, the evaluation says so.
    is_plain = len(options.runs) == 1 and (options.runs[0] / "config.json").is_file()
    folders = list(options.runs) if is_plain else location.find_folders(options.runs)
    if len(folders) > 1:
        run.evaluate_ensemble(
            folders,
            options.data,
            part=options.split,
            on_bad_row=options.on_bad_row,
            labels=options.labels,
            ferplus=options.ferplus,
            views=options.views,
            out=options.out,
        )
        return 0
    if options.out is not None:
        raise ConfigError("--out is for several runs; the figures of one run are written into its folder")
    run.evaluate_run(
        folders[0],
        options.data,
        part=options.split,
        on_bad_row=options.on_bad_row,
        labels=options.labels,
        ferplus=options.ferplus,
        views=options.views,
        has_robustness=options.robustness,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
