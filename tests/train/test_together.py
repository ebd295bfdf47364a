"""Two processes that train together: the losses of one, one record, and one refusal in both."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from fer_jax.config.run import Config
from fer_jax.errors import ConfigError, DataError
from fer_jax.files import Json, read_json, read_json_lines
from fer_jax.parallel import peers
from fer_jax.parallel.peers import Peers
from fer_jax.runtime import output
from fer_jax.train import __main__ as train
from fer_jax.train import run as train_run
from fer_jax.train import together

TOLD = "interrupted by SIGTERM; saved in run. Continue with --resume\n"


class Told(Peers):
    """Process 0 of two, where the other tells the same with some changes."""

    def __init__(self, changes: Json) -> None:
        super().__init__(0, 2, None)
        self.changes = changes

    def exchange(self, name: str, content: Json) -> list[Json]:
        return [content, content | self.changes]


def start(changes: Json) -> None:
    together.check_start(Told(changes), Config(name="a"), seeds=1, is_resumed=False, extra_epochs=0)


def test_what_differs_between_the_processes_is_named() -> None:
    start({})
    with pytest.raises(ConfigError, match=r"train.epochs is 10 in process 0 and 11 in process 1"):
        start({"train.epochs": "11"})
    with pytest.raises(ConfigError, match=r"jax is .* in process 0 and 0.1 in process 1"):
        start({"jax": "0.1"})
    facts = {name: {"sha256": "a" * 64} for name in ("data", "split", "votes")}
    with pytest.raises(DataError, match=r"SHA-256 of the data is a{12} in process 0 and b in process 1"):
        together.check_data(Told({"SHA-256 of the data": "b"}), facts)
    with pytest.raises(DataError, match=r"SHA-256 of the votes is a{12} in process 0 and b in process 1"):
        together.check_data(Told({"SHA-256 of the votes": "b"}), facts)


@pytest.mark.parametrize("number", [0, 1])
def test_process_0_alone_answers_a_signal_and_all_have_its_status(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet: list[object] = []
    monkeypatch.setattr(peers, "joined", lambda *_, **__: contextlib.nullcontext(Peers(number, 2, None)))
    monkeypatch.setattr(train_run, "train", lambda *_, **__: train_run.Outcome(Path("run"), signal.SIGTERM))
    monkeypatch.setattr(output, "discard", quiet.append)
    monkeypatch.setattr(train, "answer_silently", lambda: quiet.append("signals"))
    assert train.main(["--config", "run6", "--data.source", "synthetic"]) == 143
    assert capsys.readouterr() == (TOLD if number == 0 else "", "")
    assert quiet == ([] if number == 0 else [ANY, "signals"])


def find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_two_processes_train_as_one(tiny_run: Path, tmp_path: Path) -> None:
    command = read_json(tiny_run / "run.json")["command"].split()
    given = [*command[3:-2], "--run-dir", str(tmp_path / "run")]
    where = ["--distributed.coordinator", f"localhost:{find_port()}", "--distributed.process-count", "2"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "fer_jax.train", *given, *where, "--distributed.process-id", str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            text=True,
        )
        for number in range(2)
    ]
    (shown, said), others = (each.communicate(timeout=300) for each in started)
    assert [each.returncode for each in started] == [0, 0], (said, others)
    assert (said, others) == ("", ("", ""))
    assert "shared by 2 devices; 2 processes" in shown
    log, wanted = (read_json_lines(folder / "log.jsonl") for folder in (tmp_path / "run", tiny_run))
    assert len(log) == len(wanted)
    for one, other in zip(log, wanted, strict=True):
        for name in ("objective", "train_loss", "val_loss"):
            assert one[name] == pytest.approx(other[name], abs=1e-5)
