import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import memory
from benchmarks.throughput import large_data, large_data_worker
from fer_jax.data.readers.cached import store
from fer_jax.errors import RunError
from fer_jax.files import write_array

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit of the memory is Linux's")


def run_here(job: large_data_worker.Job, limit: object) -> dict[str, Any]:
    return large_data_worker.run(job)


def test_every_way_takes_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "MOST_LOADED_BYTES", store.MOST_LOADED_BYTES)
    monkeypatch.setattr(large_data, "_run", run_here)
    monkeypatch.setattr(memory, "_list_own_groups", lambda: [])
    monkeypatch.setattr(large_data_worker, "WARM_STEPS", 1)
    monkeypatch.setattr(large_data, "WARM_STEPS", 1)
    out = tmp_path / "large.json"
    sizes = ("--examples", "105", "--small", "105", "--steps", "3", "--batch-size", "7", "--rounds", "1")
    ways = ("--candidates", "small-memory", "large-cold", "large-cold-around")
    assert large_data.main([*sizes, *ways, "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert [each["name"] for each in content["results"]] == list(ways[1:])
    in_memory, mapped, around = content["results"]
    assert content["settings"]["read_around_kib"] == memory.find_read_around_kib(tmp_path)
    assert around["input"]["batches_sha256"] == mapped["input"]["batches_sha256"] and "train" not in around
    for task, key in (("input", "batches_sha256"), ("train", "objective")):
        assert in_memory[task][key] == mapped[task][key]
    assert (in_memory["input"]["share_in_memory"], len(mapped["input"]["share_in_memory"])) == ([None], 1)
    lines = large_data.table(content).splitlines()
    assert all(line.startswith("| 105 ") for line in lines[2:5])


def test_other_batches_are_refused() -> None:
    one = {"is_large": True, "input": {"batches_sha256": ["a"]}, "train": {"objective": [1.0]}}
    other = one | {"train": {"objective": [1.5]}}
    large_data._check_same([one, one])
    with pytest.raises(RunError, match="objective differs"):
        large_data._check_same([one, other])


def test_the_limit_is_enforced() -> None:
    for size, is_allowed in ((10**8, True), (4 * 10**8, False)):
        words = [sys.executable, "-c", f"bytearray({size})"]
        limited = memory.limit_command(words, None, 2 * 10**8)
        done = subprocess.run(limited, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == is_allowed, done.stderr


def test_pages_are_dropped_and_found(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_array(path, np.ones(10**6, np.uint8))  # On the disk when it returns.
    large = np.load(path, mmap_mode="r")
    assert int(large.sum()) == 10**6
    assert memory.find_share_in_memory(large) == 1
    memory.drop_pages(large)
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    # A file system in memory has nowhere to drop them to.
    assert memory.find_share_in_memory(large) == (1 if kind in ("tmpfs", "ramfs") else 0)
