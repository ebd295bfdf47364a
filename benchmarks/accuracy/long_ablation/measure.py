"""What the long ablation measures: which images the seeds of each ingredient get right."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.accuracy.kept_weights import as_kept
from benchmarks.accuracy.long_ablation.ingredients import INGREDIENTS, VIEWS
from benchmarks.accuracy.long_ablation.paired import to_text
from benchmarks.accuracy.tiers import PART
from benchmarks.harness.unattended import Training
from fer_jax.data.examples import Examples
from fer_jax.files import Json, read_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import run_weights
from fer_jax.inference.predictor import count_views, predict_choices
from fer_jax.inference.rows import choose_common_rows, find_trained_on
from fer_jax.inference.run_weights import Trained
from fer_jax.release import card as release_card
from fer_jax.report import terminal
from fer_jax.runtime import cpu


def collect(
    finished: dict[str, list[Training]], data: Path, console: Console
) -> tuple[list[dict[str, Any]], Json]:
    """Find the images that the seeds of each ingredient get right, with the weights that `keep` writes.

    Args:
        finished: the runs of each ingredient.
        data: fer2013.csv.
        console: where progress is shown.

    Returns:
        A row for each ingredient; and the images: their `total`, which are `copies` of training images, and
        the `sha256` of pixels and labels.

    Raises:
        RunError: a run cannot be used.
    """
    cpu.tune_cpu()
    members = {
        name: [as_kept(run_weights.load_finished(one.folder, data, None)) for one in trainings]
        for name, trainings in finished.items()
    }
    every = [one for each in members.values() for one in each]
    examples = run_weights.load_data(every[0], is_other_file=True)
    chosen = choose_common_rows(examples, every, PART)
    is_copy = find_trained_on(every, examples.hashes[chosen])
    rows = []
    for name, seeds in members.items():
        console.print(f"{name}: {len(seeds)} runs")
        right = _find_right(seeds, examples, chosen, console)
        rows.append(
            _describe_runs(name, seeds) | {"right": {choice: to_text(each) for choice, each in right.items()}}
        )
    digest = hashlib.sha256(examples.images[chosen].tobytes() + examples.labels[chosen].tobytes())
    return rows, {
        "total": len(chosen),
        "copies": to_text(is_copy[None])[0],
        "sha256": digest.hexdigest(),
    }


def _find_right(
    members: Sequence[Trained], examples: Examples, chosen: np.ndarray, console: Console
) -> dict[ViewChoice, np.ndarray]:
    """Find the images that each of K seeds gets right, for each choice of views: bool [K, N]."""
    with terminal.show_steps(console, "views", len(members) * count_views(VIEWS)) as advance:
        logits = [
            predict_choices(member.network, examples.images[chosen], VIEWS, advance=advance)
            for member in members
        ]
    return {
        choice: np.array([each[choice].argmax(axis=1) == examples.labels[chosen] for each in logits])
        for choice in VIEWS
    }


def _describe_runs(name: str, members: Sequence[Trained]) -> dict[str, Any]:
    first = members[0].record
    change, words = INGREDIENTS[name]
    trained = [read_json(member.folder / "metrics.json")["train"] for member in members]
    return {
        "name": name,
        "change": change,
        "options": words,
        "machine": first.machine,
        "versions": first.versions,
        "data_sha256": first.data.sha256,
        "split_sha256": first.split.sha256,
        "seeds": [member.record.seed for member in members],
        "teachers": release_card.name_teachers(first.teachers),
        "parameters": first.parameters,
        "epochs": members[0].config.train.epochs,
        "seconds_per_epoch": [member.record.seconds_per_epoch for member in members],
        "train": {"correct": [each["correct"] for each in trained], "total": trained[0]["total"]},
    }
