"""The main job behind its command line: from a config to trained, measured and described runs."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
from rich.console import Console

from fer_jax import (
    checkpoint,
    display,
    distillation,
    pixels,
    report,
    resuming,
    run_folder,
    run_record,
    runtime,
    seeds_report,
    write_up,
)
from fer_jax.averages import make_pace
from fer_jax.clean_stats import Refresh, make_refresh
from fer_jax.config import Config
from fer_jax.config_file import Json
from fer_jax.data import drop_list
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.sample import describe_sample, take_sample
from fer_jax.data.split import Split, image_hashes, split_examples
from fer_jax.data.targets import describe_kept, keep_rows, load_targets
from fer_jax.epochs import Job, Lane, Record, run_epochs, save
from fer_jax.errors import ConfigError
from fer_jax.feed import TargetsOf
from fer_jax.losses import class_weights
from fer_jax.models.summary import Layer, list_layers
from fer_jax.models.table import make_model
from fer_jax.optimizer import make_optimizer
from fer_jax.pixels import PixelStats
from fer_jax.place import Place, choose_place
from fer_jax.randomness import Stream, jax_key
from fer_jax.state import TrainState, begin_average, init_state
from fer_jax.step import EvalStep, TrainStep, make_eval_step, make_train_step
from fer_jax.steppers import make_host_stepper, make_resident_stepper
from fer_jax.stopping import StopError, watch_signals


def train(config: Config, *, seeds: int, run_dir: Path | None, is_resumed: bool, invocation: str) -> int:
    """Train one seed or several together, and write everything down.

    Args:
        config: of the run; with several seeds, of the first.
        seeds: how many, >= 1, from the config's on.
        run_dir: see `choose_place`.
        is_resumed: go on with a run.
        invocation: the command line, for the record.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    place = choose_place(config, seeds, run_dir, is_resumed=is_resumed)
    settings = [*runtime.tune_cpu(), *([runtime.keep_compiled()] if config.device.compile_cache else [])]
    console.print(f"fer_jax {place.title} -> {place.home}", style="bold")
    console.print("; ".join([f"runs on    {runtime.describe_device()}", runtime.describe_cpu(), *settings]))
    is_synthetic = find_file(config.data) is None
    if is_synthetic:
        display.show_notice(console, is_chosen=config.data.source == "synthetic")
    examples = load_examples(config.data)
    display.show_data(console, examples)
    split = split_examples(examples, config.split)
    open_rows = split.train
    split, dropped = drop_list.obey(config.data, examples, split)
    examples, split, targets, labelled = aim(config, examples, split)
    split = take_sample(split, config)
    lesson = distillation.teach(console, config, examples, split, targets, open_rows=open_rows)
    facts = run_record.describe_run(config, examples, split, command=invocation, is_synthetic=is_synthetic)
    facts["split"]["dropped"] = dropped
    if lesson is not None:
        targets, facts["teachers"] = lesson.targets, lesson.facts
    copies = facts["split"]["copies_of_training_images"]
    display.show_split(console, examples, split, classes=config.model.classes, copies=copies)
    if dropped:
        console.print(f"  left out of train: {dropped['rows']:,} rows that {dropped['list']} marks drop")
    for line in (labelled, describe_sample(split, config), lesson and distillation.describe(config, lesson)):
        if line:
            console.print(f"  {line}")
    with ExitStack() as locks:
        for folder in dict.fromkeys([place.home, *place.folders]):
            locks.enter_context(run_folder.locked(folder))
        return _run(console, place, examples, split, targets, facts, is_resumed=is_resumed)


def aim(
    config: Config, examples: Examples, split: Split
) -> tuple[Examples, Split, TargetsOf | None, str | None]:
    """Let a run aim at the labels that its config asks for.

    Args:
        config: `labels` counts.
        examples: all of them, with FER2013's labels.
        split: rows of each part.

    Returns:
        The examples with the labels that count, the rows that have one, what training aims at (None: these
        labels), and a line for people; examples and split as they came where the labels are FER2013's.

    Raises:
        FerJaxError: the votes cannot be read, or are not of this data.
    """
    targets = load_targets(config.labels, examples, classes=config.model.classes)
    if targets is None:
        return examples, split, None, None
    kept = keep_rows(split, targets)
    labelled = replace(examples, labels=targets.likeliest())
    return labelled, kept, targets.of_epoch, describe_kept(split, kept)


def _run(
    console: Console,
    place: Place,
    examples: Examples,
    split: Split,
    targets: TargetsOf | None,
    facts: Json,
    *,
    is_resumed: bool,
) -> int:
    job, lanes, layers = _prepare(place, examples, split, targets)
    console.print(report.layer_table(layers))
    console.print(f"batches    {job.stepper.description}")
    facts = facts | {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "seeds_together": len(lanes),
        "batches": job.stepper.description,
    }
    # The facts of the home come last: once they are written, there is a run to resume.
    every = {lane.folder: facts | {"seed": lane.seed} for lane in lanes}
    if len(lanes) > 1:
        every[place.home] = facts | {"seeds": place.seeds, "folders": [str(path) for path in place.folders]}
    if is_resumed:
        resumed = {folder: run_record.resume(folder, each) for folder, each in every.items()}
        every = {folder: each for folder, (each, _) in resumed.items()}
        for note in dict.fromkeys(note for _, notes in resumed.values() for note in notes):
            console.print(note, style="yellow")
        for line in resuming.restore(lanes):
            console.print(line, style="yellow" if line.startswith("note") else None)
    hashes = image_hashes(examples.images[split.train])
    for config, lane in zip(place.configs, lanes, strict=True):
        run_record.write(lane.folder, config, split, every[lane.folder], train_hashes=hashes)
        if not is_resumed or not (lane.checkpoints / checkpoint.LAST).exists():
            save(job, lane, is_best=False)
    run_folder.write_json(place.home / "run.json", every[place.home])
    try:
        with watch_signals() as signals:
            _fit(console, job, lanes, signals)
    except StopError as stopped:
        console.print(f"stopped by signal {stopped.signum}; saved in {place.home}. Go on with --resume")
        return 128 + stopped.signum
    write_up.finish(console, place, job, lanes, every)
    return 0


def _prepare(
    place: Place, examples: Examples, split: Split, targets: TargetsOf | None
) -> tuple[Job, list[Lane], list[Layer]]:
    programs = make_programs(place.configs[0], examples, split, targets=targets)
    job = make_job(place.configs[0], place.seeds, examples, split, programs)
    lanes = [
        Lane(seed, folder, programs.init(jax_key(seed, Stream.INIT)))
        for seed, folder in zip(place.seeds, place.folders, strict=True)
    ]
    return job, lanes, list_layers(programs.model)


@dataclass(frozen=True)
class Programs:
    """What is compiled once for all seeds of a config on one training part.

    Attributes:
        model: the network.
        init: key of the stream `Stream.INIT` -> fresh state.
        train_step: see `make_train_step`.
        eval_step: see `make_eval_step`.
        pixel_stats: of the training images.
        targets: what the examples' targets are; None: their labels.
        refresh: brings an average up to date, see `make_refresh`.
    """

    model: nn.Module
    init: Callable[[jax.Array], TrainState]
    train_step: TrainStep
    eval_step: EvalStep
    pixel_stats: PixelStats
    targets: TargetsOf | None
    refresh: Refresh


def make_programs(
    config: Config, examples: Examples, split: Split, *, targets: TargetsOf | None = None
) -> Programs:
    """Make the programs of a config.

    Args:
        config: of the run; its seed does not matter.
        examples: all of them.
        split: what is trained on, see `take_sample`.
        targets: what the examples' targets are; None: their labels.

    Raises:
        ConfigError: the training part has not enough rows for one batch.
    """
    if config.train.batch_size > len(split.train):
        raise ConfigError(
            f"train.batch_size is {config.train.batch_size}, and the training part has {len(split.train)} "
            "rows; lower it, or give more data"
        )
    model, optimizer = make_model(config.model, config.device), make_optimizer(config.optimizer)
    stats = pixels.measure(examples.images[split.train])
    counts: np.ndarray = np.array(class_counts(examples.labels[split.train], classes=config.model.classes))
    if targets is not None:
        counts = targets(0, 0)[split.train].sum(axis=0, dtype=np.float64)
    epoch_steps = len(split.train) // config.train.batch_size
    train_step = make_train_step(
        model,
        optimizer,
        config.loss,
        class_weights=class_weights(config.loss, counts),
        pixel_stats=stats,
        sam_radius=config.optimizer.sam_radius,
        pace=make_pace(config.average, epoch_steps=epoch_steps, epochs=config.train.epochs),
    )
    refresh = make_refresh(
        config.average,
        model,
        examples.images,
        split.train,
        pixel_stats=stats,
        batch_size=config.train.eval_batch_size,
    )
    return Programs(
        model=model,
        init=jax.jit(lambda key: begin_average(init_state(key, model, optimizer), config.average)),
        train_step=train_step,
        eval_step=make_eval_step(model, pixel_stats=stats),
        pixel_stats=stats,
        targets=targets,
        refresh=refresh,
    )


def make_job(
    config: Config, seeds: Sequence[int], examples: Examples, split: Split, programs: Programs
) -> Job:
    """Make the job of some seeds that are trained together.

    Args:
        config: of the run.
        seeds: one for each lane.
        examples: all of them.
        split: what is trained on.
        programs: of this config, these examples and this split.
    """
    keys = [jax_key(seed, Stream.DROPOUT) for seed in seeds]
    is_accelerated = jax.devices()[0].platform != "cpu"
    is_resident = config.device.mode == "resident" or (config.device.mode == "auto" and is_accelerated)
    eval_batch_size = config.train.eval_batch_size
    if is_resident:
        stepper = make_resident_stepper(
            keys,
            programs.train_step,
            programs.eval_step,
            examples,
            eval_batch_size=eval_batch_size,
            epoch_steps=len(split.train) // config.train.batch_size,
            is_fused=is_accelerated,
        )
    else:
        stepper = make_host_stepper(
            keys, programs.train_step, programs.eval_step, examples, eval_batch_size=eval_batch_size
        )
    return Job(
        config=config,
        examples=examples,
        targets=programs.targets,
        split=split,
        pixel_stats=programs.pixel_stats,
        stepper=stepper,
        refresh=programs.refresh,
    )


def _fit(console: Console, job: Job, lanes: Sequence[Lane], signals: list[int]) -> None:
    """Run the epochs behind a progress bar, writing the logs."""
    epochs, images = job.config.train.epochs, job.config.train.batch_size * len(lanes)
    bar = display.make_bar(console)
    with ExitStack() as logs, bar:
        add = [logs.enter_context(run_record.open_log(lane.folder, lane.progress.history)) for lane in lanes]
        task = bar.add_task(
            "training", total=job.epoch_steps * epochs, completed=int(lanes[0].state.step), speed=""
        )

        def on_step(position: int, objective: float) -> None:
            epoch = len(lanes[0].progress.history)
            speed = bar.tasks[task].speed
            bar.update(
                task,
                completed=epoch * job.epoch_steps + position,
                description=f"epoch {epoch + 1}/{epochs}, objective {objective:.3f}",
                speed=f"{speed * images:,.0f} img/s" if speed else "",
            )

        def on_epoch(records: list[Record]) -> None:
            for add_record, record in zip(add, records, strict=True):
                add_record(record)
            if len(records) == 1:
                console.print(report.epoch_line(records[0], epochs=epochs))
            else:
                console.print(seeds_report.epoch_line(records, epochs=epochs))

        run_epochs(job, lanes, signals=signals, on_step=on_step, on_epoch=on_epoch)
