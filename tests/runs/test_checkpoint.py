"""Checkpoints: the same bits back, any damage named, and a whole one left whatever happens."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from fer_jax.config.model import ConvBlock, DeviceConfig, ModelConfig
from fer_jax.config.training import OptimizerConfig
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import TrainState, init_state
from fer_jax.errors import DiskError, RunError
from fer_jax.models.cnn import make_model
from fer_jax.runs import checkpoint
from fer_jax.runs.checkpoint import (
    BEST,
    LAST,
    PREVIOUS,
    find_damage,
    find_good,
    read_meta,
    restore,
    state_hash,
)


def make_state(features: int = 2, *, optimizer: str = "adam") -> TrainState:
    """Make a state whose every leaf differs, the counters too."""
    blocks = (ConvBlock(features=features, pool=True),)
    model = make_model(ModelConfig(blocks=blocks, head="mean", dense_features=0), DeviceConfig())
    config = OptimizerConfig(name=optimizer, clip_norm=1.0)  # type: ignore[arg-type]
    state = init_state(jax.random.key(0), model, make_optimizer(config))
    leaves, tree = jax.tree.flatten(state)
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(
        tree, [jnp.asarray(rng.normal(0, 100, leaf.shape).astype(leaf.dtype)) for leaf in leaves]
    )


@pytest.fixture(scope="module")
def state() -> TrainState:
    return make_state()


@pytest.fixture(scope="module")
def saved(state: TrainState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save twice: `last` is step 2, `previous` and `best` are step 1. Tests copy it to change it."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    checkpoint.save(state, {"step": 1}, folder, is_best=True)
    checkpoint.save(state, {"step": 2}, folder, is_best=False)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


def steps(folder: Path) -> dict[str, int]:
    """Read the step of each checkpoint, after checking that it is whole."""
    assert all(find_damage(each) is None for each in folder.iterdir()), list(folder.iterdir())
    return {each.name: read_meta(each)["step"] for each in folder.iterdir()}


def test_every_leaf_comes_back_with_its_bits(state: TrainState, saved: Path) -> None:
    template = jax.tree.map(jnp.zeros_like, state)
    assert state_hash(template) != state_hash(state)
    back = restore(template, saved / LAST)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(back)), "on the device, once"
    jax.tree.map(np.testing.assert_array_equal, back, state)
    assert state_hash(back) == state_hash(state)


def test_the_hash_sees_every_leaf(state: TrainState) -> None:
    leaves, tree = jax.tree.flatten(state)
    hashes = {state_hash(state)}
    for index, leaf in enumerate(leaves):
        nudged = leaf + 1 if leaf.dtype == jnp.int32 else jnp.nextafter(leaf, jnp.inf)
        hashes.add(state_hash(jax.tree.unflatten(tree, [*leaves[:index], nudged, *leaves[index + 1 :]])))
    assert len(hashes) == len(leaves) + 1
    assert {"step", "params/logits/kernel", "batch_stats/block1/norm/var"} <= set(checkpoint.flatten(state))


def test_a_save_moves_last_to_previous_and_best_only_when_asked(state: TrainState, folder: Path) -> None:
    assert steps(folder) == {LAST: 2, PREVIOUS: 1, BEST: 1}
    checkpoint.save(state, {"step": 3}, folder, is_best=True)
    assert steps(folder) == {LAST: 3, PREVIOUS: 2, BEST: 3}


def test_what_an_interrupted_save_left_behind_does_no_harm(state: TrainState, folder: Path) -> None:
    for name in (".new", ".new-best"):
        shutil.copytree(folder / LAST, folder / name)
        (folder / name / "manifest.json").unlink()
    shutil.rmtree(folder / LAST)  # killed between the two renames
    good, damaged = find_good(folder, (LAST, PREVIOUS))
    assert good == folder / PREVIOUS
    assert damaged == [f"checkpoint {folder / LAST} cannot be used: it is missing"]
    checkpoint.save(state, {"step": 2}, folder, is_best=True)
    assert steps(folder) == {LAST: 2, PREVIOUS: 1, BEST: 2}


@pytest.mark.parametrize("killed_at", range(7))
def test_a_save_killed_at_any_rename_or_removal_leaves_a_whole_checkpoint(
    state: TrainState, folder: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    calls = 0

    def die_at(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > killed_at:
                raise KeyboardInterrupt
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die_at(shutil.rmtree))
        patch.setattr(Path, "replace", die_at(Path.replace))
        patch.setattr(checkpoint, "_write", lambda state, meta, new: shutil.copytree(folder / PREVIOUS, new))
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(state, {}, folder, is_best=True)
    assert read_meta(find_good(folder, (LAST, PREVIOUS))[0])["step"] in (1, 2)
    assert find_damage(folder / BEST) in (None, "it is missing")


def test_a_flipped_bit_in_any_file_is_noticed_and_named(folder: Path) -> None:
    files = [path for path in sorted((folder / LAST).rglob("*")) if path.is_file()]
    assert len(files) > 3
    for path in files:
        content = bytearray(path.read_bytes())
        if not content:
            continue
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        good, damaged = find_good(folder, (LAST, PREVIOUS))
        assert good == folder / PREVIOUS
        assert len(damaged) == 1
        assert str(folder / LAST) in damaged[0]
        if path.name != "manifest.json":
            assert path.relative_to(folder / LAST).as_posix() in damaged[0]
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    assert find_good(folder, (LAST, PREVIOUS)) == (folder / LAST, [])


SAVE_TOO_MUCH = """
import resource, sys
from pathlib import Path
import numpy as np
from fer_jax import cli
from fer_jax.runs import checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
state = {"kernel": np.random.default_rng(0).normal(size=(100, 1000))}
sys.exit(cli.run(lambda: checkpoint.save(state, {"step": 3}, Path(sys.argv[1]), is_best=True)))
"""


def cut_meta(last: Path) -> None:
    (last / "meta.json").write_bytes((last / "meta.json").read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (cut_meta, "meta.json is damaged"),
        (lambda last: (last / "meta.json").unlink(), "meta.json is damaged, missing"),
        (lambda last: (last / "manifest.json").unlink(), "manifest.json is damaged or missing"),
        (lambda last: (last / "manifest.json").write_text("[]"), "manifest.json is damaged"),
        (lambda last: (last / "manifest.json").write_text(""), "manifest.json is damaged"),
        (lambda last: (last / "arrays" / "more").write_text(""), "arrays/more is damaged, missing or not of"),
        (lambda last: shutil.rmtree(last / "arrays"), "arrays/"),
        (shutil.rmtree, "it is missing"),
    ],
)
def test_each_kind_of_damage_is_named_and_the_one_before_is_used(
    folder: Path, damage: Callable[[Path], object], wanted: str
) -> None:
    damage(folder / LAST)
    good, damaged = find_good(folder, (LAST, PREVIOUS))
    assert good == folder / PREVIOUS
    assert wanted in damaged[0]
    damage(folder / PREVIOUS)
    with pytest.raises(RunError, match="there is no other") as caught:
        find_good(folder, (LAST, PREVIOUS))
    assert all(str(folder / name) in str(caught.value) for name in (LAST, PREVIOUS))


def test_a_manifest_in_other_words_is_damage(folder: Path) -> None:
    path = folder / LAST / "manifest.json"
    path.write_text(path.read_text().removesuffix("\n"))
    assert find_damage(folder / LAST) == "manifest.json is damaged"


def test_what_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path == folder / LAST / "meta.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    good, damaged = find_good(folder, (LAST, PREVIOUS))
    assert good == folder / PREVIOUS
    assert damaged == [
        f"checkpoint {folder / LAST} cannot be used: meta.json cannot be read: {os.strerror(5)}"
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_what_is_no_file_is_damage(folder: Path) -> None:
    (folder / LAST / "meta.json").unlink()
    os.mkfifo(folder / LAST / "meta.json")  # Reading it would wait for ever.
    assert find_damage(folder / LAST) == "meta.json is damaged, missing or not of it"


def fail_to_write(monkeypatch: pytest.MonkeyPatch, number: int, *, where: str) -> None:
    """Let the part of a save that writes the space, the arrays, the manifest or the copy fail."""

    def fail(*args: object, **options: object) -> None:
        if where == "arrays":
            raise ValueError(f"RESOURCE_EXHAUSTED: Failed to write 1 bytes [os_error_code='{number}']")
        raise OSError(number, os.strerror(number))

    if where == "arrays":
        monkeypatch.setattr(ocp.StandardCheckpointer, "save", fail)
    else:
        names = {"space": "_reserve", "manifest": "_hashes", "copy": "_copy"}
        monkeypatch.setattr(checkpoint, names[where], fail)


@pytest.mark.parametrize(
    ("number", "where"),
    [
        # Each error in the text of Orbax, and each other place with one of them.
        *((number, "arrays") for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)),
        *((errno.EFBIG, "space"), (errno.EROFS, "manifest"), (errno.EDQUOT, "copy")),
    ],
)
def test_a_save_that_fails_leaves_the_saved_ones_and_says_so(
    state: TrainState, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    with monkeypatch.context() as patch:
        fail_to_write(patch, number, where=where)
        with pytest.raises(DiskError) as caught:
            checkpoint.save(state, {"step": 3}, folder, is_best=True)
    message = str(caught.value)
    assert message.startswith(f"{folder / LAST} cannot be written: {os.strerror(number)} (it needs up to ")
    assert "are free on its disk" in message
    if where != "manifest":  # which is what proves a checkpoint good
        assert message.endswith(f"; step 2 is saved in {folder / LAST}, and --resume goes on from there")
    assert steps(folder) == {LAST: 2, PREVIOUS: 1, BEST: 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_manifest_that_is_no_file_or_cannot_be_read_is_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = folder / LAST / "manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    assert find_damage(folder / LAST) == "manifest.json is damaged or missing"

    def fail(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert find_damage(folder / PREVIOUS) == "manifest.json cannot be read: Permission denied"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_that_may_not_become_so_large_is_told_in_one_line(folder: Path) -> None:
    words = [sys.executable, "-c", SAVE_TOO_MUCH, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert re.fullmatch(
        rf"error: {folder / LAST} cannot be written: File too large .*; raise the limit on the size of a "
        rf"file, see `ulimit -f`; step 2 is saved in {folder / LAST}, and --resume goes on from there\n",
        done.stderr,
    )
    assert steps(folder) == {LAST: 2, PREVIOUS: 1, BEST: 1}


def test_everything_is_on_the_disk_before_it_gets_its_name(
    state: TrainState, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power loss only what was synced is there: all of a checkpoint, or the one before it."""
    synced: set[Path] = set()
    renamed: list[str] = []
    replace = Path.replace

    def record(path: Path, target: Path) -> Path:
        if path.parent == folder:
            whole = {path, *path.rglob("*")}
            renamed.append(f"{path.name} -> {target.name}")
            assert path.name == LAST or whole | {folder} <= synced, (renamed, whole - synced)
            synced.discard(folder)
            synced.update({target, *(target / each.relative_to(path) for each in whole)})
        return replace(path, target)

    for name in ("sync_file", "sync_folder"):
        monkeypatch.setattr(checkpoint, name, synced.add)
    monkeypatch.setattr(Path, "replace", record)
    checkpoint.save(state, {"step": 3}, folder, is_best=True)
    assert renamed == [".new-best -> best", "last -> previous", ".new -> last"]
    assert folder in synced, "the last name too"


def test_another_network_or_optimizer_is_refused_with_the_leaf(state: TrainState, saved: Path) -> None:
    last = saved / LAST
    with pytest.raises(
        RunError, match=r"leaf batch_stats/block1/norm/mean is float32 \[2\], .* float32 \[3\]"
    ):
        restore(make_state(3), last)
    with pytest.raises(
        RunError, match=r"leaf opt_state/1/count is int32 \[\], the config's optimizer wants absent"
    ):
        restore(make_state(optimizer="sgd"), last)
    more = state.replace(params=state.params | {"more": jnp.zeros(4)})  # type: ignore[attr-defined]
    with pytest.raises(RunError, match=r"leaf params/more is absent, .* wants float32 \[4\]; use the config"):
        restore(more, last)
    other = state.replace(step=jnp.float32(0))  # type: ignore[attr-defined]
    with pytest.raises(RunError, match=r"leaf step is int32 \[\], .* wants float32 \[\]"):
        restore(other, last)


def test_another_format_is_refused(folder: Path) -> None:
    path = folder / LAST / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(RunError, match="format 99"):
        read_meta(folder / LAST)
