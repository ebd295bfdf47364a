import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fer_jax.runtime import door

ROOT = Path(__file__).parents[2]

# The door is open while a program imports: here it meets a library that takes long.
IMPORTING = """
import sys, time
sys.argv = ["-m"]
sys.orig_argv = [sys.executable, "-m", sys.argv_name]
import fer_jax
print("ready", flush=True)
try:
    time.sleep(60)
except BaseException as error:
    print("raised", error)
"""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["-m", "fer_jax.train"], True),
        (["-m", "benchmarks.serve.hostile"], True),
        (["-m", "web"], True),
        (["-m", "fer_jaxx"], False),
        (["-m", "pytest", "-m", "fer_jax"], False),
    ],
)
def test_a_program_of_ours_is_known_while_it_is_being_imported(
    words: list[str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", "option"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", *words, "option"])
    assert door.is_program() == wanted


def test_the_script_is_a_program_and_a_test_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not door.is_program()
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fer-jax", "train"])
    assert door.is_program()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGTERM to a handler")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_of_a_program_is_answered_with_one_line(
    sent: signal.Signals, status: int
) -> None:
    source = IMPORTING.replace("sys.argv_name", repr("fer_jax.train"))
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(sent)
            assert process.communicate(timeout=10) == ("", "\nInterrupted.\n")
            assert process.returncode == status
        finally:
            process.kill()
