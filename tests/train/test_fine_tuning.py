"""Fine-tuning from end to end: a run that starts from another one, is taught, resumed and released."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_jax.files import read_json
from fer_jax.inference import run_weights
from fer_jax.release import __main__ as release
from fer_jax.runs import checkpoint
from fer_jax.train import __main__ as train
from fer_jax.verify import __main__ as verify

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_a_run_is_fine_tuned_resumed_without_its_ancestor_and_released(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ancestor, folder = tmp_path / "ancestor", tmp_path / "tuned"
    shutil.copytree(tiny_run, ancestor)
    old = run_weights.load(ancestor, None, None)
    words = ["--config", str(Path(__file__).parents[2] / "configs" / "run1.py")]
    words += ["--data.source", "synthetic", "--data.synthetic-examples", "140"]
    words += ["--model.blocks.0.features", "2", "--model.blocks.0.pool", "--model.dense-features", "4"]
    words += ["--train.batch-size", "16", "--train.epochs", "1", "--run-dir", str(folder)]
    words += ["--init.weights", str(ancestor), "--init.freeze-blocks", "1", "--init.rate-factor", "0.5"]
    words += ["--distill.teachers", str(tiny_run), "--train.max-examples", "48"]
    assert train.main(words) == 0
    assert "starts from ancestor (SHA-256 " in capsys.readouterr().out
    new = run_weights.load(folder, None, None)
    assert new.network.pixel_stats == old.network.pixel_stats
    params = [each.network.variables["params"] for each in (old, new)]
    for layer, is_same in (("block1/conv", True), ("dense", False)):
        first, *rest = layer.split("/")
        kernels = [each[first][rest[0]]["kernel"] if rest else each[first]["kernel"] for each in params]
        assert np.array_equal(*kernels) is is_same
    run = read_json(folder / "run.json")
    assert run["ancestor"]["run"] == "ancestor" and run["ancestor"]["training"]["data"]
    assert "starts from ancestor" in (folder / "report.md").read_text()
    last = checkpoint.read_meta(folder / "checkpoints" / "last")
    seen, hashes = np.unique(old.saved["train_hashes"]), new.saved["train_hashes"]
    assert np.array_equal(hashes[48:], seen) and run["ancestor"]["images"] == len(seen) > 48
    assert run["teachers"]["images"] == 0  # The ancestor has seen the same.

    shutil.rmtree(ancestor)
    assert train.main([*words, "--resume"]) == 0
    assert read_json(folder / "run.json")["ancestor"] == run["ancestor"]
    assert np.array_equal(run_weights.load(folder, None, None).saved["train_hashes"], hashes)
    assert checkpoint.read_meta(folder / "checkpoints" / "last")["pixel_mean"] == last["pixel_mean"]
    assert verify.main([str(folder)]) == 0

    assert release.main([str(folder), "--name", "mine", "--out", str(tmp_path)]) == 0
    card = read_json(tmp_path / "mine.json")
    assert card["training"]["ancestor"] == run["ancestor"]
    assert card["config"]["init"]["weights"] == "ancestor"
    # Both learnt the same drawn faces: their terms are said once.
    assert card["training"]["terms"].count("Faces drawn by fer_jax") == 1
