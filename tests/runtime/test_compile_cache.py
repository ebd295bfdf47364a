"""The folder of compiled programs: what a killed process left there."""

import os
import warnings
import zlib
from pathlib import Path

import jax
import pytest

from fer_jax.runtime import compile_cache
from fer_jax.runtime.compile_cache import delete_torn, keep_compiled


def test_programs_that_were_written_in_part_are_deleted_and_read_once(tmp_path: Path) -> None:
    whole = zlib.compress(b"a program" * 100)
    contents = {"whole-cache": whole, "torn-cache": whole[:-3], "empty-cache": b"", "other": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    delete_torn(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"whole-cache", "other", ".checked"}
    late, early = tmp_path / "late-cache", tmp_path / "early-cache"
    for path in (late, early):
        path.write_bytes(b"")
    os.utime(early, (0, 0))  # Before the check above: not read again.
    delete_torn(tmp_path)
    assert early.exists() and not late.exists()


def test_a_check_that_is_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torn = tmp_path / "torn-cache"
    torn.write_bytes(b"")

    def interrupt(_: bytes) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(compile_cache, "_is_whole", interrupt)
        delete_torn(tmp_path)
    os.utime(torn, (1, 1))
    delete_torn(tmp_path)
    assert not torn.exists()


def test_torn_programs_are_deleted_before_any_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path.resolve()))
    torn = tmp_path / "xla" / "torn-cache"
    torn.parent.mkdir(mode=0o700)
    torn.write_bytes(b"")
    there: list[bool] = []
    monkeypatch.setattr(jax.config, "update", lambda *_: there.append(torn.exists()))
    keep_compiled()
    assert there and not any(there)
    # JAX's words about a program that cannot be kept; here any other warning is an error.
    warnings.warn("Error writing persistent compilation cache entry for 'jit_f': OSError", stacklevel=1)
