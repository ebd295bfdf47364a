"""The options of `verify`, which are its command line too: the docstrings are the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fer_jax.config.data import BadRow, DataConfig
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.files import read_json


@dataclass(frozen=True)
class VerifyOptions:
    """Check again what runs, released weights and the pages of the docs claim.

    - A run: the hashes of its config, split, checkpoints and data; the log; and its recorded results,
      measured again.
    - Released weights: the hash of the tensors and the card's arithmetic; with --data also its counts.
    - A page: every section between <!-- NAME --> and <!-- /NAME --> is written again from the committed JSON
      and compared, and each JSON is traced to its command, its machine and a commit of this repository. It
      needs the source tree.

    Counts and accuracies have to agree exactly, losses and probabilities to 0.0001. Each check is one
    line: ok, DIFFERS, or not checked, with the reason. Exit status 8 if anything differs.
    """

    subjects: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Runs, or folders of runs; released weights, by name, .safetensors file or card; Markdown files, or
    folders of them."""
    data: Path | None = None
    """fer2013.csv, to count a card's figures again; of a run, by default the data that it was trained on."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv; by default the file of this name beside --data, of a run the one that it was
    trained with."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it."""
    json: Path | None = None
    """Also write all checks to this file."""
    overwrite: bool = False
    """Replace the file of --json."""


def is_page(subject: str) -> bool:
    """Whether a subject is a Markdown file, or a folder that holds pages and no runs."""
    path = Path(subject)
    return path.suffix == ".md" or (path.is_dir() and any(path.glob("*.md")) and not _holds_runs(path))


def is_card(subject: str) -> bool:
    """Whether a subject is the file of a card."""
    return Path(subject).suffix == ".json"


def _holds_runs(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in ("run.json", "*/run.json"))


def check(options: VerifyOptions) -> None:
    """Check that what the options name is there, before JAX is imported.

    Raises:
        FerJaxError: a user error: the command line, the data, or a name.
    """
    if not options.subjects:
        raise ConfigError(
            "nothing was named to verify; give a run such as runs/run6-seed0, weights such as mid, or a page "
            "such as README.md"
        )
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.data.location import find_file
    from fer_jax.data.readers import ferplus
    from fer_jax.runs import outputs, sources

    if options.data is not None:
        # As any pictures: how they are read depends on each subject.
        find_file(DataConfig(path=str(options.data), source="kaggle", fit="resize"))
    if options.ferplus is not None:
        ferplus.find(options.ferplus)
    for subject in options.subjects:
        if not is_page(subject) and not is_card(subject):
            sources.find(subject)
        elif not Path(subject).exists():
            raise DataError(f"there is no file {subject}; give a page such as README.md, or a card")
    if options.json is not None:
        named = [*map(Path, options.subjects), options.data, options.ferplus]
        # Its own file of an earlier call may be in the folder of a run: it is not read.
        read = [] if _is_result(options.json) else [each for each in named if each is not None]
        outputs.check_file("--json", options.json, inputs=read, may_replace=options.overwrite)


def _is_result(path: Path) -> bool:
    """Whether a file is what `verify` wrote."""
    try:
        content = read_json(path) if path.is_file() else None
    except RunError:
        return False
    return isinstance(content, dict) and {"command", "counts", "checks"} <= content.keys()
