"""Diagnose a run by explicit rules over its curves and metrics, and advise which config fields to change.

python -m fer_jax.diagnose runs/run6-seed0
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import tyro

from fer_jax import cli
from fer_jax.errors import RunError
from fer_jax.files import read_json, reading, suggest_path

if TYPE_CHECKING:
    from rich.console import Console

    from fer_jax.config.run import Config
    from fer_jax.files import Json


_NOT_COMPARED: Final = (
    *("train.max_examples", "train.batch_size"),
    *("train.select", "train.patience_epochs", "train.train_eval_examples"),
)
"""Settings of the run that its study may not share: the scale, and what a study does without."""


@dataclass(frozen=True)
class DiagnoseCommand:
    """Diagnose a finished run in one sentence, with the numbers behind it.

    Shows each rule with its threshold, whether it applies, does not, or cannot be judged from this run, and
    the config fields to change next. Writes diagnosis.json into the run's folder, and updates its page.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run, such as runs/run6-seed0."""
    bias_variance: Path | None = None
    """JSON by `python -m fer_jax.bias_variance` for the same config, also at a smaller scale: measured bias,
    variance and noise."""
    overwrite: bool = False
    """Replace a diagnosis that was made with a study by one without it, or with another one."""


def main(argv: list[str] | None = None) -> int:
    """Parse, diagnose, and return the exit status."""
    return cli.run(lambda: _diagnose(cli.parse(DiagnoseCommand, argv, prog="python -m fer_jax.diagnose")))


def _diagnose(options: DiagnoseCommand) -> int:
    # Imported here: --help and misspelt options need not wait for NumPy.
    from fer_jax.runs import inputs, record

    inputs.read_finished(options.run)
    _read_decomposition(options.bias_variance, record.read_config(options.run))
    # Imported late: the libraries take seconds, and nothing that is refused before needs them.
    from fer_jax.diagnose import evidence
    from fer_jax.diagnose import findings as diagnose_findings
    from fer_jax.files import write_json
    from fer_jax.metrics.saved import read_history, read_metrics
    from fer_jax.report import run_page, terminal
    from fer_jax.runs.results import refuse_other

    folder, log = options.run, options.run / "log.jsonl"
    config = record.read_config(folder)
    history = read_history(folder) if log.exists() else []
    if not history or not (folder / "metrics.json").exists():
        raise RunError(f"the run in {folder} is not finished; resume it with --resume --run-dir {folder}")
    metrics = read_metrics(folder)
    decomposition = _read_decomposition(options.bias_variance, config)
    made_from = {"decomposition": decomposition}
    refuse_other(folder / "diagnosis.json", made_from, may_replace=options.overwrite)
    with reading(folder):
        is_synthetic = record.read_record(folder).data.is_synthetic
        seen = evidence.gather(config, history, metrics, decomposition, is_synthetic=is_synthetic)
        result = diagnose_findings.diagnose(seen)
    console = terminal.make_console()
    console.print(result["sentence"], style="bold")
    _show(console, result)
    if decomposition is not None:
        size = f"width {decomposition['width']:g}, {decomposition['train_images']:,} training images"
        console.print(f"measured bias and variance: {options.bias_variance}, at {size}")
    write_json(folder / "diagnosis.json", result)
    console.print(f"written to {folder}: diagnosis.json, {run_page.write(folder).name}")
    return 0


def _read_decomposition(path: Path | None, config: "Config") -> "Json | None":
    """Read the JSON of a study; reject any other file, and a study of another config.

    It may be of a smaller scale. That of an older fer_jax does not say its settings: there the name of the
    config has to do.
    """
    if path is None:
        return None
    from fer_jax.config.changes import list_own_settings
    from fer_jax.runs.results import find_first_change
    from fer_jax.text import describe_value

    if not path.exists():
        raise RunError(
            f"--bias-variance is {path}, which does not exist"
            f"{suggest_path(path) or '; make it with `python -m fer_jax.bias_variance`'}"
        )
    content = read_json(path)
    needed = {"name", "part", "images", "width", "train_images", "seeds", "resamples", "losses", "command"}
    needed |= {"brier_variance", "noise"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise RunError(f"{path} was not written by `python -m fer_jax.bias_variance`; give a file that was")
    with reading(path):
        for loss in ("zero_one", "brier", "cross_entropy"):
            sum(content["losses"][loss][part] for part in ("loss", "bias", "variance"))
        sum((content["brier_variance"] or {}).values())
    if content["name"] != config.name:
        raise RunError(
            f"{path} is about the config {content['name']}, but the run has the config {config.name}; give "
            "the study of that config"
        )
    ours = list_own_settings(config)
    with reading(path):
        theirs = dict(content.get("settings", ours))
    field = find_first_change(
        *({name: each[name] for name in each.keys() - _NOT_COMPARED} for each in (theirs, ours))
    )
    if field is not None:
        study, run = (describe_value(each.get(field, "the default")) for each in (theirs, ours))
        raise RunError(
            f"{path} is about another config of the name {config.name}: {field} is {study} in the study, and "
            f"{run} in the run; give the study of that config"
        )
    return content


def _show(console: "Console", result: "Json") -> None:
    """Show the rules that apply, those that do not, those that cannot be judged, and what to change."""
    from rich.table import Table

    from fer_jax.text import describe_value

    findings = result["findings"]
    unjudged = [each for each in findings if each["cannot_judge"]]
    for chosen, names, heads in (
        (
            [each for each in findings if each["holds"]],
            ("rule", "says", "threshold"),
            ("rule that applies", "finding", "threshold"),
        ),
        (
            [each for each in findings if not each["holds"] and each not in unjudged],
            ("rule", "says"),
            ("rule that does not apply", "finding"),
        ),
        (unjudged, ("rule", "cannot_judge"), ("rule that cannot be judged", "why")),
    ):
        if chosen:
            table = Table(*heads, box=None, padding=(0, 2, 0, 0))
            for each in chosen:
                table.add_row(*(each[name] for name in names))
            console.print(table, soft_wrap=False)
    if not result["next"]:
        return
    changes = Table("next", "from", "to", "why", box=None, padding=(0, 2, 0, 0))
    for each in result["next"]:
        old, new = describe_value(each["from"]), describe_value(each["to"])
        changes.add_row(each["field"], old, new, each["why"])
    console.print(changes, soft_wrap=False)


if __name__ == "__main__":
    sys.exit(main())
