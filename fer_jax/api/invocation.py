"""How a training from Python is written down, for the record and the reports: what repeats it."""

import shlex
from pathlib import Path

from fer_jax.config.files import load_config
from fer_jax.config.overrides import to_options
from fer_jax.config.run import Config


def describe_training(named: Config | str | Path, config: Config, *, seeds: int, run_dir: Path | None) -> str:
    """Write the command, or the call in Python, that repeats a training.

    Args:
        named: what the caller gave: a config, or the file or name of one.
        config: what is trained.
        seeds: how many.
        run_dir: the folder, if one was given.

    Returns:
        A command line of `train` where it can be one: the config comes from a file, and has as many blocks.
        Otherwise the call in Python: the config is in the run's `config.json`.
    """
    base = None if isinstance(named, Config) else load_config(named)
    # No option of `train` adds a block, or takes one away.
    if base is None or len(base.model.blocks) != len(config.model.blocks):
        words = ["config", *([] if seeds == 1 else [f"seeds={seeds}"])]
        words += [] if run_dir is None else [f"run_dir={str(run_dir)!r}"]
        return f"fer_jax.train_{'run' if seeds == 1 else 'seeds'}({', '.join(words)})"
    words = ["python", "-m", "fer_jax.train", "--config", str(named)]
    words += to_options(base, config)
    words += [] if seeds == 1 else ["--seeds", str(seeds)]
    words += [] if run_dir is None else ["--run-dir", str(run_dir)]
    return shlex.join(words)
