"""The main job: train a network from a config file, measure it, and write it all down.

python -m fer_jax.train --config configs/run6.py
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from fer_jax import checkpoint, command, display, pictures, pixels, report, run_folder, runtime
from fer_jax.config import Config
from fer_jax.config_file import Json, flatten, from_json, to_json
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import Split, count_leaks, image_hashes, split_examples
from fer_jax.epochs import Job, Record, StopError, run_epochs, save, watch_signals
from fer_jax.epochs import Progress as RunProgress
from fer_jax.errors import RunError
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
    on_bad_row: command.BadRow | None = None
    """What a malformed row does; short for --data.on-bad-row."""
    run_dir: Path | None = None
    """Folder to write; by default a new one, runs/NAME-seedS."""
    resume: bool = False
    """Go on from the last checkpoint of --run-dir, or of the newest folder of this name and seed."""


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and return the exit status."""
    return command.run(lambda: _train(command.parse(TrainCommand, argv, program="train"), argv))


def _train(options: TrainCommand, argv: list[str] | None) -> int:
    console = Console(highlight=False, soft_wrap=True)
    config = command.with_data(options.settings, options.data, options.on_bad_row)
    seed = config.train.seed
    if options.resume:
        folder = options.run_dir or run_folder.newest_folder(config.name, seed)
        _check_same_config(folder, config)
    else:
        folder = options.run_dir or run_folder.new_folder(config.name, seed)
        if (folder / "run.json").exists():
            raise RunError(f"{folder} holds a run already; add --resume to go on, or give another --run-dir")
    tuning = runtime.tune_cpu()
    with run_folder.locked(folder):
        invocation = shlex.join(["python", "-m", "fer_jax.train", *(sys.argv[1:] if argv is None else argv)])
        return _run(console, config, folder, tuning, invocation=invocation, is_resumed=options.resume)


def _check_same_config(folder: Path, config: Config) -> None:
    written = run_folder.read_json(folder / "config.json")
    old = flatten(to_json(from_json(written, where=str(folder / "config.json"))))
    new = flatten(to_json(config))
    free = ("data.path", "data.source")  # The data's hash is compared instead.
    for name in sorted((old.keys() | new.keys()) - set(free)):
        if old.get(name) != new.get(name):
            raise RunError(
                f"{folder} was trained with {name} {old.get(name)}, the config now says {new.get(name)}; "
                "resume with the same config, or train into another --run-dir"
            )


def _run(
    console: Console, config: Config, folder: Path, tuning: list[str], *, invocation: str, is_resumed: bool
) -> int:
    console.print(f"[bold]fer_jax[/] {config.name}, seed {config.train.seed} -> {folder}")
    machine = {"machine": runtime.describe_cpu(), "device": runtime.describe_device(), "tuning": tuning}
    console.print(f"runs on    {machine['device']}; {machine['machine']}" + "".join(f"; {t}" for t in tuning))
    is_synthetic = find_file(config.data) is None
    if is_synthetic:
        display.show_notice(console)
    examples = load_examples(config.data)
    display.show_data(console, examples)
    split = split_examples(examples, config.split)
    display.show_split(console, examples, split)
    job, state, layers = _prepare(config, examples, split, folder)
    console.print(report.layer_table(layers), markup=False)
    facts = machine | _facts(job, layers, invocation=invocation, is_synthetic=is_synthetic)
    if is_resumed:
        state, progress = _resume(console, job, folder, state, facts)
        facts["started"] = run_folder.read_json(folder / "run.json")["started"]
    else:
        progress = RunProgress()
    _write_facts(folder, job, facts)
    if not is_resumed:
        save(job, state, progress, is_best=False)
    try:
        with watch_signals() as signals:
            state = _fit(console, job, state, progress, folder, signals)
    except StopError as stopped:
        console.print(f"stopped by signal {stopped.signum}; saved in {folder}. Go on with --resume")
        return 128 + stopped.signum
    _finish(console, job, state, progress.history, folder, facts)
    return 0


def _facts(job: Job, layers: list[Layer], *, invocation: str, is_synthetic: bool) -> Json:
    """Gather what `run.json` says of a run at its start."""
    examples, split = job.examples, job.split
    return {
        "command": invocation,
        "started": runtime.now(),
        "finished": None,
        "seed": job.config.train.seed,
        "versions": runtime.list_versions(),
        "data": {
            "description": examples.description,
            "sha256": examples.sha256,
            "is_synthetic": is_synthetic,
        },
        "split": {
            "sha256": split.sha256,
            "sizes": {name: len(rows) for name, rows in split.parts.items()},
            "copies_of_training_images": count_leaks(examples.images, split),
        },
        "git": runtime.git_commit(),
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }


def _prepare(
    config: Config, examples: Examples, split: Split, folder: Path
) -> tuple[Job, TrainState, list[Layer]]:
    model, optimizer = make_model(config.model), make_optimizer(config.optimizer)
    stats = pixels.measure(examples.images[split.train])
    weights = class_weights(config.loss, class_counts(examples.labels[split.train]))
    train_step = make_train_step(model, optimizer, config.loss, class_weights=weights, pixel_stats=stats)
    eval_step = make_eval_step(model, pixel_stats=stats)
    state = init_state(jax_key(config.train.seed, Stream.INIT), model, optimizer)
    job = Job(config, examples, split, stats, train_step, eval_step, folder / "checkpoints")
    return job, state, list_layers(model)


def _write_facts(folder: Path, job: Job, facts: Json) -> None:
    """Write what is known at the start; run.json last, since it marks the folder as a run."""
    run_folder.write_json(folder / "config.json", to_json(job.config))
    split = job.split
    hashes = image_hashes(job.examples.images[split.train])
    with run_folder.replacing(folder / "split.npz") as new, new.open("wb") as file:
        np.savez(file, train=split.train, val=split.val, test=split.test, train_hashes=hashes)
    run_folder.write_json(folder / "run.json", facts)


def _resume(
    console: Console, job: Job, folder: Path, template: TrainState, facts: Json
) -> tuple[TrainState, RunProgress]:
    """Restore the newest whole checkpoint; a run that was killed before its first one starts anew."""
    before = run_folder.read_json(folder / "run.json")
    for name in ("data", "split"):
        old, new = before[name]["sha256"][:12], facts[name]["sha256"][:12]
        if old != new:
            raise RunError(
                f"{folder} was trained on another {name} (SHA-256 {old}, now {new}); "
                "resume with the same data"
            )
    if before["versions"] != facts["versions"]:
        old, new = before["versions"], facts["versions"]
        console.print(f"[bold]note[/]: begun with {old}, now {new}: the bits may differ")
    if not any((job.checkpoints / name).exists() for name in (checkpoint.LAST, checkpoint.PREVIOUS)):
        console.print("[bold]note[/]: there is no checkpoint yet; starting at step 0")
        return template, RunProgress()
    good, damaged = checkpoint.find_good(job.checkpoints, (checkpoint.LAST, checkpoint.PREVIOUS))
    for message in damaged:
        console.print(f"[bold]note[/]: {message}; using {good.name}")
    meta = checkpoint.read_meta(good)
    console.print(f"resuming at step {meta['step']:,} from {good}")
    progress = RunProgress(meta["history"], meta["loss_sum"], meta["weight_sum"])
    return checkpoint.restore(template, good), progress


def _fit(
    console: Console, job: Job, state: TrainState, progress: RunProgress, folder: Path, signals: list[int]
) -> TrainState:
    """Run the epochs behind a progress bar, writing the log."""
    from tensorboardX import SummaryWriter

    epochs, batch_size = job.config.train.epochs, job.config.train.batch_size
    log = folder / "log.jsonl"
    run_folder.write_text(log, "".join(run_folder.json_line(record) for record in progress.history))
    bar = display.make_bar(console)
    with SummaryWriter(str(folder / "tensorboard"), purge_step=int(state.step)) as board, bar:
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
            for name in ("rate", "objective", "train_loss", "train_accuracy", "val_loss", "val_accuracy"):
                board.add_scalar(name, record[name], record["step"])
            console.print(report.epoch_line(record, epochs=epochs), markup=False)

        return run_epochs(job, state, progress, signals=signals, on_step=on_step, on_epoch=on_epoch)


def _finish(
    console: Console, job: Job, state: TrainState, history: list[Record], folder: Path, facts: Json
) -> None:
    """Measure the selected weights on every part, and write the pictures and the report."""
    good, _ = checkpoint.find_good(job.checkpoints, (job.config.train.select,))
    chosen = checkpoint.restore(state, good)
    measured = len(checkpoint.read_meta(good)["history"])
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
        "last_parameters_sha256": checkpoint.parameter_hash(state),
    }
    name = f"{job.config.name}, seed {facts['seed']}"
    run_folder.write_json(folder / "metrics.json", metrics)
    pictures.plot_curves(history, folder / "curves.png", title=name)
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
    console.print(report.metrics_table(metrics[shown]), markup=False)
    console.print(report.confusion_table(metrics[shown]["confusion"]), markup=False)
    console.print(
        f"written to {folder}: report.md, curves.png, confusion_val.png, metrics.json, checkpoints/"
    )


if __name__ == "__main__":
    sys.exit(main())
