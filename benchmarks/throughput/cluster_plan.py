"""What would a training gain on 8, 64 and 512 GPUs? A plan on paper, from committed measurements.

    python -m benchmarks.throughput.cluster_plan

Nothing is measured. Bytes and steps are counted from the configs; the seconds of an epoch of `best` on one
GPU, of the released trainings on CPUs and of a start come from benchmarks/results. The other numbers stand
below, each with its source or marked as an assumption. Writes the section of docs/guides/cluster.md.
"""

import itertools
import math
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy.accuracy_tables import shorten_machine
from benchmarks.harness import bench
from benchmarks.harness.sections import PAGES, write_section
from benchmarks.tables.user import NOT_MEASURED
from fer_jax import cli, fer2013
from fer_jax.config.files import load_config
from fer_jax.files import read_json
from fer_jax.models.cnn import make_model
from fer_jax.models.summary import list_layers
from fer_jax.text import Table, counted, to_markdown

PROGRAM: Final = "python -m benchmarks.throughput.cluster_plan"
SECTION: Final = "cluster-plan"
FILES: Final = ("accuracy", "time_to_accuracy-best", "startup-run6")
"""The JSON files that are read."""
NETWORKS: Final = {"tiny": "tiny-distilled", "mid": "mid", "best": "best"}
"""By config: the training in accuracy.json that tells its seconds."""
MEASURED: Final = "best"
"""The network with epochs measured on a GPU; the others' steps are estimated from it."""
GPUS: Final = (8, 64, 512)
EXAMPLES: Final = sum(fer2013.CLASS_COUNTS["Training"])

GPUS_A_NODE: Final = 8
NVLINK: Final = 450e9
"""Bytes a second from one GPU to the others of its node; NVIDIA's data sheet of the H100 SXM says 900 GB/s
for both directions together."""
LINKS: Final = {"400 Gb/s": 50e9, "100 Gb/s": 12.5e9}
"""Bytes a second between nodes, one link a node."""
HOP_S: Final = 5e-6
"""Assumption: latency of a message, inside a node and between nodes."""
LEAST_STEP_S: Final = 1e-3
"""Assumption: no step is shorter, however small the network, because its kernels have to be launched."""
LEAST_IMAGES: Final = 32
"""Assumption: fewer images a GPU take as long as so many."""
FAILURES: Final = (419, 54 * 24 * 16_384)
"""Interruptions, and GPU hours, of a large training: Llama Team 2024, "The Llama 3 Herd of Models", 3.3.4."""
IMAGENET: Final = (8192, 1_281_167)
"""The largest batch that kept the accuracy on ImageNet with a learning rate in proportion, and its images:
Goyal et al. 2017, "Accurate, Large Minibatch SGD"."""

Contents = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """A network and its training.

    Attributes:
        name: of its config.
        parameters: trained numbers; a gradient has four bytes for each.
        batch_norms: layers that need the statistics of the whole batch.
        macs: multiply-accumulates of the forward pass of one image.
        batch: images of a step.
        epochs: of its training.
        cpu: where and in how many seconds an epoch of it was measured on a CPU; empty: it was not.
        step_s: seconds of a step of `batch` images on one GPU.
    """

    name: str
    parameters: int
    batch_norms: int
    macs: int
    batch: int
    epochs: int
    cpu: str
    step_s: float

    @property
    def gradient_bytes(self) -> int:
        """Bytes that an all-reduce sums: float32."""
        return 4 * self.parameters


@dataclass(frozen=True)
class ClusterPlan:
    """Write the plan in docs/guides/cluster.md from the JSON files of the measurements."""

    results: Path = bench.RESULTS
    """Folder of the JSON files."""


def main(argv: list[str] | None = None) -> int:
    """Write the section, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(ClusterPlan, argv, prog=PROGRAM)))


def _run(options: ClusterPlan) -> int:
    print(f"{SECTION} written to {write_section(PAGES, SECTION, write(options.results))}")
    return 0


def reduce_seconds(count: int, gpus: int, link: float) -> float:
    """Estimate an all-reduce: a ring inside each node, and a ring of the nodes.

    A ring of n sends 2 (n - 1) / n of the bytes over each link (Patarasuk and Yuan 2009, "Bandwidth optimal
    all-reduce algorithms"); a message passes 2 log2(n) hops, as in the trees that NCCL takes for small ones.

    Args:
        count: bytes.
        gpus: that take part, nodes filled one after the other.
        link: bytes a second between nodes.
    """
    inside, nodes = min(gpus, GPUS_A_NODE), math.ceil(gpus / GPUS_A_NODE)
    seconds = 2 * (inside - 1) / inside * count / NVLINK + 2 * (nodes - 1) / nodes * count / link
    return seconds + 2 * math.log2(gpus) * HOP_S


def step_seconds(network: Network, images: float, gpus: int, link: float) -> float:
    """Estimate a step: the work of one GPU, the gradients, and two small sums for each batch norm."""
    share = max(images, min(LEAST_IMAGES, network.batch)) / network.batch
    work = max(network.step_s * share, LEAST_STEP_S)
    if gpus == 1:
        return work
    sums = 2 * network.batch_norms * 2 * math.log2(gpus) * HOP_S
    return work + reduce_seconds(network.gradient_bytes, gpus, link) + sums


def read_networks(results: Path) -> list[Network]:
    """Count the networks of the configs, and take their times from the JSON files."""
    rows = {row["name"]: row for row in read_json(results / "accuracy.json")["results"]}
    epoch_s = _measure_epoch(read_json(results / "time_to_accuracy-best.json"))
    counted = {}
    for name, training in NETWORKS.items():
        config = load_config(Path(name))
        layers = list_layers(make_model(config.model, config.device))
        norms = sum("norm" in layer.name.rpartition("/")[2].lower() for layer in layers)
        row = rows[training]
        seconds = statistics.median(row["seconds"]) / row["epochs"]
        machine = ", ".join(map(shorten_machine, row["machines"]))
        is_on_gpu = any(each.startswith("GPU") for each in row["machines"])
        counted[name] = Network(
            name=name,
            parameters=sum(layer.parameters for layer in layers),
            batch_norms=norms,
            macs=sum(layer.macs for layer in layers),
            batch=config.train.batch_size,
            epochs=row["epochs"],
            cpu="" if is_on_gpu else f"{seconds:,.0f} s ({machine})",
            step_s=0.0,
        )
    base = counted[MEASURED]
    image_s = epoch_s / EXAMPLES / base.macs
    return [replace(each, step_s=image_s * each.macs * each.batch) for each in counted.values()]


def _measure_epoch(content: Contents) -> float:
    """Return the median seconds of an epoch, with its evaluation, of the measured run."""
    ends = content["results"][0]["ends_s"]
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def write(results: Path) -> str:
    """Write the section in Markdown."""
    networks = read_networks(results)
    gpu = read_json(results / "time_to_accuracy-best.json")
    best = next(network for network in networks if network.name == MEASURED)
    epochs = load_config(Path(MEASURED)).train.save_epochs
    lost_s = epochs * best.step_s * (EXAMPLES // best.batch) / 2 + _median_start(results)
    parts = [
        f"Written by `{PROGRAM}`. Counted: parameters, bytes, steps. Measured: an epoch of `{MEASURED}` on "
        f"{gpu['device'].removeprefix('GPU ')} (`time_to_accuracy-best.json`, {bench.UNCOMMITTED} to "
        f"{gpu['git'].removesuffix('-dirty')}), the epochs on CPUs, and a start. "
        "**Everything else is an estimate.**",
        "### One device",
        _table_devices(networks),
        f"A step of `{MEASURED}` is its measured epoch, evaluation included, divided by the steps; one of "
        "another network is that in proportion to the multiply-accumulates, and at least "
        f"{1e3 * LEAST_STEP_S:.0f} ms (an assumption).",
        "### Bytes and time of an all-reduce",
        _table_reduces(networks),
        f"A ring inside each node of {GPUS_A_NODE} GPUs ({NVLINK / 1e9:.0f} GB/s each way, from the data "
        "sheet of the H100) and a ring of the nodes, with one link of the given speed a node, and "
        f"{1e6 * HOP_S:.0f} µs a hop (an assumption).",
        "### The same batch on more GPUs",
        _table_kept(networks),
        "### A batch that grows with the GPUs",
        _table_grown(networks),
        _describe_batch(),
        "### What a failure costs",
        _table_failures(lost_s),
        f"A GPU fails once in {FAILURES[1] / FAILURES[0]:,.0f} hours: Llama 3 had {FAILURES[0]} "
        "interruptions in 54 days on 16,384 GPUs. A failure costs half of the work between two checkpoints, "
        f"which are {counted(epochs, 'epoch')} apart with `{MEASURED}`, and a start of "
        f"{_median_start(results):.1f} s (measured for one process on a CPU, with compiled programs in the "
        f"cache): {lost_s:.1f} s on one GPU.",
    ]
    return "\n\n".join(parts)


def _table_devices(networks: list[Network]) -> str:
    rows: Table = [
        ["network", "parameters", "batch norms", "batch", "steps an epoch", "epoch on a CPU", "step on a GPU"]
    ]
    for network in networks:
        step = max(network.step_s, LEAST_STEP_S)
        kind = "measured" if network.name == MEASURED else "estimate"
        numbers = (network.parameters, network.batch_norms, network.batch, EXAMPLES // network.batch)
        rows.append(
            [
                network.name,
                *(f"{number:,}" for number in numbers),
                network.cpu or NOT_MEASURED,
                f"{1e3 * step:.2f} ms ({kind})",
            ]
        )
    return to_markdown(rows, left_columns=1)


def _table_reduces(networks: list[Network]) -> str:
    columns = [(gpus, name) for gpus in GPUS for name in (LINKS if gpus > GPUS_A_NODE else ["NVLink"])]
    rows: Table = [["network", "MB", *(f"{gpus} GPUs, {name}" for gpus, name in columns)]]
    for network in networks:
        times = [
            reduce_seconds(network.gradient_bytes, gpus, LINKS.get(name, NVLINK)) for gpus, name in columns
        ]
        size = f"{network.gradient_bytes / 1e6:.2f}"
        rows.append([network.name, size, *(f"{1e3 * seconds:.2f} ms" for seconds in times)])
    return to_markdown(rows, left_columns=1)


def _table_kept(networks: list[Network]) -> str:
    rows: Table = [
        ["network", "GPUs", "images a GPU", *(f"step, {name}" for name in LINKS), "faster than one"]
    ]
    for network in networks:
        alone = step_seconds(network, network.batch, 1, NVLINK)
        for gpus in GPUS:
            if network.batch % gpus:
                rows.append([network.name, str(gpus), "less than one", *["impossible"] * (1 + len(LINKS))])
                continue
            images = network.batch // gpus
            steps = [step_seconds(network, images, gpus, link) for link in LINKS.values()]
            cells = [f"{1e3 * step:.2f} ms" for step in steps]
            rows.append([network.name, str(gpus), str(images), *cells, f"{alone / steps[0]:.1f} ×"])
    return to_markdown(rows, left_columns=1)


def _table_grown(networks: list[Network]) -> str:
    rows: Table = [
        ["network", "GPUs", "batch", "steps an epoch", "steps in all", "epoch, 400 Gb/s", "faster than one"]
    ]
    for network in networks:
        alone = step_seconds(network, network.batch, 1, NVLINK) * (EXAMPLES // network.batch)
        for gpus in GPUS:
            batch = network.batch * gpus
            steps = EXAMPLES // batch
            if steps == 0:
                rows.append([network.name, str(gpus), f"{batch:,}", "0", "0", "impossible", "impossible"])
                continue
            epoch = steps * step_seconds(network, network.batch, gpus, LINKS["400 Gb/s"])
            cells = [f"{batch:,}", f"{steps:,}", f"{steps * network.epochs:,}", f"{epoch:.3f} s"]
            rows.append([network.name, str(gpus), *cells, f"{alone / epoch:.1f} ×"])
    return to_markdown(rows, left_columns=1)


def _describe_batch() -> str:
    batch, images = IMAGENET
    steps = images / batch
    return (
        "Where does a larger batch stop helping? That is not measured here. On ImageNet the accuracy held "
        f"up to a batch of {batch:,} (Goyal et al. 2017), or {steps:.0f} steps an epoch; with {EXAMPLES:,} "
        f"images, that many steps mean a batch of {EXAMPLES / steps:.0f}. A batch of thousands leaves this "
        "data set a few updates an epoch. More GPUs are better spent on seeds, on a sweep or on more images: "
        "seeds and trials need no all-reduce."
    )


def _table_failures(lost_s: float) -> str:
    rows: Table = [["GPUs", "hours between failures", "share of the time lost"]]
    for gpus in GPUS:
        hours = FAILURES[1] / FAILURES[0] / gpus
        rows.append([str(gpus), f"{hours:,.0f}", f"{100 * lost_s / (3600 * hours):.4f} %"])
    return to_markdown(rows, left_columns=0)


def _median_start(results: Path) -> float:
    rows = read_json(results / "startup-run6.json")["results"]
    return float(next(row for row in rows if row["name"] == "ours-compiled")["spread_s"]["median"])


if __name__ == "__main__":
    sys.exit(main())
