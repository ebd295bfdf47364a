"""Steps in turns, and what becomes of a candidate that cannot take one."""

import numpy as np
import pytest

from benchmarks.gpu import epochs, steps
from benchmarks.harness import bench
from benchmarks.throughput import step_worker
from benchmarks.throughput.step_worker import Job, Loop
from fer_jax.config.files import load_config
from fer_jax.config.run import Config

CONFIG = Config(name="any")


def test_a_candidate_that_fails_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_loop(job: Job) -> Loop:
        def run() -> float:
            if job.name == "torch-compile-bf16":
                raise RuntimeError("no C++ compiler")
            return 1.0

        return Loop(run, float, "none", lambda: None, lambda: None)

    monkeypatch.setattr(step_worker, "make_loop", make_loop)
    jobs = [("ours", "jax-bf16", CONFIG), ("compiled", "torch-compile-bf16", CONFIG)]
    rows, problems = steps.take_turns([*jobs, ("theirs", "torch-bf16", CONFIG)], rounds=2)
    assert [row["name"] for row in rows] == ["ours", "theirs"]
    assert np.shape(rows[0]["ratios"]["theirs"]) == (2,)
    assert problems == ["compiled: RuntimeError: no C++ compiler"]


def test_both_libraries_take_the_step_with_sgd() -> None:
    config = epochs.with_sgd(load_config(bench.ROOT / "configs" / "best.py"))
    assert config.optimizer.name == "sgd" and not config.optimizer.weight_decay
    assert config.optimizer.l2 == epochs.SGD.weight_decay
