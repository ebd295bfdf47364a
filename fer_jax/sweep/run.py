"""The work of `sweep`: trials, each trained in memory and measured on a hold-out.

A trial is a function of its parameters, the training seeds and the data: none writes weights, and repeating
one gives the same result. With the official protocol a share of Training is held out, and neither PublicTest
nor PrivateTest is used; with the other protocols the validation part is the hold-out.
"""

import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import filelock
import jax
import numpy as np
import optuna
from rich.console import Console

from fer_jax.config.files import to_json
from fer_jax.config.overrides import apply, to_options
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples
from fer_jax.data.rows import subsets
from fer_jax.data.split import hold_out, split_examples
from fer_jax.engine.loop import Clock, Record, Replica, run_unsaved
from fer_jax.engine.setup import make_job, make_programs
from fer_jax.errors import ConfigError, DivergedError
from fer_jax.files import Json, write_json
from fer_jax.inference.prepare import Prepared, choose_labels, take_sample
from fer_jax.metrics.history import keep_measured
from fer_jax.parallel.mesh import list_places
from fer_jax.randomness import Stream, jax_key
from fer_jax.report import terminal
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import outputs
from fer_jax.runtime import machine
from fer_jax.runtime.progress import Steps
from fer_jax.runtime.signals import StopError, name_signal, watch_signals
from fer_jax.sweep import plots, study, text
from fer_jax.sweep import space as sweep_space
from fer_jax.sweep.board import Board, Team, Turn, open_board
from fer_jax.sweep.database import Patience, Pause, database_errors
from fer_jax.sweep.plan import RESULT, Plan, list_deciding, refuse_other_database, refuse_other_sweep

_CLEANUP_S: Final = 10.0
"""How long the database may take to answer after a signal."""

Tell = Callable[[float, str], None]
"""Called with the share of a trial that is done, and a description."""


def sweep(plan: Plan, *, clock: Clock, sleep: Callable[[float], None]) -> int:
    """Run trials until there are enough or time is up, and write the report.

    Args:
        plan: what to do.
        clock: in seconds, from any moment on.
        sleep: waits for a number of seconds.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it; the same command continues.

    Raises:
        FerJaxError: a user error in the config, the data or the database.
    """
    started = clock()
    console = terminal.begin(f"fer_jax sweep {plan.name} -> {plan.folder}", plan.config)
    outputs.check_folder("--out", plan.folder)
    _check_devices(plan)
    config, examples = terminal.load_training_data(console, plan.config)
    plan = replace(plan, config=config)
    chosen = _choose_rows(console, plan, examples)
    refuse_other_sweep(plan, chosen)
    pause = Pause(clock, sleep)
    patience = Patience(60 * plan.options.patience_minutes, clock=clock, pause=pause, tell=console.print)
    board = _open_board(console, plan, chosen, Team(patience, plan.options.dead_after_s))
    with contextlib.closing(board.locks), database_errors(board.shown):
        refuse_other_database(plan, _describe_database(board))
        try:
            with watch_signals() as pause.signals:
                end = started + 3600 * plan.options.hours
                _run_trials(console, plan, chosen, board, end=end, clock=clock, signals=pause.signals)
        except StopError as stop:
            console.print(f"interrupted by {name_signal(stop.signum)}; the same command continues")
            pause.until = clock() + _CLEANUP_S
            try:
                # The trial that was stopped is queued again.
                study.take_back(board)
                _write_report(console, plan, chosen, board)
            except StopError:
                console.print("the database does not answer, so there is no report")
            return 128 + stop.signum
        _write_report(console, plan, chosen, board)
    return 0


def _check_devices(plan: Plan) -> None:
    """Refuse devices that no trial could use here: each would be given up, for the other workers too.

    Raises:
        ConfigError: they are not there, or cannot share a batch.
    """
    is_searched = "train.batch_size" in plan.space
    batch_size = None if is_searched else plan.config.train.batch_size
    list_places(plan.config.device, seeds=len(plan.seeds), batch_size=batch_size)


def _open_board(console: Console, plan: Plan, chosen: Prepared, team: Team) -> Board:
    """Open the sweep's database."""
    if plan.password is not None:
        console.print(
            "the password came on the command line, where others may see it; PGPASSWORD or ~/.pgpass hide it"
        )
    return open_board(
        plan.options.storage or f"sqlite:///{runs_folder.RUNS / 'sweeps' / plan.name}.db",
        plan.name,
        plan.space,
        list_deciding(plan, chosen),
        pruner=plan.options.pruner,
        spared_epochs=plan.spared_epochs,
        seed=plan.options.sweep_seed,
        password=plan.password,
        team=team,
    )


def _choose_rows(console: Console, plan: Plan, examples: Examples) -> Prepared:
    """Choose the rows that all trials train on and are measured on."""
    config = plan.config
    split = split_examples(examples, config.split)
    where = f"the validation part of the {config.split.protocol} protocol"
    if config.split.protocol == "official":
        split = hold_out(examples, split, share=plan.options.holdout, seed=plan.options.sweep_seed)
        where = f"{plan.options.holdout:g} of Training, held out; PublicTest and PrivateTest are not used"
    chosen = choose_labels(config, examples, split)
    taught, measured = len(subsets.take_sample(chosen.split, config).train), len(chosen.split.val)
    each = ", or as many as a trial's train.max_examples" if "train.max_examples" in plan.space else ""
    console.print(f"images     {taught:,} to train on{each}, {measured:,} to measure: {where}")
    # Teachers that cannot be used are refused before the first trial, and the answers of others are cached.
    sampled = take_sample(config, chosen, console=console)
    terminal.show_notes(console, sampled.notes)
    return replace(chosen, teachers=sampled.teachers, ancestor=sampled.ancestor)


def _run_trials(
    console: Console,
    plan: Plan,
    chosen: Prepared,
    board: Board,
    *,
    end: float,
    clock: Clock,
    signals: Sequence[int],
) -> None:
    """Take turns behind a progress bar, until there are enough trials and none is left by a dead worker."""
    names = text.shorten(list(plan.space))
    with terminal.show_steps(console, "sweep", plan.options.trials) as steps:
        while clock() < end:
            turn = study.take(board, most=plan.options.trials)
            if turn is None:
                if study.wait_for_others(board):
                    continue
                break
            try:
                tell = _make_tell(steps, board, turn, signals)
                _run_trial(plan, chosen, board, turn, tell=tell, clock=clock)
            except study.TakenError:
                turn.hold.release()
                console.print(
                    f"trial {turn.trial.number} is repeated by another worker: for "
                    f"{plan.options.dead_after_s:g} s the database got no sign of life of this one"
                )
                continue
            except BaseException:
                turn.hold.release()
                raise
            finally:
                # Every trial compiles programs of its own, and JAX keeps them.
                jax.clear_caches()
            trials = study.list_trials(board)
            console.print(text.trial_line(trials, turn.trial.number, names))
            if signals:
                raise StopError(signals[0])


def _make_tell(steps: Steps, board: Board, turn: Turn, signals: Sequence[int]) -> Tell:
    """Make the function that moves the bar, and ends the trial after a signal."""
    trials = study.list_trials(board)
    done = sum(each["state"] in text.FINISHED for each in trials)
    best = text.rank(trials)[:1]
    words = f"trial {turn.trial.number}" + "".join(f", best {100 * each['value']:.1f} %" for each in best)

    def tell(share: float, more: str) -> None:
        steps.move(done + share, words=f"{words}, {more}")
        if signals:
            raise StopError(signals[0])

    return tell


def _run_trial(plan: Plan, chosen: Prepared, board: Board, turn: Turn, *, tell: Tell, clock: Clock) -> None:
    """Train the seeds of a trial together, and record the result."""
    where = f"trial {turn.trial.number}"
    facts: Json = {"machine": machine.describe_cpu(), "versions": machine.list_versions()}
    value, started = None, clock()
    twins = (each for each in study.list_trials(board) if each["params"] == turn.trial.params)
    try:
        # The same parameters give the same result, so it is copied.
        if twin := next((each for each in twins if each["state"] == "complete"), None):
            for epoch, accuracy in zip(twin["epochs"], twin["curve"], strict=True):
                study.report(board, turn, value=accuracy, epoch=epoch)
            same = {"accuracies": twin["accuracies"], "same_as": twin["number"], "seconds": 0.0}
            study.finish(board, turn, value=twin["value"], facts=facts | same)
            return
        config = apply(plan.config, turn.trial.params, where=where)
        accuracies = _train(config, plan, chosen, board, turn, tell=tell)
        value, facts["accuracies"] = float(np.mean(accuracies)), accuracies
    except optuna.TrialPruned as stop:
        facts["why"] = str(stop)
    except (ConfigError, DivergedError) as error:
        # Values that are valid alone may be impossible together; the sampler learns to avoid them.
        facts["why"] = str(error)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        facts["why"] = "the device does not have enough memory"
    study.finish(board, turn, value=value, facts=facts | {"seconds": clock() - started})


def _train(
    config: Config, plan: Plan, chosen: Prepared, board: Board, turn: Turn, *, tell: Tell
) -> list[float]:
    """Train, and report each measured epoch to the study.

    Returns:
        The validation accuracy of each seed, in the best epoch or the last one, as `train.select` says.

    Raises:
        TrialPruned: the pruner gives the trial up.
        ConfigError: the parameters cannot be used together.
        DivergedError: a loss is not finite.
        TakenError: another worker repeats the trial.
    """
    data = take_sample(config, chosen)
    programs = make_programs(config, data.examples, data.split, targets=data.targets, start=data.start)
    job = make_job(config, plan.seeds, data.examples, data.split, programs)
    replicas = [Replica(seed, plan.folder, programs.init(jax_key(seed, Stream.INIT))) for seed in plan.seeds]
    epochs = config.train.total_epochs

    def on_step(epoch: int, position: int, objective: float) -> None:
        share = (epoch + position / job.epoch_steps) / epochs
        tell(share, f"epoch {epoch + 1}/{epochs}, objective {objective:.3f}")

    def on_epoch(records: list[Record]) -> None:
        epoch, accuracy = records[0]["epoch"], float(np.mean([each["val_accuracy"] for each in records]))
        is_behind = study.report(board, turn, value=accuracy, epoch=epoch)
        if epoch < epochs and is_behind:
            raise optuna.TrialPruned(f"given up after epoch {epoch} at {100 * accuracy:.1f} %")

    run_unsaved(job, replicas, on_step=on_step, on_selected=lambda replica: None, on_epoch=on_epoch)
    histories = [keep_measured(replica.progress.history) for replica in replicas]
    curves = [[record["val_accuracy"] for record in history] for history in histories]
    is_best = config.train.select == "best"
    return [max(curve) if is_best else curve[-1] for curve in curves]


def _write_report(console: Console, plan: Plan, chosen: Prepared, board: Board) -> None:
    """Show the table, and write the JSON and the plots.

    Raises:
        RunError: another sweep has written its JSON there since this one began.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    # Listed behind the lock: the last worker to write knows the trials of all that wrote before.
    with filelock.FileLock(plan.folder / ".report.lock"):
        result = _describe_result(plan, chosen, board)
        console.print(text.describe(result))
        refuse_other_sweep(plan, chosen)
        refuse_other_database(plan, result["database"])
        write_json(plan.folder / RESULT, result)
        pictures = plots.draw(result, plan.folder)
    console.print(f"written to {plan.folder}: {', '.join([RESULT, *pictures])}")


def _describe_database(board: Board) -> Json:
    return {"identity": board.identity, "address": board.shown}


def _describe_result(plan: Plan, chosen: Prepared, board: Board) -> Json:
    """Describe the sweep as it is now, for its JSON."""
    trials = study.list_trials(board)
    best = next(iter(text.rank(trials)), None)
    command = None
    if best is not None:
        config = apply(plan.config, best["params"], where=f"trial {best['number']}")
        words = to_options(plan.file, config)
        command = shlex.join(["python", "-m", "fer_jax.train", "--config", str(plan.options.config), *words])
    return {
        "name": plan.name,
        "objective": f"validation accuracy of the {plan.config.train.select} epoch",
        "protocol": plan.config.split.protocol,
        "holdout": {"official": plan.options.holdout, "holdout": plan.config.split.holdout_fraction}.get(
            plan.config.split.protocol
        ),
        "images": {
            "train": len(subsets.take_sample(chosen.split, plan.config).train),
            "val": len(chosen.split.val),
        },
        "data": {"description": chosen.examples.description, "sha256": chosen.examples.sha256},
        "split_sha256": chosen.split.sha256,
        "config": to_json(plan.config),
        "space": sweep_space.to_plain(plan.space),
        "seeds": plan.seeds,
        "pruner": plan.options.pruner,
        "spared_epochs": plan.spared_epochs,
        "sweep_seed": plan.options.sweep_seed,
        "database": _describe_database(board),
        "trials": trials,
        "best": None if best is None else {"number": best["number"], "command": command},
        "importances": study.measure_importances(board),
        "command": plan.invocation,
        "finished": machine.now(),
        **machine.describe(),
    }
