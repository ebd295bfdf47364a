"""The options of `release`, which are its command line too: the docstrings are the help text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fer_jax.config.data import BadRow
from fer_jax.images.views import ViewChoice


@dataclass(frozen=True)
class ReleaseOptions:
    """Write a run's selected weights as NAME.safetensors, with the card NAME.json, for `fer_jax.load`.

    The tensors are rounded and read back first, and every number on the card is measured with what was read:
    on the parts of the run's own split and, if the data has it, on PublicTest. PrivateTest is held back and
    measured only with --score-private-test.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The folder of a finished run, such as runs/mid-seed0."""
    name: str
    """Name of the weights, such as mine. Weights of this name in the same folder are refused."""
    data: Path | None = None
    """Another file to measure on; by default the data that the run was trained on."""
    on_bad_row: BadRow | None = None
    """What a malformed row does."""
    views: ViewChoice = "flip"
    """Test-time augmentation to measure beside the single view; see `evaluate --help`."""
    dtype: Literal["float16", "float32"] = "float16"
    """Precision of the file. float16 halves it and moves a logit by about a thousandth."""
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
