"""Say what a run teaches, by stated rules over its curves and figures, and which config field to change next.

python -m fer_jax.diagnose runs/run6-seed0
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fer_jax import cli

if TYPE_CHECKING:
    from rich.console import Console

    from fer_jax.files import Json


@dataclass(frozen=True)
class DiagnoseCommand:
    """Say in a sentence what a finished run teaches, with the figures behind each part of it.

    Every rule, its threshold and whether it holds are shown, and the config fields to change next. Writes
    diagnosis.json into the run's folder, and its page anew.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder, such as runs/run6-seed0."""
    bias_variance: Path | None = None
    """A JSON of `python -m fer_jax.bias_variance` for the same config: measured bias, variance and noise."""


def main(argv: list[str] | None = None) -> int:
    """Parse, diagnose, and return the exit status."""
    return cli.run(lambda: _diagnose(cli.parse(DiagnoseCommand, argv, prog="python -m fer_jax.diagnose")))


def _diagnose(options: DiagnoseCommand) -> int:
    # Imported here, since JAX and its libraries take seconds, for which --help and a slip need not wait.
    from rich.console import Console

    from fer_jax.diagnose import evidence
    from fer_jax.diagnose import findings as diagnose_findings
    from fer_jax.errors import RunError
    from fer_jax.files import read_json, read_json_lines, write_json
    from fer_jax.report import run_page
    from fer_jax.runs import record

    folder, log = options.run, options.run / "log.jsonl"
    config = record.read_config(folder)
    history = read_json_lines(log) if log.exists() else []
    if not history or not (folder / "metrics.json").exists():
        raise RunError(f"the run in {folder} is not finished; go on with --resume --run-dir {folder}")
    metrics = read_json(folder / "metrics.json")
    decomposition = _read_decomposition(options.bias_variance, config.name)
    result = diagnose_findings.diagnose(evidence.gather(config, history, metrics, decomposition))
    console = Console(markup=False, highlight=False)
    console.print(result["sentence"], style="bold")
    _show(console, result)
    if decomposition is not None:
        size = f"width {decomposition['width']:g}, {decomposition['train_images']:,} training images"
        console.print(f"measured bias and variance: {options.bias_variance}, at {size}")
    write_json(folder / "diagnosis.json", result)
    console.print(f"written to {folder}: diagnosis.json, {run_page.write(folder).name}")
    return 0


def _read_decomposition(path: Path | None, name: str) -> "Json | None":
    """Read the JSON of a study, and refuse another file or that of another config."""
    from fer_jax.errors import RunError
    from fer_jax.files import read_json

    if path is None:
        return None
    if not path.exists():
        raise RunError(f"--bias-variance is {path}, and nothing is there; make it with fer_jax.bias_variance")
    content = read_json(path)
    needed = {"name", "part", "images", "width", "train_images", "seeds", "resamples", "losses", "command"}
    needed |= {"brier_variance", "noise"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise RunError(f"{path} is no result of `python -m fer_jax.bias_variance`; give one")
    if content["name"] != name:
        raise RunError(f"{path} is of the config {content['name']}, and the run is of {name}; give its own")
    return content


def _show(console: "Console", result: "Json") -> None:
    """Lay out what holds, what does not, and what to change."""
    from rich.table import Table

    from fer_jax.text import describe_value

    for does_hold, heads in (
        (True, ("holds", "what it says", "threshold")),
        (False, ("does not hold", "it says")),
    ):
        chosen = [each for each in result["findings"] if each["holds"] is does_hold]
        if chosen:
            findings = Table(*heads, box=None, padding=(0, 2, 0, 0))
            for each in chosen:
                cells = (each["rule"], each["says"], each["threshold"])
                findings.add_row(*cells[: len(heads)])
            console.print(findings)
    if not result["next"]:
        return
    changes = Table("next", "from", "to", "why", box=None, padding=(0, 2, 0, 0))
    for each in result["next"]:
        old, new = describe_value(each["from"]), describe_value(each["to"])
        changes.add_row(each["field"], old, new, each["why"])
    console.print(changes)


if __name__ == "__main__":
    sys.exit(main())
