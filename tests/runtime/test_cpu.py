"""The machine: what is set before JAX starts, and where compiled programs are kept."""

import ctypes
import importlib.metadata
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from fer_jax import files
from fer_jax.config.files import load_config
from fer_jax.data.readers.cached import cache
from fer_jax.report import terminal
from fer_jax.runtime import compile_cache, cpu, machine
from fer_jax.runtime.compile_cache import find_danger

COMPILE = """
import jax
from fer_jax.runtime.compile_cache import keep_compiled
print(keep_compiled())
jax.jit(lambda x: x * 2 + 1)(3.0)
"""


def test_compiled_programs_are_kept_for_the_user_alone(tmp_path: Path) -> None:
    environment = os.environ | {"FER_JAX_CACHE": str(tmp_path / "cache"), "JAX_COMPILATION_CACHE_DIR": ""}
    words = [sys.executable, "-c", COMPILE]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    (folder,) = (tmp_path.resolve() / "cache" / "xla").iterdir()
    assert f"kept in {folder}" in done.stdout
    assert [stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent)] == [0o700, 0o700]
    assert [path.suffix for path in folder.iterdir() if path.name.endswith("-cache")]


def test_a_cache_that_others_could_write_is_not_used(
    tmp_path: Path, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default programs are kept, so the lack of a safe folder is a note, and the run goes on."""
    own_folder.mkdir(parents=True)
    own_folder.chmod(0o777)
    config = load_config(Path(__file__).parents[2] / "configs" / "run6.py")
    terminal.begin("a run", config)
    printed = capsys.readouterr().out
    assert f"not kept in {own_folder}: {own_folder} is writable by others" in printed
    assert "FER_JAX_CACHE" in printed
    assert not jax.config.values["jax_compilation_cache_dir"]
    # Nothing is even looked at where the user does not want it.
    shutil.rmtree(tmp_path / "xla")
    terminal.begin("a run", replace(config, device=replace(config.device, compile_cache=False)))
    assert not (tmp_path / "xla").exists()


def test_a_folder_that_the_user_has_chosen_for_jax_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the one of these tests, which therefore leave the user's own alone."""
    monkeypatch.setenv("FER_JAX_CACHE", str(tmp_path / "cache"))
    chosen = os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert compile_cache.keep_compiled() == f"compiled programs are kept in {chosen}, as JAX was told"
    assert jax.config.values["jax_compilation_cache_dir"] == chosen and not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_made_is_a_note(
    tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_folder.parent.touch()
    assert compile_cache.keep_compiled() == f"{compile_cache.NOT_KEPT}: {own_folder.parent}: File exists"
    without_home(monkeypatch)
    assert "there is no home folder; name a folder for the cache" in compile_cache.keep_compiled()
    assert compile_cache.keep_compiled_if_possible() == compile_cache.keep_compiled()


def test_another_machine_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that shares the home folder would be given instructions that it does not have."""
    here = compile_cache.compiled_folder()
    assert compile_cache.compiled_folder() == here
    monkeypatch.setattr(machine, "describe_cpu", lambda: "another processor, 1 core")
    assert compile_cache.compiled_folder() != here


def test_a_user_without_a_home_reads_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_home(monkeypatch)
    faces = tmp_path / "faces.csv"
    faces.write_text(f"emotion,pixels,Usage\n3,{' '.join(['1'] * 2304)},Training\n")
    files.keep_array("answers/0123", np.zeros(3))
    assert files.read_array("answers/0123") is None
    examples = cache.read_cached(faces, on_bad_row="stop")
    assert len(examples.labels) == 1
    assert any("not cached: there is no home folder" in note for note in examples.notes)


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user whom the system does not know, as with `docker run --user`."""
    for name in ("FER_JAX_CACHE", "HOME", "USERPROFILE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_danger_is_seen_in_the_folder_and_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path.resolve() / "above" / "xla"
    folder.mkdir(parents=True, mode=0o700)
    assert find_danger(folder) is None
    folder.parent.chmod(0o777)
    assert find_danger(folder) == f"{folder.parent} is writable by others"
    folder.parent.chmod(0o1777)  # Sticky, as /tmp is: nobody else may exchange what is in it.
    assert find_danger(folder) is None
    folder.chmod(0o1777)
    assert find_danger(folder) == f"{folder} is writable by others"
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert find_danger(folder) == f"{folder} belongs to another user"


def test_the_users_own_group_is_no_danger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With umask 002, the default of Ubuntu and Fedora, the folders of a cache are writable by it."""
    folder = tmp_path.resolve() / "fer_jax" / "xla"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o775)
    number, members = os.getgid() or 1000, ["ada"]
    os.chown(folder.parent, -1, number)
    monkeypatch.setattr("pwd.getpwuid", lambda _: SimpleNamespace(pw_name="ada", pw_gid=number))
    monkeypatch.setattr("grp.getgrgid", lambda _: SimpleNamespace(gr_name="ada", gr_mem=members))
    assert find_danger(folder) is None
    members.append("eve")
    assert find_danger(folder) == f"{folder.parent} is writable by others"
    members.pop()
    folder.parent.chmod(0o777)
    assert find_danger(folder) == f"{folder.parent} is writable by others"


@pytest.fixture
def xla_flags(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Give a function: XLA_FLAGS before -> XLA_FLAGS after `tune_cpu`, as on a known machine without GPU."""
    monkeypatch.delenv("FER_JAX_TUNE", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.2")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    monkeypatch.setattr(cpu, "has_started", lambda: False)

    def tuned(before: str) -> str:
        monkeypatch.setenv("XLA_FLAGS", before)
        cpu.tune_cpu.cache_clear()
        cpu.tune_cpu()
        return os.environ["XLA_FLAGS"]

    return tuned


def test_xla_flags_are_added_to_those_of_the_user_and_never_over_them(
    xla_flags: Callable[[str], str],
) -> None:
    assert xla_flags("").split() == list(cpu.XLA_FLAGS)
    mine = "--xla_disable_hlo_passes=dce --xla_cpu_max_isa=AVX2"
    assert xla_flags(mine).split() == [*mine.split(), next(iter(cpu.XLA_FLAGS))]


@pytest.mark.parametrize(
    "change", ["unknown version", "GPU plugin", "another processor", "started", "switched off"]
)
def test_xla_flags_are_left_alone(
    change: str, xla_flags: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An XLA that does not know a flag would not start, and a GPU's compiler would read them too."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    match change:
        case "unknown version":
            monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0")
        case "GPU plugin":
            monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ("xla_cuda13",))
        case "another processor":
            monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        case "started":
            monkeypatch.setattr(cpu, "has_started", lambda: True)
        case _:
            monkeypatch.setenv("FER_JAX_TUNE", "0")
    assert xla_flags("") == ""


def test_the_threads_that_compile_for_a_gpu_have_memory_of_their_own(
    xla_flags: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: dict[int, int] = {}
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(cpu, "_has_glibc", lambda: True)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=set_to.__setitem__))
    xla_flags("")
    assert set_to[cpu._M_ARENA_MAX] == 1
    set_to.clear()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ("xla_cuda13",))
    xla_flags("")
    assert set_to and cpu._M_ARENA_MAX not in set_to


CARD = """Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 42
GPU UUID: \t GPU-0123
"""
NAME = "nvidia-h100-80gb-hbm3_jax-cuda13-pjrt-0.10.2.txt"


@pytest.fixture
def gpu_flags(
    tmp_path: Path, xla_flags: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Give `xla_flags` as on a machine with two cards of a kind, for which a choice of kernels is shipped."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ("xla_cuda13",))
    monkeypatch.setattr(cpu, "_CARDS", tmp_path / "gpus")
    monkeypatch.setattr(cpu, "AUTOTUNED", tmp_path)
    for number in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / number).mkdir(parents=True)
        (tmp_path / "gpus" / number / "information").write_text(CARD)
    (tmp_path / NAME).touch()
    return xla_flags


def test_kernels_chosen_for_this_card_and_compiler_are_loaded_and_told(
    tmp_path: Path, gpu_flags: Callable[[str], str]
) -> None:
    flag = f"{cpu.LOAD_AUTOTUNED}={tmp_path / NAME}"
    assert gpu_flags("--xla_gpu_autotune_level=2").split() == ["--xla_gpu_autotune_level=2", flag]
    assert f"XLA takes its choice of kernels from {NAME}" in cpu.tune_cpu()
    # A program that this one starts is handed the flag, and need not try it.
    assert flag in cpu.own_flags()
    mine = f"{cpu.LOAD_AUTOTUNED}=/mine.txt"
    assert gpu_flags(mine) == mine


@pytest.mark.parametrize(
    "change", ["another card", "cards that differ", "another compiler", "no driver", "CPU", "none shipped"]
)
def test_kernels_of_another_machine_are_not_loaded(
    change: str, tmp_path: Path, gpu_flags: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = [tmp_path / "gpus" / number / "information" for number in ("0000:01:00.0", "0000:02:00.0")]
    match change:
        case "another card":
            for card in cards:
                card.write_text(CARD.replace("H100", "H200"))
        case "cards that differ":
            cards[0].write_text(CARD.replace("H100", "A100"))
        case "another compiler":
            monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.12.0")
        case "no driver":
            shutil.rmtree(tmp_path / "gpus")
        case "CPU":
            monkeypatch.setenv("JAX_PLATFORMS", "cpu")
        case _:
            (tmp_path / NAME).unlink()
    assert cpu.LOAD_AUTOTUNED not in gpu_flags("")


KEEP_SMALL_AND_FREE_LARGE = """
import sys
from pathlib import Path
import numpy as np
from fer_jax.runtime import cpu

if sys.argv[1] == "return":
    cpu.return_memory()
small = []
for _ in range(2):
    large = []
    for _ in range(40):
        large.append(np.ones(2**19))
        small.append(np.ones(2**13))
    del large
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line))
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_blocks_are_returned_although_small_ones_lie_between_them() -> None:
    words = [sys.executable, "-c", KEEP_SMALL_AND_FREE_LARGE]
    kept, returned = (
        int(subprocess.run([*words, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "return")
    )
    assert kept - returned > 80_000  # KiB; 40 blocks have 160 MiB.
