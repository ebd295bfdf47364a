"""The state of a sweep, an Optuna study in a database: which trial is next, the results, and killed trials.

Several processes may share it. Each takes its turns behind a file lock, and holds another file lock while its
trial runs. The system releases that lock when the process ends, killed or not, so the others can tell which
trials are abandoned. Such a trial is marked failed and repeated in the next turn.

What the sampler suggests is a function of the sweep's seed, the number of trials and the results so far. A
single process therefore runs the same sweep whether it was killed on the way or not.
"""

import contextlib
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import filelock
import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, free_bytes, megabytes
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.sweep.space import Choices, Space

Pruner = Literal["median", "halving", "none"]

RANDOM_TRIALS: Final = 10
"""Trials before the sampler (Bergstra et al. 2011, tree-structured Parzen estimator) learns from results."""
MEDIAN_TRIALS: Final = 5
"""Finished trials before the median pruner prunes."""
HALVING_FACTOR: Final = 3
"""Successive halving (Li et al. 2018, ASHA): the best third continues, for three times as many epochs."""
IMPORTANCE_TRIALS: Final = 10
"""Finished trials below which no importances are computed: they would be chance."""

_BUSY_SECONDS: Final = 60
_DATABASE_ERRORS: Final[tuple[type[Exception], ...]] = (
    sqlalchemy.exc.SQLAlchemyError,
    optuna.exceptions.StorageInternalError,
)
# How SQLite says that the disk is full, that a file may not become larger, and that it may not write.
_DISK_WORDS: Final = ("database or disk is full", "disk I/O error")
_DECIDES, _PLACE, _REPEATS = "decides", "place", "repeats"


@dataclass(frozen=True)
class Board:
    """A sweep in which several processes take turns.

    Attributes:
        study: in its database.
        space: of the trials.
        seed: of the sampler.
        folder: of the lock files; the same for all processes that share a file database.
        is_file: the database is a file, so that all who share it also share the locks in its folder.
        shown: the database's URL, for messages.
    """

    study: optuna.Study
    space: Space
    seed: int
    folder: Path
    is_file: bool
    shown: str

    @property
    def place(self) -> str:
        """Where the locks of this process's trials are: on other machines nobody can see them."""
        return f"{platform.node()}:{self.folder}"

    @contextmanager
    def door(self) -> Iterator[None]:
        """Keep other processes from taking a turn or writing the report."""
        with filelock.FileLock(self.folder / f".{self.study.study_name}.lock"):
            yield

    def lock_of(self, number: int) -> filelock.BaseFileLock:
        """Return the lock that is held while a trial runs."""
        return filelock.FileLock(self.folder / f".{self.study.study_name}.trial{number}.lock", timeout=0)


@dataclass(frozen=True)
class Turn:
    """A trial that this process is to run, and the lock that it holds meanwhile."""

    trial: optuna.Trial
    lock: filelock.BaseFileLock


def open_board(
    storage: str,
    name: str,
    space: Space,
    decides: Json,
    *,
    pruner: Pruner,
    spared_epochs: int,
    seed: int,
    folder: Path,
) -> Board:
    """Open a sweep's study, or create it.

    Args:
        storage: SQLAlchemy URL of the database.
        name: of the study in it.
        space: of the trials.
        decides: everything that determines the trials and their results; ready for JSON.
        pruner: median: a trial ends if its best epoch so far is below the median of the others at that
            epoch; halving: if it is not in the best third at epochs 1, 3, 9 ... times the spared ones.
        spared_epochs: no trial is pruned earlier, >= 1.
        seed: of the sampler, in [0, 2**32).
        folder: of the lock files if the database is not a file.

    Raises:
        ConfigError: the URL is not that of a database.
        RunError: the database cannot be used, or contains another sweep of this name.
    """
    # We use features that Optuna calls experimental; its log would break the progress bar.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        url = sqlalchemy.make_url(storage)
    except sqlalchemy.exc.ArgumentError:
        raise ConfigError(f"--storage is {storage!r}; wanted a URL such as sqlite:///runs/sweep.db") from None
    shown, is_file = url.render_as_string(hide_password=True), url.get_backend_name() == "sqlite"
    if is_file:
        if url.database in (None, "", ":memory:"):
            raise ConfigError(f"--storage is {shown!r}, which is not a file; wanted sqlite:///PATH")
        folder = Path(str(url.database)).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    pruners: dict[Pruner, BasePruner] = {
        "median": MedianPruner(n_startup_trials=MEDIAN_TRIALS, n_warmup_steps=spared_epochs),
        "halving": SuccessiveHalvingPruner(min_resource=spared_epochs, reduction_factor=HALVING_FACTOR),
        "none": NopPruner(),
    }
    with filelock.FileLock(folder / f".{name}.lock"), database_errors(shown, ImportError, RuntimeError):
        wait = {"connect_args": {"timeout": _BUSY_SECONDS}} if is_file else {}
        study = optuna.create_study(
            storage=RDBStorage(storage, engine_kwargs=wait),
            study_name=name,
            direction="maximize",
            pruner=pruners[pruner],
            load_if_exists=True,
        )
        if _DECIDES not in study.user_attrs:
            study.set_user_attr(_DECIDES, decides)
        kept = study.user_attrs[_DECIDES]
    if change := _find_change(kept, decides):
        raise RunError(
            f"{shown} contains another sweep {name!r}: its {change}; give the same settings, or another "
            "--storage"
        )
    return Board(study, space, seed, folder.absolute(), is_file, shown)


@contextmanager
def database_errors(shown: str, *others: type[Exception]) -> Iterator[None]:
    """Turn the errors of a database into one message.

    Args:
        shown: its URL.
        others: exceptions that mean the same here, beside the errors of SQLAlchemy and Optuna's storage.

    Raises:
        RunError: it cannot be used: it is locked, missing, or of another kind.
    """
    try:
        yield
    except _DATABASE_ERRORS + others as error:
        # Optuna's own words hide the database's, which are the cause.
        said = str(error.__cause__ if isinstance(error.__cause__, _DATABASE_ERRORS) else error)
        first = said.strip().splitlines()[0]
        cure = "repair it, or give another --storage"
        if any(words in said for words in _DISK_WORDS):
            with contextlib.suppress(OSError):
                free = megabytes(free_bytes(Path(shown.removeprefix("sqlite:///"))))
                cure = f"{free} are free there; free some space, and start the sweep again: it goes on"
        raise RunError(f"the sweep's database {shown} cannot be used: {first}; {cure}") from None


def _find_change(old: Any, new: Any, name: str = "") -> str | None:
    """Name the first entry that differs between two JSON values, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        found = (
            _find_change(old.get(key), new.get(key), f"{name}.{key}" if name else str(key)) for key in keys
        )
        return next((change for change in found if change), None)
    return None if old == new else f"{name} is {old!r}, and here it is {new!r}"


def take(board: Board, *, most: int) -> Turn | None:
    """Take the next turn: a trial that a dead process left, or a new one.

    Args:
        board: the sweep.
        most: the total number of trials, over all processes; a repeated one counts once.

    Returns:
        None if there are that many.
    """
    with board.door():
        _take_back(board)
        trials = _current(board.study)
        if len(trials) >= most and all(each.state != TrialState.WAITING for each in trials):
            return None
        # A new sampler for each trial: one that kept its state would start over after a kill.
        sampler_seed = int(numpy_rng(board.seed, Stream.SWEEP, len(trials)).integers(2**32))
        board.study.sampler = TPESampler(
            seed=sampler_seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True
        )
        trial = board.study.ask(_distributions(board.space))
        trial.set_user_attr(_PLACE, board.place)
        lock = board.lock_of(trial.number)
        lock.acquire()
        return Turn(trial, lock)


def finish(board: Board, turn: Turn, *, value: float | None, facts: Json) -> None:
    """Record the result of a turn, with facts that are ready for JSON.

    The value is the objective; None for a trial that was stopped: then `facts` has the reason, `why`.
    """
    state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    with board.door():
        for name, fact in facts.items():
            turn.trial.set_user_attr(name, fact)
        board.study.tell(turn.trial, value, state=state)
        release(turn.lock)


def release(lock: filelock.BaseFileLock) -> None:
    """Release a trial: if it is not finished, it is repeated in the next turn of any process."""
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def take_back(board: Board) -> None:
    """Mark abandoned trials as failed, and queue their repetitions."""
    with board.door():
        _take_back(board)


def _take_back(board: Board) -> None:
    repeated = _repeated(board.study)
    for trial in board.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if not board.is_file and trial.user_attrs.get(_PLACE) != board.place:
            continue
        lock = board.lock_of(trial.number)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        if trial.number not in repeated:
            board.study.enqueue_trial(trial.params, user_attrs={_REPEATS: trial.number})
        board.study.tell(trial.number, state=TrialState.FAIL)
        release(lock)


def _repeated(study: optuna.Study) -> set[int]:
    """Return the numbers of the trials that have a repetition."""
    return {
        trial.user_attrs[_REPEATS]
        for trial in study.get_trials(deepcopy=False)
        if _REPEATS in trial.user_attrs
    }


def _current(study: optuna.Study) -> list[FrozenTrial]:
    """List the trials, without those that are repeated by another one."""
    repeated = _repeated(study)
    return [trial for trial in study.get_trials(deepcopy=False) if trial.number not in repeated]


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    made: dict[str, BaseDistribution] = {}
    for name, domain in space.items():
        if isinstance(domain, Choices):
            made[name] = CategoricalDistribution(domain.values)
        elif domain.is_int:
            made[name] = IntDistribution(int(domain.low), int(domain.high), log=domain.is_log)
        else:
            made[name] = FloatDistribution(domain.low, domain.high, log=domain.is_log)
    return made


def list_trials(board: Board) -> list[Json]:
    """List all trials in the order of their numbers, ready for JSON.

    Returns:
        Of each `number`, `state` (complete, pruned, running, waiting, failed; interrupted if another trial
        repeats it), `params`, `value` (None unless complete), `curve` (the objective after each epoch) and
        the facts that `finish` recorded.
    """
    repeated, listed = _repeated(board.study), []
    for trial in board.study.get_trials(deepcopy=False):
        state = {TrialState.FAIL: "failed"}.get(trial.state, trial.state.name.lower())
        facts = {name: fact for name, fact in trial.user_attrs.items() if name != _PLACE}
        listed.append(
            {
                "number": trial.number,
                "state": "interrupted" if trial.number in repeated else state,
                "value": trial.value if trial.state == TrialState.COMPLETE else None,
                "params": dict(trial.params),
                "curve": [value for _, value in sorted(trial.intermediate_values.items())],
                **facts,
            }
        )
    return listed


def measure_importances(board: Board) -> dict[str, float] | None:
    """Measure how much each field determines whether a trial is among the best tenth.

    PED-ANOVA (Watanabe et al. 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces"): shares that sum to 1, largest first.

    Returns:
        None with fewer than `IMPORTANCE_TRIALS` complete trials.
    """
    done = board.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < IMPORTANCE_TRIALS:
        return None
    found = get_param_importances(board.study, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items()}
