"""The program `evaluate` behind its command line: from a run's folder to figures on some rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_jax import checkpoint, display, fer2013, pictures, report, run_folder, run_record, runtime
from fer_jax.command import with_data
from fer_jax.config import BadRow, Config
from fer_jax.config_file import Json
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import image_hashes
from fer_jax.errors import DataError
from fer_jax.feed import eval_batches, evaluate
from fer_jax.metrics import summarise
from fer_jax.models.table import make_model
from fer_jax.optimizer import make_optimizer
from fer_jax.pixels import PixelStats
from fer_jax.randomness import Stream, jax_key
from fer_jax.state import init_state
from fer_jax.step import make_eval_step


def evaluate_run(folder: Path, data: Path | None, *, part: str, on_bad_row: BadRow | None) -> None:
    """Measure a run's selected weights, show the figures, and write them into its folder.

    Args:
        folder: the run's.
        data: another file to measure on; None for the data that the run was trained on.
        part: see `choose_rows`.
        on_bad_row: what a malformed row does; None for what the config says.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    runtime.tune_cpu()
    config = with_data(run_record.read_config(folder), data, on_bad_row)
    facts = run_record.read_facts(folder)
    saved = run_record.read_split(folder)
    if config.device.compile_cache:
        console.print(runtime.keep_compiled())
    examples = _load(config, facts, is_other_file=data is not None)
    display.show_data(console, examples)
    rows = choose_rows(examples, saved, part, facts)
    console.print(f"rows       {part}: {len(rows):,}")
    seen = int(np.isin(image_hashes(examples.images[rows]), saved["train_hashes"]).sum())
    if seen:
        console.print(
            f"note: {seen:,} of these images are exact copies of images it was trained on", style="yellow"
        )
    wanted = config.train.select
    others = (name for name in (checkpoint.BEST, checkpoint.LAST, checkpoint.PREVIOUS) if name != wanted)
    good, damaged = checkpoint.find_good(folder / "checkpoints", (wanted, *others))
    for message in damaged:
        console.print(f"note: {message}; using {good.name}", style="yellow")
    metrics = measure(config, good, examples, rows)
    metrics |= {
        "split": part,
        "data": {"description": examples.description, "sha256": examples.sha256},
        "checkpoint": {"name": good.name, "step": checkpoint.read_meta(good)["step"]},
        "views": 1,
        "copies_of_training_images": seen,
    }
    console.print(report.metrics_table(metrics))
    console.print(report.confusion_table(metrics["confusion"]))
    stem = folder / f"evaluate_{part}"
    run_folder.write_json(stem.with_suffix(".json"), metrics)
    title = f"{config.name}, seed {config.train.seed}: {part}"
    pictures.plot_confusion(np.array(metrics["confusion"]), stem.with_suffix(".png"), title=title)
    console.print(f"written to {stem}.json and {stem}.png")


def _load(config: Config, facts: Json, *, is_other_file: bool) -> Examples:
    """Load the file asked for, or what the run was trained on: synthetic faces too."""
    if is_other_file:
        return load_examples(config.data)
    trained_on = facts["data"]["description"]
    if facts["data"]["is_synthetic"]:
        config = replace(config, data=replace(config.data, source="synthetic"))
    elif find_file(config.data) is None:
        raise DataError(
            f"no FER2013 file was found, and the run was trained on {trained_on}; give it with --data"
        )
    examples = load_examples(config.data)
    if examples.sha256 != facts["data"]["sha256"]:
        raise DataError(
            f"the run was trained on {trained_on}, and found was {examples.description}; "
            "give the file to measure on with --data"
        )
    return examples


def choose_rows(examples: Examples, saved: dict[str, np.ndarray], part: str, facts: Json) -> np.ndarray:
    """Choose the rows of a part.

    Args:
        examples: the data to measure on.
        saved: the run's own split: `train`, `val`, `test`.
        part: "val" or "test" of that split, "PublicTest" or "PrivateTest" (the usage), or "all".
        facts: the content of `run.json`.

    Returns:
        int64 [N], N >= 1, labelled rows.

    Raises:
        DataError: the data has no such rows, or is not the data that the run's split is of.
    """
    if part in ("val", "test"):
        if examples.sha256 != facts["data"]["sha256"]:
            raise DataError(
                f"{part} is a part of the data that the run was trained on ({facts['data']['description']}), "
                f"and this is {examples.description}; leave out --data, or use --split PublicTest, "
                "PrivateTest or all"
            )
        rows = saved[part]
    elif part == "all":
        rows = np.arange(len(examples))
    else:
        rows = np.flatnonzero(examples.usages == fer2013.USAGES.index(part))
    rows = rows[examples.labels[rows] != fer2013.UNLABELLED]
    if not len(rows):
        raise DataError(
            f"{examples.description}: it has no labelled rows of {part}; "
            "give a file that has them with --data, or choose another --split"
        )
    return rows


def measure(config: Config, folder: Path, examples: Examples, rows: np.ndarray) -> Json:
    """Measure a checkpoint on some rows.

    Args:
        config: of the run.
        folder: a whole checkpoint.
        examples: the data.
        rows: int [N], labelled rows, N >= 1.

    Returns:
        What `metrics.summarise` gives.
    """
    model = make_model(config.model, config.device)
    template = init_state(jax_key(0, Stream.INIT), model, make_optimizer(config.optimizer))
    state = checkpoint.restore(template, folder)
    meta = checkpoint.read_meta(folder)
    eval_step = make_eval_step(model, pixel_stats=PixelStats(meta["pixel_mean"], meta["pixel_std"]))
    batches = eval_batches(examples, rows, batch_size=config.train.eval_batch_size)
    return summarise(evaluate(eval_step, state.params, state.batch_stats, batches))
