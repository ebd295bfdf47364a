"""The metrics of some predictions as an object: numbers, tables and pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.figure import Figure

from fer_jax.api import display
from fer_jax.config.model import LEAST_CLASSES, MOST_CLASSES, find_name_fault
from fer_jax.errors import ConfigError, DataError
from fer_jax.evaluate import plots, text
from fer_jax.fer2013 import CLASS_COUNT, NAMES, names_of
from fer_jax.files import Json
from fer_jax.inference.weights import to_array
from fer_jax.metrics import abstention
from fer_jax.metrics.predictions import calibrate, measure
from fer_jax.metrics.scores import list_names, tells_copies_apart
from fer_jax.report.plots import plot_confusion
from fer_jax.text import Table, decimal, interval, percent, thousands

if TYPE_CHECKING:
    import pandas as pd

METRICS: Final = {
    "accuracy": "accuracy",
    "top2_accuracy": "top-2 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "calibration error (ECE)",
    "macro_roc_auc": "mean ROC-AUC",
    "loss": "loss, nats",
}
"""What `Scores.table` has a row for, and its name for people; all are ratios, except the loss."""

KINDS: Final = ("confusion", "reliability", "abstention", "robustness")
"""The plots of `Scores.plot`."""

_LEAST_PROBABILITY: Final = 1e-15


@dataclass(frozen=True, eq=False)
class Scores:
    """The metrics of some predictions.

    Attributes:
        title: what was measured.
        facts: everything that was measured, as `evaluate` writes it into `evaluate_PART.json`.
        predictions: a row an image, as `evaluate --predictions` writes it; None for predictions of your own.
    """

    title: str
    facts: Json = field(repr=False)
    predictions: "pd.DataFrame | None" = field(default=None, repr=False)

    @property
    def correct(self) -> int:
        """How many images are right."""
        return int(self.facts["correct"])

    @property
    def total(self) -> int:
        """How many images there are."""
        return int(self.facts["total"])

    @property
    def accuracy(self) -> float:
        """Ratio of the images that are right."""
        return float(self.facts["accuracy"])

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Its 95 % bootstrap interval: how much it would vary on other images of the same kind."""
        low, high = self.facts["intervals"]["accuracy"]
        return low, high

    @property
    def copy_free_accuracy(self) -> float | None:
        """The accuracy without exact copies of training images; None if these are not known, or are all.

        Its counts and its Wilson interval are in `facts["copy_free"]`.
        """
        without = self.facts.get("copy_free")
        return None if without is None else float(without["accuracy"])

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have images."""
        return float(self.facts["balanced_accuracy"])

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have images."""
        return float(self.facts["macro_f1"])

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean difference between confidence and accuracy."""
        return float(self.facts["calibration"]["ece"])

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.facts["loss"])

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each of `METRICS`: `value`, and the ends `low` and `high` of its 95 % interval."""
        import pandas as pd

        rows = []
        for name in METRICS:
            low, high = self.facts["intervals"][name] or (None, None)
            rows.append({"metric": name, "value": self._value(name), "low": low, "high": high})
        return pd.DataFrame(rows).set_index("metric").astype(float)

    @property
    def per_class(self) -> "pd.DataFrame":
        """A row for each class: `precision`, `recall`, `f1`, `roc_auc`, `count`, `predicted`."""
        import pandas as pd

        frame = pd.DataFrame(self.facts["per_class"]).set_index("label")
        frame.insert(3, "roc_auc", pd.Series(self.facts["roc_auc"], dtype=float))
        return frame

    @property
    def confusion(self) -> "pd.DataFrame":
        """How many images of a class, a row, were predicted as each class, a column."""
        import pandas as pd

        names = list_names(self.facts)
        frame = pd.DataFrame(self.facts["confusion"], index=names, columns=names)
        return frame.rename_axis(index="true", columns="predicted")

    @property
    def abstention(self) -> "pd.DataFrame":
        """A row for each part of the least certain images that can be left out.

        With thresholds, which need a validation part: `left_out`, `threshold`, `images`, `answered`,
        `correct`, `accuracy`, and the ends `accuracy_low` and `accuracy_high` of its Wilson interval. For
        predictions of your own `coverage` instead of the first three columns: the most certain images.
        """
        import pandas as pd

        found = self.facts["abstention"]
        return pd.DataFrame(found["thresholds"] or found["curve"])

    def plot(self, kind: str = "confusion") -> Figure:
        """Draw the confusion matrix, the reliability diagram, abstention or the accuracy under corruptions.

        Args:
            kind: one of `KINDS`.

        Raises:
            ConfigError: there is no such plot, or robustness was not measured.
        """
        if kind == "confusion":
            return plot_confusion(np.array(self.facts["confusion"]), list_names(self.facts), title=self.title)
        if kind == "reliability":
            return plots.plot_reliability(self.facts["calibration"], title=self.title)
        if kind == "abstention":
            return plots.plot_abstention(self.facts["abstention"], title=self.title)
        if kind != "robustness":
            raise ConfigError(f"there is no plot {kind!r} of scores; wanted one of {', '.join(KINDS)}")
        if self.facts.get("robustness") is None:
            raise ConfigError("robustness was not measured; call evaluate(part, robustness=True)")
        return plots.plot_robustness(self.facts["robustness"], title=self.title)

    def _value(self, name: str) -> Any:
        return (self.facts | {"ece": self.facts["calibration"]["ece"]})[name]

    def __str__(self) -> str:
        """Lay out all metrics in tables, as `evaluate` prints them."""
        return f"{self.title}\n\n{text.describe(self.facts)}"

    def _repr_html_(self) -> str:
        rows: Table = [["metric", "value", "95 % interval"]]
        for name, words in METRICS.items():
            is_ratio = name not in ("loss", "macro_roc_auc")
            ends = self.facts["intervals"][name]
            shown = percent(self._value(name), digits=2) if is_ratio else decimal(self._value(name), digits=4)
            scale, digits = (100, 2) if is_ratio else (1, 4)
            rows.append([words, shown, interval(ends, scale=scale, digits=digits)])
        right = f"{thousands(self.correct)} of {thousands(self.total)} images are right"
        if tells_copies_apart(self.facts):
            without = self.facts["copy_free"]
            right += (
                f"; without copies of training images {thousands(without['correct'])} of "
                f"{thousands(without['total'])}, {percent(without['accuracy'], digits=2)}"
            )
        return display.block(self.title, [right], rows)


def evaluate_predictions(
    labels: Sequence[int] | Sequence[str] | np.ndarray,
    probabilities: Any,
    *,
    names: Sequence[str] = (),
    title: str = "predictions",
) -> Scores:
    """Measure the predictions of any model, with 95 % intervals and calibration.

    Args:
        labels: int [N], 0..C-1, or the names of the classes.
        probabilities: float [N, C], the predicted probabilities, each row adding up to 1; C is 2 to 20. One
            below 1e-15 counts as 1e-15.
        names: of the C classes, in the order of the columns; by default FER2013's seven, or these and
            contempt.
        title: for tables and pictures.

    Raises:
        DataError: labels and probabilities do not go together, or are none.
        ConfigError: the title is not text.
    """
    if not isinstance(title, str):
        raise ConfigError(f"title came {title!r}; wanted text")
    logits = np.log(np.maximum(_check_probabilities(probabilities), _LEAST_PROBABILITY))
    names = _check_names(names, classes=logits.shape[1])
    numbers = _check_labels(labels, names, images=len(logits))
    facts = measure(logits, numbers, names) | {
        "split": title,
        "views": ["identity"],
        "calibration": calibrate((logits, numbers), None),
        "abstention": abstention.measure(logits, numbers, validation=None) | {"chosen_on": None},
        "robustness": None,
    }
    return Scores(title, facts)


def _check_probabilities(probabilities: Any) -> np.ndarray:
    came = to_array("the probabilities", probabilities, wanted="float [N, C]")
    has_shape = came.ndim == 2 and len(came) > 0 and LEAST_CLASSES <= came.shape[1] <= MOST_CLASSES
    if not has_shape or not np.issubdtype(came.dtype, np.floating):
        raise DataError(
            f"the probabilities came as {came.dtype} {list(came.shape)}; wanted float [N, C], a row "
            f"an image and a column a class, {LEAST_CLASSES} to {MOST_CLASSES} of them"
        )
    if (no_answer := np.isnan(came).all(axis=1)).any():
        raise DataError(
            f"row {int(no_answer.argmax())} of the probabilities is NaN, as where a network abstains; leave "
            "such rows and their labels out, and say how many they were"
        )
    is_bad = ~np.isfinite(came).all(axis=1) | (came < 0).any(axis=1) | (np.abs(came.sum(axis=1) - 1) > 1e-3)
    if is_bad.any():
        row = int(is_bad.argmax())
        raise DataError(
            f"row {row} of the probabilities adds up to {came[row].sum():g}, from {came[row].min():g} to "
            f"{came[row].max():g}; wanted numbers in 0..1 that add up to 1, so of logits their softmax"
        )
    return came.astype(np.float64)


def _check_names(names: Sequence[str], *, classes: int) -> tuple[str, ...]:
    if not isinstance(names, Iterable):
        raise DataError(f"names came {names!r}; wanted those of the {classes} classes")
    names = tuple(names)  # They may come as an array.
    if not names and classes in (CLASS_COUNT, len(NAMES)):
        return names_of(classes)
    if len(names) != classes:
        raise DataError(
            f"the probabilities have {classes} columns, and {len(names)} names were given; name the classes "
            'with names=("calm", "angry", ...), in the order of the columns'
        )
    if fault := find_name_fault(names):
        raise DataError(f"the names are {', '.join(map(repr, names))}; wanted {fault}")
    return names


def _check_labels(labels: Any, names: Sequence[str], *, images: int) -> np.ndarray:
    came, classes = to_array("the labels", labels, wanted=f"int [{images}]"), len(names)
    if came.dtype.kind in "OU" and came.ndim:
        unknown = sorted({str(each) for each in came.ravel()} - set(names))
        if unknown:
            raise DataError(f"there is no class {unknown[0]!r}; wanted {', '.join(names)}")
        came = np.array([names.index(str(each)) for each in came.ravel()]).reshape(came.shape)
    if came.shape != (images,) or not np.issubdtype(came.dtype, np.integer):
        raise DataError(
            f"the labels came as {came.dtype} {list(came.shape)}; wanted int [{images}], one for each row of "
            "the probabilities"
        )
    if came.min() < 0 or came.max() >= classes:
        raise DataError(f"the labels are in {came.min()}..{came.max()}; wanted 0..{classes - 1}")
    # Cells of the confusion matrix are numbered up to C², which a narrow integer cannot hold.
    return came.astype(np.int64)
