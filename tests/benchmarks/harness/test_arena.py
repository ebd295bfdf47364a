"""The arena: turns, figures, workers that chatter or die."""

import doctest
import json
import sys
from pathlib import Path

import pytest

from benchmarks.harness import arena, bench, gemm
from benchmarks.harness.arena import Candidate, Result
from fer_jax.errors import RunError


def worker(name: str, code: str, **environment: str) -> Candidate:
    start = "import os, sys, time\nfrom benchmarks.harness.arena import serve\n"
    return Candidate(name, (sys.executable, "-c", start + code), environment)


def test_workers_take_turns_and_may_chatter(tmp_path: Path) -> None:
    # Each run leaves its name, so that the file shows the order.
    code = (
        "print('loading')\n"
        "log = open(os.environ['LOG'], 'ab', buffering=0)\n"
        "def run():\n"
        "    print('noise')\n"
        "    os.system('echo more noise')\n"
        "    log.write(os.environ['ME'].encode())\n"
        "serve({'compile_s': 0.5}, run, untimed_iterations=1, at_end=lambda: {'loss': 2.0})\n"
    )
    log = tmp_path / "log"
    candidates = [worker(name, code, LOG=str(log), ME=name) for name in "ab"]
    results = arena.compare(candidates, rounds=2, iterations=3)
    assert log.read_text() == ("aaaa" + "bbbb") * 2
    for result, name in zip(results, "ab", strict=True):
        assert result.name == name
        assert [len(samples) for samples in result.samples] == [3, 3]
        assert result.facts["compile_s"] == 0.5 and result.facts["loss"] == 2.0
        assert 5 < result.facts["peak_rss_mib"] < 200 and result.facts["start_s"] > 0


def test_a_sample_is_the_time_of_one_run() -> None:
    result = arena.compare([worker("a", "serve({}, lambda: time.sleep(0.05))")], rounds=1, iterations=3)[0]
    assert 0.05 <= arena.spread(result)["min"] <= arena.median_s(result) < 0.2


def test_the_peak_of_memory_is_the_workers_own() -> None:
    # The memory of this process, which starts the worker, must not count.
    ballast = bytearray(300 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    result = arena.compare([worker("a", "serve({}, lambda: None)")], rounds=1, iterations=1)[0]
    assert result.facts["peak_rss_mib"] < 200


@pytest.mark.parametrize("code", ["raise ValueError('no luck')", "serve({}, lambda: sys.exit('no luck'))"])
def test_a_worker_that_dies_is_one_message(code: str) -> None:
    with pytest.raises(RunError, match=r"'bad' ended with status 1; it printed:(?s:.)*no luck"):
        arena.compare([worker("good", "serve({}, int)"), worker("bad", code)], rounds=1, iterations=1)


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was three times slower in the second round: the ratio does not see it.
    slow, fast = Result("slow", {}, [[4.0, 4.0], [12.0]]), Result("fast", {}, [[2.0, 2.0], [6.0]])
    assert arena.ratios(fast, slow) == [2.0, 2.0]
    assert arena.median_s(slow) == 4.0
    assert arena.spread(Result("one", {}, [[1.0]])) == dict.fromkeys(("min", "q1", "median", "q3", "max"), 1)


def test_the_peak_is_the_best_librarys() -> None:
    facts = {"dtype": "float32", "size": 10}
    times = {"gemm jax float32": 2.0, "gemm torch float32": 1.0, "jax": 0.001}
    assert gemm.find_peaks([Result(name, facts, [[t]]) for name, t in times.items()]) == {"float32": 2000.0}


def test_the_gemm_worker_measures_and_a_file_is_written(tmp_path: Path) -> None:
    candidates = gemm.make_candidates(libraries=["jax"], dtypes=["float32"], size=64)
    results = arena.compare(candidates, rounds=1, iterations=2)
    assert gemm.find_peaks(results)["float32"] > 0
    out = tmp_path / "new" / "result.json"
    rows = [arena.to_row(result) for result in results]
    bench.write(out, question="q?", command="c", settings={"rounds": 1}, results=rows, extra={"peak": 1})
    content = json.loads(out.read_text())
    assert {"machine", "device", "git", "date", "question", "command", "settings", "peak"} <= set(content)
    assert "jax" in content["versions"] and "python" in content["versions"]
    assert len(content["results"][0]["samples_s"][0]) == 2


def test_the_examples_hold() -> None:
    assert doctest.testmod(arena).failed == 0
