"""The campaign of several processes; `tests/parallel` and `tests/train` have the processes themselves."""

import pytest

from benchmarks.harness import bench
from fer_jax.files import read_json

EARLY = 1e-4
"""A difference of losses after one epoch that rounding may make, as it does for one process."""


@pytest.mark.parametrize("launcher", ["localhost", "mpirun", "srun"])
def test_the_published_campaign_is_complete(launcher: str) -> None:
    content = read_json(bench.RESULTS / f"reliability-parallel-{launcher}.json")
    results = content["results"]
    assert "dirty" not in content["git"] and content["settings"]["launcher"] == launcher
    assert [each["processes"] for each in results] == [1, 2, 4, 1, 1]
    assert all(each["difference_by_epoch"][0] < EARLY for each in results[:-1])
    assert results[-1]["difference_by_epoch"][0] > EARLY, "another seed has to be another training"
    epochs = results[0]["epochs"]
    assert len(epochs) == content["settings"]["epochs"]
    assert epochs[-1]["val_loss"] < 0.9 * epochs[0]["val_loss"], "it has to learn"
    assert [(each["processes"], each["killed"]) for each in content["kills"]] == [(2, 1), (2, 0), (4, 3)]
    assert not any(each["problems"] for each in (*content["kills"], content["resumed"]))
