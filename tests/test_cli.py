"""The command line: help, general options, usual names, near misses, completion, refusals without JAX."""

import contextlib
import importlib
import io
import itertools
import json
import platform
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_jax import __main__ as door
from fer_jax import cli
from fer_jax.compare.__main__ import CompareCommand
from fer_jax.config.fields import USUAL_NAMES, field_of, suggest_usual
from fer_jax.config.files import to_json
from fer_jax.config.overrides import list_leaves
from fer_jax.config.run import Config
from fer_jax.runtime.verbosity import Verbosity, get_verbosity
from fer_jax.show.__main__ import ShowCommand
from fer_jax.train.__main__ import TrainCommand
from fer_jax.train.__main__ import main as train

COLUMNS = 80


@dataclass(frozen=True)
class Small:
    """A command."""

    out: Path | None = None
    """Where to."""


@pytest.mark.parametrize("verb", door.VERBS)
def test_help_breaks_lines_between_words_where_they_are_full(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    with pytest.raises(SystemExit):
        importlib.import_module(f"fer_jax.{verb}.__main__").main(["--help"])
    lines = [line.rstrip("\n") for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= COLUMNS
    for line, after in itertools.pairwise(lines):
        words = after.strip(" │").split(" ")
        is_boxed = line.startswith("│       ") and after.startswith("│       ")
        is_text = line[:1].isalpha() and (after[:1].isalpha() or after.startswith("  "))
        if is_boxed or is_text:
            # The words of an option's help start after eight columns, and a box ends two before the last one.
            room = COLUMNS - 2 if is_boxed else COLUMNS
            assert len(line.rstrip(" │")) + 1 + len(words[0]) > room, f"{line}\n{after}"


def test_the_versions_are_printed_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--version"], ["train", "--version"], ["evaluate", "--version"]):
        with contextlib.suppress(SystemExit):
            assert door.main(argv) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("fer_jax 0.") and f"Python {platform.python_version()}" in printed
        assert ", jax 0." in printed


@pytest.mark.parametrize(
    ("words", "wanted"),
    [([], Verbosity.NORMAL), (["--quiet"], Verbosity.QUIET), (["-v"], Verbosity.VERBOSE)],
)
def test_a_command_says_as_much_as_it_is_told_to(words: list[str], wanted: Verbosity) -> None:
    chosen = []

    def program() -> int:
        cli.parse(Small, words, prog="small")
        chosen.append(get_verbosity())
        return 0

    assert cli.run(program) == 0
    assert chosen == [wanted]
    assert get_verbosity() == Verbosity.NORMAL, "the choice ends with the command"


def test_a_warning_of_a_command_is_one_line() -> None:
    def program() -> int:
        told.append(warnings.formatwarning(UserWarning("mind this"), UserWarning, "file.py", 1))
        return 0

    told, before = list[str](), warnings.formatwarning
    assert cli.run(program) == 0 and told == ["warning: mind this\n"] and warnings.formatwarning is before


def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["--config", "run1", "-q", "-v"]) == 2
    assert "--quiet and --verbose came together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("--lr", "--optimizer.peak-rate"),
        ("--learning_rate=0.1", "--optimizer.peak-rate"),
        ("-lr", "--optimizer.peak-rate"),
        ("--epochs", "--train.epochs"),
        ("--bs", "--train.batch-size"),
        ("--dropout", "--model.dense-dropout-rate or --model.blocks.N.dropout-rate"),
        ("--output-dir", "--run-dir"),
        ("--wandb", "--train.trackers"),
        ("--gpu", "pip install 'fer-jax[gpu]'"),
        ("--save", "fer-jax configs --config run6 --save my.py"),
    ],
)
def test_a_usual_name_is_refused_with_the_name_it_has_here(
    option: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["--config", "run1", option, "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: there is no option {option.partition('=')[0]}; ") and wanted in error


def test_an_option_of_the_command_is_no_slip() -> None:
    assert cli.parse(ShowCommand, ["--config", "run1", "--seed", "3"], prog="show").seed == 3
    assert suggest_usual("lr", ["out"]) == ""


def test_the_home_folder_is_found_where_no_shell_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--config=run1", "--data=~/faces.csv", "--run-dir=~/runs/x"]
    found = cli.parse(TrainCommand, words, prog="train")
    assert (found.data, found.run_dir) == (tmp_path / "faces.csv", tmp_path / "runs" / "x")
    runs = cli.parse(CompareCommand, ["~/a", "~/b"], prog="compare").runs
    assert [str(each) for each in runs] == [str(tmp_path / name) for name in "ab"]


def test_every_suggestion_is_an_option() -> None:
    known = {field_of(name).replace("_", "-") for name, _ in list_leaves(to_json(Config(name="a")))}
    for verb, each in door.VERBS.items():
        command = getattr(__import__(f"fer_jax.{verb}.__main__", fromlist=["_"]), each.options)
        known |= {field.replace("_", "-") for field in command.__dataclass_fields__}
    meant = {name for names in USUAL_NAMES.values() if not isinstance(names, str) for name in names}
    assert {name.replace(".N.", ".0.") for name in meant} <= known


def test_bash_completes_verbs_options_and_values(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert door.main(["completion", "bash"]) == 0
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    script = tmp_path / "completion.bash"
    script.write_text(
        printed.getvalue()
        + """
function=$(complete -p fer-jax | sed 's/.*-F \\([^ ]*\\).*/\\1/')
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $function; echo "${COMPREPLY[*]}"; }
try fer-jax trai
try fer-jax train --optimizer.pea
try fer-jax train --optimizer.name ""
try fer-jax completi
try fer-jax predict pho
complete -p fer-jax
"""
    )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "train",
        "--optimizer.peak-rate",
        "sgd adam adamw muon",
        "completion",
        "",  # So bash completes the path of a photo.
        "complete -o default -F _tyro_fer_jax fer-jax",
    ]


@pytest.mark.parametrize("shell", door.SHELLS)
def test_every_shell_completes_paths_where_nothing_else_is_known(shell: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert door.main(["completion", shell]) == 0
    assert printed.getvalue().count('-z "$') == 1


def test_a_reader_that_has_enough_of_a_completion_ends_it_in_silence() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fer_jax", "completion", "bash"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)


def test_a_shell_without_completion_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["completion", "cmd"]) == 2
    assert "fer-jax completion bash|zsh|fish" in capsys.readouterr().err


REFUSALS = """
import contextlib, importlib, io, json, sys
for verb, *words in json.load(sys.stdin):
    main = importlib.import_module(f"fer_jax.{verb}.__main__").main
    with contextlib.redirect_stderr(io.StringIO()) as error:
        status = main(words)
    print(json.dumps([verb, status, error.getvalue(), "jax" in sys.modules]))
"""


def test_what_is_missing_is_refused_before_jax_is_imported(tiny_run: Path, tmp_path: Path) -> None:
    """In one process: what is imported stays, so the first one that is not clean is named."""
    run, unfinished = tmp_path / "runs" / "run4-seed0", tmp_path / "runs" / "unfinished"
    for folder in (run, unfinished):
        shutil.copytree(tiny_run, folder)
    record = unfinished / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"finished": None}))
    config = ["--config", "run4", "--data.source", "synthetic"]
    cases = [
        (["train", *config[:2], "--data", "no.csv"], 3, "nothing is there"),
        (["train", *config, "--drop", "no.csv"], 3, "there is no such file"),
        (
            ["train", *config, "--labels.source", "ferplus", "--labels.ferplus", "no.csv"],
            3,
            "no file of FER+",
        ),
        (["train", *config, "--distill.teachers", "runs/run4-seed"], 4, "did you mean 'runs/run4-seed0'?"),
        (["train", *config, "--run-dir", "runs/run4-seed0"], 4, "holds a run already"),
        (["train", *config, "--run-dir", "runs/run4-seed0", "--resume"], 4, "was trained with"),
        (["train", *config, "--run-dir", "runs/run4-seed", "--resume"], 4, "'runs/run4-seed0'"),
        (["train", *config, "--train.seed", "7", "--resume"], 4, "there is no run"),
        (["evaluate", "runs/run4-sed0"], 4, "'runs/run4-seed0'"),
        (["evaluate", "mdi"], 4, "'mid'"),
        (["evaluate", "mid", "--split", "val"], 2, "released weights have no run"),
        (["evaluate", "runs/run4-seed0", "--data", "no.csv"], 3, "nothing is there"),
        (["evaluate", "runs/run4-seed0", "--predictions", "a.txt"], 2, "ends in .csv or .parquet"),
        (["evaluate", "runs/run4-seed0", "--out", "x"], 2, "--out is for several runs"),
        (["compare", "runs/run4-seed0", "runs/run4-sed0"], 4, "'runs/run4-seed0'"),
        (["compare", "runs/run4-seed0", "runs/unfinished"], 4, "is not finished"),
        (["compare", "runs/run4-seed0"], 4, "needs at least two runs"),
        (["diagnose", "runs/run4-sed0"], 4, "'runs/run4-seed0'"),
        (["diagnose", "runs/unfinished"], 4, "is not finished"),
        (["diagnose", "runs/run4-seed0", "--bias-variance", "no.json"], 4, "does not exist"),
        (["sweep", *config, "--space", "crafd"], 2, "did you mean 'craft'?"),
        (["sweep", "--config", "run4", "--space", "craft", "--data", "no.csv"], 3, "nothing is there"),
        (["bias_variance", *config, "--ferplus", "no.csv"], 3, "no file of FER+"),
        (["check", "--config", "run4", "--data", "no.csv"], 3, "nothing is there"),
        (["audit", "--data", "no.csv"], 3, "nothing is there"),
        (["audit", "--config", "run44"], 2, "did you mean 'run4'?"),
        (["release", "runs/run4-sed0", "--name", "a"], 4, "'runs/run4-seed0'"),
        (["release", "runs/unfinished", "--name", "a"], 4, "is not finished"),
        (["release", "runs/run4-seed0", "--name", "A b"], 2, "lower-case letters"),
        (["show", "--config", "run4", "--data", "no.csv"], 3, "nothing is there"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", REFUSALS],
        input=json.dumps([words for words, *_ in cases]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for (words, status, wanted), (verb, came, error, has_jax) in zip(cases, lines, strict=True):
        assert (verb, came) == (words[0], status) and wanted in error, (words, error)
        assert not has_jax, words
