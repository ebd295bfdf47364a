"""A sweep's board: the Optuna study in its database, and the locks of the workers that share it."""

import secrets
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import optuna
import sqlalchemy
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.sweep.database import (
    Patience,
    check_server,
    database_errors,
    engine_options,
    is_starting,
    parse_address,
    show,
)
from fer_jax.sweep.locks import FileLocks, Hold, Locks, ServerLocks, key_of
from fer_jax.sweep.space import Space

Pruner = Literal["median", "halving", "none"]

MEDIAN_TRIALS: Final = 5
"""Finished trials before the median pruner prunes."""
HALVING_FACTOR: Final = 3
"""Successive halving (Li et al. 2018, ASHA): the best third continues, for three times as many epochs."""

_BUSY_SECONDS: Final = 60
_DECIDES: Final = "decides"
_IDENTITY: Final = "identity"


class _HalvingPruner(SuccessiveHalvingPruner):
    """Successive halving among the trials that count: Optuna's counts an interrupted one and its repetition.

    The median pruner compares complete trials alone.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether a trial is given up."""
        return super().prune(_Uninterrupted(study), trial)


class _Uninterrupted(optuna.Study):
    """A study without its interrupted trials, which are those that failed."""

    def __init__(self, study: optuna.Study) -> None:
        """Take over what the study is; its own constructor would ask the database."""
        self.__setstate__(study.__getstate__())

    def get_trials(self, *args: Any, **options: Any) -> list[FrozenTrial]:
        """List the trials in the order of their numbers; the arguments are Optuna's."""
        return [each for each in super().get_trials(*args, **options) if each.state != TrialState.FAIL]


@dataclass(frozen=True)
class Team:
    """How the workers of a sweep on a server wait for the server and for each other.

    Attributes:
        patience: while the server does not answer.
        dead_after_s: seconds without a heartbeat after which a worker's trial is repeated by another.
    """

    patience: Patience
    dead_after_s: float


@dataclass(frozen=True)
class Board:
    """A sweep in which several processes take turns.

    Attributes:
        study: in its database.
        space: of the trials.
        seed: of the sampler.
        locks: keep the workers out of each other's way.
        shown: the database's URL without a password, for messages.
        identity: of the study: another one of the same name has another.
    """

    study: optuna.Study
    space: Space
    seed: int
    locks: Locks
    shown: str
    identity: str


@dataclass(frozen=True)
class Turn:
    """A trial that this process is to run, and what keeps it meanwhile."""

    trial: optuna.Trial
    hold: Hold


def open_board(
    storage: str,
    name: str,
    space: Space,
    decides: Json,
    *,
    pruner: Pruner,
    spared_epochs: int,
    seed: int,
    password: str | None,
    team: Team,
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
        password: that is hidden in the URL; None: there is none.
        team: how workers wait, if the database is a server.

    Raises:
        ConfigError: the URL is not that of a database, or the server's driver is not installed.
        RunError: the database cannot be used, or contains another sweep of this name.
    """
    # We use features that Optuna calls experimental; its log would break the progress bar.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # An epoch is reported again where the answer to the first report got lost.
    warnings.filterwarnings("ignore", message="The reported value is ignored")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = parse_address(storage, password)
    shown = show(url)
    pruners: dict[Pruner, BasePruner] = {
        "median": MedianPruner(n_startup_trials=MEDIAN_TRIALS, n_warmup_steps=spared_epochs),
        "halving": _HalvingPruner(min_resource=spared_epochs, reduction_factor=HALVING_FACTOR),
        "none": NopPruner(),
    }
    open_storage = _open_file if url.get_backend_name() == "sqlite" else _open_server
    with database_errors(shown, ImportError, RuntimeError):
        study, locks = open_storage(url, name, pruners[pruner], decides, team)
        facts = study.user_attrs
    if change := _find_change(facts[_DECIDES], decides):
        locks.close()
        raise RunError(
            f"{shown} contains another sweep {name!r}: its {change}; give the same settings, or another "
            "--storage"
        )
    return Board(study, space, seed, locks, shown, facts[_IDENTITY])


def _open_file(
    url: sqlalchemy.URL, name: str, pruner: BasePruner, decides: Json, team: Team
) -> tuple[optuna.Study, Locks]:
    # Workers that name the file by different paths have the same locks.
    database = Path(str(url.database)).resolve()
    database.parent.mkdir(parents=True, exist_ok=True)
    locks = FileLocks(database)
    with locks.door():
        storage = RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}},
        )
        return _open_study(storage, name, pruner, decides), locks


def _open_server(
    url: sqlalchemy.URL, name: str, pruner: BasePruner, decides: Json, team: Team
) -> tuple[optuna.Study, Locks]:
    """Open a study on a server; only a server that is just starting is waited for."""
    options = engine_options(url)
    engine = sqlalchemy.create_engine(url, **options)

    def open_it() -> tuple[optuna.Study, Locks]:
        # Workers that create the same tables at once would get in each other's way. The lock is another one
        # than the door's, since Optuna's storage has a connection of its own.
        with engine.connect() as connection:
            check_server(connection, show(url))
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key_of("")})
            storage = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options)
            study = _open_study(storage, name, pruner, decides)
        return study, ServerLocks(storage, name, patience=team.patience, dead_after_s=team.dead_after_s)

    try:
        return team.patience.call(open_it, is_worth=is_starting)
    finally:
        engine.dispose()


def _open_study(storage: RDBStorage, name: str, pruner: BasePruner, decides: Json) -> optuna.Study:
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
    )
    if _DECIDES not in study.user_attrs:
        study.set_user_attr(_DECIDES, decides)
    if _IDENTITY not in study.user_attrs:
        study.set_user_attr(_IDENTITY, secrets.token_hex(8))
    return study


def _find_change(old: Any, new: Any, name: str = "") -> str | None:
    """Name the first entry that differs between two JSON values, with both."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        found = (
            _find_change(old.get(key), new.get(key), f"{name}.{key}" if name else str(key)) for key in keys
        )
        return next((change for change in found if change), None)
    return None if old == new else f"{name} is {old!r}, and here it is {new!r}"
