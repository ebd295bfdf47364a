"""What a user names to predict with: the folder of a run, a file of released weights, or the name of some.

Everything that takes a trained network finds it here, without JAX: a wrong name is refused at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from fer_jax.config.data import BadRow, DataConfig, Fit
from fer_jax.config.fields import suggest
from fer_jax.config.files import from_json
from fer_jax.data.location import find_file
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import expand_home, read_json, reading
from fer_jax.runs.location import find_folders

WEIGHTS: Final = Path(__file__).parents[1] / "weights"
"""The folder of the package that holds the released weights."""

SUFFIX: Final = ".safetensors"
CARD_SUFFIX: Final = ".json"


@dataclass(frozen=True)
class Released:
    """Released weights: `NAME.safetensors` in a folder, with their card, `NAME.json`, beside it."""

    folder: Path
    name: str


class Members(NamedTuple):
    """What several names stand for, each once: either released weights or the folders of runs."""

    weights: list[Released]
    runs: list[Path]


def list_names(folder: Path) -> list[str]:
    """List the names of the weights in a folder; none where there is no such folder."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))


def choose_data(
    card: Mapping[str, Any],
    path: Path | None,
    on_bad_row: BadRow | None,
    *,
    fit: Fit | None = None,
    class_map: str | None = None,
) -> DataConfig:
    """Choose how a file is read to measure released weights on: as the data of their training was.

    Args:
        card: of the weights.
        path: the file; None to look for FER2013.
        on_bad_row: what a malformed row does; by default it is an error.
        fit: how pictures become 48 × 48 gray; by default as in the training.
        class_map: which label is which class; likewise.

    Raises:
        FerJaxError: the card does not say how.
    """
    with reading(Path("the card")):
        config = from_json(DataConfig, card["config"]["data"], where=f"the card of {card['name']}")
    return DataConfig(
        path=None if path is None else str(path),
        source="kaggle",  # There are no synthetic images then: only a file will do.
        on_bad_row=on_bad_row or "stop",
        fit=fit or config.fit,
        class_map=class_map or config.class_map,
    )


def check_data(
    released: Released, path: Path | None, *, fit: Fit | None = None, class_map: str | None = None
) -> Path | None:
    """Check that there is data to measure released weights on.

    Returns:
        Its path; None where the card of the weights cannot be read, which is not said here.

    Raises:
        DataError: there is none.
    """
    try:
        card = read_json(released.folder / f"{released.name}{CARD_SUFFIX}")
        config = choose_data(card, path, None, fit=fit, class_map=class_map)
    except (RunError, ConfigError):  # `inference.weights` says what is wrong with the card.
        return None
    return find_file(config)


def find(named: str | Path) -> Released | list[Path]:
    """Find what a name or a path stands for.

    Args:
        named: the folder of a run, or one that holds runs; a `.safetensors` file with its card beside it; or
            the name of weights that come with fer_jax, such as "mid". A folder with a run in it comes before
            such a name.

    Returns:
        Released weights, or the folders of the runs, at least one.

    Raises:
        RunError: there is nothing of this name; the message suggests what is close to it.
    """
    path = expand_home(named)
    if path.suffix == SUFFIX and path.is_file():
        return Released(path.parent, path.stem)
    is_name = str(named) in list_names(WEIGHTS)
    if path.is_dir() and not (is_name and not any(_list_runs(path))):
        return find_folders([path])
    if is_name:
        return Released(WEIGHTS, str(named))
    known = list_names(WEIGHTS)
    near = suggest(str(named), [*known, *_list_neighbours(path)])
    if path.suffix == SUFFIX:
        near += "; the command release writes such a file from a finished run"
    raise RunError(
        f"there is no run, no weights file and no released weights {str(named)!r}; give the folder of a run, "
        f"a {SUFFIX} file, or one of {', '.join(known)}{near}"
    )


def find_all(named: Sequence[str | Path]) -> Members:
    """Find what several names stand for: the members of an ensemble.

    Args:
        named: as for `find`; a folder of weights, without a run in it, stands for all of these, and a card
            for the weights beside it: for `best-*` a shell names both.

    Raises:
        ConfigError: there are weights and runs among them.
        RunError: there is nothing of a name, see `find`.
    """
    weights: dict[tuple[Path, str], Released] = {}
    runs: dict[Path, Path] = {}
    for each in named:
        for found in _find_members(each):
            if isinstance(found, Released):
                weights.setdefault((found.folder.resolve(), found.name), found)
            else:
                runs.setdefault(found.resolve(), found)
    if weights and runs:
        first, run = next(iter(weights.values())), next(iter(runs.values()))
        raise ConfigError(
            f"{first.name} are released weights, and {run} is a run; both together are no ensemble: name "
            "weights alone, or runs alone"
        )
    return Members(list(weights.values()), list(runs.values()))


def _find_members(named: str | Path) -> Sequence[Released | Path]:
    path = expand_home(named)
    if path.is_dir() and not any(_list_runs(path)) and list_names(path):
        return [Released(path, name) for name in list_names(path)]
    is_card = path.suffix == CARD_SUFFIX and path.with_suffix(SUFFIX).is_file()
    found = find(path.with_suffix(SUFFIX) if is_card else named)
    return [found] if isinstance(found, Released) else found


def _list_runs(folder: Path) -> Iterator[Path]:
    """List a folder if it is a run's, and those of the runs in it."""
    yield from (
        path.parent for pattern in ("run.json", "*/run.json") for path in sorted(folder.glob(pattern))
    )


def _list_neighbours(path: Path) -> list[str]:
    """List the runs and the weights that a wrong path may mean: those of its folder, and all in runs/."""
    folders = dict.fromkeys((path.parent, Path("runs")))
    found = [each for folder in folders for each in (*_list_runs(folder), *folder.glob(f"*{SUFFIX}"))]
    return [str(each) for each in dict.fromkeys(found)]
