"""What a command line names, checked before anything slow is imported: a wrong name is refused at once.

Nothing is read in full here: what the files hold is checked when they are read.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

from fer_jax.config.data import BadRow, DataConfig, Fit
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.data import targets
from fer_jax.data.load import check_own
from fer_jax.data.location import find_file
from fer_jax.data.rows import drop_list
from fer_jax.errors import ConfigError, DataError, RunError
from fer_jax.files import expand_home, suggest_path
from fer_jax.runs import folder as runs_folder
from fer_jax.runs import record, sources
from fer_jax.runs.location import choose_place
from fer_jax.runs.record import DataRecord, RunRecord


def check_files(config: Config) -> None:
    """Check that the data, votes, drop list, teachers, bank and ancestor that a config names are there.

    Raises:
        ConfigError, DataError: a file is not.
        RunError: a teacher or the ancestor is not there, or not finished.
    """
    find_file(config.data)
    check_own(config)
    targets.find_votes(config.labels)
    if config.data.drop is not None:
        drop_list.find(config.data.drop)
    learnt_from = [
        *(("distill.teachers", teacher) for teacher in config.distill.teachers),
        ("distill.bank", config.distill.bank),
        ("init.weights", config.init.weights),
    ]
    for field, name in learnt_from:
        if name is not None:
            check_learnt_from(field, name)


def check_learnt_from(field: str, name: str) -> None:
    """Check that what `distill.teachers`, `distill.bank` or `init.weights` names is there.

    Raises:
        RunError: it is not, or it is a run that is not finished.
    """
    if field == "distill.bank":
        check_bank(expand_home(name))
        return
    for folder in sources.find_all([name]).runs:
        read_finished(folder)


def check_bank(path: Path) -> None:
    """Check that the file of a bank is there.

    Raises:
        RunError: it is not.
    """
    if not path.is_file():
        near = suggest_path(path) or "; give the file of a bank, or distill.teachers, whose answers make one"
        raise RunError(f"distill.bank: there is no file {path}{near}")


def check_place(
    config: Config, count: int, run_dir: Path | None, *, is_resumed: bool, extra_epochs: int = 0
) -> None:
    """Check that a run can be written, resumed or extended where it is asked for; see `choose_place`.

    Raises:
        ConfigError, RunError: it cannot.
    """
    place = choose_place(config, count, run_dir, is_resumed=is_resumed, extra_epochs=extra_epochs)
    for folder in dict.fromkeys([place.home, *place.folders]):
        if folder.exists():
            with runs_folder.locked(folder):
                pass
        if is_resumed:
            runs_folder.check_checkpoints(folder)


def check_parquet(option: str, path: Path) -> None:
    """Check that the Parquet file that an option names can be written.

    Raises:
        ConfigError: the package for it is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            f"{option} {path} needs the package pyarrow, which is not installed; `pip install pyarrow` "
            "installs it; or write a CSV file"
        )


def read_finished(folder: Path) -> RunRecord:
    """Read the record of a finished run.

    Raises:
        RunError: there is none, it is not finished, or it is that of several seeds.
    """
    if not folder.is_dir():
        raise RunError(
            f"there is no folder {folder}{suggest_path(folder) or '; give a run such as runs/run6-seed0'}"
        )
    found = record.read_record(folder)
    if found.folders is not None:
        names = ", ".join(Path(each).name for each in found.folders)
        raise RunError(f"{folder} holds {len(found.folders)} runs, {names}; give one of them")
    if not found.finished:
        raise RunError(f"{folder} is not finished; go on with it (train --resume) first")
    return found


def check_data(
    folder: Path,
    data: Path | None,
    on_bad_row: BadRow | None,
    *,
    fit: Fit | None = None,
    class_map: str | None = None,
) -> Path | None:
    """Check that the data to measure a run on is there.

    Args:
        folder: the run's.
        data: another file; None for the data that the run was trained on.
        on_bad_row: what a malformed row does; None for what the run's config says.
        fit: how pictures become 48 × 48 gray; likewise.
        class_map: which label is which class; likewise.

    Returns:
        Its path; None: synthetic faces.

    Raises:
        DataError: it is not.
        ConfigError: the class map is none.
    """
    config = with_data(record.read_config(folder), data, on_bad_row, fit=fit, class_map=class_map)
    if data is None:
        return find_file(find_trained_on(config.data, record.read_record(folder).data))
    return find_file(config.data)


def find_trained_on(config: DataConfig, trained_on: DataRecord) -> DataConfig:
    """Find the data that a run was trained on: what to load, synthetic or not.

    Raises:
        DataError: it is not there.
    """
    if trained_on.is_synthetic:
        return replace(config, source="synthetic")
    if find_file(config) is None:
        raise DataError(
            f"no FER2013 file was found, and the run was trained on {trained_on.description}; "
            "give it with --data"
        )
    return config
