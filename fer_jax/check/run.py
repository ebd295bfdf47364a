"""The work of `check`: try a run out, judge what it shows, and write it down."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from fer_jax.check import dry_run
from fer_jax.check import rate_range as check_rate_range
from fer_jax.check.finding import Finding
from fer_jax.check.rate_range import RateRange
from fer_jax.config.run import Config
from fer_jax.data.location import name_data
from fer_jax.files import Json, replacing, write_json, write_text
from fer_jax.inference.prepare import Prepared, prepare
from fer_jax.parallel.mesh import list_places
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report import contact_sheet, terminal
from fer_jax.report.plots import write_png
from fer_jax.runs import folder as runs_folder
from fer_jax.runs.results import refuse_other
from fer_jax.text import MISSING, align, decimal, escape, percent, to_markdown
from fer_jax.text import Table as Rows

CHECKS: Final = Path("checks")
RESULT: Final = "check.json"
SHEET: Final = "augmentation.png"
RANGE_PLOT: Final = "rate_range.png"

MARKS: Final = {"passed": "✓ passed", "warned": "! warned", "failed": "✗ failed"}
STYLES: Final = {"passed": "", "warned": "yellow", "failed": "bold red"}

ShowSteps = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""(words, total) -> a bar, see `terminal.show_steps`."""


@dataclass(frozen=True, eq=False)
class Checked:
    """The results of all checks.

    Attributes:
        findings: one a check.
        layers: one record a layer, in the order of the forward pass: `name`, `update_to_weight` and, as
            `start` and `later` (after the first steps), the fields of `LayerLook`.
        rate_range: None if it was left out, or if the first loss was not finite.
    """

    findings: list[Finding]
    layers: list[Json]
    rate_range: RateRange | None


def check(config: Config, *, out: Path | None, is_quick: bool, may_replace: bool) -> int:
    """Check a config on its data, show the findings, and write them into `out` (`checks/NAME-DATA`).

    Returns:
        The exit status: 1 if a check failed, else 0.

    Raises:
        FerJaxError: a user error in the config or the data; or the folder holds another check, and
            `may_replace` is False.
    """
    folder = out or CHECKS / f"{config.name}-{name_data(config.data)}"
    console = terminal.begin(f"fer_jax check of {config.name}, seed {config.train.seed} -> {folder}", config)
    (place,) = list_places(config.device, seeds=1, batch_size=config.train.batch_size)
    config, examples = terminal.load_training_data(console, config)
    inputs = {"name": config.name, "data.sha256": examples.sha256}
    refuse_other(folder / RESULT, inputs, may_replace=may_replace)
    prepared = prepare(config, examples, console=console)
    untried = list_untried(config, devices=place.devices)
    terminal.show_notes(console, [*prepared.notes, *untried])
    with runs_folder.locked(folder, option="--out"):
        with replacing(folder / SHEET) as new:
            contact_sheet.lay_out_augmented(
                numpy_rng(config.train.seed, Stream.SHOW),
                examples,
                config.augment,
                versions=5,
                title=f"{config.name}: images and their augmented versions",
            ).save(new, format="PNG", optimize=True)
        checked = check_all(config, prepared, partial(terminal.show_steps, console), is_quick=is_quick)
        files = _write(folder, config, checked, examples.facts, untried)
    _show(console, checked)
    console.print(f"written to {folder}: {', '.join(files)}")
    return int(any(finding.outcome == "failed" for finding in checked.findings))


def list_untried(config: Config, *, devices: int) -> list[str]:
    """List what a training does that is not tried here: more devices, fewer layers or smaller images.

    >>> list_untried(Config(name="a"), devices=2)
    ['not tried: 2 devices that share each batch; the steps here are those of one, equal up to rounding']
    """
    untried = []
    if devices > 1:
        untried.append(
            f"not tried: {devices} devices that share each batch; the steps here are those of one, equal up "
            "to rounding"
        )
    if config.init.head_epochs:
        untried.append(
            f"not tried: the first epochs (init.head_epochs {config.init.head_epochs:g}), in which no block "
            "is trained; the steps here are those that follow"
        )
    if config.train.small_epochs:
        untried.append(
            f"not tried: images of {config.train.small_side_px} pixels (train.small_epochs "
            f"{config.train.small_epochs}); the steps here are those at full size"
        )
    return untried


def check_all(config: Config, prepared: Prepared, show_steps: ShowSteps, *, is_quick: bool) -> Checked:
    """Make every check, each part with a bar of its own; `is_quick` leaves out the range test."""
    on_data = [
        *dry_run.check_split(prepared.examples, prepared.split, config),
        dry_run.check_augmentation(config),
    ]
    with show_steps("first steps", dry_run.NETWORK_STEPS) as advance:
        tried = dry_run.make_dry_run(config, prepared)
        on_network, layers = dry_run.check_network(tried, advance)
    with show_steps("overfitting one batch", dry_run.OVERFIT_STEPS) as advance:
        findings = [*on_network, dry_run.check_overfit(tried, advance), *on_data]
    if is_quick:
        return Checked(findings, layers, None)
    with show_steps("learning-rate range test", dry_run.RANGE_RATES) as advance:
        found = dry_run.measure_range(tried, advance)
    return Checked([*findings, check_rate_range.check_rate(found, config.optimizer.peak_rate)], layers, found)


def _show(console: Console, checked: Checked) -> None:
    """Print the layers, the findings, and what to do about them."""
    console.print(f"\nlayers, in training mode, after {dry_run.FIRST_STEPS} steps at the peak rate")
    console.print(align(layer_rows(checked.layers)))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    head, *rows = finding_rows(checked.findings)
    for index, name in enumerate(head):
        table.add_column(name, no_wrap=index < 2)
    for finding, row in zip(checked.findings, rows, strict=True):
        table.add_row(*row, style=STYLES[finding.outcome])
    console.print(table, soft_wrap=False)
    console.print()
    for finding in checked.findings:
        if finding.advice:
            console.print(f"{MARKS[finding.outcome][0]} {finding.name}: {finding.advice}")


def finding_rows(findings: list[Finding]) -> Rows:
    """Lay out the findings: outcome, check, what was measured, what was wanted."""
    rows = [[MARKS[each.outcome], each.name, each.measured, each.wanted] for each in findings]
    return [["outcome", "check", "measured", "wanted"], *rows]


def layer_rows(layers: list[Json]) -> Rows:
    """Lay out the layers after the first steps; a dash stands for a value that does not exist."""
    rows = [["layer", "mean", "sd", "ReLU zero", "dead", "gradient", "update/weight"]]
    for layer in layers:
        later = layer["later"]
        rows.append(
            [
                layer["name"],
                decimal(later["mean"]),
                decimal(later["sd"]),
                *(percent(later[name], digits=0) for name in ("zero_share", "dead_share")),
                f"{later['gradient_rms']:.1e}",
                MISSING if layer["update_to_weight"] is None else f"{layer['update_to_weight']:.1e}",
            ]
        )
    return rows


def _write(folder: Path, config: Config, checked: Checked, data: Json, untried: list[str]) -> list[str]:
    """Write `check.json`, `check.md` and the plot of the range test; returns the names of all files.

    Without a range test, the plot of an earlier one is removed.
    """
    found, files = checked.rate_range, ["check.md", RESULT, SHEET]
    if found is None:
        # That of an earlier check would look as if it belonged to this one.
        (folder / RANGE_PLOT).unlink(missing_ok=True)
    else:
        files.append(RANGE_PLOT)
        title, peak = f"{config.name}: learning-rate range test", config.optimizer.peak_rate
        figure = check_rate_range.plot_range(found, peak_rate=peak, title=title)
        write_png(figure, folder / RANGE_PLOT)
    findings = [asdict(finding) for finding in checked.findings]
    content = {
        "name": config.name,
        "seed": config.train.seed,
        "data": data,
        "not_tried": untried,
        "findings": findings,
        "layers": checked.layers,
        "rate_range": None if found is None else asdict(found),
        "files": files,
    }
    write_json(folder / RESULT, _to_json(content))
    sections = [
        f"# Check of {config.name}, seed {config.train.seed}",
        data["description"],
        *untried,
        to_markdown([[*map(escape, row)] for row in finding_rows(checked.findings)], left_columns=4),
        "\n".join(f"- **{each.name}**: {each.advice}" for each in checked.findings if each.advice),
        f"## Layers, in training mode, after {dry_run.FIRST_STEPS} steps at the peak rate",
        to_markdown(layer_rows(checked.layers), left_columns=1),
        *(f"![{name}]({name})" for name in files if name.endswith(".png")),
    ]
    write_text(folder / "check.md", "\n\n".join(filter(None, sections)) + "\n")
    return files


def _to_json(content: Any) -> Any:
    """Turn arrays into lists, and numbers that JSON does not have into null."""
    if isinstance(content, Mapping):
        return {name: _to_json(each) for name, each in content.items()}
    if isinstance(content, list | tuple | np.ndarray):
        return [_to_json(each) for each in content]
    if isinstance(content, float):
        return float(content) if math.isfinite(content) else None
    return content
