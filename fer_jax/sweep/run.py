"""The program `sweep` behind its command line: trials, each trained in memory and judged on a hold-out.

A trial is a function of its parameters, the training seeds and the data: none writes weights, and a repeated
one gives the same figures. With the official protocol a share of Training is held out, and neither PublicTest
nor PrivateTest is looked at; with the seed protocol its validation part judges.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import optuna
from rich.console import Console
from rich.progress import Progress, TaskID

from fer_jax.config.fields import FREE, flatten
from fer_jax.config.files import load_config, to_json
from fer_jax.config.overrides import apply, to_options
from fer_jax.config.run import Config
from fer_jax.data import drop_list
from fer_jax.data.examples import Examples
from fer_jax.data.load import find_file, load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.data.subsets import hold_out, take_sample
from fer_jax.engine.loop import Lane, Record, run_unsaved
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.errors import ConfigError, DivergedError
from fer_jax.files import Json, write_json
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal
from fer_jax.runs import folder as runs_folder
from fer_jax.runtime import compile_cache, cpu, machine
from fer_jax.runtime.signals import StopError, watch_signals
from fer_jax.sweep import plots, study, text
from fer_jax.sweep import space as sweep_space
from fer_jax.sweep.space import Space
from fer_jax.sweep.study import Board, Pruner, Turn

Tell = Callable[[float, str], None]
"""Called with the share of a trial that is done, and words about it."""
Clock = Callable[[], float]
"""Tells the seconds from any start."""


@dataclass(frozen=True)
class Plan:
    """What a command line asks for.

    Attributes:
        config: the base of all trials.
        config_file: where its file is.
        space: what trials may be.
        name: of the sweep.
        trials: how many the sweep is to have, >= 1.
        hours: no trial begins after so many; infinite for no end.
        seeds: training seeds, from the config's on; their mean is the objective.
        pruner: see `sweep.study.open_board`.
        spared_epochs: no trial is given up before so many, >= 1.
        holdout: share of Training that judges, with the official protocol.
        sweep_seed: of the sampler and the hold-out.
        storage: URL of the database; None for a file of SQLite.
        out: folder of what is written; None for runs/sweeps/NAME.
        invocation: the command line, for the record.
    """

    config: Config
    config_file: Path
    space: Space
    name: str
    trials: int
    hours: float
    seeds: list[int]
    pruner: Pruner
    spared_epochs: int
    holdout: float
    sweep_seed: int
    storage: str | None
    out: Path | None
    invocation: str

    @property
    def folder(self) -> Path:
        """The folder of what is written."""
        return self.out or runs_folder.RUNS / "sweeps" / self.name


@dataclass(frozen=True)
class Ground:
    """What all trials stand on.

    Attributes:
        examples: all of them.
        split: `train` teaches, before limit and resample; `val` judges.
    """

    examples: Examples
    split: Split


def sweep(plan: Plan, *, clock: Clock) -> int:
    """Run trials until there are enough or time is up, and write the report.

    Args:
        plan: what is asked for.
        clock: seconds from any start.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it; the same command goes on.

    Raises:
        FerJaxError: something that is the user's to mend.
    """
    started = clock()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    tuning = cpu.tune_cpu()
    if plan.config.device.compile_cache:
        tuning.append(compile_cache.keep_compiled())
    console.print(f"fer_jax sweep {plan.name} -> {plan.folder}", style="bold")
    console.print("; ".join([f"runs on    {machine.describe_device()}", machine.describe_cpu(), *tuning]))
    ground = _lay_ground(console, plan)
    default = runs_folder.RUNS / "sweeps" / f"{plan.name}.db"
    storage = plan.storage or f"sqlite:///{default}"
    board = study.open_board(
        storage,
        plan.name,
        plan.space,
        _list_deciding(plan, ground),
        pruner=plan.pruner,
        spared_epochs=plan.spared_epochs,
        seed=plan.sweep_seed,
        folder=plan.folder,
    )
    status = 0
    try:
        with watch_signals() as signals, study.database_errors(board.shown):
            end = started + 3600 * plan.hours
            _run_trials(console, plan, ground, board, end=end, clock=clock, signals=signals)
    except StopError as stop:
        console.print(f"stopped by signal {stop.signum}; the same command goes on")
        status = 128 + stop.signum
        # What was stopped half-way is lined up again.
        study.take_back(board)
    _write_report(console, plan, ground, board)
    return status


def _lay_ground(console: Console, plan: Plan) -> Ground:
    """Load the data and choose the rows that teach and those that judge."""
    config = plan.config
    if find_file(config.data) is None:
        terminal.show_notice(console, is_chosen=config.data.source == "synthetic")
    examples = load_examples(config.data)
    terminal.show_data(console, examples)
    split = split_examples(examples, config.split)
    judge = "the validation part of the seed protocol"
    if config.split.protocol == "official":
        split = hold_out(examples, split, share=plan.holdout, seed=plan.sweep_seed)
        judge = f"{plan.holdout:g} of Training, held out; PublicTest and PrivateTest are not looked at"
    split, _ = drop_list.obey(config.data, examples, split)
    console.print(f"images     {len(split.train):,} teach, {len(split.val):,} judge: {judge}")
    return Ground(examples, split)


def _list_deciding(plan: Plan, ground: Ground) -> Json:
    """List what decides a trial's result or which trials come: a sweep with another list is another sweep."""
    fields = flatten(to_json(plan.config))
    return {
        "config": {name: value for name, value in fields.items() if name not in FREE},
        "space": sweep_space.to_plain(plan.space),
        "seeds": plan.seeds,
        "pruner": plan.pruner,
        "spared_epochs": plan.spared_epochs,
        "sweep_seed": plan.sweep_seed,
        "data": ground.examples.sha256,
        "split": ground.split.sha256,
    }


def _run_trials(
    console: Console,
    plan: Plan,
    ground: Ground,
    board: Board,
    *,
    end: float,
    clock: Clock,
    signals: list[int],
) -> None:
    """Take turns behind a progress bar."""
    names = text.shorten(list(plan.space))
    with terminal.make_bar(console) as bar:
        task = bar.add_task("sweep", total=plan.trials, speed="")
        while clock() < end and (turn := study.take(board, most=plan.trials)):
            try:
                _run_trial(
                    plan, ground, board, turn, tell=_make_tell(bar, task, board, turn, signals), clock=clock
                )
            except BaseException:
                study.release(turn.lock)
                raise
            finally:
                # Every trial compiles programs of its own, and JAX keeps them.
                jax.clear_caches()
            trials = study.list_trials(board)
            console.print(text.trial_line(trials, turn.trial.number, names))
            if signals:
                raise StopError(signals[0])


def _make_tell(bar: Progress, task: TaskID, board: Board, turn: Turn, signals: list[int]) -> Tell:
    """Make the function that moves the bar, and that ends the trial when a signal has come."""
    trials = study.list_trials(board)
    done = sum(each["state"] in text.FINISHED for each in trials)
    best = text.rank(trials)[:1]
    words = f"trial {turn.trial.number}" + "".join(f", best {100 * each['value']:.1f} %" for each in best)

    def tell(share: float, more: str) -> None:
        bar.update(task, completed=done + share, description=f"{words}, {more}")
        if signals:
            raise StopError(signals[0])

    return tell


def _run_trial(plan: Plan, ground: Ground, board: Board, turn: Turn, *, tell: Tell, clock: Clock) -> None:
    """Train the seeds of a trial together, and write down what came of it."""
    where = f"trial {turn.trial.number}"
    facts: Json = {"machine": machine.describe_cpu(), "versions": machine.list_versions()}
    value, started = None, clock()
    twins = (each for each in study.list_trials(board) if each["params"] == turn.trial.params)
    try:
        # The same parameters give the same figures: they are copied, for nothing is gained by training again.
        if twin := next((each for each in twins if each["state"] == "complete"), None):
            for epoch, accuracy in enumerate(twin["curve"], 1):
                turn.trial.report(accuracy, epoch)
            same = {"accuracies": twin["accuracies"], "same_as": twin["number"], "seconds": 0.0}
            study.finish(board, turn, value=twin["value"], facts=facts | same)
            return
        config = apply(plan.config, turn.trial.params, where=where)
        accuracies = _train(config, plan, ground, turn.trial, tell)
        value, facts["accuracies"] = float(np.mean(accuracies)), accuracies
    except optuna.TrialPruned as stop:
        facts["why"] = str(stop)
    except (ConfigError, DivergedError) as error:
        # Fields that are good alone may be impossible together; the sampler learns that from the stop.
        facts["why"] = str(error)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        facts["why"] = "the device has not enough memory"
    study.finish(board, turn, value=value, facts=facts | {"seconds": clock() - started})


def _train(config: Config, plan: Plan, ground: Ground, trial: optuna.Trial, tell: Tell) -> list[float]:
    """Train, and tell the study of each epoch.

    Returns:
        The validation accuracy of each seed: the best epoch's or the last one's, as `train.select` says.

    Raises:
        TrialPruned: the pruner gives the trial up.
        ConfigError: the parameters cannot be used together.
        DivergedError: a loss is not finite.
    """
    split = take_sample(ground.split, config)
    programs = make_programs(config, ground.examples, split)
    job = make_job(config, plan.seeds, ground.examples, split, programs)
    lanes = [Lane(seed, plan.folder, programs.init(jax_key(seed, Stream.INIT))) for seed in plan.seeds]
    epochs = config.train.epochs

    def on_step(epoch: int, position: int, objective: float) -> None:
        share = (epoch + position / job.epoch_steps) / epochs
        tell(share, f"epoch {epoch + 1}/{epochs}, objective {objective:.3f}")

    def on_epoch(records: list[Record]) -> None:
        epoch, accuracy = records[0]["epoch"], float(np.mean([each["val_accuracy"] for each in records]))
        trial.report(accuracy, epoch)
        if epoch < epochs and trial.should_prune():
            raise optuna.TrialPruned(f"given up after epoch {epoch} at {100 * accuracy:.1f} %")

    run_unsaved(job, lanes, on_step=on_step, on_selected=lambda lane: None, on_epoch=on_epoch)
    curves = [[record["val_accuracy"] for record in lane.progress.history] for lane in lanes]
    is_best = config.train.select == "best"
    return [max(curve) if is_best else curve[-1] for curve in curves]


def _write_report(console: Console, plan: Plan, ground: Ground, board: Board) -> None:
    """Show the table, and write JSON and pictures."""
    trials = study.list_trials(board)
    best = next(iter(text.rank(trials)), None)
    command = None
    if best is not None:
        config = apply(plan.config, best["params"], where=f"trial {best['number']}")
        words = to_options(load_config(plan.config_file), config)
        command = shlex.join(["python", "-m", "fer_jax.train", "--config", str(plan.config_file), *words])
    result = {
        "name": plan.name,
        "objective": f"validation accuracy of the {plan.config.train.select} epoch",
        "protocol": plan.config.split.protocol,
        "holdout": plan.holdout if plan.config.split.protocol == "official" else None,
        "images": {"train": len(ground.split.train), "val": len(ground.split.val)},
        "data": {"description": ground.examples.description, "sha256": ground.examples.sha256},
        "split_sha256": ground.split.sha256,
        "config": to_json(plan.config),
        "space": sweep_space.to_plain(plan.space),
        "seeds": plan.seeds,
        "pruner": plan.pruner,
        "spared_epochs": plan.spared_epochs,
        "sweep_seed": plan.sweep_seed,
        "trials": trials,
        "best": None if best is None else {"number": best["number"], "command": command},
        "importances": study.measure_importances(board),
        "command": plan.invocation,
        "finished": machine.now(),
        **machine.describe(),
    }
    plan.folder.mkdir(parents=True, exist_ok=True)
    with board.door():
        write_json(plan.folder / "sweep.json", result)
        pictures = plots.draw(result, plan.folder)
    console.print(text.describe(result))
    console.print(f"written to {plan.folder}: {', '.join(['sweep.json', *pictures])}")
