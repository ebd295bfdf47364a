"""What a command line of `sweep` asks for."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_jax.config.run import Config
from fer_jax.runs import folder as runs_folder
from fer_jax.sweep.space import Space

if TYPE_CHECKING:
    from fer_jax.sweep.__main__ import SweepCommand


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
