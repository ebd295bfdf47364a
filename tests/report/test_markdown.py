"""The text of a run: lines, tables and `report.md`, against text written by hand."""

from pathlib import Path
from typing import Any

import pytest

from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.metrics.history import best_epoch_note
from fer_jax.report import seeds
from fer_jax.report.markdown import confusion_table, epoch_line, layer_table, metrics_table, render
from fer_jax.report.story import Story, describe_gap

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def make_metrics(*, correct: int, total: int) -> dict[str, Any]:
    per_class: list[dict[str, Any]] = [
        {"label": label, "precision": 0.5, "recall": 0.25, "f1": 1 / 3, "count": 1200, "predicted": 600}
        for label in LABELS
    ]
    per_class[1] = {"label": "disgust", "precision": 0.0, "recall": None, "f1": 0.0} | {
        "count": 0,
        "predicted": 3,
    }
    return {
        "correct": correct,
        "total": total,
        "accuracy": correct / total,
        "accuracy_low": 0.4,
        "accuracy_high": 0.6,
        "balanced_accuracy": 0.25,
        "macro_f1": 0.3,
        "loss": 1.23456,
        "per_class": per_class,
        "confusion": [[0] * 7] * 7,
    }


def make_record(**changes: Any) -> dict[str, Any]:
    record = {"epoch": 7, "step": 70, "rate": 0.0012, "objective": 1.5, "train_loss": 1.25} | {
        "train_accuracy": 0.512,
        "val_loss": 1.4,
        "val_accuracy": 0.471,
        "seconds": 24.84,
        "images_per_second": 812.4,
        "is_best": False,
    }
    return record | changes


def make_run(*, is_synthetic: bool) -> dict[str, Any]:
    return {
        "command": "python -m fer_jax.train --config configs/run7.py",
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T04:06:10+00:00",
        "seed": 3,
        "versions": {"jax": "0.10.2", "numpy": "2.4"},
        "device": "cpu",
        "machine": "a | b, 2 cores",
        "data": {"description": "some faces", "sha256": "da7a", "is_synthetic": is_synthetic},
        "split": {
            "sha256": "5p117",
            "sizes": {"train": 20097, "val": 4306, "test": 4306},
            "copies_of_training_images": {"val": 0, "test": 2},
        },
        "git": "0123abc",
        "parameters": 1234567,
        "macs": 98765432,
        "layers": [["block1/conv", [48, 48, 32], 320, 663552], ["block1/norm", [48, 48, 32], 64, 0]],
        "seconds_total": 3725.0,
        "seconds_per_epoch": 30.25,
        "measured_epoch": 7,
        "selection": "the best on the validation images",
    }


def make_report(*, is_synthetic: bool) -> str:
    config = Config(
        name="run7",
        model=ModelConfig(blocks=(ConvBlock(), ConvBlock(features=64))),
        optimizer=OptimizerConfig(peak_rate=0.01),
    )
    story = Story(
        folder=Path("runs/run7-seed3"),
        config=config,
        run=make_run(is_synthetic=is_synthetic),
        metrics={
            "train": make_metrics(correct=900, total=1000),
            "val": make_metrics(correct=1002, total=2000),
            "test": make_metrics(correct=500, total=2000),
        },
        history=[make_record(is_best=True), make_record(epoch=8)],
        evaluations={},
        stems={},
        sheets={},
        diagnosis=None,
    )
    return render(story)


def test_epoch_line() -> None:
    assert epoch_line(make_record(is_best=True), epochs=40) == (
        "epoch  7/40  objective  1.500  train  1.250  51.2 %  val  1.400  47.1 %"
        "  rate 1.2e-03     812 img/s    24.8 s  best"
    )


def test_epoch_lines_stand_in_columns() -> None:
    early = epoch_line(make_record(epoch=1, objective=12.5, train_accuracy=0.05), epochs=100)
    late = epoch_line(make_record(epoch=100, train_accuracy=1.0, seconds=100.0), epochs=100)
    assert len(early) == len(late)
    assert early.index("val") == late.index("val")


def test_the_line_of_an_epoch_that_was_not_measured_has_the_same_columns() -> None:
    record = make_record()
    unmeasured = {name: value for name, value in record.items() if name[:3] not in ("val", "tra")}
    whole, line = (epoch_line(each, epochs=10) for each in (record, unmeasured))
    assert len(line) == len(whole) and line.split("  rate")[1] == whole.split("  rate")[1]
    assert "val" not in line
    every, some = ([each] * 2 for each in (record, unmeasured))
    assert len(seeds.epoch_line(some, epochs=10)) == len(seeds.epoch_line(every, epochs=10))


def test_metrics_table() -> None:
    assert metrics_table(make_metrics(correct=1001, total=2000)).splitlines() == [
        "accuracy           50.05 %   1,001 of 2,000, 95 % interval 40.00 – 60.00",
        "balanced accuracy  25.00 %",
        "macro F1           30.00 %",
        "loss                1.2346 nats",
        "",
        "class     precision   recall       F1  count  predicted",
        "angry       50.00 %  25.00 %  33.33 %  1,200        600",
        "disgust      0.00 %        –   0.00 %      0          3",
        "fear        50.00 %  25.00 %  33.33 %  1,200        600",
        "happy       50.00 %  25.00 %  33.33 %  1,200        600",
        "sad         50.00 %  25.00 %  33.33 %  1,200        600",
        "surprise    50.00 %  25.00 %  33.33 %  1,200        600",
        "neutral     50.00 %  25.00 %  33.33 %  1,200        600",
    ]


def test_confusion_table_has_the_true_class_on_the_rows() -> None:
    confusion = [[0] * 7 for _ in range(7)]
    confusion[2][5] = 12345
    assert confusion_table(make_metrics(correct=1, total=2) | {"confusion": confusion}).splitlines()[:4] == [
        "true \\ predicted  angry  disgust  fear  happy  sad  surprise  neutral",
        "angry                 0        0     0      0    0         0        0",
        "disgust               0        0     0      0    0         0        0",
        "fear                  0        0     0      0    0    12,345        0",
    ]


def test_report_has_the_figures() -> None:
    report = make_report(is_synthetic=False)
    assert "| val | **50.10 %** | 40.00 – 60.00 | 1,002 / 2,000 | 25.00 % | 30.00 % | 1.2346 |" in report
    assert "| test | **25.00 %** | 40.00 – 60.00 | 500 / 2,000 |" in report
    assert report.startswith("# run7, seed 3\n")
    assert (
        "The gap train − val is +39.9 points, 95 % interval +36.9 to +42.7: what the network knows" in report
    )
    assert "epoch 7 of 2: the best on the validation images" in report
    assert "| disgust | 0.00 % | – | 0.00 % | 0 | 3 |" in report
    assert "| training | 1 h 2 min; 30.2 s per epoch (median) |" in report
    assert "| finished | 2026-01-02 04:06 UTC |" in report
    assert "| block1/conv | 48 × 48 × 32 | 320 | 663,552 |" in report
    assert "Exact copies of training images: 0 in val, 2 in test. Such images are not a fair test." in report
    assert "| disgust | 0 | 0 | 0 | 0.0 % |" in report
    assert "| machine | a \\| b, 2 cores |" in report
    assert "git checkout 0123abc\npython -m fer_jax.train --config configs/run7.py\n" in report


def test_report_lists_exactly_the_settings_that_differ() -> None:
    section = make_report(is_synthetic=False).split("differ from the defaults\n\n")[1].split("\n\n")[0]
    assert section.splitlines()[2:] == [
        "| model.blocks.1 | 64 features, batch norm | – |",
        "| optimizer.peak_rate | 0.01 | 0.001 |",
    ]


@pytest.mark.parametrize("is_synthetic", [True, False])
def test_report_says_before_any_figure_that_faces_are_synthetic(is_synthetic: bool) -> None:
    head = make_report(is_synthetic=is_synthetic).split("## Result")[0]
    assert ("NOT A FER2013 RESULT" in head) is is_synthetic


def test_the_layer_table_has_totals() -> None:
    layers = [("block1/conv", (48, 48, 32), 320, 663552), ("block1/norm", (48, 48, 32), 64, 0)]
    assert layer_table(layers).splitlines() == [
        "layer              output  parameters     MACs",
        "block1/conv  48 × 48 × 32         320  663,552",
        "block1/norm  48 × 48 × 32          64        –",
        "total                             384  663,552",
    ]


def test_only_a_chosen_epoch_is_called_optimistic() -> None:
    history = [make_record(epoch=i + 1, val_accuracy=v) for i, v in enumerate((0.5, 0.625, 0.6, 0.625))]

    def note(measured_epoch: int, *, is_selected: bool, epochs: int = 4) -> str:
        return best_epoch_note(history[:epochs], measured_epoch=measured_epoch, is_selected=is_selected)

    assert note(2, is_selected=True, epochs=3).endswith(
        "is therefore optimistic; the last epoch has 60.00 %."
    )
    assert note(2, is_selected=True, epochs=2) == (
        "It was chosen for its val accuracy, which is therefore optimistic."
    )
    assert note(3, is_selected=False, epochs=3).startswith(
        "Epoch 2 has the highest val accuracy, 62.50 %. It"
    )
    # As good as the best, and the best itself: nothing to say about another epoch.
    assert note(4, is_selected=False) == note(2, is_selected=False, epochs=2)
    assert note(4, is_selected=False) == "No other epoch has a higher val accuracy."


def test_a_gap_within_its_interval_is_not_told_from_0() -> None:
    gap = describe_gap({"correct": 340, "total": 1000}, {"correct": 331, "total": 1000})
    assert (gap.words, gap.includes_zero, gap.meaning) == ("+0.9", True, "not distinguishable from 0")
    assert describe_gap({"correct": 20, "total": 100}, {"correct": 60, "total": 100}).meaning.startswith(
        "it is"
    )
