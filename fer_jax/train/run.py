"""The main job behind its command line: from a config to trained, measured and described runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from fer_jax.config.run import Config
from fer_jax.data import drop_list
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import Split, image_hashes, split_examples
from fer_jax.data.subsets import describe_sample, take_sample
from fer_jax.data.targets import describe_kept, keep_rows, load_targets
from fer_jax.engine.input_pipeline import TargetsOf
from fer_jax.engine.loop import Job, Lane, Record, run_epochs, save
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.files import Json, write_json
from fer_jax.models.summary import Layer, list_layers
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import markdown, terminal
from fer_jax.report import seeds as report_seeds
from fer_jax.runs import checkpoint
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record as runs_record
from fer_jax.runs.location import Place, choose_place
from fer_jax.runtime import compile_cache, cpu, machine
from fer_jax.runtime.signals import StopError, watch_signals
from fer_jax.train import finish, resume, teachers


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
    settings = [*cpu.tune_cpu(), *([compile_cache.keep_compiled()] if config.device.compile_cache else [])]
    console.print(f"fer_jax {place.title} -> {place.home}", style="bold")
    console.print("; ".join([f"runs on    {machine.describe_device()}", machine.describe_cpu(), *settings]))
    is_synthetic = find_file(config.data) is None
    if is_synthetic:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    examples = load_examples(config.data)
    terminal.show_data(console, examples)
    split = split_examples(examples, config.split)
    open_rows = split.train
    split, dropped = drop_list.obey(config.data, examples, split)
    examples, split, targets, labelled = aim(config, examples, split)
    split = take_sample(split, config)
    lesson = teachers.teach(console, config, examples, split, targets, open_rows=open_rows)
    facts = runs_record.describe_run(config, examples, split, command=invocation, is_synthetic=is_synthetic)
    facts["split"]["dropped"] = dropped
    if lesson is not None:
        targets, facts["teachers"] = lesson.targets, lesson.facts
    copies = facts["split"]["copies_of_training_images"]
    terminal.show_split(console, examples, split, classes=config.model.classes, copies=copies)
    if dropped:
        console.print(f"  left out of train: {dropped['rows']:,} rows that {dropped['list']} marks drop")
    for line in (labelled, describe_sample(split, config), lesson and teachers.describe(config, lesson)):
        if line:
            console.print(f"  {line}")
    with ExitStack() as locks:
        for folder in dict.fromkeys([place.home, *place.folders]):
            locks.enter_context(runs_folder.locked(folder))
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
    console.print(markdown.layer_table(layers))
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
        resumed = {folder: runs_record.resume(folder, each) for folder, each in every.items()}
        every = {folder: each for folder, (each, _) in resumed.items()}
        for note in dict.fromkeys(note for _, notes in resumed.values() for note in notes):
            console.print(note, style="yellow")
        for line in resume.restore(lanes):
            console.print(line, style="yellow" if line.startswith("note") else None)
    hashes = image_hashes(examples.images[split.train])
    for config, lane in zip(place.configs, lanes, strict=True):
        runs_record.write(lane.folder, config, split, every[lane.folder], train_hashes=hashes)
        if not is_resumed or not (lane.checkpoints / checkpoint.LAST).exists():
            save(job, lane, is_best=False)
    write_json(place.home / "run.json", every[place.home])
    try:
        with watch_signals() as signals:
            _fit(console, job, lanes, signals)
    except StopError as stopped:
        console.print(f"stopped by signal {stopped.signum}; saved in {place.home}. Go on with --resume")
        return 128 + stopped.signum
    finish.finish(console, place, job, lanes, every)
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


def _fit(console: Console, job: Job, lanes: Sequence[Lane], signals: list[int]) -> None:
    """Run the epochs behind a progress bar, writing the logs."""
    epochs, images = job.config.train.epochs, job.config.train.batch_size * len(lanes)
    bar = terminal.make_bar(console)
    with ExitStack() as logs, bar:
        add = [logs.enter_context(runs_record.open_log(lane.folder, lane.progress.history)) for lane in lanes]
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
                console.print(markdown.epoch_line(records[0], epochs=epochs))
            else:
                console.print(report_seeds.epoch_line(records, epochs=epochs))

        run_epochs(job, lanes, signals=signals, on_step=on_step, on_epoch=on_epoch)
