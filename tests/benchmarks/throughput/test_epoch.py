"""The epoch benchmark at tiny size: the programs it runs, the log it watches and the figures it takes."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

from benchmarks.harness import bench, timeline
from benchmarks.harness.timeline import Timeline
from benchmarks.pytorch.train import TorchTrain
from benchmarks.throughput import epoch, steps_alone
from fer_jax.config.files import load_config
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig, OptimizerConfig, TrainConfig
from fer_jax.data.examples import class_counts
from fer_jax.data.rows.subsets import eval_rows
from fer_jax.data.split import split_examples
from fer_jax.data.synthetic import draw_examples
from fer_jax.engine.input_pipeline import eval_batches, evaluate
from fer_jax.engine.losses import class_weights
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.schedule import make_schedule
from fer_jax.engine.state import init_state
from fer_jax.engine.step import make_eval_step
from fer_jax.errors import RunError
from fer_jax.files import read_json_lines
from fer_jax.images import standardise
from fer_jax.metrics import counts as metrics_counts
from fer_jax.models.cnn import make_model
from fer_jax.randomness import Stream, jax_key

pytestmark = pytest.mark.usefixtures("quick_compile")

NO_TORCH = "PyTorch is not there: pip install 'fer-jax[bench]'"
RECORD = '''"""Tiny."""

from fer_jax.config import AugmentConfig, Config, ConvBlock, ModelConfig, TrainConfig

config = Config(
    name="tiny",
    augment=AugmentConfig(rotate_probability=1.0, flip_probability=0.5),
    model=ModelConfig(blocks=(ConvBlock(features=4, pool=True),), dense_features=8),
    train=TrainConfig(batch_size=16, eval_batch_size=16, train_eval_examples=20),
)
'''


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(RECORD)
    return path


def test_programs_are_run_in_turns_and_written(config_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    has_torch = bench.is_installed("torch")
    words = f"--config {config_file} --examples 70 --rounds 1 --epochs 3 --workers 0 --out {out}"
    words += " --candidates jax torch-users"
    assert epoch.main(words.split()) == 0
    rows = {row["name"]: row for row in json.loads(out.read_text())["results"]}
    assert list(rows) == ["jax", *(["torch-users-0"] if has_torch else [])]
    for row in rows.values():
        # The first epoch is not among the samples.
        assert [len(samples) for samples in row["samples_s"]] == [2]
        assert row["facts"]["first_epoch_end_s"][0] > row["spread_s"]["max"]
        (log,) = row["facts"]["logs"]
        # 39 of 70 faces train, two batches of them an epoch.
        assert [record["step"] for record in log] == [2, 4, 6]
        assert all(record["val_loss"] < 3 for record in log)
    assert rows["jax"]["ours_is_faster"] is None
    if has_torch:
        assert len(rows["torch-users-0"]["ours_is_faster"]) == 1


@pytest.mark.parametrize("mode", ["host", "resident"])
def test_steps_alone_log_epochs(config_file: Path, tmp_path: Path, mode: str) -> None:
    words = f"--config {config_file} --data.source synthetic --data.synthetic-examples 70 --train.epochs 2"
    words += f" --device.mode {mode} --run-dir {tmp_path / 'run'}"
    assert steps_alone.main(words.split()) == 0
    records = read_json_lines(tmp_path / "run" / "log.jsonl")
    assert [record["epoch"] for record in records] == [1, 2]


def test_figures_are_taken_round_by_round() -> None:
    def run(*epoch_s: float) -> Timeline:
        ends_s = [5.0, *(5 + sum(epoch_s[:number]) for number in range(1, len(epoch_s) + 1))]
        return Timeline([{"epoch": 1}], ends_s, 20.0, None, [])

    runs = {
        "jax": [run(2, 2), run(4, 4)],
        "jax-bare": [run(1, 1), run(3, 3)],
        "jax-steps": [run(1.6), run(3.2)],
    }
    entries = [epoch.Entry(name, name, ["python", "a"]) for name in runs]
    rows = epoch.make_rows(entries, runs)
    assert rows[0]["samples_s"] == [[2.0, 2.0], [4.0, 4.0]]
    assert rows[0]["facts"]["first_epoch_end_s"] == [5.0, 5.0]
    assert epoch.summarise(rows) == {
        "share_of_the_epoch_that_is_augmentation": pytest.approx([0.5, 0.25]),
        "epoch_over_its_device_steps": pytest.approx([1.25, 1.25]),
    }


def test_each_number_of_workers_is_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda module: module != "cv2")
    monkeypatch.setattr(bench, "multiplies_bfloat16", lambda: True)
    console = Console(record=True)
    entries = epoch.list_entries(epoch.Epoch(workers=(0, 3)), console)
    assert [entry.name for entry in entries] == [
        *("jax", "jax-bare", "jax-steps", "torch-users-0", "torch-users-3")
    ]
    assert entries[-1].argv[-2:] == ["--workers", "3"]
    assert "torch-tuned" in console.export_text()


# The watch.

PROGRAM = """
import pathlib, sys, time
folders = [pathlib.Path(name) for name in sys.argv[2:]]
for folder in folders:
    folder.mkdir(parents=True)
for number in range(int(sys.argv[1])):
    time.sleep(0.2)
    for folder in folders:
        with (folder / "log.jsonl").open("a") as log:
            log.write('{"epoch": %d}\\n' % (number + 1))
        time.sleep(0.1)
"""


def test_an_epoch_lasts_from_line_to_line(tmp_path: Path) -> None:
    folders = [str(tmp_path / "seeds" / name) for name in ("seed0", "seed1")]
    run = timeline.watch([sys.executable, "-c", PROGRAM, "3", *folders], tmp_path / "seeds")
    assert run.records == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]
    # The first log's lines come at 0.2, 0.6 and 1.0 after the program's start, the second's 0.1 later; all of
    # them later on a busy machine. Until the second log is there, the first is counted alone.
    assert len(run.ends_s) == 3
    assert run.ends_s[0] >= 0.2 and run.ends_s[1] >= 0.7 and run.ends_s[2] >= 1.1
    assert run.epoch_s == [run.ends_s[1] - run.ends_s[0], run.ends_s[2] - run.ends_s[1]]
    assert run.ends_s[-1] <= run.total_s


def test_a_paused_machine_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As if paused: a look every 0.3 s, where 0.2 s is too long.
    monkeypatch.setattr(timeline, "POLL_SECONDS", 0.3)
    monkeypatch.setattr(timeline, "PAUSE_SECONDS", 0.2)
    run = timeline.watch([sys.executable, "-c", PROGRAM, "1", str(tmp_path / "run")], tmp_path / "run")
    assert run.pauses_s and min(run.pauses_s) > 0.2
    console = bench.make_console()
    timeline.warn_of_pauses([run], console)
    assert "the machine was paused" in capsys.readouterr().out
    timeline.warn_of_pauses([Timeline([], [1.0], 1.0, None, [])], console)
    assert not capsys.readouterr().out


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"(?s)status 3; it printed.*sorry"):
        timeline.watch([sys.executable, "-c", "print('sorry'); raise SystemExit(3)"], tmp_path)
    with pytest.raises(RunError, match="status 0"):
        timeline.watch([sys.executable, "-c", "pass"], tmp_path)


# The PyTorch script measures what ours measures.


def test_pytorch_measures_the_same_rows(config_file: Path) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.pytorch import epochs as torch_epochs
    from benchmarks.pytorch import nets as torch_nets

    config = load_config(config_file)
    examples = draw_examples(seed=0, examples=140)
    split = split_examples(examples, config.split)
    stats = standardise.measure(examples.images[split.train])
    model = make_model(config.model, config.device)
    state = init_state(jax_key(0, Stream.INIT), model, make_optimizer(config.optimizer))
    eval_step = make_eval_step(model, pixel_stats=stats)
    parts = {"train": eval_rows(split.train, config.train, seed=config.train.seed), "val": split.val}
    assert len(parts["train"]) == 20
    for form in ("users", "tuned"):
        style = torch_epochs.STYLES[form]
        net = torch_nets.Net(config.model, style)
        torch_nets.carry_over(net, *jax.tree.map(np.array, (state.params, state.batch_stats)))
        options = TorchTrain(config=config_file, settings=config, form=form)
        loaders = torch_epochs.make_loaders(config, examples, split, options, pin_memory=False)
        assert len(loaders.train) == len(split.train) // 16
        for name, rows in parts.items():
            counts = evaluate(
                eval_step, state.params, state.batch_stats, eval_batches(examples, rows, batch_size=16)
            )
            loss, accuracy = torch_epochs.evaluate(net, loaders.measured[name], style)
            assert loss == pytest.approx(metrics_counts.mean_loss(counts), rel=1e-4)
            assert accuracy == pytest.approx(metrics_counts.accuracy(counts))
        images, labels = next(iter(loaders.train))
        assert images.shape == (16, 1, 48, 48) and images.dtype == torch.float32
        x, _ = torch_epochs.to_device(images, labels, torch.device("cpu"), style)
        assert torch.equal(x, images)
        assert (x.stride(1) == 1) == style.channels_last


@pytest.mark.parametrize("weights", ["none", "sqrt", "balanced"])
def test_pytorch_weighs_the_classes_alike(weights: Any) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.pytorch import epochs as torch_epochs

    config, labels = LossConfig(class_weights=weights), np.array([0, 1, 1, 3, 3, 3])
    wanted = class_weights(config, class_counts(labels))
    np.testing.assert_array_equal(torch_epochs.class_weights(config, labels), wanted)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "trapezoid"])
def test_pytorch_has_the_same_rates(schedule: Any) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from benchmarks.pytorch import epochs as torch_epochs

    optimizer = OptimizerConfig(schedule=schedule, warmup_epochs=1, decay_epochs=2, peak_rate=0.5)
    config = Config(name="a", optimizer=optimizer, train=TrainConfig(epochs=6))
    wanted = make_schedule(optimizer, steps_per_epoch=5, epochs=6)
    factor = torch_epochs.make_rate_factor(config, 5)
    rates = [0.5 * factor(step) for step in range(30)]
    np.testing.assert_allclose(rates, [float(wanted(step)) for step in range(30)], rtol=1e-5)


def test_bfloat16_is_left_out_where_the_processor_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "is_installed", lambda module: True)
    monkeypatch.setattr(bench, "multiplies_bfloat16", lambda: False)
    names = {entry.name for entry in epoch.list_entries(epoch.Epoch(workers=(0,)), Console())}
    assert "torch-tuned-0" in names and "torch-tuned-bf16-0" not in names
    asked_for = epoch.Epoch(workers=(0,), candidates=("torch-tuned-bf16",))
    assert [entry.name for entry in epoch.list_entries(asked_for, Console())] == ["torch-tuned-bf16-0"]
