"""Report: the words and the figures, against tables made by hand."""

import json
from typing import Any

import pytest

from fer_jax.config.files import to_json
from fer_jax.config.model import ConvBlock, ModelConfig
from fer_jax.config.run import Config
from fer_jax.config.training import OptimizerConfig
from fer_jax.report.markdown import (
    confusion_table,
    epoch_line,
    ladder_table,
    markdown_report,
    metrics_table,
    oracle_line,
)

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
        "finished": None,
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
    return markdown_report(
        name="run7",
        run=make_run(is_synthetic=is_synthetic),
        config=json.loads(json.dumps(to_json(config))),
        history=[make_record(is_best=True), make_record(epoch=8)],
        metrics={
            "train": make_metrics(correct=900, total=1000),
            "val": make_metrics(correct=1002, total=2000),
            "test": make_metrics(correct=500, total=2000),
        },
    )


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


def test_metrics_table() -> None:
    assert metrics_table(make_metrics(correct=1001, total=2000)).splitlines() == [
        "accuracy           50.05 %   1001 of 2000, 95 % interval 40.00 to 60.00",
        "balanced accuracy  25.00 %",
        "macro F1           30.00 %",
        "loss                1.2346 nats",
        "",
        "class     precision   recall       F1  count  predicted",
        "angry       50.00 %  25.00 %  33.33 %   1200        600",
        "disgust      0.00 %        -   0.00 %      0          3",
        "fear        50.00 %  25.00 %  33.33 %   1200        600",
        "happy       50.00 %  25.00 %  33.33 %   1200        600",
        "sad         50.00 %  25.00 %  33.33 %   1200        600",
        "surprise    50.00 %  25.00 %  33.33 %   1200        600",
        "neutral     50.00 %  25.00 %  33.33 %   1200        600",
    ]


def test_confusion_table_has_the_true_class_on_the_rows() -> None:
    confusion = [[0] * 7 for _ in range(7)]
    confusion[2][5] = 12345
    assert confusion_table(confusion).splitlines()[:4] == [
        "true \\ predicted  angry  disgust  fear  happy  sad  surprise  neutral",
        "angry                 0        0     0      0    0         0        0",
        "disgust               0        0     0      0    0         0        0",
        "fear                  0        0     0      0    0     12345        0",
    ]


def test_report_has_the_figures() -> None:
    report = make_report(is_synthetic=False)
    assert "| val | **50.10 %** | 40.00 – 60.00 | 1,002 / 2,000 | 25.00 % | 30.00 % | 1.2346 |" in report
    assert "| test | **25.00 %** | 40.00 – 60.00 | 500 / 2,000 |" in report
    assert "Gap train − val: +39.9 points" in report
    assert "epoch 7 of 8" in report
    assert "| disgust | 0.00 % | – | 0.00 % | 0 | 3 |" in report
    assert "| time | 1 h 2 min; 30.2 s an epoch (median) |" in report
    assert "| finished | not finished |" in report
    assert "| machine | a \\| b, 2 cores |" in report
    assert "git checkout 0123abc\npython -m fer_jax.train --config configs/run7.py\n" in report


def test_report_lists_exactly_the_settings_that_differ() -> None:
    section = make_report(is_synthetic=False).split("differ from the defaults\n\n")[1].split("\n\n")[0]
    assert section.splitlines()[2:] == [
        '| `model.blocks[1]` | `{"features": 64, "batch_norm": true, "pool": false, "dropout_rate": 0.0, '
        '"kind": "plain", "squeeze_excite": false}` | – |',
        "| `optimizer.peak_rate` | `0.01` | `0.001` |",
    ]


@pytest.mark.parametrize("is_synthetic", [True, False])
def test_report_says_before_any_figure_that_faces_are_synthetic(is_synthetic: bool) -> None:
    head = make_report(is_synthetic=is_synthetic).split("## Result")[0]
    assert ("NOT A FER2013 RESULT" in head) is is_synthetic


def test_ladder_divides_integers_and_spreads_over_seeds() -> None:
    def seed(train: int, val: int, test: int) -> dict[str, Any]:
        parts = {"train": train, "val": val, "test": test}
        return {"seed": 0} | {part: {"correct": n, "total": 200} for part, n in parts.items()}

    row = {
        "name": "run1",
        "change": "plain",
        "notebook": {"train": 47, "val": None, "test": 40},
        "parameters": 18876775,
        "macs": 1,
        "seconds_per_epoch": 3.21,
        "seeds": [seed(100, 84, 80), seed(104, 80, 80), seed(102, 94, 80)],
    }
    one_seed = row | {"name": "run2", "seeds": [seed(80, 84, 80)]}
    table = ladder_table({"machine": "a machine", "rows": [row, one_seed]})
    # val is 42, 40, 47 %: mean 43, deviations -1, -3, 4, so sd = sqrt(26 / 2); gap is 8, 12, 4 points.
    assert table.splitlines()[2:4] == [
        "| run1 | plain | 47 / – / 40 | 51.0 ± 1.0 | 43.0 ± 3.6 | 40.0 ± 0.0 | 8.0 ± 4.0 | 3 "
        "| 18,876,775 | 3.2 |",
        "| run2 | plain | 47 / – / 40 | 40.0 | 42.0 | 40.0 | −2.0 | 1 | 18,876,775 | 3.2 |",
    ]
    assert "Machine: a machine." in table


def test_the_oracle_is_named_beside_the_honest_figure() -> None:
    history = [make_record(epoch=i + 1, val_accuracy=v) for i, v in enumerate((0.5, 0.625, 0.6))]
    assert oracle_line({"measured_epoch": 3}, history).startswith(
        "Oracle: val's own best epoch, 2, has 62.50 % there"
    )
    assert "the last epoch has 60.00 % there" in oracle_line({"measured_epoch": 2}, history)
