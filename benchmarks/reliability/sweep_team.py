"""Does a team's sweep lose or double a trial? Kill workers in the middle of a trial, and crash the server.

    python -m benchmarks.reliability.sweep_team

Needs a PostgreSQL server's programs (Debian: `apt install postgresql`) and the extra `sweep-postgres`. A
round starts a server of its own and eight workers: `python -m fer_jax.sweep` with one address, for every
second worker with the password in it. After a quarter and after three quarters of the trials a worker is
killed by SIGKILL in the middle of its trial; after half of them the server is crashed, and started again some
seconds later. At the end every trial has to be done once, that of a killed worker by another one. Writes
benchmarks/results/reliability-sweep_team.json.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import bench, postgres
from fer_jax import cli
from fer_jax.errors import RunError
from fer_jax.files import Json, read_json

PROGRAM: Final = "python -m benchmarks.reliability.sweep_team"
QUESTION: Final = (
    "Is a trial of a team's sweep lost or doubled when workers are killed and the server crashes?"
)
PASSWORD: Final = "n0t-to-be-seen"
EPOCHS: Final = 8
KILL_EPOCHS: Final = range(1, EPOCHS // 2)
"""A worker is killed when its trial has reported so many epochs."""
KILLS: Final = 2
PATIENCE_SECONDS: Final = 1800.0

_LOOK_SECONDS: Final = 0.1
_DONE: Final = ("COMPLETE", "PRUNED")
_PRINTED: Final = re.compile(r"^trial (\d+) +(?:val|given up)", re.M)
_LOOK: Final = """
SELECT trials.number, trials.state::text AS state,
  (SELECT value_json::json #>> '{}' FROM trial_user_attributes AS attribute
    WHERE attribute.trial_id = trials.trial_id AND key = 'worker') AS worker,
  (SELECT value_json::int FROM trial_user_attributes AS attribute
    WHERE attribute.trial_id = trials.trial_id AND key = 'repeats') AS repeats,
  (SELECT count(*) FROM trial_intermediate_values AS epoch
    WHERE epoch.trial_id = trials.trial_id) AS epochs,
  (SELECT extract(epoch FROM (now() AT TIME ZONE 'UTC') - heartbeat) FROM trial_heartbeats AS beat
    WHERE beat.trial_id = trials.trial_id) AS silence,
  (SELECT string_agg(param_name || ' ' || param_value, ', ' ORDER BY param_name) FROM trial_params AS param
    WHERE param.trial_id = trials.trial_id) AS params
FROM trials ORDER BY trials.number
"""


@dataclass(frozen=True, kw_only=True)
class TeamOptions:
    """Sweep with several workers on a PostgreSQL server, kill two of them, and crash the server."""

    workers: int = 8
    """Processes that share the sweep."""
    trials: int = 40
    """Trials of a round."""
    rounds: int = 3
    """How often, each time with a new server."""
    dead_after_s: float = 24
    """--dead-after-s of the workers."""
    down_s: float = 5
    """Seconds without a server."""
    out: Path = bench.RESULTS / "reliability-sweep_team.json"
    """The JSON to write."""


@dataclass
class Round:
    """What is seen while a round runs.

    Attributes:
        server: of the round.
        workers: the processes.
        folder: of their output.
        killed: moments of the monotonic clock, by the number of the trial that was killed.
        seconds_to_repeat: from a kill to the start of the repetition.
        longest_silence: the most seconds between two heartbeats of a worker that lives.
        shown: command lines of the workers that showed the password.
    """

    server: postgres.Server
    workers: list[subprocess.Popen[bytes]]
    folder: Path
    killed: dict[int, float] = field(default_factory=dict)
    seconds_to_repeat: dict[int, float] = field(default_factory=dict)
    longest_silence: float = 0.0
    shown: set[int] = field(default_factory=set)

    def look(self) -> list[Json]:
        """List the trials, and note what can be seen only now."""
        with contextlib.closing(self.server.connect()) as connection:
            cursor = connection.execute(_LOOK)
            names = [column.name for column in cursor.description]
            trials = [dict(zip(names, row, strict=True)) for row in cursor]
        for trial in trials:
            number = trial["repeats"]
            if number in self.killed and trial["worker"] and number not in self.seconds_to_repeat:
                self.seconds_to_repeat[number] = time.monotonic() - self.killed[number]
            if trial["state"] == "RUNNING" and trial["number"] not in self.killed:
                self.longest_silence = max(self.longest_silence, float(trial["silence"] or 0.0))
        for worker in self.workers:
            with contextlib.suppress(OSError):
                # It is covered as soon as the program runs; from the first trial on it has to be.
                if trials and PASSWORD in Path(f"/proc/{worker.pid}/cmdline").read_text():
                    self.shown.add(worker.pid)
        return trials

    def kill_one(self, trials: Sequence[Json]) -> bool:
        """Kill a worker in the middle of a trial; return whether there was one."""
        pids = {worker.pid: worker for worker in self.workers if worker.poll() is None}
        for trial in trials:
            pid = int(trial["worker"].rpartition(":")[2]) if trial["worker"] else 0
            if trial["state"] == "RUNNING" and trial["epochs"] in KILL_EPOCHS and pid in pids:
                pids[pid].send_signal(signal.SIGKILL)
                pids[pid].wait()
                self.killed[trial["number"]] = time.monotonic()
                return True
        return False

    def read_output(self, worker: subprocess.Popen[bytes]) -> str:
        """Return what a worker printed."""
        return (self.folder / f"{self.workers.index(worker)}.txt").read_text(encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 if a trial was lost or doubled."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(TeamOptions, argv, prog=PROGRAM), argv))


def _run(options: TeamOptions, argv: Sequence[str]) -> int:
    binaries = postgres.find_binaries()
    if binaries is None:
        raise RunError(f"no PostgreSQL server is installed; `{postgres.HOW_TO_INSTALL}` installs it")
    console, results, failures = bench.make_console(), [], list[str]()
    version = ""
    for number in range(options.rounds):
        with postgres.running_server(binaries, PASSWORD) as server, tempfile.TemporaryDirectory() as scratch:
            with contextlib.closing(server.connect()) as connection:
                version = connection.execute("SHOW server_version").fetchone()[0]
            row, wrong = run_round(options, server, Path(scratch))
        results.append(row)
        failures += [f"round {number}: {each}" for each in wrong]
        console.print(
            f"round {number}: {row['done']} of {row['trials']} trials done by {row['workers']} workers, "
            f"{row['killed']} killed, {row['repeated']} trials repeated, {row['crashes']} crash of the "
            f"server; {row['failed']} failed"
        )
    bench.write(
        options.out,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={
            **{"workers": options.workers, "trials": options.trials, "epochs": EPOCHS},
            **{"dead_after_s": options.dead_after_s, "down_s": options.down_s, "server": version},
        },
        results=results,
        extra={"failures": failures},
    )
    for line in failures:
        console.print(line)
    console.print(f"{len(failures)} failures; written to {options.out}")
    return 1 if failures else 0


def run_round(options: TeamOptions, server: postgres.Server, folder: Path) -> tuple[Json, list[str]]:
    """Run a sweep with its accidents; return a row and what went wrong."""
    started = time.monotonic()
    space = folder / "rates.py"
    space.write_text('space = {"optimizer.peak_rate": (1e-4, 1e-1, "log")}\n')
    seen = Round(
        server, [_start(options, server, folder, number) for number in range(options.workers)], folder
    )
    try:
        crashed = _watch(options, seen)
    finally:
        for worker in seen.workers:
            worker.kill()
            worker.wait()
    trials = seen.look()
    outputs = {worker.pid: seen.read_output(worker) for worker in seen.workers}
    statuses = Counter(worker.returncode for worker in seen.workers)
    wrong = find_wrong(trials, sorted(seen.killed), wanted=options.trials)
    wrong += find_wrong_words(list(outputs.values()), trials)
    if statuses != Counter({0: options.workers - len(seen.killed), -signal.SIGKILL: len(seen.killed)}):
        wrong.append(f"the workers ended with {dict(statuses)}")
    if (len(seen.killed), crashed) != (KILLS, 1):
        wrong.append(f"{len(seen.killed)} workers were killed and the server crashed {crashed} times")
    if seen.shown:
        wrong.append(f"{len(seen.shown)} command lines show the password")
    wrong += _sweep_again(options, server, folder, trials)
    row = {
        **{"workers": options.workers, "trials": options.trials},
        "done": sum(trial["state"] in _DONE for trial in trials),
        **{"killed": len(seen.killed), "repeated": len(seen.seconds_to_repeat), "crashes": crashed},
        "waited_for_server": sum("the database answers again" in text for text in outputs.values()),
        "seconds_to_repeat": sorted(seen.seconds_to_repeat.values()),
        "longest_silence": seen.longest_silence,
        "seconds": time.monotonic() - started,
        "failed": len(wrong),
    }
    return row, wrong


def _start(
    options: TeamOptions, server: postgres.Server, folder: Path, number: int
) -> subprocess.Popen[bytes]:
    """Start a worker with an output folder of its own, as on another machine."""
    tells = number % 2 == 0
    words = [
        *(sys.executable, "-m", "fer_jax.sweep", "--config", str(Path(__file__).with_name("tiny.py"))),
        *("--space", str(folder / "rates.py"), "--train.epochs", str(EPOCHS)),
        *("--storage", server.address_with_password if tells else server.address),
        *("--trials", str(options.trials), "--dead-after-s", str(options.dead_after_s)),
        *("--out", str(folder / f"out-{number}")),
    ]
    environment = dict(os.environ) if tells else {**os.environ, "PGPASSWORD": PASSWORD}
    with (folder / f"{number}.txt").open("wb") as output:
        return subprocess.Popen(
            words, cwd=bench.ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def _watch(options: TeamOptions, seen: Round) -> int:
    """Cause the accidents, and wait until the workers have ended; return how often the server was crashed."""
    kill_at = [options.trials // 4, 3 * options.trials // 4]
    crashed, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while any(worker.poll() is None for worker in seen.workers) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        try:
            trials = seen.look()
        except Exception as error:
            if type(error).__name__ == "UndefinedTable":  # No worker has come so far yet.
                continue
            raise
        done = sum(trial["state"] in _DONE for trial in trials)
        if kill_at and done >= kill_at[0] and seen.kill_one(trials):
            kill_at.pop(0)
        if not crashed and done >= options.trials // 2:
            seen.server.stop("immediate")
            time.sleep(options.down_s)
            seen.server.start()
            crashed += 1
    return crashed


def find_wrong(trials: Sequence[Json], killed: Sequence[int], *, wanted: int) -> list[str]:
    """List what is wrong with the trials in the database: lost, doubled, or failed without a reason.

    Args:
        trials: of each `number`, `state`, `params` and `repeats`, as `Round.look` lists them.
        killed: numbers of the trials in which a worker was killed.
        wanted: how many have to be done.
    """
    wrong = []
    done = [trial for trial in trials if trial["state"] in _DONE]
    if len(done) != wanted:
        wrong.append(f"{len(done)} trials are done, wanted {wanted}")
    if [trial["number"] for trial in trials] != list(range(len(trials))):
        wrong.append("the numbers of the trials are not 0, 1, 2 ...")
    twice = [params for params, count in Counter(trial["params"] for trial in done).items() if count > 1]
    wrong += [f"done twice: {params}" for params in twice]
    for trial in trials:
        repeated_by = [other for other in trials if other["repeats"] == trial["number"]]
        if trial["state"] not in (*_DONE, "FAIL"):
            wrong.append(f"trial {trial['number']} is left {trial['state']}")
        if trial["state"] == "FAIL" and trial["number"] not in killed:
            wrong.append(f"trial {trial['number']} was taken back from a worker that lives")
        if len(repeated_by) != (trial["state"] == "FAIL"):
            wrong.append(f"trial {trial['number']}, {trial['state']}, is repeated {len(repeated_by)} times")
        wrong += [
            f"trial {other['number']} repeats trial {trial['number']} with other parameters"
            for other in repeated_by
            if other["params"] != trial["params"]
        ]
    wrong += [f"trial {number} was killed and is done" for number in killed if trials[number] in done]
    return wrong


def find_wrong_words(outputs: Sequence[str], trials: Sequence[Json]) -> list[str]:
    """List what is wrong with the workers' output: a traceback, a password, a trial that two have done."""
    wrong = [f"a traceback: {text[-500:]}" for text in outputs if "Traceback" in text]
    wrong += ["the output shows the password" for text in outputs if PASSWORD in text]
    printed = Counter(int(number) for text in outputs for number in _PRINTED.findall(text))
    done = Counter(trial["number"] for trial in trials if trial["state"] in _DONE)
    if printed != done:
        wrong.append(f"printed as done {dict(printed - done)} too often, {dict(done - printed)} too rarely")
    return wrong


def _sweep_again(
    options: TeamOptions, server: postgres.Server, folder: Path, trials: Sequence[Json]
) -> list[str]:
    """Give the command once more: it finds nothing to do, and its report has every trial."""
    status = _start(options, server, folder, options.workers).wait()
    text = (folder / f"{options.workers}.txt").read_text(encoding="utf-8")
    reports = sorted(folder.glob("out-*/sweep.json"))
    wrong = [f"the report {path} shows the password" for path in reports if PASSWORD in path.read_text()]
    if status != 0 or _PRINTED.search(text):
        return [*wrong, f"the sweep was not done: status {status}, {text[-500:]}"]
    result: Any = read_json(folder / f"out-{options.workers}" / "sweep.json")
    numbers = [trial["number"] for trial in result["trials"]]
    return wrong if numbers == [trial["number"] for trial in trials] else [*wrong, "its report lacks trials"]


if __name__ == "__main__":
    sys.exit(main())
