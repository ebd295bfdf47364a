"""Runs that are killed: the kinds, how one is started, killed and resumed, and what it has to leave.

Each start is a fork of this process, which has imported fer_jax and JAX but never computed: it is a process
of its own, and a killed one is as dead as any other, but it need not wait for the imports.
"""

import ctypes
import functools
import gc
import importlib
import json
import os
import random
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.harness import bench
from benchmarks.reliability import crash_points
from benchmarks.reliability.crash_points import Point
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json, read_json_lines, write_json

CONFIG: Final = "benchmarks/reliability/tiny.py"
EPOCHS, EPOCH_STEPS, STEPS = 4, 10, 40
VARIANTS: Final = {
    "one seed": "",
    "two seeds": "--seeds 2",
    "best epoch": "--train.select best",
    "EMA": "--average.ema-decay 0.9 --average.stats-examples 56 --train.select best",
    "distilled": "--distill.teachers {teacher}",
    "resident": "--device.mode resident",
    # With select last, which epochs are saved, and so the best of them, would depend on where it is stopped.
    "saved every 2 epochs": "--train.save-epochs 2 --train.select best",
}
"""Kinds of runs, and their options."""
TEACHER_OPTIONS: Final = "--train.seed 7 --train.epochs 2"
CLOCKED: Final = ("seconds", "images_per_second")
"""Fields of a line of the log that a clock decides."""
IMPORTED: Final = (
    *("fer_jax.train.run", "matplotlib.backends.backend_agg", "PIL.JpegImagePlugin", "rich.rule"),
    *("scipy.ndimage", "scipy.stats", "tensorboardX"),
)
"""What a run imports; nothing of it starts JAX."""
MIN_DELAY_SECONDS: Final = 2e-4
PATIENCE_SECONDS: Final = 900.0
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, kw_only=True)
class Aim:
    """When a started run is killed; without anything it is left alone.

    Attributes:
        point: there, at its `occurrence`.
        occurrence: of the point, or of the save, from 1.
        draw: a number in 0..1, see `crash_points.Watch`.
        after_seconds: after its start; with `in_save` after the save has begun, with `point` after the call
            has begun. Where a call ends before, the next one is killed in half of the time.
        in_save: while it saves.
        stop_step: it gets SIGTERM when it has taken so many steps.
        is_held: it is stopped after its second save, measured and killed.
    """

    point: Point | None = None
    occurrence: int = 1
    draw: float = 0.0
    after_seconds: float | None = None
    in_save: bool = False
    stop_step: int | None = None
    is_held: bool = False


@dataclass(kw_only=True)
class Ending:
    """How a start ended: its exit status, or minus the signal; what was going on, and what was measured."""

    status: int
    is_saving: bool
    seconds: float
    held: Json = field(default_factory=dict)

    @property
    def is_killed(self) -> bool:
        """Whether it was killed, or died within a write."""
        return self.status in (-signal.SIGKILL, -signal.SIGXFSZ)


@dataclass(frozen=True)
class Place:
    """Where the campaign works: run folders, logs, compiled programs and the runs to compare with."""

    home: Path

    @property
    def cache(self) -> Path:
        """The folder of compiled programs that all runs share."""
        return self.home / "cache"

    @property
    def teacher(self) -> Path:
        """The run that teaches the distilled ones."""
        return self.home / "teacher"

    def reference(self, variant: str) -> Path:
        """Name the folder of the run that is never killed."""
        return self.home / "references" / variant.replace(" ", "-")

    def words(self, variant: str, folder: Path, *more: str) -> list[str]:
        """List the options of a run's first start."""
        options = VARIANTS[variant].format(teacher=self.teacher)
        return ["--config", CONFIG, *shlex.split(options), "--run-dir", str(folder), *more]


def prepare() -> None:
    """Import once what every run needs."""
    for module in IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def die_with_parent() -> None:
    """Let the system end this process when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# One start.


def start(words: list[str], log: Path, cache: Path, aim: Aim, *, counts: Path | None = None) -> Ending:
    """Start training in a fork of this process, kill it as aimed, and wait for its end.

    Args:
        words: options of `python -m fer_jax.train`.
        log: what it prints is added to this file.
        cache: its $FER_JAX_CACHE.
        aim: when to kill it.
        counts: the JSON in which a run that is not killed writes how often it came to each point.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    begun = time.perf_counter()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _train(words, log, cache, aim, writer, counts)
    os.close(writer)
    try:
        return _attend(pid, reader, aim, begun)
    finally:
        os.close(reader)


def _train(words: list[str], log: Path, cache: Path, aim: Aim, pipe: int, counts: Path | None) -> None:
    """Be the started process; it does not return."""
    status = 70
    try:
        die_with_parent()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        os.close(out)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.environ["FER_JAX_CACHE"] = str(cache)
        watched = crash_points.watch(pipe, aim.point, occurrence=aim.occurrence, draw=aim.draw)
        if aim.stop_step is not None:
            _stop_after(aim.stop_step)
        if aim.is_held:
            _hold(2)
        from fer_jax.train import __main__ as train

        status = train.main(words)
        if counts is not None:
            write_json(counts, [[*point, times] for point, times in watched.reached.items()])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _stop_after(steps: int) -> None:
    """Send this process SIGTERM when it has taken so many steps."""
    from fer_jax.engine import setup

    taken = 0

    def watched(make: Any) -> Any:
        @functools.wraps(make)
        def make_stepper(*args: Any, **kwargs: Any) -> Any:
            stepper = make(*args, **kwargs)

            def train(states: Any, recipes: Any, *rest: Any) -> Any:
                nonlocal taken
                if taken == steps == 0:
                    os.kill(os.getpid(), signal.SIGTERM)
                before, result = taken, stepper.train(states, recipes, *rest)
                taken += len(recipes[0])
                if before < steps <= taken:
                    os.kill(os.getpid(), signal.SIGTERM)
                return result

            return stepper._replace(train=train)

        return make_stepper

    for name in ("make_host_stepper", "make_resident_stepper"):
        setattr(setup, name, watched(getattr(setup, name)))


def _hold(saves: int) -> None:
    """Stop this process after so many saves."""
    from fer_jax.runs import checkpoint

    save, done = checkpoint.save, 0

    def wrapped(*args: Any, **kwargs: Any) -> None:
        nonlocal done
        save(*args, **kwargs)
        done += 1
        if done == saves:
            gc.collect()
            os.kill(os.getpid(), signal.SIGSTOP)

    checkpoint.save = wrapped


def _attend(pid: int, reader: int, aim: Aim, begun: float) -> Ending:
    """Follow a started process to its end, and kill it where the aim says so by the clock."""
    if aim.is_held:
        return _measure_held(pid, begun)
    until = begun + PATIENCE_SECONDS
    delay = aim.after_seconds
    is_timed = delay is not None and aim.point is None and not aim.in_save
    deadline, is_saving, saves = begun + delay if is_timed and delay is not None else until, False, 0
    begins, ends = (b"(", b")") if aim.in_save else (b"[", b"]")
    while True:
        readable, _, _ = select.select([reader], [], [], max(0.0, deadline - time.perf_counter()))
        if not readable:
            os.kill(pid, signal.SIGKILL)
            if time.perf_counter() >= until:
                os.waitpid(pid, 0)
                return Ending(status=124, is_saving=is_saving, seconds=time.perf_counter() - begun)
            deadline = until
            continue
        word = os.read(reader, 1)
        if not word:
            break
        if word in b"()":
            is_saving = word == b"("
            saves += word == b"("
        if is_timed or delay is None:
            continue
        if word == begins and (not aim.in_save or saves >= aim.occurrence):
            deadline = time.perf_counter() + delay
        elif word == ends:
            deadline, delay = until, max(delay / 2, MIN_DELAY_SECONDS)
    _, code = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(code)
    return Ending(status=status, is_saving=is_saving, seconds=time.perf_counter() - begun)


def _measure_held(pid: int, begun: float) -> Ending:
    _, code = os.waitpid(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(code):
        status = os.waitstatus_to_exitcode(code)
        return Ending(status=status, is_saving=False, seconds=time.perf_counter() - begun)
    process = Path("/proc") / str(pid)
    held = {
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        "rss_kib": int((process / "statm").read_text().split()[1]) * resource.getpagesize() // 1024,
    }
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return Ending(status=-signal.SIGKILL, is_saving=False, seconds=time.perf_counter() - begun, held=held)


def resume_words(words: list[str], folder: Path) -> list[str]:
    """Add `--resume` where there is a run: all that the one who starts it again has to know."""
    return [*words, "--resume"] if (folder / "run.json").exists() else words


# What a finished run has to be.


def describe_run(folder: Path) -> Json:
    """Describe what a finished run left, but for what a clock decides."""
    folders = [folder, *sorted(path for path in folder.glob("seed*") if path.is_dir())]
    seeds = folders[1:] or folders
    return {
        "files": list_files(folder),
        "hashes": [read_json(each / "run.json")["last_state_sha256"] for each in seeds],
        "metrics": [read_json(each / "metrics.json") for each in seeds],
        "log": [
            [{name: value for name, value in line.items() if name not in CLOCKED} for line in lines]
            for lines in (read_json_lines(each / "log.jsonl") for each in seeds)
        ],
        "saved": [
            [name, read_json(path)["step"]]
            for each in seeds
            for name in ("last", "best")  # The previous one depends on when the run was stopped.
            if (path := each / "checkpoints" / name / "meta.json").exists()
        ],
    }


def list_files(folder: Path) -> list[str]:
    """List a run's files; how many files its arrays are in is Orbax's choice, and differs."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    names = {re.sub(r"/arrays/.*", "/arrays/", name) for name in names}
    return sorted(re.sub(r"tfevents\..*", "tfevents", name) for name in names)


def find_differences(folder: Path, reference: Path) -> list[str]:
    """Say what a finished run has otherwise than the run that was never killed."""
    try:
        found, wanted = describe_run(folder), json.loads((reference / "described.json").read_text())
    except (RunError, KeyError) as error:
        return [f"unreadable: {error}"]
    differences = []
    for name in ("hashes", "log", "metrics", "saved"):
        if found[name] != wanted[name]:
            differences.append(f"{name}: {found[name]} instead of {wanted[name]}"[:2000])
    more, fewer = Counter[str](found["files"]), Counter[str](wanted["files"])
    for words, names in (("left over", more - fewer), ("missing", fewer - more)):
        if names:
            differences.append(f"{words}: {', '.join(sorted(names.elements()))}")
    return differences


def make_references(place: Place, variants: list[str], console: Console) -> list[str]:
    """Train the runs that are never killed, each by the command line; return what a fork does otherwise."""
    environment = os.environ | {"FER_JAX_CACHE": str(place.cache)}
    differences = []
    if "distilled" in variants and not _is_finished(place.teacher):
        shutil.rmtree(place.teacher, ignore_errors=True)
        words = [*place.words("one seed", place.teacher), *shlex.split(TEACHER_OPTIONS)]
        _train_by_command(words, environment)
    for variant in variants:
        reference = place.reference(variant)
        if (reference / "counts.json").exists():
            continue
        console.print(f"training the run to compare with: {variant}")
        shutil.rmtree(reference, ignore_errors=True)
        reference.mkdir(parents=True)
        _train_by_command(place.words(variant, reference / "run"), environment)
        write_json(reference / "described.json", describe_run(reference / "run"))
        begun = time.perf_counter()
        ending = start(
            place.words(variant, reference / "forked"),
            reference / "forked.log",
            place.cache,
            Aim(),
            counts=reference / "counts.new",
        )
        if ending.status:
            raise RunError(f"the run of {reference / 'forked.log'} ended with status {ending.status}")
        differences += find_differences(reference / "forked", reference)
        write_json(reference / "seconds.json", time.perf_counter() - begun)
        (reference / "counts.new").replace(reference / "counts.json")
    return differences


def _is_finished(folder: Path) -> bool:
    return (folder / "run.json").exists() and bool(read_json(folder / "run.json")["finished"])


def _train_by_command(words: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "fer_jax.train", *words]
    done = subprocess.run(
        command, cwd=bench.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        printed = done.stdout + done.stderr
        raise RunError(f"{shlex.join(command)} ended with status {done.returncode}:\n{printed}")


def count_points(place: Place, variant: str) -> dict[Point, int]:
    """Say how often the run that is never killed comes to each point."""
    counted = read_json(place.reference(variant) / "counts.json")
    return {Point(kind, name, moment): times for kind, name, moment, times in counted}


def draw_for(seed: int, part: str, number: int) -> random.Random:
    """Make the random numbers of one trial."""
    return random.Random(f"{seed} {part} {number}")
