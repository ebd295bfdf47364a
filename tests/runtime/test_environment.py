"""Variables of the environment that JAX cannot read: one message, and no traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fer_jax.errors import ConfigError
from fer_jax.runtime import cpu, environment, machine

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from fer_jax import cli
def work():
    import jax.numpy as jnp
    jnp.zeros(3) + 1
    return 0
sys.exit(cli.run(work))
"""

CASES = [
    (
        {"XLA_FLAGS": "--xla_no_such=1"},
        "XLA_FLAGS is '--xla_no_such=1'",
        "Unknown flag in XLA_FLAGS: --xla_no_such=1",
    ),
    (
        {"JAX_PLATFORMS": "nonsense"},
        "JAX does not start: Unable to initialize backend 'nonsense'",
        "JAX_PLATFORMS=n",
    ),
    ({"JAX_ENABLE_X64": "maybe"}, "JAX does not start: invalid truth value 'maybe'", "JAX_ENABLE_X64=maybe"),
]


@pytest.mark.parametrize(("variables", "first", "second"), CASES)
def test_a_variable_that_jax_cannot_read_is_one_message(
    variables: dict[str, str], first: str, second: str, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", PROGRAM]
    home = {"FER_JAX_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, env=os.environ | home | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert first in done.stderr and second in done.stderr
    assert not any(tmp_path.iterdir())


def try_flags(
    monkeypatch: pytest.MonkeyPatch, cache: Path, flags: str, *, log: str | None
) -> list[list[str]]:
    """Check flags with an XLA that ends with a log, or that starts; return the commands that were tried."""
    tried = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        tried.append(words)
        return subprocess.CompletedProcess(words, 0 if log is None else 1, "", log or "")

    monkeypatch.setenv("FER_JAX_CACHE", str(cache))
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(cpu, "has_started", lambda: False)
    monkeypatch.setattr(subprocess, "run", run)
    environment.check_xla_flags.cache_clear()
    try:
        environment.check_xla_flags()
    finally:
        environment.check_xla_flags.cache_clear()
    return tried


def test_good_flags_are_tried_once_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(try_flags(monkeypatch, tmp_path, "--xla_good=1", log=None)) == 1
    assert try_flags(monkeypatch, tmp_path, "--xla_good=1", log=None) == []
    assert len(try_flags(monkeypatch, tmp_path, "--xla_good=2", log=None)) == 1
    assert try_flags(monkeypatch, tmp_path, "  ", log=None) == []
    # JAX has failed, but not over the flags: it will say so itself.
    assert len(try_flags(monkeypatch, tmp_path, "--xla_good=3", log="ImportError: no jaxlib")) == 1
    assert len(try_flags(monkeypatch, tmp_path, "--xla_good=3", log=None)) == 1


def test_a_value_that_xla_cannot_read_is_refused_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = (
        "E1127 19:26:52.19 27852 command_line_flags.cc:63] Couldn't interpret value abc for flag xla_count.\n"
        "F1127 19:26:52.19 27852 parse_flags_from_env.cc:220] Check failed: tsl::Flags::Parse()\n"
    )
    with pytest.raises(ConfigError, match="interpret value abc for flag xla_count; correct it, or unset it"):
        try_flags(monkeypatch, tmp_path, "--xla_count=abc", log=log)


def test_a_checkout_that_git_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "fatal: detected dubious ownership in repository at '/x'"
    answers = [
        (128, "", said, "git refuses .*, which belongs to another user; .*safe.directory"),
        (128, "", "fatal: not a git\nrepository", "git found none in .*: fatal: not a git repository"),
        (0, "0123abc\n", "", None),
    ]
    monkeypatch.setattr(Path, "exists", lambda path: True)
    for status, out, err, wanted in answers:
        done = subprocess.CompletedProcess([], status, out, err)
        monkeypatch.setattr(subprocess, "run", lambda *_, done=done, **__: done)
        commit, why_not = machine.find_commit()
        assert commit == (out.strip() or None)
        assert (why_not is None) == (wanted is None)
        if wanted is not None and why_not is not None:
            assert re.match(wanted, why_not)
