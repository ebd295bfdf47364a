"""The configs that come with fer_jax: by name from anywhere, in a checkout and in an installed package."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from fer_jax.config.files import load_config
from fer_jax.config.records import copy_text, find_file, list_files, list_names, read_record
from fer_jax.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_a_name_works_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config("run6") == load_config(ROOT / "configs" / "run6.py")
    assert find_file("craft", "space") == ROOT / "configs" / "spaces" / "craft.py"
    (tmp_path / "run6.py").write_text("from fer_jax.config import Config\nconfig = Config(name='mine')\n")
    assert load_config("run6.py").name == "mine", "a file that is there comes first"


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("run66", "there is no config file run66; did you mean 'run6'?"),
        ("configs/run6.py", "did you mean 'run6', which comes with fer_jax?"),
        ("conf/mi.py", "did you mean 'conf/mine.py'?"),
        ("?", "those that come with fer_jax are run1, run2, "),
    ],
)
def test_what_is_not_there_is_refused_with_what_is_close(
    named: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.py").touch()
    with pytest.raises(ConfigError) as refused:
        find_file(named, "config")
    assert wanted in str(refused.value)


@pytest.mark.parametrize("path", list_files("config"), ids=lambda path: path.stem)
def test_a_copy_is_the_same_config_under_its_own_name(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "my-copy.py"
    copy.write_text(copy_text(path.read_text(), old=path.stem, new="my-copy"))
    assert load_config(copy).name == "my-copy"
    assert (
        read_record(copy).title
        == f"A copy of {path.stem}, to edit. What follows is the record of {path.stem}."
    )


def test_a_wheel_carries_the_configs(tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel")
    (wheel,) = wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    code = (
        "import fer_jax, fer_jax.config.records as records; from fer_jax.config.files import load_config;"
        "print(fer_jax.__file__, *records.list_names('config'), *records.list_names('space'));"
        "print(load_config('run6').name)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    home, *names, name = done.stdout.split()
    assert Path(home).is_relative_to(tmp_path) and name == "run6"
    assert names == [*list_names("config"), *list_names("space")]


def test_a_source_distribution_has_the_files_of_the_project_alone(tmp_path: Path) -> None:
    sdists = pytest.importorskip("hatchling.builders.sdist")
    tree = tmp_path / "tree"
    ours = ("pyproject.toml", "README.md", "LICENSE", "fer_jax/__init__.py", "docs/a.md", "examples/a.ipynb")
    theirs = ("fer2013.csv", "my_faces/calm/1.jpg", "mine.safetensors", "examples/runs/a/run.json", "data/a")
    for name in (*ours, *theirs):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes() if (ROOT / name).is_file() else b"")
    (built,) = sdists.SdistBuilder(str(tree)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert names == {*ours, "PKG-INFO"}


def test_a_source_distribution_lacks_no_folder_of_the_project() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    there = {name.partition("/")[0] for name in done.stdout.splitlines()}
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    always = {"README.md", "LICENSE", "pyproject.toml", ".gitignore"}
    settings = {".ci", ".dockerignore", ".pre-commit-config.yaml"}
    assert there == {each.split("/")[1] for each in named["include"]} | always | settings


@pytest.mark.parametrize("content", [b"# A page, not Python: it's\n", b"name = '\xff'\n", b"a\0"])
def test_what_is_not_python_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "page.py"
    path.write_bytes(content + b"'")
    with pytest.raises(
        ConfigError, match=r"page.py is not Python in UTF-8 .*; give a config or a space file"
    ):
        read_record(path)
