"""Train with several processes what one trains, and end some of them in the middle.

    python -m benchmarks.reliability.parallel                   # on localhost, about ten minutes on two cores
    python -m benchmarks.reliability.parallel --launcher mpirun
    tests/cluster/one_node_slurm.sh python -m benchmarks.reliability.parallel --launcher srun

A small network with everything that has a state or looks at the whole batch (batch norm, mixup, dropout,
averages) is trained on synthetic faces by one, two and four processes; and by one process with other machine
instructions, to show what rounding alone does, and with another seed, to show what chance does. Then
processes are killed, and the others have to end by themselves, with one message and whole files; and a run is
stopped by SIGTERM, resumed on one process, stopped again and resumed on two. Linux only: it reads /proc.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.errors import PeerError, RunError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.report import terminal
from fer_jax.runs import checkpoint

PROGRAM: Final = "python -m benchmarks.reliability.parallel"
QUESTION: Final = "Do several processes train what one does, and what happens when one of them ends?"
WORK: Final = bench.ROOT / "runs" / "reliability-parallel"
TRAINING: Final = (
    *("--config", "configs/run6.py", "--data.source", "synthetic", "--data.synthetic-examples", "4000"),
    *("--augment.max-shift-px", "2", "--augment.max-rotation-deg", "5", "--augment.min-crop-scale", "0.9"),
    *("--model.blocks.0.features", "8", "--model.blocks.1.features", "16", "--model.blocks.2.features", "32"),
    *("--model.dense-features", "64", "--model.dense-dropout-rate", "0.1", "--train.batch-size", "40"),
    *("--optimizer.name", "sgd", "--optimizer.peak-rate", "0.003"),
    *("--average.ema-decay", "0.9", "--mix.mixup-alpha", "0.2"),
)
"""A gentle rate, and SGD: a large rate and Adam, which looks at the sign of a gradient that is nearly 0,
enlarge any difference in rounding so much that nothing else would be seen."""


class Variant(NamedTuple):
    """Another way to train with one process.

    Attributes:
        title: for the table.
        more: further options.
        environment: further variables.
    """

    title: str
    more: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})


VARIANTS: Final = {
    "other-instructions": Variant(
        "1, without AVX2 and FMA", environment=MappingProxyType({"XLA_FLAGS": "--xla_cpu_max_isa=AVX"})
    ),
    "other-seed": Variant("1, another seed", more=("--train.seed", "1")),
}
"""By folder: what one process does when only the rounding is different, and what chance does."""
LOSSES: Final = ("objective", "train_loss", "val_loss")
NUMBERS: Final = ("OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
"""Where a launcher tells a process its number."""
KILLED: Final = ((2, 1), (2, 0), (4, 3))
"""Processes, and the number of the one that is killed."""
STOPS: Final = (2, 4)
"""The epochs after which the run is stopped that goes on with other processes."""
PATIENCE_S: Final = 900.0
POLL_S: Final = 0.05


@dataclass(frozen=True)
class ParallelOptions:
    """Train with several processes, kill some of them, and write the outcome."""

    launcher: Literal["localhost", "mpirun", "srun"] = "localhost"
    """What starts the processes: this program, with options; Open MPI's mpirun; Slurm's srun."""
    counts: tuple[int, ...] = (1, 2, 4)
    """How many processes train together; the first is what the others are compared with."""
    epochs: int = 10
    """Epochs of each run."""
    work: Path = WORK
    """Folder of the runs."""
    out: Path | None = None
    """The JSON to write; by default benchmarks/results/reliability-parallel-LAUNCHER.json."""


@dataclass
class Training:
    """Processes that train together.

    Attributes:
        folder: of the run.
        count: how many there are.
        started: what was started: the processes, or their launcher.
        errors: the standard error of each of these.
    """

    folder: Path
    count: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    errors: list[Path] = field(default_factory=list)

    def wait(self) -> list[int]:
        """Wait for the end, and return the statuses."""
        return [each.wait(timeout=PATIENCE_S) for each in self.started]

    def wait_for_epoch(self, epoch: int) -> None:
        """Wait until an epoch is logged.

        Raises:
            RunError: the processes have ended before.
        """
        log = self.folder / "log.jsonl"
        while not log.exists() or len(read_json_lines(log)) < epoch:
            if all(each.poll() is not None for each in self.started):
                raise RunError(f"the processes of {self.folder} have ended: {self.read_errors()}")
            time.sleep(POLL_S)

    def find_process(self, number: int) -> int:
        """Find the process of a number, which a launcher may have started.

        Raises:
            RunError: there is none.
        """
        if len(self.started) == self.count:
            return self.started[number].pid
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            is_ours = b"fer_jax.train" in words and str(self.folder).encode() in words
            is_launcher = Path(os.fsdecode(words[0])).name in ("mpirun", "srun")
            has_number = any(f"{name}={number}".encode() in environment for name in NUMBERS)
            if is_ours and has_number and not is_launcher:
                return int(folder.name)
        raise RunError(f"process {number} of {self.folder} is not found")

    def read_errors(self) -> list[str]:
        """Read the standard errors."""
        return [path.read_text(errors="replace") for path in self.errors]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where something failed."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(ParallelOptions, argv, prog=PROGRAM), argv))


def _run(options: ParallelOptions, argv: Sequence[str]) -> int:
    console = terminal.make_console()
    bench.empty_work_folder("--work", options.work)
    results = []
    for count in options.counts:
        results.append(_train(options, f"of-{count}", count, Variant(f"{count}")))
        console.print(_describe(results[-1]))
    for name, variant in VARIANTS.items():
        results.append(_train(options, name, 1, variant))
        console.print(_describe(results[-1]))
    kills = []
    for count, number in KILLED:
        kills.append(_kill(options, count, number))
        console.print(f"process {number} of {count} killed: {kills[-1]['statuses']}, {kills[-1]['problems']}")
    resumed = _resume(options)
    console.print(f"resumed: {resumed['problems']}")
    out = options.out or bench.RESULTS / f"reliability-parallel-{options.launcher}.json"
    bench.write(
        out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"launcher": options.launcher, "epochs": options.epochs, "training": " ".join(TRAINING)},
        results=results,
        extra={"kills": kills, "resumed": resumed},
    )
    problems = [problem for each in (*kills, resumed) for problem in each["problems"]]
    console.print(f"{len(problems)} problems; written to {out}")
    return int(bool(problems))


def _describe(result: Json) -> str:
    return (
        f"processes: {result['title']}; test accuracy {result['test_accuracy']:.3f}, "
        f"losses at most {result['largest_difference']:.1e} from those of the first"
    )


def _start(
    options: ParallelOptions,
    name: str,
    count: int,
    *more: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Training:
    """Start the processes of a run."""
    training = Training(options.work / name, count)
    command = [sys.executable, "-m", "fer_jax.train", *TRAINING, "--train.epochs", str(options.epochs)]
    command += ["--run-dir", str(training.folder), *more]
    launchers = {
        "mpirun": ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(count)],
        "srun": ["srun", "-n", str(count)],
    }
    if options.launcher in launchers:
        every = [[*launchers[options.launcher], *command]]
    else:
        where = ["--distributed.coordinator", f"localhost:{_find_port()}"]
        where += ["--distributed.process-count", str(count), "--distributed.process-id"]
        every = [[*command, *where, str(number)] for number in range(count)]
    for words in every:
        path = options.work / f"{name}-{len(training.errors)}.err"
        with path.open("ab") as errors:
            started = subprocess.Popen(
                words,
                cwd=bench.ROOT,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
            )
        training.started.append(started)
        training.errors.append(path)
    return training


def _find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _train(options: ParallelOptions, name: str, count: int, variant: Variant) -> Json:
    """Train with so many processes; compare with the first run.

    Raises:
        RunError: it failed.
    """
    training = _start(options, name, count, *variant.more, environment=variant.environment)
    if any(training.wait()):
        raise RunError(f"{count} processes failed: {training.read_errors()}")
    test = read_json(training.folder / "metrics.json")["test"]
    return {
        "processes": count,
        "title": variant.title,
        "test_accuracy": test["accuracy"],
        **_compare(options, training.folder),
        "epochs": [
            {name: record[name] for name in LOSSES}
            for record in read_json_lines(training.folder / "log.jsonl")
        ],
    }


def _compare(options: ParallelOptions, folder: Path) -> dict[str, Any]:
    """Find the largest difference from the losses of the first run."""
    first, own = (
        read_json_lines(each / "log.jsonl") for each in (options.work / f"of-{options.counts[0]}", folder)
    )
    differences = [
        max(abs(one[name] - two[name]) for name in LOSSES) for one, two in zip(first, own, strict=True)
    ]
    return {"largest_difference": max(differences), "difference_by_epoch": differences}


def _kill(options: ParallelOptions, count: int, number: int) -> Json:
    """Kill a process of a run; the others have to end, and the run has to go on."""
    training = _start(options, f"kill-{number}-of-{count}", count)
    training.wait_for_epoch(2)
    os.kill(training.find_process(number), signal.SIGKILL)
    seconds, statuses = _time(training.wait)
    messages = [text for place, text in enumerate(training.read_errors()) if place != number]
    problems = [f"{path} is damaged" for path in _find_damaged(training.folder)]
    if options.launcher == "localhost":
        wanted = [-signal.SIGKILL if each == number else PeerError.exit_code for each in range(count)]
        problems += [f"statuses {statuses}, wanted {wanted}"] if statuses != wanted else []
        problems += [f"message {text!r}" for text in messages if text.count("\n") != 1]
    again = _start(options, training.folder.name, count, "--resume")
    problems += ["it does not go on"] if any(again.wait()) else []
    return {
        "processes": count,
        "killed": number,
        "statuses": statuses,
        "seconds_until_all_have_ended": seconds,
        "messages": messages,
        **_compare(options, training.folder),
        "problems": problems,
    }


def _time(wait: Callable[[], list[int]]) -> tuple[float, list[int]]:
    started = time.perf_counter()
    statuses = wait()
    return time.perf_counter() - started, statuses


def _find_damaged(folder: Path) -> list[Path]:
    """List what is half-written: a checkpoint, or a temporary file."""
    there = [path for path in (folder / "checkpoints").iterdir() if path.name[0] != "."]
    return [path for path in there if checkpoint.find_damage(path)] + list(folder.glob("*.tmp*"))


def _resume(options: ParallelOptions) -> Json:
    """Stop a run of two processes, resume it on one, stop it, and resume it on two."""
    problems: list[str] = []
    for count, epoch, more in ((2, STOPS[0], ()), (1, STOPS[1], ("--resume",))):
        training = _start(options, "resumed", count, *more)
        training.wait_for_epoch(epoch)
        os.kill(training.find_process(count - 1), signal.SIGTERM)
        seconds, statuses = _time(training.wait)
        if options.launcher == "localhost" and statuses != [128 + signal.SIGTERM] * count:
            problems.append(f"statuses {statuses} after SIGTERM to one of {count}")
        problems += [f"{path} is damaged" for path in _find_damaged(training.folder)]
    last = _start(options, "resumed", 2, "--resume")
    problems += [f"it does not go on: {last.read_errors()}"] if any(last.wait()) else []
    return {
        "processes": [2, 1, 2],
        "seconds_after_sigterm": seconds,
        **_compare(options, last.folder),
        "problems": problems,
    }


if __name__ == "__main__":
    sys.exit(main())
