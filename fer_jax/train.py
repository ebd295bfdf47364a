"""The main job: train a network from a config file, measure it, and write it all down.

python -m fer_jax.train --config configs/run6.py
"""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from fer_jax import checkpoint, command, display, pictures, pixels, report, run_folder, run_record, runtime
from fer_jax.config import BadRow, Config
from fer_jax.config_file import Json, to_json
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.epochs import Job, Record, StopError, run_epochs, save, watch_signals
from fer_jax.epochs import Progress as RunProgress
from fer_jax.errors import ConfigError, RunError
from fer_jax.feed import eval_batches, evaluate
from fer_jax.losses import class_weights
from fer_jax.metrics import summarise
from fer_jax.models.summary import Layer, list_layers
from fer_jax.models.table import make_model
from fer_jax.optimizer import make_optimizer
from fer_jax.randomness import Stream, jax_key
from fer_jax.state import TrainState, init_state
from fer_jax.step import make_eval_step, make_train_step

SELECTIONS = {
    "best": "the best by validation accuracy, which flatters val a little",
    "last": "the last, with no selection",
}


@dataclass(frozen=True)
class TrainCommand:
    """Train a network as a config file says, and measure it.

    Every field of the config has an option; the file's values are the defaults. Without a FER2013 file
    the run uses synthetic faces and says so.
    """

    config: Path
    """Config file, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    on_bad_row: BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    run_dir: Path | None = None
    """Folder to write; by default a new one, runs/NAME-seedS."""
    resume: bool = False
    """Go on from the last checkpoint of --run-dir, or of the newest folder of this name and seed."""


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and return the exit status."""
    return command.run(
        lambda: _train(command.parse(TrainCommand, argv, prog="python -m fer_jax.train"), argv)
    )


def _train(options: TrainCommand, argv: list[str] | None) -> int:
    console = Console(markup=False, highlight=False, soft_wrap=True)
    config = command.with_data(options.settings, options.data, options.on_bad_row)
    folder = _choose_folder(options, config)
    runtime.tune_cpu()
    console.print(f"fer_jax {config.name}, seed {config.train.seed} -> {folder}", style="bold")
    console.print(
        "; ".join([f"runs on    {runtime.describe_device()}", runtime.describe_cpu(), *runtime.tune_cpu()])
    )
    is_synthetic = find_file(config.data) is None
    if is_synthetic:
        display.show_notice(console, is_chosen=config.data.source == "synthetic")
    examples = load_examples(config.data)
    display.show_data(console, examples)
    split = split_examples(examples, config.split)
    invocation = shlex.join(["python", "-m", "fer_jax.train", *(sys.argv[1:] if argv is None else argv)])
    facts = run_record.describe_run(config, examples, split, command=invocation, is_synthetic=is_synthetic)
    display.show_split(console, examples, split, copies=facts["split"]["copies_of_training_images"])
    with run_folder.locked(folder):
        return _run(console, config, folder, examples, split, facts, is_resumed=options.resume)


def _choose_folder(options: TrainCommand, config: Config) -> Path:
    if not options.resume:
        folder = options.run_dir or run_folder.new_folder(config.name, config.train.seed)
        if (folder / "run.json").exists():
            raise RunError(f"{folder} holds a run already; add --resume to go on, or give another --run-dir")
        return folder
    folder = options.run_dir or run_folder.newest_folder(config.name, config.train.seed)
    # The data is known by its hash, not by its place.
    change = run_record.find_config_change(folder, config, free=("data.path", "data.source"))
    if change:
        raise RunError(f"{change}; resume with the same config, or train into another --run-dir")
    return folder


def _run(
    console: Console,
    config: Config,
    folder: Path,
    examples: Examples,
    split: Split,
    facts: Json,
    *,
    is_resumed: bool,
) -> int:
    job, state, layers = _prepare(config, examples, split, folder)
    console.print(report.layer_table(layers))
    facts = facts | {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }
    progress: RunProgress | None = None
    if is_resumed:
        facts, notes = run_record.resume(folder, facts)
        for note in notes:
            console.print(note, style="yellow")
        state, progress = _restore(console, job, state)
    run_record.write(folder, config, examples, split, facts)
    if progress is None:
        progress = RunProgress()
        save(job, state, progress, is_best=False)
    try:
        with watch_signals() as signals:
            state = _fit(console, job, state, progress, folder, signals)
    except StopError as stopped:
        console.print(f"stopped by signal {stopped.signum}; saved in {folder}. Go on with --resume")
        return 128 + stopped.signum
    _finish(console, job, state, progress.history, folder, facts)
    return 0


def _prepare(
    config: Config, examples: Examples, split: Split, folder: Path
) -> tuple[Job, TrainState, list[Layer]]:
    if config.train.batch_size > len(split.train):
        raise ConfigError(
            f"train.batch_size is {config.train.batch_size}, and the training part has {len(split.train)} "
            "rows; lower it, or give more data"
        )
    model, optimizer = make_model(config.model, config.device), make_optimizer(config.optimizer)
    stats = pixels.measure(examples.images[split.train])
    weights = class_weights(config.loss, class_counts(examples.labels[split.train]))
    train_step = make_train_step(model, optimizer, config.loss, class_weights=weights, pixel_stats=stats)
    eval_step = make_eval_step(model, pixel_stats=stats)
    state = init_state(jax_key(config.train.seed, Stream.INIT), model, optimizer)
    job = Job(config, examples, split, stats, train_step, eval_step, folder / "checkpoints")
    return job, state, list_layers(model)


def _restore(console: Console, job: Job, template: TrainState) -> tuple[TrainState, RunProgress | None]:
    """Restore the newest whole checkpoint; a run that was killed before its first one starts anew."""
    names = (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST)
    if not any((job.checkpoints / name).exists() for name in names):
        console.print("note: there is no checkpoint yet; starting at step 0", style="yellow")
        return template, None
    good, damaged = checkpoint.find_good(job.checkpoints, names)
    for message in damaged:
        console.print(f"note: {message}; using {good.name}", style="yellow")
    meta = checkpoint.read_meta(good)
    console.print(f"resuming at step {meta['step']:,} from {good}")
    return checkpoint.restore(template, good), RunProgress(**meta["progress"])


def _fit(
    console: Console, job: Job, state: TrainState, progress: RunProgress, folder: Path, signals: list[int]
) -> TrainState:
    """Run the epochs behind a progress bar, writing the log."""
    from tensorboardX import SummaryWriter

    epochs, batch_size = job.config.train.epochs, job.config.train.batch_size
    log = folder / "log.jsonl"
    run_folder.write_text(log, "".join(run_folder.json_line(record) for record in progress.history))
    bar = display.make_bar(console)
    # Written anew from the history, so that a resumed run shows each epoch once.
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(folder / "tensorboard")) as board, bar:
        for record in progress.history:
            _add_scalars(board, record)
        total = job.epoch_steps * epochs
        task = bar.add_task("training", total=total, completed=int(state.step), speed="")

        def on_step(position: int, objective: float) -> None:
            epoch = len(progress.history)
            speed = bar.tasks[task].speed
            bar.update(
                task,
                completed=epoch * job.epoch_steps + position,
                description=f"epoch {epoch + 1}/{epochs}, objective {objective:.3f}",
                speed=f"{speed * batch_size:,.0f} img/s" if speed else "",
            )

        def on_epoch(record: Record) -> None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(run_folder.json_line(record))
            _add_scalars(board, record)
            console.print(report.epoch_line(record, epochs=epochs))

        return run_epochs(job, state, progress, signals=signals, on_step=on_step, on_epoch=on_epoch)


def _add_scalars(board: Any, record: Record) -> None:
    for name in ("rate", "objective", "train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        board.add_scalar(name, record[name], record["step"])


def _finish(
    console: Console, job: Job, state: TrainState, history: list[Record], folder: Path, facts: Json
) -> None:
    """Measure the selected weights on every part, and write the pictures and the report."""
    good, _ = checkpoint.find_good(job.checkpoints, (job.config.train.select,))
    chosen = checkpoint.restore(state, good)
    measured = len(checkpoint.read_meta(good)["progress"]["history"])
    metrics: dict[str, Any] = {}
    for name, rows in job.split.parts.items():
        if len(rows):
            batches = eval_batches(job.examples, rows, batch_size=job.config.train.eval_batch_size)
            metrics[name] = summarise(evaluate(job.eval_step, chosen.params, chosen.batch_stats, batches))
    facts = facts | {
        "finished": runtime.now(),
        "seconds_total": sum(record["seconds"] for record in history),
        "seconds_per_epoch": float(np.median([record["seconds"] for record in history])),
        "measured_epoch": measured,
        "selection": SELECTIONS[job.config.train.select],
        "last_state_sha256": checkpoint.state_hash(state),
    }
    name = f"{job.config.name}, seed {facts['seed']}"
    run_folder.write_json(folder / "metrics.json", metrics)
    pictures.plot_curves(history, folder / "curves.png", title=name, measured_epoch=measured)
    confusion = np.array(metrics["val"]["confusion"])
    pictures.plot_confusion(confusion, folder / "confusion_val.png", title=f"{name}: validation")
    config = to_json(job.config)
    text = report.markdown_report(
        name=job.config.name, run=facts, config=config, history=history, metrics=metrics
    )
    run_folder.write_text(folder / "report.md", text)
    run_folder.write_json(folder / "run.json", facts)
    shown = "test" if "test" in metrics else "val"
    console.print(f"\nepoch {measured}, {facts['selection']}; on the {shown} part:")
    console.print(report.metrics_table(metrics[shown]))
    console.print(report.confusion_table(metrics[shown]["confusion"]))
    console.print(
        f"written to {folder}: report.md, curves.png, confusion_val.png, metrics.json, checkpoints/"
    )


if __name__ == "__main__":
    sys.exit(main())
