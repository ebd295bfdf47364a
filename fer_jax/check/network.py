"""Sanity checks of a network before a run: from measurements to findings.

Each `check_*` judges one thing that spoils a run without an error. It is a pure function of what `dry_run`
measures. The rules of thumb are Karpathy's (*A Recipe for Training Neural Networks*, 2019: the loss at the
start, overfitting one batch) and those of the CS231n notes (*Neural Networks Part 3*: the update-to-weight
ratio, dead ReLUs, the scale of each layer). A measurement that is not finite fails.
"""

import math
from collections.abc import Mapping

import numpy as np

from fer_jax.check.finding import Finding, make_finding
from fer_jax.text import percent


def check_start_loss(*, evaluation: float, training: float, classes: int, is_fresh: bool) -> Finding:
    """Judge the loss at the start: near ln C, the cross-entropy of equal probabilities.

    A network that starts far from it first has to unlearn the predictions of its random weights. One that
    starts from trained weights may be better than chance.

    Args:
        evaluation: mean cross-entropy in evaluation mode, without class weights or label smoothing, in nats.
        training: the same in training mode, with dropout and batch statistics.
        classes: C.
        is_fresh: all weights are random.

    >>> check_start_loss(evaluation=1.95, training=1.96, classes=7, is_fresh=True).outcome
    'passed'
    """
    expected = math.log(classes)
    above = np.array([evaluation, training]) - expected
    off = float(np.max(np.abs(above) if is_fresh else np.maximum(above, 0)))
    return make_finding(
        "loss at start",
        is_failed=not off <= 0.5,
        is_warned=off > 0.2,
        measured=f"{evaluation:.3f} nats in evaluation mode, {training:.3f} in training mode",
        wanted=f"{'' if is_fresh else 'at most '}ln {classes} = {expected:.3f}, to within 0.2",
        advice="the first predictions are too confident: initialise the last layer with smaller weights, or "
        "put a hidden dense layer before it (model.dense_features); check that the pixels are standardised",
        figures={"evaluation": evaluation, "training": training},
    )


def check_gradients(rms: Mapping[str, float]) -> Finding:
    """Judge whether gradients reach every parameter, by the root mean square of each one's gradient."""
    faults = _name_faults(rms, zero="zero")
    smallest = min(rms, key=lambda name: rms[name])
    return make_finding(
        "gradients",
        is_failed=bool(faults),
        is_warned=False,
        measured=faults or f"reach all {len(rms)} parameters; smallest {rms[smallest]:.1e} ({smallest})",
        wanted="finite and not zero in every parameter",
        advice="a parameter without a gradient never learns: look for dead ReLUs behind it, or an output "
        "that does not depend on it; if it is not finite, initialise with smaller weights",
        figures=rms,
    )


def check_relus(start: Mapping[str, float], later: Mapping[str, float], *, steps: int) -> Finding:
    """Judge the share of each layer's dead units, which no image activates and which get no gradient.

    The shares, 0..1 by layer, are those of the fresh weights and those after the first steps.
    """
    at_start, at_end = _worst(start), _worst(later)
    is_born_dead = max(start.values()) > 0.1
    return make_finding(
        "dead ReLUs",
        is_failed=max(*start.values(), *later.values()) > 0.9,
        is_warned=max(*start.values(), *later.values()) > 0.1,
        measured=f"{at_start} at the start, {at_end} after {steps} steps",
        wanted="at most 10 % of any layer",
        advice="the initial weights or biases switch units off: change the initialisation, or add batch_norm"
        if is_born_dead
        else "the first steps push units below zero for every image, and they stay there (a step of Adam "
        "moves a unit by the learning rate times the sum of its inputs): lower optimizer.peak_rate, raise "
        "optimizer.warmup_epochs, or give the layer fewer inputs (model.head mean, more pooled blocks)",
        figures={f"{name}, start": share for name, share in start.items()}
        | {f"{name}, after {steps} steps": share for name, share in later.items()},
    )


def check_outputs(sds: Mapping[str, float]) -> Finding:
    """Judge the scale of each layer's outputs: their standard deviation before the ReLU."""
    low, high, is_finite = _find_extremes(sds)
    return make_finding(
        "scale of outputs",
        is_failed=not is_finite or sds[low] == 0,
        is_warned=sds[low] < 0.01 or sds[high] > 100,
        measured=f"sd {sds[low]:.2g} ({low}) to {sds[high]:.2g} ({high})",
        wanted="sd of every layer in 0.01..100",
        advice="gradients flow best if all layers have outputs of similar scale: add batch_norm, use He "
        "initialisation, or lower optimizer.peak_rate; logits that hardly vary mean that the network ignores "
        "the images",
        figures=sds,
    )


def check_gradient_scale(rms: Mapping[str, float]) -> Finding:
    """Judge whether gradients vanish or explode on their way back, by their rms at each layer's outputs."""
    low, high, is_finite = _find_extremes(rms)
    spread = rms[high] / rms[low] if rms[low] else math.inf
    return make_finding(
        "scale of gradients",
        is_failed=not is_finite or not rms[low],
        is_warned=spread > 1e4,
        measured=f"rms {rms[low]:.1e} ({low}) to {rms[high]:.1e} ({high}), a factor of {spread:.0f}",
        wanted="a factor of at most 10,000 between layers",
        advice="gradients vanish on their way back: add batch_norm, or use fewer layers; if they explode, "
        "set optimizer.clip_norm",
        figures=rms,
    )


def check_updates(ratios: Mapping[str, float], *, steps: int) -> Finding:
    """Judge how much a step changes the weights: about 1e-3 of their size (CS231n notes, Karpathy).

    The ratios are median |update| over median |weight| of each layer's kernel, in the last step.
    """
    low, high, is_finite = _find_extremes(ratios)
    is_high = not (is_finite and ratios[high] <= 3e-2)
    return make_finding(
        "update to weight",
        is_failed=not is_finite or ratios[high] > 0.3,
        is_warned=is_high or ratios[low] < 3e-5,
        measured=f"{ratios[low]:.1e} ({low}) to {ratios[high]:.1e} ({high}) after {steps} steps",
        wanted="about 1e-3: 3e-5..3e-2 in every layer",
        advice="each step changes the weights too much: lower optimizer.peak_rate, or set "
        "optimizer.warmup_epochs"
        if is_high
        else "the weights hardly move: raise optimizer.peak_rate",
        figures=ratios,
    )


def check_batch_norm(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], *, steps: int
) -> Finding:
    """Judge whether the running statistics, float [C] by name, move and stay finite in the first steps."""
    moved = {name: float(np.abs(after[name] - old).max()) for name, old in before.items()}
    faults = _name_faults(moved, zero="do not move")
    measured = f"all {len(moved)} move in {steps} steps" if moved else "the network has no batch norm"
    return make_finding(
        "batch-norm statistics",
        is_failed=bool(faults),
        is_warned=False,
        measured=faults or measured,
        wanted="move and stay finite",
        advice="evaluation mode would use wrong statistics: training has to pass batch_stats as mutable and "
        "keep the updated ones; if they are not finite, lower optimizer.peak_rate",
        figures=moved,
    )


def check_dropout(agreement: Mapping[str, float]) -> Finding:
    """Judge how much of the gradient dropout leaves: other masks should give similar gradients.

    The agreement is the mean cosine of the gradients of each layer's kernel; empty without dropout.
    """
    is_finite = all(map(math.isfinite, agreement.values()))
    middle = float(np.median(list(agreement.values()))) if agreement else 1.0
    low = min(agreement, key=lambda name: _rank(agreement[name]), default="")
    return make_finding(
        "dropout",
        is_failed=not is_finite,
        is_warned=middle < 0.35,
        measured=f"other masks on the same batch: median cosine of a layer's gradients {middle:.2f}, lowest "
        f"{agreement[low]:.2f} ({low})"
        if agreement
        else "the config has none",
        wanted="a median of at least 0.35",
        advice="the gradients depend on the masks more than on the images: lower the dropout rates "
        "(model.blocks.*.dropout_rate, model.dense_dropout_rate), or use wider layers",
        figures=agreement,
    )


def check_overfit(*, accuracy: float, objective: float, images: int, steps: int) -> Finding:
    """Judge whether the network can overfit one batch, with dropout and augmentation off.

    The accuracy, 0..1, is in evaluation mode; the objective, in nats, that of the last step.
    """
    return make_finding(
        "overfit one batch",
        is_failed=not accuracy >= 0.9,
        is_warned=accuracy < 0.98,
        measured=f"{percent(accuracy, digits=0)} of {images} images after {steps} steps, "
        f"objective {objective:.3f} nats",
        wanted="at least 98 %",
        advice="a network that cannot overfit one batch cannot learn: look at optimizer.peak_rate first (too "
        "high, or far too low), then at optimizer.l2, optimizer.weight_decay and the size of the network",
        figures={"accuracy": accuracy, "objective": objective, "images": images, "steps": steps},
    )


def _name_faults(figures: Mapping[str, float], *, zero: str) -> str:
    """Name what is not finite and what is zero; `zero` is the word for the latter."""
    broken = [name for name, value in figures.items() if not math.isfinite(value)]
    zeros = [name for name, value in figures.items() if value == 0]
    return "; ".join(
        f"{fault}: {', '.join(names)}" for fault, names in (("not finite", broken), (zero, zeros)) if names
    )


def _find_extremes(figures: Mapping[str, float]) -> tuple[str, str, bool]:
    """Name the smallest and the largest, and whether all are finite."""
    low, high = (pick(figures, key=lambda name: _rank(figures[name])) for pick in (min, max))
    return low, high, all(map(math.isfinite, figures.values()))


def _worst(shares: Mapping[str, float]) -> str:
    name = max(shares, key=lambda layer: shares[layer])
    return f"{percent(shares[name], digits=0)} of {name}" if shares[name] else "none"


def _rank(figure: float) -> float:
    """Return a key to sort by: a number that is not finite is the smallest."""
    return figure if math.isfinite(figure) else -math.inf
