"""What the README, the quickstart and the notebooks show is run, as a newcomer would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/quickstart.md")
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
EACH_ALONE = """
import sys

for code in sys.argv[1:]:
    print(code, flush=True)  # The one that fails is the last.
    exec(compile(code, "<block>", "exec"), {"__name__": "__main__"})
"""
"""Runs blocks of Python that share a process, but no names."""

RUN = {"bash": ["bash", "-eu", "-c"], "python": [sys.executable, "-c", EACH_ALONE]}
SHOWN_ONLY = {
    "make train",  # What continuous integration and every newcomer runs.
    "make test",
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    "pip install -e .",
    "pip install -e '.[use,video]'",
    # With pictures that the README cannot bring along; `tests/train/test_own_pictures.py` runs their like.
    "python -m fer_jax.show --config own --data my_faces --plain",
    "python -m fer_jax.train --config own --data my_faces --init.weights mid --run-dir runs/mine",
    "python -m fer_jax.evaluate runs/mine --split test --no-robustness",
    "python -m fer_jax.release runs/mine --name mine",
    "python -m fer_jax.predict my_faces --weights mine.safetensors --csv my_faces.csv",
}
"""Commands of `text` blocks: they set an environment up, run these very tests, or need what is not there."""


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Language and code of every code block of a page, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)


def environment() -> dict[str, str]:
    """Put the tests' own Python first, let nothing find a FER2013 file, and let XLA compile in a hurry."""
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    own = {"PATH": os.pathsep.join(folders), "FER_JAX_DATA": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return os.environ | own


def commands_of(page: str) -> list[tuple[str, str]]:
    """Language and code of everything that a page runs: a command of the shell, or a block of Python."""
    return [
        (language, command)
        for language, code in blocks_of(page)
        if language in RUN
        # A line that ends in a backslash goes on.
        for command in (re.split(r"(?<!\\)\n", code.strip()) if language == "bash" else [code])
    ]


def run(language: str, *code: str, folder: Path) -> None:
    words = [*RUN[language], *code]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_every_code_block_runs(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    pages = {page: commands_of(page) for page in PAGES}
    assert all({language for language, _ in commands} == set(RUN) for commands in pages.values())
    # What several pages show is run once.
    shown = dict.fromkeys(command for commands in pages.values() for command in commands)
    for language, command in shown:
        if language == "bash":
            run(language, command, folder=tmp_path)
    # In one process: to import JAX, pandas and matplotlib takes longer than most of the blocks.
    run("python", *(code for language, code in shown if language == "python"), folder=tmp_path)


def test_the_python_guide_runs(tmp_path: Path) -> None:
    code = "\n".join(code for language, code in blocks_of("docs/guides/python.md") if language == "python")
    run("python", code, folder=tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_is_not_run_sets_up_or_shows_no_command(page: str) -> None:
    lines = [
        line.split("#")[0].strip()
        for language, code in blocks_of(page)
        if language not in RUN
        for line in code.splitlines()
    ]
    commands = {line for line in lines if re.match(r"(make|python3?|pip|\.) ", line)}
    assert commands <= SHOWN_ONLY


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_JAX_DATA", "")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    # Not the user's kernels, which may be of another environment.
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
