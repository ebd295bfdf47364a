import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fer_jax.runtime.door import INTERRUPTED, SIGNALS
from fer_jax.runtime.signals import STOPPING, watch_signals

NAMED = {"SIGHUP": 129, "SIGINT": 130, "SIGUSR1": 138, "SIGTERM": 143}

# Work that takes many seconds in C, as a compile does: Python's own handler waits for its end.
BUSY = """
import hashlib
from fer_jax.runtime.signals import watch_signals
with watch_signals() as signals:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""

# A library that loses the interruption, as Python does with one that comes in a finaliser.
DEAF = """
import sys, time
from fer_jax import cli
from fer_jax.runtime import signals
signals.GRACE_S = 0.2
def work():
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
sys.exit(cli.run(work))
"""

# One of our commands, in the middle of a file, which would go on for ever.
COMMAND = """
import sys, time
sys.argv[0] = "fer-jax"
from pathlib import Path
from fer_jax import cli
from fer_jax.files import replacing
from fer_jax.runtime import signals
signals.GRACE_S = 60
def work():
    with replacing(Path("table.csv")) as new:
        new.write_text("half a row")
        print("ready", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
sys.exit(cli.run(work))
"""

# A library that makes another error of the interruption, as NumPy's import does.
OTHER_WORDS = """
import sys, time
from fer_jax import cli
def work():
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("cannot load module more than once per process") from None
sys.exit(cli.run(work))
"""


@contextmanager
def started(source: str, *, ignored: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a program, wait until it says that it is ready, and kill it at the end."""
    before = None if ignored is None else signal.signal(ignored, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        if ignored is not None:
            signal.signal(ignored, before)
    with process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP and no SIGUSR1")
@pytest.mark.parametrize(("name", "status"), NAMED.items())
def test_a_signal_is_acknowledged_while_c_code_runs_and_a_second_one_ends(name: str, status: int) -> None:
    sent = signal.Signals[name]
    assert sent in SIGNALS
    with started(BUSY) as process:
        assert process.stderr is not None
        process.send_signal(sent)
        assert [process.stderr.readline() for _ in range(2)] == ["\n", f"{STOPPING}\n"]
        assert process.poll() is None
        process.send_signal(sent)
        assert process.wait(timeout=10) == (status if sys.platform == "linux" else 128 + sent)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGUSR1")
def test_a_process_for_which_another_one_speaks_ends_without_a_word() -> None:
    silent = BUSY.replace("\nwith", "\nfrom fer_jax.runtime import signals\nsignals.answer_silently()\nwith")
    with started(silent) as process:
        for sent in (signal.SIGTERM, signal.SIGUSR1):
            process.send_signal(sent)
        assert process.communicate(timeout=10)[1] == ""
        assert process.returncode in (138, 143)


@pytest.mark.parametrize("source", [DEAF, OTHER_WORDS])
def test_an_interruption_that_a_library_loses_or_renames_ends_the_program_with_one_line(source: str) -> None:
    with started(source) as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[1] == f"\n{INTERRUPTED}\n"
        assert process.returncode == 130


def test_a_command_ends_at_the_first_signal_and_leaves_no_half_written_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    with started(COMMAND) as process:
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=10)[1] == f"\n{INTERRUPTED}\n"
        assert process.returncode == 143
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_a_signal_that_is_ignored_at_the_start_stays_ignored() -> None:
    with started(OTHER_WORDS, ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 143, "SIGHUP did nothing"


def test_signals_are_collected_and_the_handlers_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watch_signals() as arrived:
        signal.raise_signal(signal.SIGTERM)
    assert arrived == [signal.SIGTERM]
    assert STOPPING in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_handler_that_is_not_of_python_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    read = signal.getsignal
    monkeypatch.setattr(
        signal, "getsignal", lambda signum: None if signum == signal.SIGTERM else read(signum)
    )
    before = read(signal.SIGTERM)
    with watch_signals():
        assert read(signal.SIGTERM) == before
        assert read(signal.SIGINT) != signal.default_int_handler


def test_a_signal_that_comes_during_garbage_collection_is_collected() -> None:
    """An exception raised there is lost: JAX has a callback of its own in it."""

    def interrupt(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            signal.raise_signal(signal.SIGINT)

    with watch_signals() as arrived:
        gc.callbacks.append(interrupt)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(interrupt)
    assert arrived == [signal.SIGINT]


def test_another_thread_collects_nothing_and_goes_on() -> None:
    seen: list[list[int]] = []

    def work() -> None:
        with watch_signals() as arrived:
            seen.append(arrived)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[]]
