"""A plain PyTorch training script, as users write one: Dataset, DataLoader, transforms, epochs.

    python -m benchmarks.pytorch.train --config configs/run6.py --data train.csv --run-dir runs/torch

It trains the same as `python -m fer_jax.train`: the config's network, loss, optimizer, learning rates,
augmentation, batch and split, evaluated on the same images after each epoch, with a checkpoint and a line of
`log.jsonl` with the same names. `benchmarks.throughput.epoch` times both. It needs the extra `bench`, and
does not import jax.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.harness import bench
from fer_jax import cli
from fer_jax.config.run import Config
from fer_jax.errors import ConfigError

Form = Literal["users", "tuned", "tuned-bf16"]


@dataclass(frozen=True)
class TorchTrain:
    """Train a config's network in PyTorch, with an evaluation, a checkpoint and a log line per epoch.

    Every field of the config has an option; --device.* has no effect here.
    """

    config: Path
    """Config file, such as configs/run6.py."""
    settings: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path = Path("runs/torch")
    """Folder for log.jsonl and last.pt; it must not have a log yet."""
    data: Path | None = None
    """Kaggle CSV, .zip or folder of images; short for --data.path."""
    form: Form = "users"
    """users: like most scripts; tuned: channels last, a fused optimizer, no redundant bias, fer_jax's
    allocator setting, persistent workers; tuned-bf16: the same with bfloat16 autocast."""
    transform: Literal["pil", "cv2"] = "pil"
    """Library for augmentation: PIL, as in torchvision's transforms, or OpenCV."""
    workers: int = 0
    """Worker processes per DataLoader; 0: the main process makes the batches."""
    max_steps: int | None = None
    """Stop after this many steps without evaluating or saving, to time the start."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, train, and return the exit status."""
    return cli.run(lambda: _train(cli.parse(TorchTrain, argv, prog="python -m benchmarks.pytorch.train")))


def _train(options: TorchTrain) -> int:
    if not bench.is_installed("torch"):
        raise ConfigError(f"PyTorch is not installed: {bench.HOW_TO_INSTALL}")
    from benchmarks.pytorch import epochs

    epochs.train(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
