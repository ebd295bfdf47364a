"""The rules of a diagnosis, over the curves, metrics and measured decomposition of a run.

Each rule says what it looked at, whether it applies, by which threshold, and which config fields to change.
A rule without the data that it needs, see `diagnose.needs`, says so and nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from fer_jax.config.run import Config
from fer_jax.diagnose import advice, needs
from fer_jax.diagnose.advice import Change
from fer_jax.diagnose.evidence import END_EPOCHS, HUMAN_ACCURACY, THRESHOLDS, Evidence, fit_line
from fer_jax.diagnose.outcome import RuleOutcome, below_human, in_points
from fer_jax.text import counted, percent, signed


def judge(evidence: Evidence) -> list[RuleOutcome]:
    """Apply every rule that has the data that it needs; the most important come first."""
    return [_apply(rule, needed, evidence) for rule, needed in RULES]


def _apply(
    rule: Callable[[Evidence], RuleOutcome], needed: tuple[needs.Need, ...], evidence: Evidence
) -> RuleOutcome:
    outcome = rule(evidence)
    why = next(filter(None, (need(evidence) for need in needed)), None)
    if why is None:
        return outcome
    return replace(outcome, holds=False, says=f"cannot be judged: {why}", figures={}, cannot_judge=why)


def _too_short(e: Evidence) -> RuleOutcome:
    end, epochs = e.end, e.config.train.total_epochs
    moved, seen = float(np.ptp(end)), e.count_measured(len(end))
    is_short = len(end) < END_EPOCHS
    over = f"over the last {seen} val accuracy moves by {in_points(moved)}"
    return RuleOutcome(
        rule="too short",
        holds=is_short or e.is_moving,
        clause=f"{f'it has only {seen}' if is_short else over}: not enough epochs to judge the rest",
        says=f"the run has {seen}, and {END_EPOCHS} are needed to judge it" if is_short else over,
        figures={"epochs": float(len(e.history)), "range of val accuracy": moved},
        thresholds=("still_moving",),
        action="train longer",
        changes=advice.set_epochs(e.config, 2 * max(epochs, END_EPOCHS), why="it has not settled yet"),
    )


def _collapsed(e: Evidence) -> RuleOutcome:
    most, label = float(e.shares[e.most_frequent]), e.names[e.most_frequent]
    return RuleOutcome(
        rule="collapsed",
        holds=e.has_collapsed,
        clause=f"hardly better than always predicting {label}: it collapsed",
        says=f"train is {percent(e.train_accuracy)}, always predicting {label} would give "
        f"{percent(most)}; the train loss is {e.train_loss:.3f} nats, that of the class frequencies "
        f"{e.share_loss:.3f}, of a uniform guess {math.log(len(e.counts)):.3f} (ln {len(e.counts)})",
        figures={
            "train accuracy": e.train_accuracy,
            "largest class frequency": most,
            "train loss": e.train_loss,
            "loss of the class frequencies": e.share_loss,
        },
        thresholds=("collapse", "collapse_nats", "linearity", "fall"),
        action="lower the learning rate",
        changes=advice.scale_rate(e.config, 1 / 3, why="hardly anything is learnt at this rate"),
    )


def _bias(e: Evidence) -> RuleOutcome:
    figures = {"train accuracy": e.train_accuracy, "below one human annotator": e.below_human}
    share, noise = e.share_of_error("bias"), e.decomposition and e.decomposition["noise"]
    measured = ""
    if share is not None:
        figures["bias over error"] = share
        measured = f"; measured bias is {share:.2f} of the error"
    if noise:
        figures["annotators disagree"] = noise["zero_one"]
        measured += f", and FER+'s annotators disagree in {percent(noise['zero_one'])} of their votes"
    return RuleOutcome(
        rule="bias",
        holds=e.is_biased,
        clause="large bias" if share is None else f"large bias, {share:.2f} of the error",
        says=f"train is {percent(e.train_accuracy)}, {below_human(e.below_human)}{measured}",
        figures=figures,
        thresholds=("large_bias",),
    )


def _over_regularised(e: Evidence) -> RuleOutcome:
    released = advice.release(e.config)
    what, where = _brakes(e.config, released)
    return RuleOutcome(
        rule="over-regularised",
        holds=e.is_over_regularised,
        clause=f"{where}too much {what}",
        says=f"train is {percent(e.train_accuracy)} and the gap {in_points(e.gap)}; "
        + (f"{where}{what} may be too strong" if released else "the config has no regularisation to reduce"),
        figures={"train accuracy": e.train_accuracy, "gap": e.gap, "fields to reduce": float(len(released))},
        thresholds=("large_bias", "small_gap"),
        action=f"reduce {what}",
        changes=released,
    )


def _brakes(config: Config, released: list[Change]) -> tuple[str, str]:
    """Name the regularisation to reduce, and what it comes in addition to."""
    if advice.is_augmented(config):
        is_alone = all(change.name.startswith("augment.") for change in released)
        return ("augmentation", "") if is_alone else ("other regularisation", "with augmentation, ")
    has_dropout = any(change.name.endswith("dropout_rate") for change in released)
    return ("dropout" if has_dropout else "weight decay"), ""


def _too_simple(e: Evidence) -> RuleOutcome:
    blocks = len(e.config.model.blocks)
    network = f"network of {counted(blocks, 'convolution')}"
    return RuleOutcome(
        rule="too simple",
        holds=e.is_biased and not e.is_over_regularised,
        clause=f"too simple a {network}",
        says=f"train is {percent(e.train_accuracy)} with a {network}, the gap {in_points(e.gap)}; it is too "
        "simple if bias is large and regularisation does not explain it",
        figures={"train accuracy": e.train_accuracy, "gap": e.gap, "convolutions": float(blocks)},
        thresholds=("large_bias", "small_gap"),
        action="add capacity",
        changes=advice.grow(e.config),
    )


def _variance(e: Evidence) -> RuleOutcome:
    of_error = e.gap / (1 - e.val_accuracy) if e.val_accuracy < 1 else 0.0
    figures = {"gap": e.gap, "gap over val error": of_error}
    share, measured = e.share_of_error("variance"), ""
    if share is not None:
        figures["variance over error"] = share
        measured = f"; measured variance is {share:.2f} of the error"
    how_large = f"the gap is {of_error:.2f} of the error" if share is None else f"{share:.2f} of the error"
    return RuleOutcome(
        rule="variance",
        holds=e.has_variance,
        clause=f"large variance, {how_large}",
        says=f"train {percent(e.train_accuracy)} − val {percent(e.val_accuracy)} is a gap of "
        f"{in_points(e.gap)}, {of_error:.2f} of the val error{measured}",
        figures=figures,
        thresholds=("large_gap", *(("small_gap", "variance_share") if measured else ())),
        action="regularise",
        changes=advice.restrain(e.config),
    )


def _linear_fall(e: Evidence) -> RuleOutcome:
    slope, linearity, epochs = e.line
    over = f"over the last {counted(epochs, 'epoch')}"
    return RuleOutcome(
        rule="rate too low",
        holds=e.falls_linearly,
        clause=f"the loss falls linearly {over}: the learning rate is too low",
        says=f"{over} the objective changes by {signed(slope, digits=3)} nats per epoch; R² of a line is "
        f"{linearity:.3f}",
        figures={"nats per epoch": slope, "R²": linearity, "epochs": float(epochs)},
        thresholds=("linearity", "fall"),
        action="raise the learning rate",
        changes=advice.scale_rate(e.config, 3, why="larger steps make the loss fall faster"),
    )


def _overfitting(e: Evidence) -> RuleOutcome:
    best, last = min(e.measured, key=lambda record: record["val_loss"]), e.measured[-1]
    rise = float(last["val_loss"] - best["val_loss"])
    return RuleOutcome(
        rule="overfitting",
        holds=rise >= THRESHOLDS["val_rise"].value and last["objective"] < best["objective"],
        clause=f"val loss rises after epoch {best['epoch']} while the objective falls: overfitting",
        says=f"val loss is lowest after epoch {best['epoch']}, {best['val_loss']:.3f} nats, and {rise:.3f} "
        f"higher at the end; the objective goes from {best['objective']:.3f} to {last['objective']:.3f}",
        figures={
            "best epoch": float(best["epoch"]),
            "rise of val loss": rise,
            "epochs": float(len(e.history)),
        },
        thresholds=("val_rise",),
        action="stop early",
        changes=advice.stop_early(e.config, best_epoch=best["epoch"]),
    )


def _acceptable(e: Evidence) -> RuleOutcome:
    return RuleOutcome(
        rule="acceptable",
        holds=e.is_acceptable,
        clause="acceptable bias and variance",
        says=f"train is {percent(e.train_accuracy)}, {below_human(e.below_human)}, and the gap "
        f"{in_points(e.gap)}",
        figures={"train accuracy": e.train_accuracy, "gap": e.gap},
        thresholds=("large_bias", "large_gap"),
    )


def _unbalanced(e: Evidence) -> RuleOutcome:
    rare, most = e.rarest, e.most_frequent
    rarity = e.train_counts[most] / e.train_counts[rare]
    low, high = e.recalls[rare] or 0.0, e.recalls[most] or 0.0
    few, many = e.names[rare], e.names[most]
    is_missed = rarity >= THRESHOLDS["rarity"].value and low < THRESHOLDS["recall_ratio"].value * high
    return RuleOutcome(
        rule="unbalanced classes",
        # A collapsed network misses all classes but one, rare or not.
        holds=is_missed and not e.has_collapsed,
        clause=f"unbalanced classes (recall of {few} {percent(low, digits=0)}, of {many} "
        f"{percent(high, digits=0)})",
        says=f"there are {rarity:.1f} training images of {many} per image of {few}; val recall is "
        f"{percent(high)} and {percent(low)}",
        figures={"frequent per rare image": rarity, f"recall of {few}": low, f"recall of {many}": high},
        thresholds=("rarity", "recall_ratio"),
        action="class weights" if e.config.loss.label_smoothing else "label smoothing",
        changes=advice.weigh_classes(e.config, rare=few),
    )


def _poor_features(e: Evidence) -> RuleOutcome:
    below = HUMAN_ACCURACY - e.val_accuracy
    return RuleOutcome(
        rule="poor features",
        holds=e.is_acceptable and below >= THRESHOLDS["poor_features"].value,
        clause="poor features",
        says=f"val is {percent(e.val_accuracy)}, {below_human(below)}; the features are poor if bias and "
        "variance do not explain it",
        figures={"val accuracy": e.val_accuracy, "below one human annotator": below},
        thresholds=("poor_features", "large_bias", "large_gap"),
        action="better features",
        changes=[*advice.widen_last(e.config), *advice.augment(e.config)],
    )


def _sensitive(e: Evidence) -> RuleOutcome:
    blocks = e.config.model.blocks
    without = [index for index, block in enumerate(blocks) if not block.batch_norm]
    figures, measured = {"blocks without batch norm": float(len(without))}, ""
    sources = e.decomposition and e.decomposition["brier_variance"]
    if sources and sum(sources.values()):
        share = sources["seed"] / sum(sources.values())
        figures["variance from the seed"] = share
        measured = f"; {share:.2f} of the measured variance comes from the seed"
    return RuleOutcome(
        rule="sensitive",
        holds=bool(without),
        clause="without batch norm it is sensitive to initial weights and learning rate",
        says=f"{len(without)} of {counted(len(blocks), 'block')} without batch norm; with it training "
        f"depends less on initial weights and learning rate (Ioffe and Szegedy 2015){measured}",
        figures=figures,
        thresholds=(),
        action="add batch norm",
        changes=[
            Change(f"model.blocks.{k}.batch_norm", False, True, "more stable training") for k in without
        ],
    )


def _unfinished(e: Evidence) -> RuleOutcome:
    losses = e.values("val_loss")
    end = losses[-END_EPOCHS:]
    slope, _ = fit_line(end, np.array([record["epoch"] for record in e.measured[-END_EPOCHS:]], np.float64))
    least, above = THRESHOLDS["val_fall"].value, float(losses[-1] - losses.min())
    return RuleOutcome(
        rule="unfinished",
        holds=len(losses) >= END_EPOCHS and -slope >= least and above < least,
        clause="val loss is still falling at the end",
        says=f"over the last {e.count_measured(len(end))} val loss changes by {signed(slope, digits=3)} "
        f"nats per epoch, and ends {above:.3f} above its minimum",
        figures={"nats per epoch": slope, "above the minimum": above},
        thresholds=("val_fall",),
        action="train longer",
        changes=advice.set_epochs(e.config, 2 * e.config.train.total_epochs, why="it was still improving"),
    )


_LEVELS: Final = (needs.enough_epochs, needs.settled, needs.enough_images)
_AGAINST_PEOPLE: Final = (needs.known_people, *_LEVELS)
_TRENDS: Final = (needs.enough_epochs,)

RULES: Final[tuple[tuple[Callable[[Evidence], RuleOutcome], tuple[needs.Need, ...]], ...]] = (
    (_too_short, ()),
    (_collapsed, _LEVELS),
    (_bias, _AGAINST_PEOPLE),
    (_over_regularised, _AGAINST_PEOPLE),
    (_too_simple, _AGAINST_PEOPLE),
    (_variance, _LEVELS),
    (_linear_fall, _TRENDS),
    (_overfitting, _TRENDS),
    (_acceptable, _AGAINST_PEOPLE),
    (_unbalanced, (*_LEVELS, needs.enough_rare_images)),
    (_poor_features, _AGAINST_PEOPLE),
    (_sensitive, ()),
    (_unfinished, _TRENDS),
)
"""The rules with what they need. Only the config counts for the one that a run is sensitive."""
