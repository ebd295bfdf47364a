"""Is anything lost when a run is killed? Kill runs at every step, at named points and at random times.

    python -m benchmarks.reliability.crash                      # about an hour on two cores
    python -m benchmarks.reliability.crash --parts points       # one part of it

A tiny network is trained on synthetic faces: one seed, two seeds together, with an average of the weights, by
distillation, with the data on the device, with the best epoch selected, and saved every second epoch.

- steps: stopped by SIGTERM after every step of a run of 40 steps and 4 epochs;
- points: SIGKILL before, in and after each write, move and deletion, in training, evaluation, logging,
  compilation and in the writing of the compile cache, several times a run;
- random: SIGKILL at random times, half of them while a checkpoint is saved, one to five a run;
- cycles: one run killed and resumed hundreds of times, whose files, descriptors and memory are counted.

Every run is started again by the same command, with `--resume` where there is a run.json, until it is done.
Then its last state, its log, its figures and the names of its files have to be those of a run that was never
killed. What is done is kept in `--work`: the same command goes on where it was stopped. The result is
benchmarks/results/reliability-crash.json; run folders of failures stay in `--work`.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from rich.console import Console

from benchmarks.harness import bench
from benchmarks.reliability import crash_points, crash_runs
from benchmarks.reliability.crash_points import COLD_POINTS, POINTS, WARM_POINTS, Point, choose_delay
from benchmarks.reliability.crash_runs import STEPS, VARIANTS, Aim, Ending, draw_for
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, json_line, read_json
from fer_jax.runtime import machine
from fer_jax.text import counted

PROGRAM: Final = "python -m benchmarks.reliability.crash"
Part = Literal["steps", "points", "random", "cycles"]
MAX_KILLS: Final = 5
SAVE_SECONDS: Final = 0.1
"""About how long a save takes; a kill in a save that takes less time comes in the next one."""
RECENT: Final = 20
"""So many runs tell how long one takes at present."""
CHUNK_CYCLES: Final = 25
CYCLE_OPTIONS: Final = "--train.epochs {epochs} --train.max-examples 28"
POLL_SECONDS: Final = 0.02
PROGRESS_SECONDS: Final = 30.0
TOLERANCES: Final = {"files": 0, "files_of_arrays": 2, "descriptors": 0, "threads": 2, "rss_kib": 8192}
"""What is counted in each cycle, and how much more of it is no growth: Orbax chooses how many files hold the
arrays, and threads and memory of a process differ from one start to the next."""


@dataclass(frozen=True, kw_only=True)
class Crash:
    """Kill and resume training runs, and check that each ends as one that was never killed."""

    parts: tuple[Part, ...] = get_args(Part)
    """What to do."""
    repeats: int = 10
    """Kills at each named point."""
    kills: int = 1000
    """Kills at random times."""
    cycles: int = 500
    """Kills of the one run that is killed again and again."""
    stops: int = 6
    """Of each kind of run, how many steps are stopped at, evenly spread; the first kind is stopped at all."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Kinds of runs."""
    points: str = ""
    """Only named points with this in their name."""
    seed: int = 0
    """Seed of the random times."""
    workers: int = 2
    """Runs at a time."""
    work: Path = Path("runs/reliability-crash")
    """Folder of the runs and of what is done so far."""
    out: Path = bench.RESULTS / "reliability-crash.json"
    """The JSON to write."""


class Trial(NamedTuple):
    """One run to kill; of the cycles, some of them.

    Attributes:
        part: of the campaign.
        number: within the part.
        variant: kind of run.
        points: where to kill it, with the occurrence; of the part `points`.
        seconds: about how long a whole run takes at present.
        save_share: how many of its kills are aimed at a save.
        is_cold: its compile cache is empty at first.
    """

    part: Part
    number: int
    variant: str
    points: tuple[tuple[Point, int], ...] = ()
    is_cold: bool = False
    seconds: float = 0.0
    save_share: float = 0.0

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.part}-{self.number}"


@dataclass
class Campaign:
    """What is done and what is to do.

    Attributes:
        options: of the campaign.
        done: a record for each finished trial.
        busy: trials that are being made.
    """

    options: Crash
    done: list[Json] = field(default_factory=list)
    busy: list[Trial] = field(default_factory=list)

    @property
    def place(self) -> crash_runs.Place:
        """Where it works."""
        return crash_runs.Place(self.options.work.resolve())

    @property
    def state(self) -> Path:
        """The file with a line for each finished trial."""
        return self.place.home / "state.jsonl"

    def of(self, part: Part) -> list[Json]:
        """List the records of a part."""
        return [record for record in self.done if record["part"] == part]

    def numbers(self, part: Part) -> set[int]:
        """List the trials of a part that are done or being made."""
        return {r["number"] for r in self.of(part)} | {t.number for t in self.busy if t.part == part}

    def point_counts(self) -> Counter[Point]:
        """Count the kills at each point."""
        return Counter(
            Point(*kill["point"])
            for record in self.of("points")
            for kill in record["kills"]
            if "point" in kill
        )

    def missed_points(self) -> Counter[Point]:
        """Count for each point the runs that were to be killed there and did not come to it."""
        return Counter(Point(*point) for record in self.of("points") for point in record["missed"])

    def random_kills(self) -> int:
        """Count the kills at random times."""
        return sum(len(record["kills"]) for record in self.of("random"))


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, run the campaign, and return the exit status; 1 where something was lost."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return cli.run(lambda: _run(cli.parse(Crash, argv, prog=PROGRAM), argv))


def _run(options: Crash, argv: Sequence[str]) -> int:
    if not hasattr(os, "fork"):
        raise ConfigError("this system has no fork, which the campaign needs; run it on Linux")
    if unknown := sorted(set(options.variants) - VARIANTS.keys()):
        raise ConfigError(f"--variants has {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    console = bench.make_console(width=200)
    campaign = Campaign(options)
    _load(campaign)
    crash_runs.prepare()
    different = crash_runs.make_references(campaign.place, list(options.variants), console)
    with multiprocessing.get_context("fork").Pool(options.workers, _begin_worker) as pool:
        _work(campaign, pool, console)
    rows, failures = summarise(campaign), different + list_failures(campaign)
    bench.write(
        options.out,
        question="Is anything lost when a run is killed and resumed?",
        command=bench.to_command(PROGRAM, argv),
        settings={
            **{"parts": options.parts, "variants": options.variants, "seed": options.seed},
            **{"steps": STEPS, "epochs": crash_runs.EPOCHS, "workers": options.workers},
        },
        results=rows,
        extra={"failures": failures, "points": _list_points(campaign), "cycles": _list_cycles(campaign)},
    )
    for row in rows:
        console.print(", ".join(f"{name} {value}" for name, value in row.items()))
    console.print(f"{counted(len(failures), 'failure')}; written to {options.out}")
    for failure in failures:
        console.print(failure, style="red")
    return 1 if failures else 0


def _load(campaign: Campaign) -> None:
    """Read what is done, or begin the file.

    Raises:
        RunError: it is of another commit or seed.
    """
    header = {"git": machine.git_commit(), "seed": campaign.options.seed}
    if not campaign.state.exists():
        campaign.place.home.mkdir(parents=True, exist_ok=True)
        campaign.state.write_text(json_line(header))
    lines = campaign.state.read_text().splitlines(keepends=True)
    first, *rest = [json.loads(line) for line in lines if line.endswith("\n")]
    if first != header:
        raise RunError(
            f"{campaign.state} is of {first}, and this is {header}; delete its folder, or name another --work"
        )
    campaign.done = rest


def _begin_worker() -> None:
    crash_runs.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _work(campaign: Campaign, pool: Pool, console: Console) -> None:
    """Make all trials, as many at a time as there are workers."""
    results: list[tuple[Trial, AsyncResult[Json]]] = []
    shown = time.monotonic()
    with campaign.state.open("a") as state:
        while True:
            while len(results) < campaign.options.workers and (trial := _plan(campaign)) is not None:
                campaign.busy.append(trial)
                results.append((trial, pool.apply_async(_make, (campaign.place, campaign.options, trial))))
            if not results:
                return
            time.sleep(POLL_SECONDS)
            for trial, result in [each for each in results if each[1].ready()]:
                results.remove((trial, result))
                campaign.busy.remove(trial)
                record = result.get()
                campaign.done.append(record)
                state.write(json_line(record))
                state.flush()
                for failure in record["failures"]:
                    console.print(f"{trial.name}, {trial.variant}: {failure}", style="red")
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                console.print(_describe_progress(campaign))


def _describe_progress(campaign: Campaign) -> str:
    counts = campaign.point_counts()
    due = sum(min(counts[point], campaign.options.repeats) for point in _points(campaign.options))
    cycles = sum(len(record["kills"]) for record in campaign.of("cycles"))
    return (
        f"{len(campaign.of('steps'))} stops, {sum(counts.values())} kills at points ({due} of "
        f"{campaign.options.repeats * len(_points(campaign.options))} wanted), {campaign.random_kills()} at "
        f"random times, {cycles} cycles; "
        f"{counted(sum(len(record['failures']) for record in campaign.done), 'failure')}"
    )


# What to do next.


def _plan(campaign: Campaign) -> Trial | None:
    """Choose the next trial; None: nothing is left to begin."""
    options, numbers = campaign.options, campaign.numbers
    if "cycles" in options.parts and not any(trial.part == "cycles" for trial in campaign.busy):
        done = sum(len(record["kills"]) for record in campaign.of("cycles"))
        is_failed = any(record["failures"] for record in campaign.of("cycles"))
        if done < options.cycles and not is_failed:
            return Trial("cycles", len(campaign.of("cycles")), "one seed")
    if "steps" in options.parts:
        for number, (variant, _) in enumerate(_stops(options)):
            if number not in numbers("steps"):
                return Trial("steps", number, variant)
    if "points" in options.parts and (trial := _plan_points(campaign)) is not None:
        return trial
    begun = sum(trial.part == "random" for trial in campaign.busy)
    if "random" in options.parts and campaign.random_kills() + begun < options.kills:
        number = max(numbers("random"), default=-1) + 1
        variant = options.variants[number % len(options.variants)]
        seconds, share = _estimate_seconds(campaign, variant), _choose_share(campaign)
        return Trial("random", number, variant, seconds=seconds, save_share=share)
    return None


def _estimate_seconds(campaign: Campaign, variant: str) -> float:
    """Estimate how long a run takes that is not killed: others may be using the machine."""
    recent = [record["last_seconds"] for record in campaign.of("random")[-RECENT:]]
    if len(recent) == RECENT:
        return statistics.median(recent)
    seconds: float = read_json(campaign.place.reference(variant) / "seconds.json")
    return seconds


def _choose_share(campaign: Campaign) -> float:
    """Choose how many kills are aimed at a save: not all hit one, and half of all kills have to."""
    kills = [kill["while_saving"] for record in campaign.of("random") for kill in record["kills"]]
    return 0.5 if kills and sum(kills) >= len(kills) / 2 else 0.8


def _stops(options: Crash) -> list[tuple[str, int]]:
    """List the kinds of runs and after how many steps each is stopped."""
    last, (first, *others) = max(options.stops - 1, 1), options.variants
    steps = sorted({round(number * STEPS / last) for number in range(options.stops)})
    all_of_first = [(first, step) for step in (range(STEPS + 1) if options.stops else ())]
    return [*all_of_first, *((variant, step) for variant in others for step in steps)]


def _points(options: Crash) -> list[Point]:
    return [point for point in POINTS if options.points in str(point)]


def _plan_points(campaign: Campaign) -> Trial | None:
    """Plan a run that is killed at the points that have been tried least."""
    options, number = campaign.options, max(campaign.numbers("points"), default=-1) + 1
    variant, draws = options.variants[number % len(options.variants)], draw_for(options.seed, "plan", number)
    counts, missed = campaign.point_counts(), campaign.missed_points()
    counts.update(point for trial in campaign.busy for point, _ in trial.points)
    wanted = [point for point in _points(options) if counts[point] < options.repeats]
    if not wanted or number > 2 * options.repeats * len(_points(options)):
        return None
    is_cold = wanted[0] in COLD_POINTS if draws.random() < 0.5 else wanted[-1] in COLD_POINTS
    wanted = [point for point in wanted if point in (COLD_POINTS if is_cold else WARM_POINTS)]
    # A point that runs do not come to must not keep the others waiting.
    wanted.sort(key=lambda point: (counts[point] + missed[point], draws.random()))
    if wanted[0] in crash_points.LEFTOVER_POINTS:
        # The first kill leaves the unfinished checkpoint that is deleted by the next save.
        points = [point for point in crash_points.LEFTOVER_POINTS if point in wanted]
        chosen = ((point, 1) for point in (crash_points.LEAVING_POINT, *points))
        return Trial("points", number, variant, tuple(chosen))
    wanted = [point for point in wanted if point not in crash_points.LEFTOVER_POINTS]
    # The next kind of run that comes to the point; to some points only one comes.
    later = number % len(options.variants)
    counted = {
        each: crash_runs.count_points(campaign.place, each)
        for each in (*options.variants[later:], *options.variants[:later])
    }
    variant = next((each for each, there in counted.items() if wanted[0] in there), variant)
    reached = counted[variant]
    # In the order in which a run comes to them: one killed late comes to few again. Those that only a
    # resumed run comes to are tried second.
    order = {point: number for number, point in enumerate(reached)}
    first, *rest = sorted(wanted[:MAX_KILLS], key=lambda point: order.get(point, len(order)))
    rest.sort(key=lambda point: order.get(point, 0))
    if missed[first]:
        # Perhaps a run comes there only when it is resumed with some epochs behind it.
        after = ((point, 1) for point in (first, *rest))
        return Trial("points", number, variant, (crash_points.EARLIER_KILL, *after), is_cold)
    occurrence = draws.randint(1, reached.get(first, 1))
    return Trial("points", number, variant, ((first, occurrence), *((point, 1) for point in rest)), is_cold)


# One trial, in a worker.


def _make(place: crash_runs.Place, options: Crash, trial: Trial) -> Json:
    begun = time.perf_counter()
    draws = draw_for(options.seed, trial.part, trial.number)
    last: Ending | None = None
    if trial.part == "cycles":
        kills, failures = _cycle(place, options, trial)
    else:
        if trial.part == "steps":
            aims = iter([Aim(stop_step=_stops(options)[trial.number][1])])
        else:
            is_named = trial.part == "points"
            aims = _aim_at_points(draws, trial) if is_named else _aim_at_random(draws, trial)
        kills, failures, last = _kill_and_finish(place, trial, aims)
    return {
        **{"part": trial.part, "number": trial.number, "variant": trial.variant},
        **{"kills": kills, "failures": failures, "seconds": round(time.perf_counter() - begun, 3)},
        "last_seconds": round(last.seconds, 3) if last else None,
        # The run ends where it does not come to the next point.
        "missed": [list(point) for point, _ in trial.points[len(kills) :][:1]],
    }


def _aim_at_points(draws: random.Random, trial: Trial) -> Iterator[Aim]:
    for point, occurrence in trial.points:
        is_timed = point.kind == "call" and point.moment == "in"
        delay = choose_delay(draws, point) if is_timed else None
        yield Aim(point=point, occurrence=occurrence, draw=draws.random(), after_seconds=delay)


def _aim_at_random(draws: random.Random, trial: Trial) -> Iterator[Aim]:
    for _ in range(draws.randint(1, MAX_KILLS)):
        if draws.random() < trial.save_share:
            occurrence, delay = draws.choice((1, 1, 2, 3)), draws.uniform(0, SAVE_SECONDS)
            yield Aim(in_save=True, occurrence=occurrence, after_seconds=delay)
        else:
            yield Aim(after_seconds=draws.uniform(0, trial.seconds))


def _kill_and_finish(
    place: crash_runs.Place, trial: Trial, aims: Iterator[Aim]
) -> tuple[list[Json], list[str], Ending]:
    """Kill a run as aimed, let it finish, and compare it; return the kills, what is wrong and its end."""
    home = place.home / "trials" / trial.name
    shutil.rmtree(home, ignore_errors=True)
    run, log, cache = home / "run", home / "log", home / "cache" if trial.is_cold else place.cache
    words, kills = place.words(trial.variant, run), list[Json]()
    for aim in (*aims, *([Aim()] * 2)):
        ending = crash_runs.start(crash_runs.resume_words(words, run), log, cache, aim)
        if ending.is_killed:
            kills.append(_describe_kill(aim, ending))
        elif ending.status == 0:
            break
        elif ending.status == 128 + signal.SIGTERM and aim.stop_step is not None:
            meta = read_json(run / ("seed0" if "two" in trial.variant else "") / "checkpoints/last/meta.json")
            kills.append({"stopped_after": aim.stop_step, "step": meta["step"]})
        else:
            return kills, [f"ended with status {ending.status}; see {log}"], ending
    failures = crash_runs.find_differences(run, place.reference(trial.variant))
    if "error" in (printed := log.read_text(errors="replace")).lower() or "Warning" in printed:
        failures.append(f"an error or a warning was printed; see {log}")
    if trial.part == "steps" and not any("stopped_after" in kill for kill in kills):
        failures.append("it was not stopped")
    if not failures:
        shutil.rmtree(home)
    return kills, [f"{failure}; see {home}" for failure in failures], ending


def _describe_kill(aim: Aim, ending: Ending) -> Json:
    common = {"seconds": round(ending.seconds, 3), "while_saving": ending.is_saving}
    if aim.point is not None:
        return {"point": list(aim.point), "occurrence": aim.occurrence, **common}
    return {"aimed_at_a_save": aim.in_save, **common}


def _cycle(place: crash_runs.Place, options: Crash, trial: Trial) -> tuple[list[Json], list[str]]:
    """Kill and resume one run some more times; it trains one epoch each time."""
    home, kills = place.home / "cycles", list[Json]()
    done = trial.number * CHUNK_CYCLES
    if not done:
        shutil.rmtree(home, ignore_errors=True)
    # Two seeds of epochs are left: the run never ends.
    more = CYCLE_OPTIONS.format(epochs=2 * options.cycles + 4 * CHUNK_CYCLES).split()
    words = place.words(trial.variant, home / "run", *more)
    for number in range(done, min(done + CHUNK_CYCLES, options.cycles)):
        ending = crash_runs.start(
            crash_runs.resume_words(words, home / "run"), home / "log", place.cache, Aim(is_held=True)
        )
        if not ending.is_killed or not ending.held:
            return kills, [f"cycle {number} ended with status {ending.status}; see {home / 'log'}"]
        everything = sum(path.is_file() for path in (home / "run").rglob("*"))
        files = len(crash_runs.list_files(home / "run"))
        step = read_json(home / "run" / "checkpoints" / "last" / "meta.json")["step"]
        kills.append({**ending.held, "files": files, "files_of_arrays": everything - files, "step": step})
    return kills, []


# The result.


def summarise(campaign: Campaign) -> list[Json]:
    """Count runs, kills and failures of each part and kind of run."""
    rows = []
    for part in campaign.options.parts:
        for variant in campaign.options.variants:
            own = [record for record in campaign.of(part) if record["variant"] == variant]
            if own:
                kills = [kill for record in own for kill in record["kills"]]
                rows.append(
                    {
                        **{"part": part, "kind": variant, "runs": 1 if part == "cycles" else len(own)},
                        "kills": len(kills),
                        "while_saving": sum(kill.get("while_saving", False) for kill in kills),
                        "failed": sum(bool(record["failures"]) for record in own),
                    }
                )
    return rows


def _list_points(campaign: Campaign) -> list[Json]:
    counts = campaign.point_counts()
    return [{"point": str(point), "kills": counts[point]} for point in _points(campaign.options)]


def _list_cycles(campaign: Campaign) -> Json:
    """Give what is measured in each cycle: the first, the last, the least and the most."""
    cycles = [kill for record in campaign.of("cycles") for kill in record["kills"]]
    if len(cycles) < 3:
        return {}
    series = {name: [cycle[name] for cycle in cycles[1:]] for name in TOLERANCES}
    return {"count": len(cycles)} | {
        name: {
            **{"first": all_of[0], "last": all_of[-1], "least": min(all_of), "most": max(all_of)},
            "median_of_first_half": statistics.median(all_of[: len(all_of) // 2]),
            "median_of_second_half": statistics.median(all_of[len(all_of) // 2 :]),
        }
        for name, all_of in series.items()
    }


def list_failures(campaign: Campaign) -> list[str]:
    """List what must not be in a result."""
    failures = [
        f"{record['part']} {record['number']}, {record['variant']}: {failure}"
        for record in campaign.done
        for failure in record["failures"]
    ]
    if "points" in campaign.options.parts:
        failures += [
            f"only {each['kills']} kills {each['point']}"
            for each in _list_points(campaign)
            if each["kills"] < campaign.options.repeats
        ]
    cycles = [kill for record in campaign.of("cycles") for kill in record["kills"]]
    return failures + _find_growth(cycles[1:])


def _find_growth(cycles: list[Json]) -> list[str]:
    """Say what grows from the first half of the cycles to the second: the median of each."""
    half, found = len(cycles) // 2, []
    for name, tolerance in TOLERANCES.items() if half else ():
        values = [cycle[name] for cycle in cycles]
        before, after = statistics.median(values[:half]), statistics.median(values[half:])
        if after > before + tolerance:
            found.append(f"{name} grow over the cycles: {before:g}, then {after:g}")
    return found


if __name__ == "__main__":
    sys.exit(main())
