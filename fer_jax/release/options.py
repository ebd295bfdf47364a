"""The options of `release`, which are its command line too: the docstrings are the help text."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax.config.data import BadRow
from fer_jax.errors import ConfigError, RunError
from fer_jax.images.view_choice import ViewChoice
from fer_jax.text import join


@dataclass(frozen=True)
class ReleaseOptions:
    """Write a run's selected weights as NAME.safetensors, with the card NAME.json, for `fer_jax.load`.

    The tensors are rounded and read back first, and every number on the card is measured with what was read:
    on the parts of the run's own split and, if the data has it, on PublicTest. PrivateTest is held back and
    measured only with --score-private-test.

    Released weights, given by name or file, are measured again: the new card has the figures that the old one
    has, measured by this fer_jax on the data that the weights were trained on, and says by which commit.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of a finished run, such as runs/mid-seed0; or released weights, to measure them again: mid,
    or some/folder/mid.safetensors. --views, --dtype and --measure-train are for a run."""
    name: str
    """Name of the weights, such as mine. Weights of this name in the same folder are refused."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    on_bad_row: BadRow | None = None
    """What a malformed row or picture does: stop, or skip it."""
    views: ViewChoice = "flip"
    """Test-time augmentation to measure beside the single view; see `evaluate --help`."""
    dtype: Literal["float16", "float32"] = "float16"
    """Precision of the file. float16 halves it and moves a logit by about a thousandth."""
    measure_train: bool = True
    """Measure the training images too, which takes the longest."""
    ferplus: Path | None = None
    """FER+'s fer2013new.csv: measure by the majority of its votes, too. By default the file that the run was
    trained with, if it was trained on FER+."""
    out: Path | None = None
    """Folder to write into; by default the current one."""
    overwrite: bool = False
    """Replace weights of this name in the folder."""
    score_private_test: bool = False
    """Measure PrivateTest too. Do it once, when nothing is left to choose; the card records it."""
    into_package: bool = False
    """For maintainers: write into the package's own folder, whose names `fer_jax.load` knows."""


def choose_folder(options: ReleaseOptions) -> Path:
    """Choose the folder to write into.

    Raises:
        ConfigError: the name is no name, or the folder is the package's own and that was not asked for.
        RunError: the name is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", options.name):
        raise ConfigError(
            f"--name is {options.name!r}; wanted 1 to 40 lower-case letters, digits and '-', with a letter "
            "first, such as mid"
        )
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.runs import outputs, sources

    package = sources.WEIGHTS
    if options.into_package and options.out is not None:
        raise ConfigError(
            f"--into-package writes into {package}, and --out is {options.out}; give one of them"
        )
    out = package if options.into_package else options.out or Path()
    if out.resolve() == package.resolve() and not options.into_package:
        raise ConfigError(
            f"--out is {out}, the package's own folder; give another, or as a maintainer --into-package"
        )
    files = [out / f"{options.name}.{ending}" for ending in ("safetensors", "json")]
    taken = [str(file) for file in files if file.exists()]
    if taken and not options.overwrite:
        raise RunError(f"{join(taken)} would be replaced; give another --name or --out, or --overwrite")
    outputs.check_folder("--out", out)
    return out
