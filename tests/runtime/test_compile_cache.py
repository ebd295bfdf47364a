"""The folder of compiled programs: what a killed process left there."""

import os
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import jax
import pytest

from fer_jax.runtime import compile_cache
from fer_jax.runtime.compile_cache import delete_torn, keep_compiled, limit_size


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
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = own_folder / "torn-cache"
    torn.parent.mkdir(mode=0o700, parents=True)
    torn.write_bytes(b"")
    there: list[bool] = []
    with monkeypatch.context() as patch:
        patch.setattr(jax.config, "update", lambda *_: there.append(torn.exists()))
        keep_compiled()
    assert there and not any(there)
    # JAX's words about a program that cannot be kept; here any other warning is an error.
    warnings.warn("Error writing persistent compilation cache entry for 'jit_f': OSError", stacklevel=1)


def test_the_programs_used_last_stay(tmp_path: Path) -> None:
    """Those of all machines count, and what XLA keeps for a GPU; nothing else is touched."""
    folder, elsewhere = tmp_path / "xla", tmp_path / "elsewhere"
    names = ["old-cache", "a/used-cache", "a/new-cache", "a/xla_gpu_autotune/result", "a/notes.txt"]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    elsewhere.mkdir()
    (elsewhere / "their-cache").write_bytes(bytes(1000))
    (folder / "link").symlink_to(elsewhere)
    for age, name in enumerate(reversed(names)):
        os.utime(folder / name, (9000 - age, 9000 - age))
    os.utime(folder / "a/used-cache", (9999, 1))  # Made first, read last.
    limit_size(folder, 20)
    assert [name for name in names if (folder / name).exists()] == [
        "a/used-cache",
        "a/xla_gpu_autotune/result",
        "a/notes.txt",
    ]
    assert (elsewhere / "their-cache").exists()
    limit_size(tmp_path / "missing", 0)


CONFIG = Path(__file__).parents[2] / "configs" / "run1.py"
TINY = (
    *("--config", str(CONFIG), "--data.source", "synthetic", "--data.synthetic-examples", "70"),
    *("--model.blocks.0.features", "2", "--model.blocks.0.pool", "--model.dense-features", "4"),
    *("--train.batch-size", "16", "--train.epochs", "1", "--train.trackers"),
)
TRAIN = """
import sys
import jax
from fer_jax.runs.checkpoint import state_hash
from fer_jax.train import __main__ as train
from fer_jax.train import finish
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event.endswith("/cache_hits")))
finish.finish = lambda console, place, job, replicas, every: print(state_hash(replicas[0].state))
status = train.main(sys.argv[1:])
print(sum(hits))
sys.exit(status)
"""


def test_a_start_that_finds_its_programs_trains_to_the_same_bits(tmp_path: Path) -> None:
    home = {"FER_JAX_CACHE": str(tmp_path / "cache"), "JAX_COMPILATION_CACHE_DIR": ""}
    answers = []
    for name in ("first", "second"):
        argv = [sys.executable, "-c", TRAIN, *TINY, "--run-dir", str(tmp_path / name)]
        done = subprocess.run(argv, env=os.environ | home, capture_output=True, text=True, check=False)
        # Nor does XLA warn that a program was compiled for another processor.
        assert (done.returncode, done.stderr) == (0, "")
        answers.append(done.stdout.split()[-2:])
    (first, hits_before), (second, hits) = answers
    assert first == second
    assert int(hits) > int(hits_before) + 3
