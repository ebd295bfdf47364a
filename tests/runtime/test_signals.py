import gc
import signal
import subprocess
import sys
import threading

import pytest

from fer_jax.runtime.signals import STOPPING, watch_signals

# Work that takes many seconds in C, as a compile does: Python's own handler waits for its end.
BUSY = """
import hashlib
from fer_jax.runtime.signals import watch_signals
with watch_signals() as signals:
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_acknowledged_while_c_code_runs_and_a_second_one_ends(
    sent: signal.Signals, status: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(sent)
            assert [process.stderr.readline() for _ in range(2)] == ["\n", f"{STOPPING}\n"]
            assert process.poll() is None
            process.send_signal(sent)
            assert process.wait(timeout=10) == status
        finally:
            process.kill()


def test_signals_are_collected_and_the_handlers_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with watch_signals() as arrived:
        signal.raise_signal(signal.SIGTERM)
    assert arrived == [signal.SIGTERM]
    assert STOPPING in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


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
