"""Passwords in addresses: taken out of a command line, hidden in texts, covered in the process list."""

import subprocess
import sys
from pathlib import Path

import pytest

from fer_jax.sweep import passwords


@pytest.mark.parametrize(
    ("word", "shown", "password"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db", "secret"),
        ("--storage=postgres://me:a%40b@host/db?x=1", "--storage=postgres://me:***@host/db?x=1", "a@b"),
        ("postgresql://me:a/b@c:d@host/db?host=x@y", "postgresql://me:***@host/db?host=x@y", "a/b@c:d"),
        ("postgresql://me:what?@host/db", "postgresql://me:***@host/db", "what?"),
        ("postgresql+psycopg://me:@host/db", "postgresql+psycopg://me:***@host/db", ""),
        ("postgresql:///db?user=me&password=secret", "postgresql:///db?user=me&password=***", None),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db", None),
        ("postgresql://host:5432/db", "postgresql://host:5432/db", None),
        ("sqlite:////data/me@home/sweep.db", "sqlite:////data/me@home/sweep.db", None),
        ("sqlite:///C:/me@home/sweep.db", "sqlite:///C:/me@home/sweep.db", None),
    ],
)
def test_a_password_is_taken_out_of_the_address(word: str, shown: str, password: str | None) -> None:
    assert passwords.take_out(["--storage", word]) == (["--storage", shown], password)
    assert passwords.hide(f"no: {word} and {word} too") == f"no: {shown} and {shown} too"


COVERED = """
import sys
from pathlib import Path
from fer_jax.sweep import passwords
print(passwords.take_out(sys.argv[1:]))
print(Path("/proc/self/cmdline").read_bytes())
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="only Linux lets a process cover it")
def test_the_process_list_does_not_show_it() -> None:
    words = [sys.executable, "-c", COVERED, "--storage", "postgresql://me:s3cr%65t@host/db", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    taken, shown = done.stdout.splitlines()
    assert taken == "(['--storage', 'postgresql://me:***@host/db', '--quiet'], 's3cret')"
    assert r"--storage\x00postgresql://me:********@host/db\x00--quiet\x00" in shown
    assert "s3cr" not in shown
