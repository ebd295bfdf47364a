"""`fer-jax VERB ...`, the same as `python -m fer_jax.VERB ...`."""

import importlib
import io
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple, Union

from fer_jax.config.fields import suggest


class Verb(NamedTuple):
    """A command: the dataclass of its options, in its `__main__`, and what it does."""

    options: str
    what: str


VERBS: Final = {
    "predict": Verb("PredictOptions", "find the faces in photos and videos and predict their expressions"),
    "configs": Verb("ConfigsCommand", "list the configs that come with fer_jax, or copy one to edit"),
    "cache": Verb("CacheCommand", "show what fer_jax keeps in your cache folder, or delete it"),
    "serve": Verb("ServeOptions", "answer photos with their faces over HTTP, and show the browser demo"),
    "export": Verb("ExportOptions", "write a network as ONNX, int8 ONNX or StableHLO, and check the file"),
    "train": Verb("TrainCommand", "train the network that a config file describes"),
    "evaluate": Verb("EvaluateOptions", "measure runs or released weights on any part of the data"),
    "compare": Verb("CompareCommand", "compare runs side by side and test which differences are significant"),
    "diagnose": Verb("DiagnoseCommand", "diagnose a run's bias and variance, and suggest what to change"),
    "sweep": Verb("SweepCommand", "search a config's hyper-parameters on a hold-out"),
    "bias_variance": Verb("BiasVarianceCommand", "measure the bias and the variance of a config's errors"),
    "check": Verb("CheckCommand", "check config, data and network before a long run"),
    "audit": Verb("AuditCommand", "find duplicates, images without a face and likely label errors"),
    "release": Verb("ReleaseOptions", "export a run's weights with a card, for fer_jax.load"),
    "verify": Verb("VerifyOptions", "check again what runs, released weights and the docs claim"),
    "show": Verb("ShowCommand", "draw a contact sheet of images and their augmented versions"),
}
COMPLETION: Final = "completion"
SHELLS: Final = ("bash", "zsh", "fish")
_MARK: Final = "__TYRO_COMPLETE_FILES__"
_FILES: Final = {
    f'[[ "$completions" == "{_MARK}" ]]': f'[[ -z "$completions" || "$completions" == "{_MARK}" ]]',
    f'test "$results" = {_MARK}': f'test -z "$results"; or test "$results" = {_MARK}',
    # Bash itself completes paths better: tyro joins the words before.
    'COMPREPLY=($(compgen -f -- "$cur"))': "COMPREPLY=()",
    "complete -F ": "complete -o default -F ",
}
"""What is changed in tyro's scripts: paths are completed for options, and where nothing else is known."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes fer-jax in a shell."""


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names.

    Returns:
        Its exit status; 2 where there is no such command.
    """
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in VERBS:
        status: int = importlib.import_module(f"fer_jax.{words[0]}.__main__").main(words[1:])
        return status
    from fer_jax import cli

    return cli.run(lambda: _answer(words))


def _answer(words: list[str]) -> int:
    """Answer a command line that names no command: with the list of commands, or what is wrong."""
    whats = {verb: each.what for verb, each in VERBS.items()}
    whats[COMPLETION] = f"print a script that completes fer-jax in {', '.join(SHELLS)}"
    listing = "\n".join(f"  fer-jax {verb:<13} {what}" for verb, what in whats.items())
    usage = f"usage: fer-jax VERB ...\n\n{listing}\n\nfer-jax VERB --help lists its options."
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        return 0 if words else 2
    if words[0] == "--version":
        from fer_jax import cli

        print(cli.describe_versions())
        return 0
    if words[0] == COMPLETION:
        return _complete(words[1:])
    print(f"error: there is no verb {words[0]!r}{suggest(words[0], list(whats))}\n{usage}", file=sys.stderr)
    return 2


def _complete(words: list[str]) -> int:
    """Print the script that completes `fer-jax` in a shell."""
    if len(words) != 1 or words[0] not in SHELLS:
        print(
            f"usage: fer-jax {COMPLETION} {'|'.join(SHELLS)}, as in\n"
            f'  eval "$(fer-jax {COMPLETION} bash)"    # in ~/.bashrc',
            file=sys.stderr,
        )
        return 2
    import tyro

    from fer_jax import cli

    # The standard output of `--tyro-write-completion` is `-`; it ends the program.
    with cli.whole_paragraphs(), redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        tyro.cli(_all_verbs(), prog="fer-jax", args=["--tyro-write-completion", words[0], "-"])
    script = printed.getvalue()
    for old, new in _FILES.items():
        script = script.replace(old, new)
    print(script)
    return 0


def _all_verbs() -> Any:
    """Make the union of all commands, each a subcommand with its options."""
    import tyro

    from fer_jax import cli
    from fer_jax.config.run import Config

    found = []
    for verb, each in VERBS.items():
        command = getattr(importlib.import_module(f"fer_jax.{verb}.__main__"), each.options)
        settings = Config(name="run") if cli.has_settings(command) else None
        default = cli.to_default(command, settings)
        mark = tyro.conf.subcommand(name=verb, description=each.what, default=default)
        found.append(Annotated[cli.to_program(command), mark])
    found.append(Annotated[Completion, tyro.conf.subcommand(name=COMPLETION)])
    return Union[tuple(found)]  # noqa: UP007, of classes that only run time knows


if __name__ == "__main__":
    sys.exit(main())
