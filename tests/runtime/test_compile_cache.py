"""The folder of compiled programs: what a killed process left there."""

import os
import zlib
from pathlib import Path

from fer_jax.runtime.compile_cache import delete_torn


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
