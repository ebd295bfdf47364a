"""Does a killed and resumed run end with the same bits? Kill at random moments, resume, compare hashes.

    python -m benchmarks.accuracy.kill_and_resume --trials 20

Each trial trains a small network on synthetic faces, kills the process `--kills` times with SIGKILL at a
random moment of a random epoch, lets it finish with --resume, and compares the SHA-256 of its last state with
that of an uninterrupted run. Writes benchmarks/results/kill_and_resume.json.
"""

import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.errors import RunError
from fer_jax.files import read_json, write_json
from fer_jax.runtime import machine

PROGRAM = "python -m benchmarks.accuracy.kill_and_resume"
EPOCHS = 8
SMALL_RUN = shlex.split(f"""
--config configs/run6.py --data.source synthetic --data.synthetic-examples 700
--model.blocks.0.features 4 --model.blocks.1.features 8 --model.blocks.2.features 8 --model.dense-features 16
--optimizer.schedule plateau --optimizer.patience-epochs 1 --train.epochs {EPOCHS} --train.batch-size 16
""")


@dataclass(frozen=True)
class KillAndResume:
    """Kill training at random moments, resume it, and compare its last state with an uninterrupted run's."""

    trials: int = 20
    """Number of runs to kill."""
    kills: int = 1
    """Kills per run."""
    seed: int = 0
    """Seed of the random moments."""
    out: Path = bench.RESULTS / "kill_and_resume.json"
    """The JSON to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, run the trials, and return 0 if all hashes agree, else 1."""
    return cli.run(lambda: _run(cli.parse(KillAndResume, argv, prog=PROGRAM)))


def _run(options: KillAndResume) -> int:
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        _finish(Path(scratch) / "uninterrupted")
        wanted = _hash(Path(scratch) / "uninterrupted")
        trials = []
        for number in range(options.trials):
            trial = _try(rng, Path(scratch) / f"trial{number}", options.kills)
            trials.append(trial | {"wanted": wanted})
            bits = "same" if trial["sha256"] == wanted else "DIFFERENT"
            print(f"trial {number + 1}: killed, resumed at steps {trial['resumed_at_steps']}, {bits} bits")
    agreeing = sum(trial["sha256"] == wanted for trial in trials)
    print(f"{agreeing} of {options.trials} runs ended with the same bits")
    facts = {
        "machine": machine.describe_cpu(),
        "versions": machine.list_versions(),
        "git": machine.git_commit(),
    }
    write_json(options.out, {**facts, "same": agreeing, "trials": trials})
    return 0 if agreeing == options.trials else 1


def _try(rng: random.Random, folder: Path, kills: int) -> dict[str, Any]:
    killed_at: list[int | None] = []
    while len(killed_at) < kills:
        process = _start(folder)
        if _kill_in_some_epoch(rng, process, folder / "log.jsonl"):
            meta = folder / "checkpoints" / "last" / "meta.json"
            killed_at.append(read_json(meta)["step"] if meta.exists() else None)
        else:
            # It finished before the moment came: start again, so that each trial has its kills.
            _check(process, folder)
            shutil.rmtree(folder)
            killed_at.clear()
    _finish(folder)
    return {"resumed_at_steps": killed_at, "sha256": _hash(folder)}


def _kill_in_some_epoch(rng: random.Random, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Kill after a random epoch's line in the log and a random delay; False if the run ended before."""
    done = _count_lines(log)
    epoch, delay_seconds = rng.randrange(min(done, EPOCHS - 1), EPOCHS), rng.uniform(0, 0.5)
    while process.poll() is None:
        if _count_lines(log) >= epoch:
            time.sleep(delay_seconds)
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.01)
    return False


def _count_lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def _finish(folder: Path) -> None:
    process = _start(folder)
    process.wait()
    _check(process, folder)


def _check(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.returncode:
        raise RunError(f"the run in {folder} ended with status {process.returncode}")


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the run, or resume it if it has been started before."""
    words = [sys.executable, "-m", "fer_jax.train", *SMALL_RUN, "--run-dir", str(folder)]
    if (folder / "run.json").exists():
        words.append("--resume")
    return subprocess.Popen(words, cwd=bench.ROOT, stdout=subprocess.DEVNULL)


def _hash(folder: Path) -> str:
    digest: str = read_json(folder / "run.json")["last_state_sha256"]
    return digest


if __name__ == "__main__":
    sys.exit(main())
