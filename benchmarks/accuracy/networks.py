"""Which network is most accurate at the size of `tiny`? Each with the same recipe, on a hold-out of Training.

    python -m benchmarks.accuracy.networks train --data fer2013.csv --lanes 2  # resumes where it stopped
    python -m benchmarks.accuracy.networks collect --data fer2013.csv  # -> results/networks.json
    python -m benchmarks.accuracy.networks write                       # -> docs/results/ablation.md

All have at most 57,000 parameters. They differ in their depth, and in which blocks pool: the later, the more
operations. The recipe is that of `tiny.py` over 24 epochs, half of them at 32 pixels.
`benchmarks.accuracy.decision` has the rule that chooses.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro
from rich.console import Console

from benchmarks.accuracy import decision
from benchmarks.accuracy.ablation import check_alike
from benchmarks.accuracy.decision import Arm
from benchmarks.harness import bench, unattended
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.harness.unattended import Training
from fer_jax import cli
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import Json, read_json
from fer_jax.images.view_choice import ViewChoice
from fer_jax.inference import run_weights
from fer_jax.inference.predictor import count_views, predict_choices
from fer_jax.report import terminal
from fer_jax.runtime import cpu
from fer_jax.text import Table, to_markdown

BASE: Final = "tiny"
SECTION: Final = "networks"
PROGRAM: Final = "python -m benchmarks.accuracy.networks"
QUESTION: Final = "Which network is most accurate at the size of tiny?"
VIEWS: Final[tuple[ViewChoice, ...]] = ("single", "flip")


@dataclass(frozen=True)
class Network:
    """A network to compare.

    Attributes:
        words: its description in the table.
        config: its file, within the repository.
        options: how it differs from that, as options of `python -m fer_jax.train`.
    """

    words: str
    config: str
    options: str = ""


_TINY: Final = "configs/tiny.py"
_DEEP: Final = "benchmarks/nets/five_blocks.py"
_LATE: Final = "--model.blocks.1.no-pool --model.blocks.2.pool"
NETWORKS: Final[dict[str, Network]] = {
    BASE: Network("four blocks, pooling in the first, second and fourth, as in `tiny.py`", _TINY),
    "late-pool": Network("four blocks, pooling in the first, third and fourth", _TINY, _LATE),
    "deep": Network("five narrower blocks, pooling in the first, second and fifth", _DEEP),
    "deep-late-pool": Network("five narrower blocks, pooling in the first, third and fifth", _DEEP, _LATE),
}
"""By name; the base first."""
RECIPE: Final = (
    "--split.protocol holdout --train.epochs 24 --train.small-epochs 12 --train.small-side-px 32 "
    "--train.measure-epochs 4"
)


@dataclass(frozen=True)
class Networks:
    """Train networks of the size of `tiny`, measure them on the hold-out, or write the table of the docs.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: measure them and decide, into the JSON; write: its
    table."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv, for all but write."""
    options: str = ""
    """Further options of `python -m fer_jax.train` for every network, in quotes, such as
    --options="--train.epochs 2" for a trial."""
    lanes: int = 1
    """Runs at a time, each on its own cores."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    runs: Path = bench.ROOT / "runs" / "networks"
    """Folder of the runs."""
    results: Path = bench.RESULTS / "networks.json"
    """The JSON."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Networks, argv, prog=PROGRAM), argv))


def _do(options: Networks, argv: list[str] | None) -> int:
    if options.verb == "write":
        with bench.reading(options.results):
            text = table(read_json(options.results))
        print(f"written to {write_section(options.pages, SECTION, text)}")
        return 0
    if options.data is None:
        raise ConfigError("--data is missing; give train.csv or fer2013.csv, which have Training")
    console = terminal.make_console()
    wanted = [_training(options, options.data, name) for name in NETWORKS]
    if options.verb == "train":
        return unattended.train(wanted, lanes=options.lanes, minutes=options.minutes, console=console)
    results = collect(wanted, options.data, console)
    bench.write(
        options.results,
        question=QUESTION,
        command=bench.to_command(PROGRAM, argv),
        settings={"config": read_json(wanted[0].folder / "config.json")},
        results=results,
        extra={"decision": decide(results)},
    )
    console.print(f"written to {options.results}")
    return 0


def _training(options: Networks, data: Path, name: str) -> Training:
    network = NETWORKS[name]
    words = ["--config", str(bench.ROOT / network.config), "--data", str(data.resolve())]
    words += shlex.split(f"{RECIPE} {network.options} {options.options}")
    return Training(options.runs.resolve() / name, tuple(words))


def collect(trainings: Sequence[Training], data: Path, console: Console) -> list[dict[str, Any]]:
    """Measure each network on the images that its run held out.

    Args:
        trainings: the runs, the base's first; their folders have the names of `NETWORKS`.
        data: the file they were trained on.
        console: where progress is shown.

    Returns:
        A row for each network.

    Raises:
        RunError: a run is not finished, has other settings than required, or was trained on other data.
        DataError: the file is not what the runs were trained on.
    """
    cpu.tune_cpu()
    rows = []
    for training in trainings:
        if not unattended.is_finished(training.folder):
            raise RunError(f"{training.folder} is not finished; train it first: {PROGRAM} train")
        unattended.check_settings(training)
        trained = run_weights.load_finished(training.folder, data, None)
        examples, held_out = run_weights.load_data(trained, is_other_file=False), trained.saved["val"]
        name, record = training.folder.name, trained.record
        with terminal.show_steps(console, name, count_views(VIEWS)) as advance:
            logits = predict_choices(trained.network, examples.images[held_out], VIEWS, advance=advance)
        arm = decision.measure_arm(name, logits, examples.labels[held_out])
        rows.append(
            {
                "name": name,
                "network": asdict(NETWORKS[name]),
                "machine": record.machine,
                "versions": record.versions,
                "data_sha256": record.data.sha256,
                "split_sha256": record.split.sha256,
                "parameters": record.parameters,
                "macs": record.macs,
                "epochs": trained.config.train.epochs,
                "arm": asdict(arm),
            }
        )
    check_alike(rows, ("data_sha256", "split_sha256", "epochs"), cure="train it again")
    return rows


def decide(results: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Apply the rule to the rows, the base's first: the name of the chosen network, and why.

    Raises:
        ConfigError: a network is too large.
    """
    large = [row["name"] for row in results if row["parameters"] > decision.MOST_PARAMETERS]
    if large:
        most = f"{decision.MOST_PARAMETERS:,}"
        raise ConfigError(f"{large[0]} has more than {most} parameters, which the rule does not allow")
    base, *others = (Arm(**row["arm"]) for row in results)
    name, reason = decision.choose_network(base, others)
    return {"network": name, "reason": reason}


def table(content: Json) -> str:
    """Write the table of the networks, the rule and what it decides."""
    results = content["results"]
    arms = [Arm(**row["arm"]) for row in results]
    rows: Table = [["network", "parameters", "M MACs", *VIEWS, "gain"]]
    for row, arm in zip(results, arms, strict=True):
        gain = "" if row is results[0] else f"{decision.points_gained(arms[0], arm):+.2f}"
        accuracies = [arm.accuracy(views) for views in VIEWS]
        macs = f"{row['macs'] / 1e6:.1f}"
        words = f"{row['name']}: {row['network']['words']}"
        rows.append([words, f"{row['parameters']:,}", macs, *accuracies, gain])
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Accuracy on the {arms[0].total:,} images of the hold-out, after the last of "
        f"{results[0]['epochs']} epochs on the rest of Training, one seed each. Gain: points over the first "
        f"row, with flip TTA. By the rule, {content['decision']['reason']}. {results[0]['machine']}."
    )


if __name__ == "__main__":
    sys.exit(main())
