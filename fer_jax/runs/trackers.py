"""Who is told about each epoch of a run: TensorBoard, Weights & Biases, MLflow.

A tracker is a context manager that is given the run's folder, its config and the records so far, and yields
the function that adds a record. Each imports its library itself: only a run that names it needs it.

A checkpoint is saved before the trackers are told of its epoch, and a tracker may be left out for a while. So
each tracker is told, when it is opened, of all epochs so far that it does not have.

wandb and mlflow are told the config, without its paths, and the scalars of each epoch; nothing else.
"""

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from fer_jax.config.fields import FILES, FREE, field_of
from fer_jax.config.files import to_json
from fer_jax.config.overrides import Value, list_leaves
from fer_jax.config.run import Config
from fer_jax.config.training import Tracker
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, write_text

Add = Callable[[Json], None]

SCALARS: Final = ("rate", "objective", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What a tracker is told about an epoch, from its record, at the record's `step`; not all were measured."""
PROJECT: Final = "fer-jax"
"""Name of the project (wandb) or experiment (mlflow) of all runs."""
EXTRAS: Final[Mapping[Tracker, str]] = {"wandb": "wandb", "mlflow": "mlflow"}
"""Trackers that need an extra of the package, and the module that it brings."""


def check_installed(names: Sequence[Tracker]) -> None:
    """Refuse a tracker whose library is not installed; nothing is imported.

    Raises:
        ConfigError: with the extra to install.
    """
    for name in names:
        if name in EXTRAS and importlib.util.find_spec(EXTRAS[name]) is None:
            raise ConfigError(
                f"train.trackers has {name}, which is not installed; install it with "
                f"`pip install 'fer-jax[{name}]'`, or leave it out"
            )


@contextmanager
def open_trackers(
    names: Sequence[Tracker], folder: Path, config: Config, history: Sequence[Json]
) -> Iterator[Add]:
    """Open the trackers of a run, and give the function that tells all of them about an epoch.

    Args:
        names: which ones.
        folder: of the run.
        config: of the run.
        history: the records of the epochs so far; a tracker is told first of those that it does not have.

    Raises:
        RunError: a tracker cannot be opened, or fails later.
    """
    opened: list[tuple[str, Add]] = []

    def add(record: Json) -> None:
        for name, each in opened:
            with _errors_of(name):
                each(record)

    with ExitStack() as stack:
        for name in names:
            tracker = OPENERS[name](folder, config, history)
            opened.append((name, stack.enter_context(_kept_apart(name, tracker))))
        yield add


@contextmanager
def _kept_apart(name: str, tracker: AbstractContextManager[Add]) -> Iterator[Add]:
    """Open a tracker; where it cannot close after an error, such as a full disk, that error is not hidden."""
    with _errors_of(name):
        add = tracker.__enter__()
    try:
        yield add
    except BaseException as error:
        with suppress(Exception):
            tracker.__exit__(type(error), error, error.__traceback__)
        raise
    with _errors_of(name):
        tracker.__exit__(None, None, None)


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Turn whatever a tracker raises into one message: the libraries share no class of errors."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise RunError(
            f"the tracker {name} failed: {reason[0] if reason else type(error).__name__}; go on without it: "
            "--resume and --train.trackers without its name"
        ) from error


def list_settings(config: Config) -> dict[str, Value]:
    """Flatten a config for a tracker, without what names files of this machine."""
    hidden = (*FREE, *FILES)
    return {name: value for name, value in list_leaves(to_json(config)) if field_of(name) not in hidden}


@contextmanager
def open_tensorboard(folder: Path, config: Config, history: Sequence[Json]) -> Iterator[Add]:
    """Write TensorBoard events into the run's folder, anew from the history: each epoch is there once."""
    from tensorboardX import SummaryWriter

    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    with SummaryWriter(str(folder / "tensorboard")) as board:

        def add(record: Json) -> None:
            for name in SCALARS:
                if name in record:
                    board.add_scalar(name, record[name], record["step"])

        for record in history:
            add(record)
        yield add


@contextmanager
def open_wandb(folder: Path, config: Config, history: Sequence[Json]) -> Iterator[Add]:
    """Log to Weights & Biases, or with WANDB_MODE=offline into the run's folder alone.

    A resumed run goes on with the wandb run that it had; offline, wandb knows nothing of that, and all epochs
    are written again. Code, git, machine, packages and console are not sent.
    """
    import wandb

    known = folder / "wandb_id"
    settings = wandb.Settings(
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    run = wandb.init(
        project=PROJECT,
        name=folder.name,
        dir=str(folder),
        config=list_settings(config),
        id=known.read_text().strip() if known.exists() else None,
        resume="allow",
        reinit="create_new",
        settings=settings,
    )

    write_text(known, f"{run.id}\n")
    # What is logged for an earlier step is dropped, with a warning.
    first_step = run.step

    def add(record: Json) -> None:
        if record["step"] >= first_step:
            run.log({name: record[name] for name in SCALARS if name in record}, step=record["step"])

    with _closed(lambda: run.finish(exit_code=0), lambda: run.finish(exit_code=1)):
        for record in history:
            add(record)
        yield add


@contextmanager
def open_mlflow(folder: Path, config: Config, history: Sequence[Json]) -> Iterator[Add]:
    """Log to MLflow, where MLFLOW_TRACKING_URI says; a resumed run goes on with the one that it had."""
    import mlflow

    client, known = mlflow.MlflowClient(), folder / "mlflow_id"
    if not known.exists():
        found = client.get_experiment_by_name(PROJECT)
        experiment = client.create_experiment(PROJECT) if found is None else found.experiment_id
        run = client.create_run(experiment, run_name=folder.name)
        for name, value in list_settings(config).items():
            client.log_param(run.info.run_id, name, value)
        write_text(known, f"{run.info.run_id}\n")
    number = known.read_text().strip()
    # Name by name: the connection may have broken in the middle of an epoch.
    told = {(name, each.step) for name in SCALARS for each in client.get_metric_history(number, name)}

    def add(record: Json) -> None:
        for name in SCALARS:
            if name in record and (name, record["step"]) not in told:
                client.log_metric(number, name, record[name], step=record["step"])

    client.update_run(number, status="RUNNING")
    with _closed(
        lambda: client.set_terminated(number, "FINISHED"), lambda: client.set_terminated(number, "KILLED")
    ):
        for record in history:
            add(record)
        yield add


@contextmanager
def _closed(finish: Callable[[], object], fail: Callable[[], object]) -> Iterator[None]:
    """Tell a tracker at the end whether the training ended well; a signal and an error are no good end."""
    try:
        yield
    except BaseException:
        fail()
        raise
    finish()


Opener = Callable[[Path, Config, Sequence[Json]], AbstractContextManager[Add]]
OPENERS: Final[Mapping[Tracker, Opener]] = {
    "tensorboard": open_tensorboard,
    "wandb": open_wandb,
    "mlflow": open_mlflow,
}
