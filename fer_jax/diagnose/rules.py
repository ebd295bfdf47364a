"""The rules of a diagnosis, over a run's curves, figures and decomposition.

Each rule states what it looked at, whether it holds and by which threshold, and names the config fields to
change next.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fer_jax.config.run import Config
from fer_jax.diagnose import advice
from fer_jax.diagnose.advice import Change
from fer_jax.diagnose.evidence import END_EPOCHS, HUMAN_ACCURACY, THRESHOLDS, Evidence, fit_line
from fer_jax.fer2013 import NAMES


@dataclass(frozen=True)
class Finding:
    """What a rule found.

    Attributes:
        rule: its name.
        holds: whether it applies to this run.
        clause: the few words of it in the sentence.
        says: the statement, with its figures.
        figures: what triggered it, by name.
        thresholds: names in `THRESHOLDS` that decided.
        action: what to do next, in a word or two; empty where nothing follows from this rule alone.
        changes: what that means in the config.
    """

    rule: str
    holds: bool
    clause: str
    says: str
    figures: dict[str, float]
    thresholds: tuple[str, ...]
    action: str = ""
    changes: list[Change] = field(default_factory=list)


def judge(evidence: Evidence) -> list[Finding]:
    """Apply every rule; the weightier come first."""
    return [rule(evidence) for rule in RULES]


def _collapsed(e: Evidence) -> Finding:
    most, label = float(e.shares.max()), NAMES[int(e.shares.argmax())]
    return Finding(
        rule="collapsed",
        holds=e.has_collapsed,
        clause=f"hardly better than always answering {label}: it collapsed",
        says=f"train is {_percent(e.train_accuracy)}, and always answering {label} would give "
        f"{_percent(most)}; the train loss is {e.train_loss:.3f} nats, that of the class shares alone "
        f"{e.share_loss:.3f}, of no idea at all {math.log(len(e.counts)):.3f} (ln {len(e.counts)})",
        figures={
            "train accuracy": e.train_accuracy,
            "largest class share": most,
            "train loss": e.train_loss,
            "loss of the shares": e.share_loss,
        },
        thresholds=("collapse", "collapse_nats", "linearity", "fall"),
        action="lower the rate",
        changes=advice.scale_rate(e.config, 1 / 3, why="hardly anything is learnt at this one"),
    )


def _bias(e: Evidence) -> Finding:
    figures = {"train accuracy": e.train_accuracy, "below one human annotator": e.below_human}
    share, noise = e.share_of_error("bias"), e.decomposition and e.decomposition["noise"]
    measured = ""
    if share is not None:
        figures["bias over error"] = share
        measured = f"; measured, bias is {share:.2f} of the error"
    if noise:
        figures["noise at most"] = noise["zero_one"]
        measured += f", and label noise is at most {_percent(noise['zero_one'])} of the images"
    return Finding(
        rule="bias",
        holds=e.is_biased,
        clause="large bias" if share is None else f"large bias, {share:.2f} of the error",
        says=f"train is {_percent(e.train_accuracy)}, {_below(e.below_human)}{measured}",
        figures=figures,
        thresholds=("large_bias",),
    )


def _over_regularised(e: Evidence) -> Finding:
    released = advice.release(e.config)
    what, where = _brakes(e.config, released)
    return Finding(
        rule="over-regularised",
        holds=e.is_over_regularised,
        clause=f"{where}too much {what}",
        says=f"train is {_percent(e.train_accuracy)} and the gap {_points(e.gap)}; "
        + (f"{where}{what} may hold it back" if released else "nothing in the config holds it back"),
        figures={"train accuracy": e.train_accuracy, "gap": e.gap, "fields to loosen": float(len(released))},
        thresholds=("large_bias", "small_gap"),
        action=f"reduce {what}",
        changes=released,
    )


def _brakes(config: Config, released: list[Change]) -> tuple[str, str]:
    """Name what could be loosened, and what it comes on top of."""
    if advice.is_augmented(config):
        is_alone = all(change.name.startswith("augment.") for change in released)
        return ("augmentation", "") if is_alone else ("other regularisation", "with augmentation, ")
    has_dropout = any(change.name.endswith("dropout_rate") for change in released)
    return ("dropout" if has_dropout else "weight decay"), ""


def _too_simple(e: Evidence) -> Finding:
    blocks = len(e.config.model.blocks)
    network = f"network of {blocks} convolution{'s' if blocks > 1 else ''}"
    return Finding(
        rule="too simple",
        holds=e.is_biased and not e.is_over_regularised,
        clause=f"too simple a {network}",
        says=f"train is {_percent(e.train_accuracy)} by a {network}, the gap {_points(e.gap)}; it is too "
        "simple where bias is large and no regularisation explains it",
        figures={"train accuracy": e.train_accuracy, "gap": e.gap, "convolutions": float(blocks)},
        thresholds=("large_bias", "small_gap"),
        action="add capacity",
        changes=advice.grow(e.config),
    )


def _variance(e: Evidence) -> Finding:
    of_error = e.gap / (1 - e.val_accuracy) if e.val_accuracy < 1 else 0.0
    figures = {"gap": e.gap, "gap over val error": of_error}
    share, measured = e.share_of_error("variance"), ""
    if share is not None:
        figures["variance over error"] = share
        measured = f"; measured, variance is {share:.2f} of the error"
    how_large = f"the gap is {of_error:.2f} of the error" if share is None else f"{share:.2f} of the error"
    return Finding(
        rule="variance",
        holds=e.has_variance,
        clause=f"large variance, {how_large}",
        says=f"train {_percent(e.train_accuracy)} − val {_percent(e.val_accuracy)} is a gap of "
        f"{_points(e.gap)}, {of_error:.2f} of the val error{measured}",
        figures=figures,
        thresholds=("large_gap", *(("small_gap", "variance_share") if measured else ())),
        action="regularise",
        changes=advice.restrain(e.config),
    )


def _linear_fall(e: Evidence) -> Finding:
    slope, linearity, epochs = e.line
    over = f"over the last {epochs} epochs"
    return Finding(
        rule="rate too low",
        holds=e.falls_linearly,
        clause=f"the loss falls linearly {over}: the rate is too low",
        says=f"{over} the objective moves {_signed(slope)} nats an epoch; R² of a line is {linearity:.3f}",
        figures={"nats an epoch": slope, "R²": linearity, "epochs": float(epochs)},
        thresholds=("linearity", "fall"),
        action="raise the rate",
        changes=advice.scale_rate(e.config, 3, why="larger steps bend the curve down"),
    )


def _overfitting(e: Evidence) -> Finding:
    losses, objective = e.values("val_loss"), e.values("objective")
    lowest = int(losses.argmin())
    rise = float(losses[-1] - losses[lowest])
    return Finding(
        rule="overfitting",
        holds=rise >= THRESHOLDS["val_rise"].value and bool(objective[-1] < objective[lowest]),
        clause=f"val loss rises from epoch {lowest + 1} on while train falls: overfitting",
        says=f"val loss is lowest after epoch {lowest + 1}, {losses[lowest]:.3f} nats, and {rise:.3f} higher "
        f"after the last; the objective goes from {objective[lowest]:.3f} to {objective[-1]:.3f}",
        figures={"best epoch": float(lowest + 1), "rise of val loss": rise, "epochs": float(len(losses))},
        thresholds=("val_rise",),
        action="stop early",
        changes=advice.stop_early(e.config, best_epoch=lowest + 1),
    )


def _acceptable(e: Evidence) -> Finding:
    return Finding(
        rule="acceptable",
        holds=e.is_acceptable,
        clause="acceptable bias and variance",
        says=f"train is {_percent(e.train_accuracy)}, {_below(e.below_human)}, and the gap {_points(e.gap)}",
        figures={"train accuracy": e.train_accuracy, "gap": e.gap},
        thresholds=("large_bias", "large_gap"),
    )


def _unbalanced(e: Evidence) -> Finding:
    present = [index for index, count in enumerate(e.counts) if count]
    rare, most = min(present, key=lambda k: e.counts[k]), max(present, key=lambda k: e.counts[k])
    rarity = e.counts[most] / e.counts[rare]
    low, high = e.recalls[rare] or 0.0, e.recalls[most] or 0.0
    few, many = NAMES[rare], NAMES[most]
    is_missed = rarity >= THRESHOLDS["rarity"].value and low < THRESHOLDS["recall_ratio"].value * high
    return Finding(
        rule="unbalanced classes",
        # A network that knows next to nothing misses every class but one, rare or not.
        holds=is_missed and not e.has_collapsed,
        clause=f"unbalanced classes (recall of {few} {100 * low:.0f} %, of {many} {100 * high:.0f} %)",
        says=f"there are {rarity:.1f} images of {many} for one of {few}; their recall is "
        f"{_percent(high)} and {_percent(low)}",
        figures={"frequent for one rare": rarity, f"recall of {few}": low, f"recall of {many}": high},
        thresholds=("rarity", "recall_ratio"),
        action="class weights" if e.config.loss.label_smoothing else "label smoothing",
        changes=advice.weigh_classes(e.config, rare=few),
    )


def _poor_features(e: Evidence) -> Finding:
    below = HUMAN_ACCURACY - e.val_accuracy
    return Finding(
        rule="poor features",
        holds=e.is_acceptable and below >= THRESHOLDS["poor_features"].value,
        clause="poor features",
        says=f"val is {_percent(e.val_accuracy)}, {_below(below)}; the features are poor where bias and "
        "variance do not explain it",
        figures={"val accuracy": e.val_accuracy, "below one human annotator": below},
        thresholds=("poor_features", "large_bias", "large_gap"),
        action="better features",
        changes=[*advice.widen_last(e.config), *advice.augment(e.config)],
    )


def _sensitive(e: Evidence) -> Finding:
    blocks = e.config.model.blocks
    without = [index for index, block in enumerate(blocks) if not block.batch_norm]
    figures, measured = {"blocks without batch norm": float(len(without))}, ""
    sources = e.decomposition and e.decomposition["brier_variance"]
    if sources and sum(sources.values()):
        share = sources["seed"] / sum(sources.values())
        figures["seed's share of the variance"] = share
        measured = f"; the seed brings {share:.2f} of the measured variance"
    return Finding(
        rule="sensitive",
        holds=bool(without),
        clause="without batch norm it is sensitive to initial weights and rate",
        says=f"{len(without)} of {len(blocks)} blocks have no batch norm; with it training depends less on "
        f"initial weights and rate (Ioffe and Szegedy 2015){measured}",
        figures=figures,
        thresholds=(),
        action="add batch norm",
        changes=[Change(f"model.blocks.{k}.batch_norm", False, True, "steadier training") for k in without],
    )


def _unfinished(e: Evidence) -> Finding:
    losses = e.values("val_loss")
    end = losses[-END_EPOCHS:]
    slope, _ = fit_line(end)
    least, above = THRESHOLDS["val_fall"].value, float(losses[-1] - losses.min())
    epochs = e.config.train.epochs
    return Finding(
        rule="unfinished",
        holds=len(losses) >= END_EPOCHS and -slope >= least and above < least,
        clause="val loss still falls at the end",
        says=f"over the last {len(end)} epochs val loss moves {_signed(slope)} nats an epoch, and ends "
        f"{above:.3f} above its lowest",
        figures={"nats an epoch": slope, "above the lowest": above},
        thresholds=("val_fall",),
        action="train longer",
        changes=[Change("train.epochs", epochs, 2 * epochs, "it was still getting better")],
    )


RULES: Final[tuple[Callable[[Evidence], Finding], ...]] = (
    _collapsed,
    _bias,
    _over_regularised,
    _too_simple,
    _variance,
    _linear_fall,
    _overfitting,
    _acceptable,
    _unbalanced,
    _poor_features,
    _sensitive,
    _unfinished,
)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f} %"


def _points(ratio: float) -> str:
    return f"{100 * ratio:.1f} points".replace("-", "−")


def _below(ratio: float) -> str:
    return f"{_points(abs(ratio))} {'below' if ratio >= 0 else 'above'} one human annotator"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
