"""Where a run is written: a folder for each seed, and one for what several seeds have in common.

One seed: `runs/NAME-seedS`. Several: an ordinary folder for each, and `runs/NAME-seedsA-B` for their report.
With `--run-dir` this is the one that is named, and the seeds' folders are in it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from fer_jax import run_folder, run_record
from fer_jax.config import Config
from fer_jax.errors import RunError

# The data is known by its hash, not by its place; a cache and fewer checkpoints change no bit.
FREE = ("data.path", "data.source", "labels.ferplus", "device.compile_cache", "train.save_epochs")
# So are the teachers: their hash is compared when a run goes on.
FREE_TO_RESUME = (*FREE, "distill.teachers")


@dataclass(frozen=True)
class Place:
    """Where a run of one seed or several is written.

    Attributes:
        configs: of each seed.
        folders: of each seed.
        home: the folder of what they have in common; of a single seed its own.
    """

    configs: list[Config]
    folders: list[Path]
    home: Path

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return [config.train.seed for config in self.configs]

    @property
    def title(self) -> str:
        """The name of the config and its seeds, for people."""
        first, last = self.seeds[0], self.seeds[-1]
        return f"{self.configs[0].name}, " + (
            f"seed {first}" if first == last else f"seeds {first} to {last}"
        )


def choose_place(config: Config, count: int, run_dir: Path | None, *, is_resumed: bool) -> Place:
    """Choose the folders of a new run, or find those of the run to go on with.

    Args:
        config: of the first seed.
        count: how many seeds, from the config's on.
        run_dir: the home; None chooses a new one, or finds the newest.
        is_resumed: go on with a run.

    Raises:
        ConfigError: the last seed is too large.
        RunError: a new run's home holds one already; the run to go on with is not there, or is another one.
    """
    seeds = [config.train.seed + number for number in range(count)]
    configs = [replace(config, train=replace(config.train, seed=seed)) for seed in seeds]
    names = [f"{config.name}-seed{seed}" for seed in seeds]
    home_name = names[0] if count == 1 else f"{config.name}-seeds{seeds[0]}-{seeds[-1]}"
    if run_dir:
        home, folders = run_dir, [run_dir if count == 1 else run_dir / f"seed{seed}" for seed in seeds]
    else:
        find = run_folder.newest_folders if is_resumed else run_folder.new_folders
        home, *folders = find([home_name, *names])
    if not is_resumed:
        if (home / "run.json").exists():
            raise RunError(f"{home} holds a run already; add --resume to go on, or give another --run-dir")
        return Place(configs, folders, home)
    trained = run_record.read_facts(home).get("seeds", seeds)
    if trained != seeds:
        raise RunError(f"{home} has the seeds {trained}, asked for were {seeds}; ask for the same")
    for one, folder in zip(configs, folders, strict=True):
        change = run_record.find_config_change(folder, one, free=FREE_TO_RESUME)
        if change:
            raise RunError(f"{change}; resume with the same config, or train into another --run-dir")
    return Place(configs, folders, home)
