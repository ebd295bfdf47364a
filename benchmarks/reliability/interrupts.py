"""Does a signal end every command at every moment? Interrupt all of them at random times.

    python -m benchmarks.reliability.interrupts                 # about a quarter of an hour on two cores
    python -m benchmarks.reliability.interrupts --commands check train --tries 50

Each command runs on a tiny network and synthetic faces, and gets SIGINT or SIGTERM at a random time between
its start and its usual end. Then its status has to be 128 + the signal's number, its output must have no
traceback, and every file in its folder has to be whole. What is done is kept in `--work`: the same command
goes on where it was stopped. While Python itself starts, before our first line is run, the signal is
Python's: such tries are counted apart, and how long that takes is measured. Linux only: it reads /proc.
"""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.fer2013 import IMAGE_SHAPE, LABELS
from fer_jax.files import Json, json_line, read_json, read_json_lines, write_json
from fer_jax.report import terminal
from fer_jax.runtime import machine

PROGRAM: Final = "python -m benchmarks.reliability.interrupts"
QUESTION: Final = "Does a signal end every command at every moment, with one line and no half-written file?"
WORK: Final = bench.ROOT / "runs" / "reliability-interrupts"
SENT: Final = (signal.SIGINT, signal.SIGTERM)
TRACEBACK: Final = "Traceback (most recent call last)"
PATIENCE_S: Final = 120.0
SERVE_S: Final = 3.0
"""How long the server is left alone after its start, in the measurement of its time."""
START_TRIES: Final = 5
CONFIG: Final = """
from fer_jax.config import Config, ConvBlock, DataConfig, DeviceConfig, ModelConfig, TrainConfig

config = Config(
    name="{name}",
    data=DataConfig(source="synthetic", synthetic_examples=140),
    model=ModelConfig(blocks=(ConvBlock(features=2, pool=True),), dense_features=4),
    train=TrainConfig(epochs=2, batch_size=16),
    device=DeviceConfig(compile_cache=True),
)
"""
SPACE: Final = """
space = {"optimizer.peak_rate": (0.01, 0.02, "linear")}
"""
COMMANDS: Final[Mapping[str, str]] = {
    "train": "train --config a.py --run-dir run",
    "evaluate": "evaluate a-seed0",
    "compare": "compare a-seed0 b-seed0 --no-speed --out compared",
    "diagnose": "diagnose a-seed0",
    "check": "check --config a.py --out checked",
    "audit": "audit --data faces.csv --config a.py --folds 2 --epochs 1 --out audited",
    "sweep": "sweep --config a.py --space space.py --trials 2 --storage sqlite:///sweep.db --out swept",
    "bias_variance": "bias_variance --config a.py --seeds 2 --resamples 2 --out measured",
    "release": "release a-seed0 --name tiny-a --out released",
    "show": "show --config a.py --out sheet.png",
    "predict": "predict a.png --weights a-seed0 --no-detector --csv rows.csv --json rows.json --crops cut",
    "export": "export a-seed0 --to onnx --out exported",
    "serve": "serve --weights a-seed0 --port 0",
    "verify": "verify a-seed0",
    "cache": "cache clear",
}
"""What is tried, in a folder with two runs, a space file, a photo and a CSV of faces."""


@dataclass(frozen=True)
class InterruptsOptions:
    """Interrupt every command at random times, and write the outcome."""

    tries: int = 24
    """How many of each command."""
    commands: tuple[str, ...] = tuple(COMMANDS)
    """Commands to try."""
    seed: int = 0
    """Seed of the times and the signals."""
    workers: int = 2
    """Tries at a time."""
    work: Path = WORK
    """Folder of the runs, and of what is done so far."""
    out: Path = bench.RESULTS / "reliability-interrupts.json"
    """The JSON to write."""


@dataclass(frozen=True)
class Try:
    """What came of one try.

    Attributes:
        command, number: which.
        sent: name of the signal.
        after_s: when it was sent, in seconds after the start.
        moment: start: Python was still starting; end: the command had ended, or was leaving; otherwise work.
        status: of the process as a shell gives it.
        seconds: from the signal to the end.
        problems: what should not be.
    """

    command: str
    number: int
    sent: str
    after_s: float
    moment: str
    status: int
    seconds: float
    problems: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where something failed."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(InterruptsOptions, argv, prog=PROGRAM), argv))


def _run(options: InterruptsOptions, argv: Sequence[str]) -> int:
    unknown = set(options.commands).difference(COMMANDS)
    if unknown or not options.commands or options.tries < 1 or options.workers < 1:
        raise ConfigError(
            f"wanted --commands of {', '.join(COMMANDS)}, and --tries and --workers of at least 1"
        )
    # A shell has what it starts in the background ignore it, and what is started here would do so too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    console = terminal.make_console()
    work = options.work.resolve()
    header = {"git": machine.git_commit(), "seed": options.seed}
    state = work / "tries.jsonl"
    if not state.exists():
        _prepare(work)
        state.write_text(json_line(header), encoding="utf-8")
    first, *known = read_json_lines(state)
    if first != header:
        raise RunError(
            f"{state} is of {first}, and this is {header}; delete its folder, or name another --work"
        )
    start_s = measure_start(work)
    usual = _measure_all(work, options.commands)
    done = {(each["command"], each["number"]): Try(**each) for each in known}
    wanted = [(name, number) for number in range(options.tries) for name in options.commands]
    waiting = [each for each in wanted if each not in done]
    with (
        ThreadPoolExecutor(options.workers) as pool,
        state.open("a", encoding="utf-8") as lines,
        terminal.show_steps(console, "interrupting", len(wanted), done=len(wanted) - len(waiting)) as steps,
    ):
        for tried in pool.map(lambda each: _try(options, work, each, usual[each[0]]), waiting):
            done[tried.command, tried.number] = tried
            lines.write(json_line(asdict(tried)))
            lines.flush()
            steps()
    tries = [done[each] for each in wanted]
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"tries": options.tries, "seed": options.seed, "workers": options.workers},
        results=[count(name, [each for each in tries if each.command == name]) for name in options.commands],
        extra={
            "tried": len(tries),
            "failed": sum(bool(each.problems) for each in tries),
            "python_start_s": start_s,
            "usual": usual,
            "failures": [asdict(each) for each in tries if each.problems],
        },
    )
    failed = sum(bool(each.problems) for each in tries)
    console.print(f"{failed} of {len(tries)} tries failed; written to {options.out}")
    return 1 if failed else 0


def count(command: str, tries: Sequence[Try]) -> Json:
    """Count the outcomes of the tries of a command."""
    worked = [each.seconds for each in tries if each.moment == "work"]
    return {
        "command": command,
        "tried": len(tries),
        "at_work": len(worked),
        "in_python_start": sum(each.moment == "start" for each in tries),
        "at_end": sum(each.moment == "end" for each in tries),
        "failed": sum(bool(each.problems) for each in tries),
        "median_s": statistics.median(worked) if worked else None,
        "slowest_s": max(worked, default=None),
    }


def _words(command: str) -> list[str]:
    return [sys.executable, "-m", *f"fer_jax.{command}".split()]


def _environment(work: Path) -> dict[str, str]:
    return os.environ | {"FER_JAX_CACHE": str(work / "cache"), "PYTHONPATH": str(bench.ROOT)}


def _prepare(work: Path) -> None:
    """Make the folder in which every command is tried."""
    base = work / "base"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    rng = np.random.default_rng(0)
    (base / "space.py").write_text(SPACE, encoding="utf-8")
    Image.fromarray(rng.integers(0, 256, (120, 160, 3), np.uint8)).save(base / "a.png")
    rows = (rng.integers(0, 256, int(np.prod(IMAGE_SHAPE))) for _ in range(140))
    faces = [f"{n % len(LABELS)},{' '.join(map(str, row))},Training" for n, row in enumerate(rows)]
    (base / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *faces, ""]), encoding="utf-8")
    for name in ("a", "b"):
        (base / f"{name}.py").write_text(CONFIG.format(name=name), encoding="utf-8")
        words = _words(f"train --config {name}.py --run-dir {name}-seed0")
        done = subprocess.run(
            words, cwd=base, env=_environment(work), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RunError(f"the run to try the commands on cannot be trained: {done.stderr[-500:]}")


def _start(work: Path, folder: Path, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program; its output goes to a file."""
    with (folder / "output.txt").open("wb") as output:
        return subprocess.Popen(
            words,
            cwd=folder,
            env=_environment(work),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _is_at_door(pid: int) -> bool:
    """Whether our handlers are installed: by itself Python does not handle SIGTERM."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


def measure_start(work: Path) -> float:
    """Measure how long Python itself takes to start, before our first line: a median, in seconds."""
    times = []
    for _ in range(START_TRIES):
        started = time.monotonic()
        with _start(work, work, _words("configs")) as process:
            while process.poll() is None and not _is_at_door(process.pid):
                time.sleep(0.0005)
            times.append(time.monotonic() - started)
    return statistics.median(times)


def _measure(work: Path, name: str) -> Json:
    """Measure how long a command usually takes, and note its status and how its last line begins.

    Raises:
        RunError: it fails without any signal.
    """
    folder = _copy(work, f"{name}-usual")
    started = time.monotonic()
    with _start(work, folder, _words(COMMANDS[name])) as process:
        if name == "serve":
            while process.poll() is None and b"serving" not in (folder / "output.txt").read_bytes():
                time.sleep(0.05)
            time.sleep(SERVE_S)
            process.terminate()
        status = process.wait(PATIENCE_S)
    seconds = time.monotonic() - started
    # A check of a network that cannot learn finds something.
    if status not in {"serve": (128 + signal.SIGTERM,), "check": (0, 1)}.get(name, (0,)):
        raise RunError(f"{name} ends with status {status} by itself; see {folder / 'output.txt'}")
    last = _begin_of_last_line(folder / "output.txt")
    shutil.rmtree(folder)
    return {"seconds": seconds, "status": status, "last": last}


def _begin_of_last_line(output: Path) -> str:
    """Return the last line that a command printed, up to its first figure."""
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return re.split(r"\d", lines[-1])[0] if lines else ""


def _measure_all(work: Path, names: Sequence[str]) -> dict[str, Json]:
    """Measure commands as `_measure` does, each once for all calls of a campaign."""
    path = work / "usual.json"
    known = read_json(path) if path.exists() else {}
    for name in names:
        if name not in known:
            known[name] = _measure(work, name)
            write_json(path, known)
    return {name: known[name] for name in names}


def _copy(work: Path, name: str) -> Path:
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "base", folder)
    return folder


def _try(options: InterruptsOptions, work: Path, which: tuple[str, int], usual: Json) -> Try:
    """Interrupt a command once; its folder stays where something is wrong."""
    name, number = which
    rng = random.Random(f"{options.seed} {name} {number}")
    sent, after_s = rng.choice(SENT), rng.uniform(0, usual["seconds"])
    folder = _copy(work, f"{name}-{number}")
    with _start(work, folder, _words(COMMANDS[name])) as process:
        time.sleep(after_s)
        moment = "end" if process.poll() is not None else "work" if _is_at_door(process.pid) else "start"
        process.send_signal(sent)
        started, problems = time.monotonic(), []
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            problems.append(f"it had not ended after {PATIENCE_S:.0f} s")
        seconds = time.monotonic() - started
    code, said = process.returncode, (folder / "output.txt").read_text(errors="replace")
    status = 128 - code if code < 0 else code
    has_ended = code in (-sent, usual["status"]) and not _has_answer(said)
    if moment == "work" and has_ended and _begin_of_last_line(folder / "output.txt") == usual["last"]:
        moment = "end"  # Python had taken the handlers down, or the command was done before the signal came.
    if moment == "work":
        problems += [] if status == 128 + sent else [f"status {status}"]
        problems += [] if _has_answer(said) else ["no answer"]
    if moment != "start":
        problems += ["a traceback"] if TRACEBACK in said else []
    problems += find_damage(folder)
    if not problems:
        shutil.rmtree(folder)
    return Try(name, number, sent.name, after_s, moment, status, seconds, problems)


def _has_answer(said: str) -> bool:
    return any(
        words in said for words in ("Interrupted.", "stopping after this step", "finishing what is in work")
    )


def find_damage(folder: Path) -> list[str]:
    """List the files of a folder that are not whole, and those that should be gone."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.name.endswith((".tmp", ".new", ".part")):
            found.append(f"{name} was left")
        elif path.is_file() and path.suffix in READERS:
            try:
                READERS[path.suffix](path)
            except Exception as error:  # A damaged file can raise anything.
                found.append(f"{name} is damaged: {error}")
    return found


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _read_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        if file.testzip() is not None:
            raise ValueError("its checksum is wrong")


def _read_to_end(mark: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        if not path.read_text(encoding="utf-8").endswith(mark):
            raise ValueError(f"it does not end with {mark!r}")

    return read


def _read_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise ValueError("its integrity check fails")
    finally:
        connection.close()


def _read_tensors(path: Path) -> None:
    import safetensors.numpy

    safetensors.numpy.load_file(path)


def _read_onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(str(path)))


READERS: Final[Mapping[str, Callable[[Path], object]]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": read_json_lines,
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".npz": _read_zip,
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".csv": _read_to_end("\n"),
    ".md": _read_to_end("\n"),
    ".html": _read_to_end("</html>"),
    ".db": _read_database,
    ".safetensors": _read_tensors,
    ".onnx": _read_onnx,
}
"""Ends of names, and what reads such a file whole; it raises an error where it cannot."""


if __name__ == "__main__":
    sys.exit(main())
