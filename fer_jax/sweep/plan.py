"""What a command line of `sweep` asks for, and what tells it from another sweep."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fer_jax.config.fields import FREE, field_of, flatten
from fer_jax.config.files import to_json
from fer_jax.config.run import Config
from fer_jax.errors import RunError
from fer_jax.files import Json
from fer_jax.inference.prepare import Prepared, hash_learnt_from
from fer_jax.runs import folder as runs_folder
from fer_jax.runs.results import read_old, refuse_other
from fer_jax.sweep.space import Space, list_files, to_plain

if TYPE_CHECKING:
    from fer_jax.sweep.__main__ import SweepCommand

RESULT: Final = "sweep.json"
"""The file of the results in `Plan.folder`."""


@dataclass(frozen=True)
class Plan:
    """What a command line asks for.

    Attributes:
        options: the command's.
        file: what the config file defines.
        config: the base of all trials: that, with the command's options.
        space: what trials may be.
        invocation: the command line, for the record; without a password.
        password: of the database, from the command line.
    """

    options: "SweepCommand"
    file: Config
    config: Config
    space: Space
    invocation: str
    password: str | None = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return f"{self.config.name}-{self.options.space.stem}"

    @property
    def seeds(self) -> list[int]:
        """The training seeds, from the config's on; their mean is the objective."""
        train = self.config.train
        return [replace(train, seed=train.seed + number).seed for number in range(self.options.seeds)]

    @property
    def spared_epochs(self) -> int:
        """No trial is pruned earlier; by default a quarter of the epochs."""
        return self.options.spared_epochs or max(1, self.config.train.total_epochs // 4)

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return self.options.out or runs_folder.RUNS / "sweeps" / self.name


def refuse_other_sweep(plan: Plan, chosen: Prepared) -> None:
    """Refuse to replace the JSON of a sweep that was made from other inputs.

    Args:
        plan: of this sweep.
        chosen: the rows of its trials.

    Raises:
        RunError: the folder of the results contains one.
    """
    config = to_json(plan.config)
    sections = ("augment", "model", "loss", "mix", "optimizer", "average", "init", "distill", "train")
    inputs = {
        **{f"config.{name}": config[name] for name in sections},
        "config.labels.source": config["labels"]["source"],
        "space": to_plain(plan.space),
        "seeds": plan.seeds,
        "pruner": plan.options.pruner,
        "spared_epochs": plan.spared_epochs,
        "sweep_seed": plan.options.sweep_seed,
        "data.sha256": chosen.examples.sha256,
        "split_sha256": chosen.split.sha256,
    }
    refuse_other(plan.folder / RESULT, inputs, may_replace=plan.options.overwrite)


def refuse_other_database(plan: Plan, database: Json) -> None:
    """Refuse to replace the JSON of a sweep that has its trials in another database.

    Args:
        plan: of this sweep.
        database: `identity` and `address` of its own; an older fer_jax did not write down which it was.

    Raises:
        RunError: the folder of the results contains one.
    """
    path = plan.folder / RESULT
    old = read_old(path)
    there = old.get("database") if isinstance(old, dict) else None
    if not isinstance(there, dict) or there.get("identity") == database["identity"] or plan.options.overwrite:
        return
    is_elsewhere = there.get("address") != database["address"]
    theirs = f"the database {there.get('address')}" if is_elsewhere else "an earlier database"
    raise RunError(
        f"{path} has the trials of {theirs}, which are not in this sweep's, {database['address']}; give the "
        "--storage of those, another --out, or --overwrite to replace it"
    )


def list_deciding(plan: Plan, chosen: Prepared) -> Json:
    """List everything that determines the trials and their results: with another list it is another sweep.

    Args:
        plan: of the sweep.
        chosen: the rows of its trials.

    Returns:
        It, ready for JSON.

    Raises:
        FerJaxError: a network or a bank that the space names cannot be used.
    """
    fields = flatten(to_json(plan.config))
    # A trial that drew one which cannot be used would end each worker that takes it.
    files = {
        f"{name} {value}": hash_learnt_from(name, value, chosen) for name, value in list_files(plan.space)
    }
    return {
        "config": {name: value for name, value in fields.items() if field_of(name) not in FREE},
        "space": to_plain(plan.space),
        "seeds": plan.seeds,
        "pruner": plan.options.pruner,
        "spared_epochs": plan.spared_epochs,
        "sweep_seed": plan.options.sweep_seed,
        "data": chosen.examples.sha256,
        "split": chosen.split.sha256,
        "teachers": chosen.teachers and chosen.teachers["sha256"],
        **({"ancestor": chosen.ancestor.facts["sha256"]} if chosen.ancestor else {}),
        **({"files": files} if files else {}),
        **({"votes": chosen.votes["sha256"]} if chosen.votes else {}),
    }
