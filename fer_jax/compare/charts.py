"""Charts of the page of a comparison: the plots of `compare.plots`, in the colours of the page."""

from functools import partial

from matplotlib.figure import Figure

from fer_jax.compare import plots, text
from fer_jax.files import Json
from fer_jax.report.charts import Chart, make_chart

_ACCURACIES_NOTE = "one seed with its 95 % interval; several seeds with mean ± standard deviation"


def accuracy_chart(result: Json) -> Chart:
    """Draw the accuracies of all runs with interval or spread; `result` is the content of `compare.json`."""
    runs, parts = result["runs"], result["parts"]
    told = "; ".join(
        f"{run['label']}: {', '.join(f'{part} {text.accuracy(run, part)}' for part in parts)}" for run in runs
    )
    notebook = "; hollow: the notebook" if any(run["notebook"] for run in runs) else ""
    return make_chart(
        "Accuracy",
        _ACCURACIES_NOTE + notebook,
        lambda figure: plots.add_accuracies(figure, runs, parts),
        alt=f"Accuracy (%) of each run. {told}.",
        size=(6, 1.3 + 0.62 * len(runs)),
    )


def curve_charts(result: Json) -> list[Chart]:
    """Draw validation and training accuracy of all runs over the epochs."""
    charts = []
    for part, words in (("val", "Validation accuracy"), ("train", "Training accuracy")):
        ends = "; ".join(f"{run['label']}: {text.accuracy(run, part)}" for run in result["runs"])
        draw = partial(_draw_curves, result=result, part=part)
        alt = f"{words} (%) of all runs over the epochs. The reported one: {ends}."
        charts.append(make_chart(words, "(%)", draw, alt=alt, size=(5.4, 3.5)))
    return charts


def _draw_curves(figure: Figure, *, result: Json, part: str) -> None:
    plots.add_curves(figure.add_subplot(), result["runs"], part)


def gap_charts(result: Json) -> list[Chart]:
    """Draw train and validation accuracy of each run over the epochs, a chart each."""
    charts = []
    for run in result["runs"]:
        words = f"gap {text.gap(run)} points"
        words += ", not distinguishable from 0" if text.is_gap_unclear(run) else ""
        alt = f"Train and validation accuracy (%) of {run['label']} over {run['epochs']} epochs; {words}."
        draw = partial(_draw_gap, run=run)
        charts.append(make_chart(run["label"], words, draw, alt=alt, size=(4, 2.8)))
    return charts


def _draw_gap(figure: Figure, *, run: Json) -> None:
    axes = figure.add_subplot()
    plots.add_gap(axes, run)
    axes.set_ylabel("accuracy (%)")
    figure.legend(
        handles=plots.part_handles(("train", "val")), loc="outside upper right", ncols=2, frameon=False
    )
