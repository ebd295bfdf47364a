import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_jax import cli
from fer_jax.errors import DiskError
from fer_jax.runtime import output

# A program that writes more than a pipe holds, to a reader who is gone.
WRITING = """
import sys
from pathlib import Path
from fer_jax import cli
from fer_jax.runtime import output
def work():
    if sys.argv[1] == "outlives":
        output.outlive_reader()
    for number in range(3):
        print(f"line {number}")
    Path(sys.argv[2]).write_text("done")
    return 0
sys.exit(cli.run(work))
"""


@pytest.mark.parametrize(("how", "is_done"), [("ends", False), ("outlives", True)])
def test_without_a_reader_a_command_ends_and_a_training_goes_on(
    how: str, is_done: bool, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-c", WRITING, how, str(tmp_path / "result")]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    assert (tmp_path / "result").exists() == is_done


@pytest.mark.skipif(os.name == "nt", reason="it closes descriptors in a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_no_error(closed: str, tmp_path: Path) -> None:
    words = f'"$0" -m fer_jax configs --help {closed}; echo $? > status'
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(["sh", "-c", words, sys.executable], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "status").read_text() == "0\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_character_that_the_encoding_lacks_is_replaced(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    before = sys.stdout

    def write() -> int:
        print("━ 14.4 °C, \udcff 😀", flush=True)
        print("✓", file=sys.stderr)
        return 0

    assert cli.run(write) == 0
    assert sys.stdout is before
    written = shown.getvalue()
    assert written.startswith(b"? 14.4 ") and written.endswith(b"C, ? ?\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_on_a_full_disk_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.run(lambda: print("a line") or 0) == 4
        monkeypatch.undo()
        output.discard(full)
    assert capfd.readouterr().err == "error: the standard output: No space left on device\n"


def test_an_error_of_the_system_names_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(error: BaseException) -> Callable[[], int]:
        def fail() -> int:
            raise error

        return fail

    cases = {
        "error: a and b: Invalid link\n": OSError(18, "Invalid link", "a", None, "b"),
        "error: a/b: Is a directory\n": OSError(21, "Is a directory", Path("a/b")),
        "error: \\x1b[2J: No such file or directory\n": OSError(2, "No such file or directory", "\x1b[2J"),
        "error: the system: Too many open files\n": OSError(24, "Too many open files"),
        "error: a\\x1b[2J: Is a directory\n": OSError(21, "Is a directory", "a\x1b[2J"),
        "error: b\\x1b[2J cannot be written\n": DiskError("b\x1b[2J cannot be written", 28),
        "error: there is not enough memory: 8 TiB\n": MemoryError("8 TiB"),
        "error: something is nested too deeply to be read (depth)\n": RecursionError("depth"),
    }
    for wanted, error in cases.items():
        assert cli.run(failing(error)) == 4
        assert capsys.readouterr().err == wanted
