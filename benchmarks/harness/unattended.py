"""Train many runs unattended: all that are not finished, several at a time, for a number of minutes.

Each run is `python -m fer_jax.train` in its own folder, with its output in FOLDER.log. When the time is up,
the runs are asked to stop; each saves its state, and the next call resumes it. Trained ten minutes at a time,
a run ends with the same bits as one that was never stopped.

On a CPU several runs at once, each on its own cores ("lanes"), get more done than one run on all cores: a
small network spends much of a step where a second core does not help.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.harness import arena, bench, timeline
from fer_jax import cli
from fer_jax.config.fields import FREE_TO_RESUME
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import read_json, read_json_lines
from fer_jax.metrics.history import keep_measured
from fer_jax.release import card
from fer_jax.runs import record as runs_record
from fer_jax.runs import sources
from fer_jax.runtime.signals import StopError, name_signal, watch_signals
from fer_jax.train.__main__ import TrainCommand, to_config

UNFINISHED = 6
"""Exit status: call again, some runs are not finished. The other statuses are those of `fer_jax.errors`."""
POLL_SECONDS = 0.5
STOP_SECONDS = 120.0
"""How long a run may take to save before it is killed; it then resumes from its checkpoint before that."""


@dataclass(frozen=True)
class Training:
    """A run to train.

    Attributes:
        folder: the run's.
        words: options of `python -m fer_jax.train`, without `--run-dir` and `--resume`.
        after: folders of runs that must be finished before this one starts.
    """

    folder: Path
    words: tuple[str, ...]
    after: tuple[Path, ...] = ()

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder.with_name(f"{self.folder.name}.log")


@dataclass
class _Live:
    training: Training
    process: subprocess.Popen[bytes]
    cores: frozenset[int]
    task: TaskID


@dataclass
class _Workshop:
    """The state of `finish`; `failures` maps folders to messages."""

    waiting: list[Training]
    free: list[frozenset[int]]
    live: list[_Live] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)


def is_finished(folder: Path) -> bool:
    """Whether a folder contains a finished run.

    Raises:
        RunError: its record is damaged.
    """
    record = folder / "run.json"
    return record.exists() and bool(read_json(record)["finished"])


def train(trainings: Sequence[Training], *, lanes: int, minutes: float | None, console: Console) -> int:
    """Train what is not finished, see `finish`, print what is left, and return the exit status.

    Raises:
        RunError: only runs that failed are left.
    """
    try:
        failures = finish(trainings, lanes=lanes, minutes=minutes, console=console)
    except StopError as stopped:
        console.print(
            f"interrupted by {name_signal(stopped.signum)}; all runs are saved; call again to resume"
        )
        return 128 + stopped.signum
    left = [one.folder for one in trainings if not is_finished(one.folder) and one.folder not in failures]
    if left:
        names = ", ".join(folder.name for folder in left)
        console.print(f"{len(left)} of {len(trainings)} runs are not finished: {names}; call again")
        return UNFINISHED
    if failures:
        raise RunError("\n".join(failures.values()))
    console.print("all runs are finished")
    return 0


def finish(
    trainings: Sequence[Training], *, lanes: int, minutes: float | None, console: Console
) -> dict[Path, str]:
    """Train what is not finished.

    A run that fails is reported and set aside, and so are the runs that wait for it; the others continue.

    Args:
        trainings: in the order in which to train them; each starts after those it waits for.
        lanes: runs at a time, at least one; with several, each uses only its own cores.
        minutes: when to stop and save the runs, which may take two more. None: no limit.
        console: where a progress bar for each run is shown.

    Returns:
        A message for the folder of each run that failed.

    Raises:
        ConfigError: more lanes than this machine has cores, or a negative number of minutes.
        RunError: a finished run has other settings than required, or a run waits for one that is neither
            finished nor requested.
        StopError: a signal was received; all runs are stopped and saved.
    """
    if minutes is not None and not minutes >= 0:
        raise ConfigError(f"--minutes is {minutes:g}; it must be 0 or more")
    wanted = {one.folder for one in trainings}
    for one in trainings:
        _check(one, wanted)
    until = None if minutes is None else time.monotonic() + 60 * minutes
    shop = _Workshop([one for one in trainings if not is_finished(one.folder)], share_cores(lanes))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with watch_signals() as signals, Progress(*columns, console=console) as bars:
        try:
            while (shop.waiting or shop.live) and (until is None or time.monotonic() < until) and not signals:
                _begin(shop, bars)
                time.sleep(POLL_SECONDS)
                for live in list(shop.live):
                    _look(shop, live, bars)
        finally:
            _stop([live.process for live in shop.live])
    if signals:
        raise StopError(signals[0])
    return shop.failures


def _check(training: Training, wanted: set[Path]) -> None:
    for folder in training.after:
        if not is_finished(folder) and (folder == training.folder or folder not in wanted):
            raise RunError(f"{training.folder} waits for {folder}, which is neither finished nor requested")
    # A run that is resumed is checked then.
    if is_finished(training.folder):
        check_settings(training)


def check_settings(training: Training) -> None:
    """Check that a finished run has the settings, seeds and teachers of a training.

    Teachers are compared by the names of their folders; if the training names none, the run may have some.

    Raises:
        RunError: something differs.
    """
    options = cli.parse(TrainCommand, list(training.words), prog="python -m fer_jax.train")
    config, run = to_config(options), runs_record.read_record(training.folder)
    first = timeline.find_logs(training.folder)[0].parent
    change = runs_record.find_config_change(first, config, free=FREE_TO_RESUME)
    teachers = [Path(name).name.removesuffix(sources.SUFFIX) for name in config.distill.teachers]
    for what, wanted, had in (
        ("seeds", [config.train.seed + n for n in range(options.seeds)], run.seeds or [run.seed]),
        ("teachers", teachers, card.name_teachers(run.teachers) if teachers else []),
    ):
        if change is None and wanted != had:
            change = f"{training.folder} was trained with the {what} {_list(had)} instead of {_list(wanted)}"
    if change is not None:
        raise RunError(
            f"{change}; name another folder of runs, or delete {training.folder} to train it again"
        )


def _list(items: Sequence[object]) -> str:
    return ", ".join(map(str, items))


def share_cores(lanes: int) -> list[frozenset[int]]:
    """Divide the cores among the lanes as evenly as possible; empty sets where they cannot be chosen.

    Raises:
        ConfigError: more lanes than this machine has cores.
    """
    if lanes < 1:
        raise ConfigError(f"--lanes is {lanes}; it must be at least 1")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not cores:
        return [frozenset()] * lanes
    if lanes > len(cores):
        raise ConfigError(
            f"--lanes is {lanes}, but this machine has only {len(cores)} cores; use at most {len(cores)}"
        )
    return [frozenset(cores[lane::lanes]) for lane in range(lanes)]


def pin(process: "subprocess.Popen[bytes]", cores: frozenset[int]) -> None:
    """Let a process that has just begun use some cores only."""
    # It has no threads yet; those it starts will keep to these cores.
    os.sched_setaffinity(process.pid, cores)


def _begin(shop: _Workshop, bars: Progress) -> None:
    """Fill the free lanes with runs that may start; set aside those that wait for a run that failed."""
    for training in [one for one in shop.waiting if not shop.failures.keys().isdisjoint(one.after)]:
        shop.waiting.remove(training)
        _set_aside(shop, training, "waits for a run that failed", bars)
    ready = [one for one in shop.waiting if all(map(is_finished, one.after))]
    for training in ready[: len(shop.free)]:
        shop.waiting.remove(training)
        cores = shop.free.pop()
        is_begun = (training.folder / "run.json").exists()
        words = [*training.words, "--run-dir", str(training.folder), *(["--resume"] if is_begun else [])]
        training.log.parent.mkdir(parents=True, exist_ok=True)
        with training.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fer_jax.train", *words], cwd=bench.ROOT, stdout=log, stderr=log
            )
        if cores:
            pin(process, cores)
        task = bars.add_task(training.folder.name, total=None, note="starting")
        shop.live.append(_Live(training, process, cores, task))


def _look(shop: _Workshop, one: _Live, bars: Progress) -> None:
    """Show a run's progress; when it has ended, free its lane."""
    status = one.process.poll()
    for log in timeline.find_logs(one.training.folder)[:1]:
        records = read_json_lines(log)
        epochs = read_json(log.with_name("config.json"))["train"]["epochs"]
        note = f"{len(records)}/{epochs} epochs"
        seen = keep_measured(records)
        note += f", val {100 * seen[-1]['val_accuracy']:.1f} %" if seen else ""
        bars.update(one.task, completed=len(records), total=epochs, note=note)
    if status is None:
        return
    shop.live.remove(one)
    shop.free.append(one.cores)
    if status or not is_finished(one.training.folder):
        tail = arena.tail(one.training.log.read_bytes())
        _set_aside(shop, one.training, f"ended with status {status}; it printed last:\n{tail}", bars)


def _set_aside(shop: _Workshop, training: Training, why: str, bars: Progress) -> None:
    shop.failures[training.folder] = f"{training.folder}: {why}"
    bars.console.print(shop.failures[training.folder], style="red")


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask all processes to save and stop, and wait for them."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
