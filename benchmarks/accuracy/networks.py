"""Which network is most accurate at the size of `tiny`, or of `mid`? On a hold-out of Training.

    python -m benchmarks.accuracy.networks train --data fer2013.csv --lanes 2  # resumes where it stopped
    python -m benchmarks.accuracy.networks collect --data fer2013.csv  # -> results/networks-tiny.json
    python -m benchmarks.accuracy.networks write                       # -> docs/results/ablation.md
    python -m benchmarks.accuracy.networks train --size mid --data fer2013.csv --lanes 2  # and so on

Networks of one size share a recipe. They differ in their depth and width, and in which blocks pool: the
later, the more operations. `benchmarks.accuracy.decision` has their limits, and the rule that chooses.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tyro
from rich.console import Console

from benchmarks.accuracy import decision
from benchmarks.accuracy.ablation import check_alike
from benchmarks.accuracy.decision import Arm, Size
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

PROGRAM: Final = "python -m benchmarks.accuracy.networks"
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


@dataclass(frozen=True)
class Comparison:
    """Networks of one size, and the recipe that they share.

    Attributes:
        networks: by name; the base first.
        recipe: options of `python -m fer_jax.train` for each of them.
    """

    networks: dict[str, Network]
    recipe: str


_TINY: Final = "configs/tiny.py"
_DEEP: Final = "benchmarks/nets/five_blocks.py"
_LATE: Final = "--model.blocks.1.no-pool --model.blocks.2.pool"
_MID: Final = "configs/mid.py"
_DEEP_MID: Final = "benchmarks/nets/five_blocks_mid.py"
_WIDE_TINY: Final = (
    "--model.blocks.1.no-pool --model.blocks.2.pool --model.blocks.3.no-pool --model.blocks.4.pool "
    "--model.blocks.2.features 56 --model.blocks.3.features 56 --model.blocks.4.features 64"
)
_LATE_MID: Final = (
    "--model.blocks.2.no-pool --model.blocks.3.pool "
    "--model.blocks.2.features 112 --model.blocks.3.features 112"
)
_HOLD_OUT: Final = "--split.protocol holdout --train.small-side-px 32 --train.measure-epochs 4"
COMPARISONS: Final[dict[Size, Comparison]] = {
    "tiny": Comparison(
        {
            "tiny": Network("four blocks, pooling in the first, second and fourth, as in `tiny.py`", _TINY),
            "late-pool": Network("four blocks, pooling in the first, third and fourth", _TINY, _LATE),
            "deep": Network("five narrower blocks, pooling in the first, second and fifth", _DEEP),
            "deep-late-pool": Network(
                "five narrower blocks, pooling in the first, third and fifth", _DEEP, _LATE
            ),
        },
        f"{_HOLD_OUT} --train.epochs 24 --train.small-epochs 12",
    ),
    "mid": Comparison(
        {
            "mid": Network("four blocks, pooling in the first, second and third, as in `mid.py`", _MID),
            "wide-tiny80": Network("the five blocks of `tiny80.py`, twice as wide", _DEEP_MID, _WIDE_TINY),
            "deep": Network("five narrower blocks, pooling in the first, second and fourth", _DEEP_MID),
            "late-pool": Network(
                "four blocks, two of them narrower, pooling in the first, second and fourth", _MID, _LATE_MID
            ),
        },
        f"{_HOLD_OUT} --train.epochs 16 --train.small-epochs 8",
    ),
}


@dataclass(frozen=True)
class Networks:
    """Train networks of one size, measure them on the hold-out, or write the table of the docs.

    Exit status 6: some runs are not finished; call again.
    """

    verb: Annotated[Literal["train", "collect", "write"], tyro.conf.Positional]
    """train: the runs that are not finished; collect: measure them and decide, into the JSON; write: its
    table."""
    data: Path | None = None
    """Kaggle's train.csv or fer2013.csv, for all but write."""
    size: Size = "tiny"
    """Compare networks of the size of this one."""
    options: str = ""
    """Further options of `python -m fer_jax.train` for every network, in quotes, such as
    --options="--train.epochs 2" for a trial."""
    lanes: int = 1
    """Runs at a time, each on its own cores."""
    minutes: float | None = None
    """Stop and save the runs after this many minutes, or up to two later; the next call resumes them. By
    default there is no limit."""
    runs: Path | None = None
    """Folder of the runs. By default runs/networks-tiny or runs/networks-mid."""
    results: Path | None = None
    """The JSON. By default it is in benchmarks/results: networks-tiny.json or networks-mid.json."""
    pages: tuple[Path, ...] = PAGES
    """Pages, or folders of pages, with the section to write."""


def main(argv: list[str] | None = None) -> int:
    """Parse the options, do one verb, and return the exit status."""
    return cli.run(lambda: _do(cli.parse(Networks, argv, prog=PROGRAM), argv))


def _do(options: Networks, argv: list[str] | None) -> int:
    name = section(options.size)
    results = options.results or bench.RESULTS / f"{name}.json"
    if options.verb == "write":
        with bench.reading(results):
            text = table(read_json(results))
        print(f"written to {write_section(options.pages, name, text)}")
        return 0
    if options.data is None:
        raise ConfigError("--data is missing; give train.csv or fer2013.csv, which have Training")
    console = terminal.make_console()
    networks = COMPARISONS[options.size].networks
    wanted = [_training(options, options.data, each) for each in networks]
    if options.verb == "train":
        return unattended.train(wanted, lanes=options.lanes, minutes=options.minutes, console=console)
    rows = collect(wanted, networks, options.data, console)
    bench.write(
        results,
        question=f"Which network is most accurate at the size of {options.size}?",
        command=bench.to_command(PROGRAM, argv),
        settings={"config": read_json(wanted[0].folder / "config.json")},
        results=rows,
        extra={"decision": decide(options.size, rows)},
    )
    console.print(f"written to {results}")
    return 0


def section(size: Size) -> str:
    """Return the name of the section of the docs, which is also that of its JSON."""
    return f"networks-{size}"


def _training(options: Networks, data: Path, name: str) -> Training:
    comparison = COMPARISONS[options.size]
    network = comparison.networks[name]
    words = ["--config", str(bench.ROOT / network.config), "--data", str(data.resolve())]
    words += shlex.split(f"{comparison.recipe} {network.options} {options.options}")
    runs = options.runs or bench.ROOT / "runs" / section(options.size)
    return Training(runs.resolve() / name, tuple(words))


def collect(
    trainings: Sequence[Training], networks: Mapping[str, Network], data: Path, console: Console
) -> list[dict[str, Any]]:
    """Measure each network on the images that its run held out.

    Args:
        trainings: the runs, the base's first; their folders have the networks' names.
        networks: by name.
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
            raise RunError(
                f"{training.folder} is not finished; train it first, with train instead of collect"
            )
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
                "network": asdict(networks[name]),
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


def decide(size: Size, results: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Apply the rule to the rows, the base's first: the name of the chosen network, and why.

    Raises:
        ConfigError: a network is too large.
    """
    for row in results:
        decision.check_size(size, row["name"], parameters=row["parameters"], macs=row["macs"])
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
