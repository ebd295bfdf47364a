"""The page of a run, `report.html`: its story in the order of the template's sections."""

import shlex
from pathlib import Path
from typing import Final

from fer_jax.config.overrides import to_option
from fer_jax.files import Json, reading
from fer_jax.metrics.history import keep_measured
from fer_jax.report import story as run_story
from fer_jax.report.charts import curve_charts
from fer_jax.report.html import write_page
from fer_jax.report.measured import beside_rows, describe_parts, interval_rows
from fer_jax.report.story import Story, gather
from fer_jax.text import MISSING, Table, decimal, describe_value

REPORT: Final = "report.html"
"""Name of a run's page in its folder."""

CONTENTS: Final = {
    "result": "Result",
    "diagnosis": "Diagnosis",
    "settings": "Settings that differ from the defaults",
    "curves": "Curves",
    "confusion": "Confusion",
    "classes": "By class",
    "calibration": "Calibration",
    "abstention": "Abstention",
    "robustness": "Robustness",
    "mistakes": "Mistakes",
    "saliency": "Saliency",
    "neighbours": "Nearest neighbours",
    "unmeasured": "Not measured yet",
    "data": "Data",
    "reproduce": "How to reproduce",
}
"""Id -> heading of each section."""

MEASURED: Final = {
    "confusion": "Confusion: which classes are taken for which others",
    "classes": "By class: precision and recall of each class",
    "calibration": "Calibration: whether its confidence can be trusted",
    "abstention": "Abstention: accuracy on the images that it is most certain of",
    "robustness": "Robustness: accuracy under blur, noise and other corruptions",
    "mistakes": "Mistakes: the most confident ones",
    "saliency": "Saliency: what the network looks at",
    "neighbours": "Nearest neighbours: the training images closest to a mistake",
}
"""Id of each section that shows what `evaluate` measures -> what the page says while it has not."""

LOSSES: Final = {
    "zero_one": ("0–1 loss, %", 100, 1),
    "brier": ("Brier score", 1, 3),
    "cross_entropy": ("cross-entropy, nats", 1, 3),
}
"""Loss of a decomposition -> its name on the page, scale and decimals."""


_TRAIN: Final = "python -m fer_jax.train "
_STUDIED: Final = ("--config", "--name", "--data", "--on-bad-row", "--on_bad_row")
"""The options of `train` that `bias_variance` has too, besides the fields of the config's sections."""


def write(folder: Path) -> Path:
    """Write the page of a run from the files in its folder: `report.html`, replaced atomically.

    The page names the command that measures what is missing. The same files give the same bytes.

    Args:
        folder: of one run, with `run.json` and `config.json` at least.

    Returns:
        The page.

    Raises:
        RunError: it is not the folder of a run, or a file in it is damaged.
        ConfigError: `config.json` is not a config of this fer_jax.
    """
    with reading(folder):
        return _write(gather(folder))


def _write(story: Story) -> Path:
    folder, measured = story.folder, describe_parts(story)
    with reading(folder / "diagnosis.json"):
        diagnosis = _describe_diagnosis(story.diagnosis) if story.diagnosis else None
    history = story.history
    seen = keep_measured(history)
    curves = None
    if seen:
        curves = curve_charts(history, story.run.get("measured_epoch", int(seen[-1]["epoch"])))
    unmeasured = {key: words for key, words in MEASURED.items() if not any(each[key] for each in measured)}
    left_out = unmeasured.keys() if unmeasured else {"unmeasured"}
    return write_page(
        "report.html.j2",
        folder / REPORT,
        title=story.title,
        contents={key: words for key, words in CONTENTS.items() if key not in left_out},
        is_synthetic=story.is_synthetic,
        story=story,
        run=story.run,
        metrics=story.metrics,
        notes=run_story,
        curves=curves,
        measured=measured,
        unmeasured=unmeasured,
        intervals=interval_rows(measured),
        beside=beside_rows(measured),
        diagnosis=diagnosis,
        commands=_commands(story),
    )


def _commands(story: Story) -> Json:
    """Write the commands that make the parts of the page, and the run itself again."""
    study = _study(story.run["command"], story.config.name)
    return {
        "train": _resume(story.run["command"]),
        "evaluate": story.evaluate_command("val"),
        "diagnose": story.diagnose_command,
        "bias_variance": f"{study} && {story.diagnose_command} {story.study_option}",
        "again": "\n".join(story.reproduce_commands()),
    }


def _study(command: str, name: str) -> str:
    """Write the study of a run's config: with the settings that its command line has, if it was one."""
    kept, is_kept = ["python", "-m", "fer_jax.bias_variance"], False
    if not command.startswith(_TRAIN):
        return shlex.join([*kept, "--config", f"configs/{name}.py"])
    words = shlex.split(command.removeprefix(_TRAIN))
    for word in ["--data.drop" if each == "--drop" else each for each in words]:
        if word.startswith("--"):
            option = word.split("=")[0]
            is_kept = option in _STUDIED or ("." in option and not option.startswith("--distributed."))
        if is_kept:
            kept.append(word)
    return shlex.join(kept)


def _resume(command: str) -> str:
    """Write how to resume what a command line, or a call in Python, has started."""
    return f"{command[:-1]}, resume=True)" if command.endswith(")") else f"{command} --resume"


def _describe_diagnosis(diagnosis: Json) -> Json:
    # Changes for the same reason stand together.
    advice: dict[str, list[Json]] = {}
    for each in diagnosis["next"]:
        change = {"option": _write_change(each["field"], each["to"]), "now": describe_value(each["from"])}
        advice.setdefault(each["why"], []).append(change)
    reasons = [{"why": why, "changes": changes} for why, changes in advice.items()]
    # The rules that hold come first: they are the diagnosis.
    findings = sorted(diagnosis["findings"], key=lambda each: not each["holds"])
    parts = diagnosis["decomposition"]
    rows = decomposition_rows(parts) if parts else []
    return {**diagnosis, "next": reasons, "findings": findings, "decomposition_rows": rows}


def _write_change(field: str, value: object) -> str:
    """Write a change as an option of `train`; blocks, which have no option, as in a config file."""
    if not isinstance(value, list):
        return shlex.join(to_option(field, value))  # type: ignore[arg-type]
    blocks = (", ".join(f"{name}={each!r}" for name, each in block.items()) for block in value)
    return "ModelConfig(blocks=(" + "".join(f"ConvBlock({fields}), " for fields in blocks).rstrip() + "))"


def decomposition_rows(decomposition: Json) -> Table:
    """Lay out the parts of the error that `bias_variance` measured, one row per loss.

    Args:
        decomposition: the content of its JSON.
    """
    noise = decomposition["noise"]
    rows = [
        ["loss", "mean", "bias", "variance", "variance / mean", *(["annotators disagree"] if noise else [])]
    ]
    for name, (words, scale, digits) in LOSSES.items():
        parts = decomposition["losses"][name]
        cells = []
        for key in ("loss", "bias", "variance"):
            cell = decimal(scale * parts[key], digits=digits)
            if parts["spread"] is not None:
                cell += f" ± {decimal(scale * parts['spread'][key], digits=digits)}"
            cells.append(cell)
        cells.append(decimal(parts["variance"] / parts["loss"], digits=2) if parts["loss"] else MISSING)
        rows.append([words, *cells, *([decimal(scale * noise[name], digits=digits)] if noise else [])])
    return rows
