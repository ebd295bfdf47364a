"""The crash campaign: a slice of it, and what its result has to be."""

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import bench
from benchmarks.reliability import crash, crash_points
from benchmarks.reliability.crash_points import POINTS, Point
from benchmarks.reliability.crash_runs import STEPS, VARIANTS
from fer_jax.files import read_json

SLICE = (
    *("--variants", "one seed", "--parts", "points", "random", "cycles"),
    *("--points", "in the write of split.npz", "--repeats", "1", "--kills", "1", "--cycles", "2"),
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
def test_a_few_runs_are_killed_and_lose_nothing(tmp_path: Path) -> None:
    """In a process of its own: this one may have started JAX, and a fork of it could not compute."""
    out = tmp_path / "crash.json"
    words = [sys.executable, "-m", "benchmarks.reliability.crash", *SLICE]
    words += ["--work", str(tmp_path / "work"), "--out", str(out)]
    done = subprocess.run(words, cwd=bench.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(out.read_text())
    assert content["failures"] == []
    kills = {row["part"]: row["kills"] for row in content["results"]}
    assert content["points"] == [{"point": "in the write of split.npz", "kills": 1}]
    assert kills == {"points": 1, "random": kills["random"], "cycles": 2}
    assert kills["random"] >= 1


def record(part: str, number: int, kills: list[Any], failures: list[str]) -> dict[str, Any]:
    own = {"kills": kills, "failures": failures, "seconds": 1.0, "missed": []}
    return {"part": part, "number": number, "variant": "one seed", **own}


def test_failures_are_seen() -> None:
    options = crash.Crash(parts=("points", "cycles"), points="split.npz", repeats=1, cycles=4)
    point = Point("write", "split.npz", "in")
    cycle = {"files": 10, "files_of_arrays": 20, "descriptors": 5, "threads": 3, "rss_kib": 1000, "step": 1}
    campaign = crash.Campaign(options)
    campaign.done = [
        record("points", 0, [{"point": list(point), "seconds": 1.0, "while_saving": False}], []),
        record("points", 1, [], ["hashes: a instead of b"]),
        record("cycles", 0, [cycle, cycle, cycle | {"files": 11}], []),
    ]
    assert crash.list_failures(campaign) == [
        "points 1, one seed: hashes: a instead of b",
        "only 0 kills before the write of split.npz",
        "only 0 kills before the move of split.npz",
        "only 0 kills after the move of split.npz",
        "files grow over the cycles: 10, then 11",
    ]


def test_a_point_that_no_run_comes_to_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    """It is aimed at after the others, and in a run that has been killed before."""
    options = crash.Crash(
        parts=("points",), points="split.npz", repeats=2, variants=("one seed",), work=tmp_path
    )
    campaign, trials = crash.Campaign(options), list[crash.Trial]()
    counts = campaign.place.reference("one seed") / "counts.json"
    counts.parent.mkdir(parents=True)
    counts.write_text("[]")
    never, *others = (point for point in POINTS if "split.npz" in str(point))
    tried: Counter[Point] = Counter()
    while (trial := crash._plan_points(campaign)) is not None:
        trials.append(trial)
        names = [point for point, _ in trial.points]
        kills = list(itertools.takewhile(never.__ne__, names))
        tried.update(kills)
        missed = [list(point) for point in names[len(kills) :][:1]]
        campaign.done.append(
            record("points", trial.number, [{"point": list(point)} for point in kills], [])
            | {"missed": missed}
        )
    assert all(tried[point] >= 2 for point in others)
    assert tried[never] == 0
    assert crash_points.EARLIER_KILL in trials[-1].points


def test_each_point_has_a_name_of_its_own() -> None:
    names = [str(point) for point in POINTS]
    assert len(set(names)) == len(names)


def test_thousands_of_kills_lost_nothing() -> None:
    content = read_json(bench.RESULTS / "reliability-crash.json")
    assert content["failures"] == []
    rows = content["results"]
    assert {(row["part"], row["kind"]) for row in rows if row["part"] != "cycles"} == {
        (part, kind) for part in ("steps", "points", "random") for kind in VARIANTS
    }
    steps = {row["kind"]: (row["runs"], row["kills"]) for row in rows if row["part"] == "steps"}
    assert steps["one seed"] == (STEPS + 1, STEPS + 1)
    assert all(runs == stopped >= 6 for runs, stopped in steps.values())
    assert {each["point"] for each in content["points"]} == {str(point) for point in POINTS}
    assert all(each["kills"] >= 10 for each in content["points"])
    at_random = [row for row in rows if row["part"] == "random"]
    kills = sum(row["kills"] for row in at_random)
    assert kills >= 1000
    assert sum(row["while_saving"] for row in at_random) >= 0.49 * kills
    assert content["cycles"]["count"] == 500
    assert "dirty" not in content["git"]
