import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fer_jax.config.data import DataConfig
from fer_jax.config.run import Config
from fer_jax.config.training import InitConfig, TrainConfig
from fer_jax.errors import ConfigError, RunError
from fer_jax.runs import trackers

CONFIG = Config(
    name="tried",
    data=DataConfig(path="/home/me/train.csv", drop="/home/me/audit.csv"),
    init=InitConfig(weights="/home/me/mine.safetensors"),
    train=TrainConfig(trackers=("wandb", "mlflow")),
)
HISTORY = [{"epoch": epoch, "step": 10 * epoch} | dict.fromkeys(trackers.SCALARS, 0.5) for epoch in (1, 2, 3)]


class Recorder(ModuleType):
    """A module that records how it is used, in place of a tracker's own."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, Any]] = []

    def note(self, name: str, answer: object = None) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            self.calls.append((name, more or words))
            return answer

        return call

    def words_of(self, name: str) -> list[Any]:
        return [words for called, words in self.calls if called == name]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    module: Any = Recorder("wandb")
    run = SimpleNamespace(id="a1", step=0, finish=module.note("end"))

    def log(row: dict[str, float], *, step: int) -> None:
        module.note("log")(step=step)
        run.step = step + 1

    run.log = log
    module.Settings = SimpleNamespace
    module.init = module.note("init", run)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


class MlflowServer:
    """Stands in for the client of mlflow and its server; fails after `calls_left` metrics."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, int]] = []
        self.calls_left = sys.maxsize

    def create_run(self, *words: object, **more: object) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id="a1"))

    def log_metric(self, run_id: str, key: str, value: float, *, step: int) -> None:
        if not self.calls_left:
            raise ConnectionError("no answer")
        self.calls_left -= 1
        self.metrics.append((key, step))

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return [SimpleNamespace(step=step) for name, step in self.metrics if name == key]

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **more: None


def train(folder: Path, *, known: int, until: int) -> None:
    with trackers.open_trackers(["wandb"], folder, CONFIG, HISTORY[:known]) as add:
        for record in HISTORY[known:until]:
            add(record)


def test_wandb_is_told_each_epoch_once_and_no_path(wandb: Recorder, tmp_path: Path) -> None:
    train(tmp_path, known=0, until=2)
    train(tmp_path, known=2, until=3)
    first, second = wandb.words_of("init")
    assert (first["id"], second["id"]) == (None, "a1")
    assert first["config"]["optimizer.peak_rate"] == CONFIG.optimizer.peak_rate
    assert "/home/me" not in json.dumps(first["config"])
    assert first["settings"].disable_git and first["settings"].x_disable_meta
    assert [words["step"] for words in wandb.words_of("log")] == [10, 20, 30]
    assert wandb.words_of("end") == [{"exit_code": 0}] * 2


def test_wandb_is_told_first_of_the_epochs_that_it_missed(wandb: Recorder, tmp_path: Path) -> None:
    train(tmp_path, known=0, until=1)
    train(tmp_path, known=2, until=3)
    assert [words["step"] for words in wandb.words_of("log")] == [10, 20, 30]


def test_mlflow_is_told_first_of_what_it_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, mlflow = MlflowServer(), ModuleType("mlflow")
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: server, raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    server.calls_left = len(trackers.SCALARS) + 2
    with (
        pytest.raises(RunError, match="the tracker mlflow failed: no answer"),
        trackers.open_trackers(["mlflow"], tmp_path, CONFIG, []) as add,
    ):
        for record in HISTORY:
            add(record)
    server.calls_left = sys.maxsize
    with trackers.open_trackers(["mlflow"], tmp_path, CONFIG, HISTORY[:2]) as add:
        add(HISTORY[2])
    assert server.metrics == [(name, step) for step in (10, 20, 30) for name in trackers.SCALARS]


def test_a_tracker_that_fails_gives_one_message(wandb: Recorder, tmp_path: Path) -> None:
    def fail(**more: object) -> None:
        raise ValueError("no API key configured\nUse wandb login")

    wandb.init = fail  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="the tracker wandb failed: no API key configured; go on without it"):
        train(tmp_path, known=0, until=1)


def test_a_tracker_that_cannot_close_does_not_hide_why_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def open_badly(*words: object) -> Iterator[trackers.Add]:
        try:
            yield lambda record: None
        finally:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trackers, "OPENERS", {"tensorboard": open_badly})
    with (
        pytest.raises(ZeroDivisionError),
        trackers.open_trackers(["tensorboard"], tmp_path, CONFIG, []),
    ):
        raise ZeroDivisionError
    with (
        pytest.raises(RunError, match=r"the tracker tensorboard failed: .*No space left on device; go on"),
        trackers.open_trackers(["tensorboard"], tmp_path, CONFIG, []),
    ):
        pass


def test_a_tracker_that_is_not_installed_is_refused_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    trackers.check_installed(["tensorboard"])
    with pytest.raises(ConfigError, match=r"pip install 'fer-jax\[mlflow\]'"):
        trackers.check_installed(["tensorboard", "mlflow"])


@pytest.mark.filterwarnings("ignore")
def test_the_real_wandb_writes_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(tmp_path, known=0, until=2)
    train(tmp_path, known=2, until=3)
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 2


@pytest.mark.filterwarnings("ignore")
def test_the_real_mlflow_writes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sqlalchemy")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for known, until in ((0, 2), (2, 3)):
        with trackers.open_trackers(["mlflow"], tmp_path, CONFIG, HISTORY[:known]) as add:
            for record in HISTORY[known:until]:
                add(record)
    client = mlflow.MlflowClient()
    number = (tmp_path / "mlflow_id").read_text().strip()
    assert [each.step for each in client.get_metric_history(number, "val_accuracy")] == [10, 20, 30]
    assert client.get_run(number).info.status == "FINISHED"
