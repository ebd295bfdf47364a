"""Sanity checks before a run: measured figures in, findings in words out.

Each `check_*` judges one thing that spoils a run without an error: a pure function of figures that `checking`
measures. The rules of thumb are Karpathy's (*A Recipe for Training Neural Networks*, 2019: the loss at the
start, one batch overfitted) and those of the CS231n notes (*Neural Networks Part 3*: the update-to-weight
ratio, dead ReLUs, the scale of each layer). A figure that is not a number fails.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from fer_jax import fer2013
from fer_jax.check.finding import Finding, make_finding, percent

START_LOSS: Final = math.log(fer2013.CLASS_COUNT)
"""Cross-entropy of a network that knows nothing and claims nothing: ln 7 = 1.946 nats."""


def check_start_loss(*, evaluation: float, training: float) -> Finding:
    """Judge the loss of the fresh weights: near ln 7, or the network starts by unlearning its own claims.

    Args:
        evaluation: mean plain cross-entropy in evaluation mode, every class weighing 1, in nats.
        training: the same in training mode, dropout and batch statistics included.

    >>> check_start_loss(evaluation=1.95, training=1.96).outcome
    'passed'
    """
    off = float(np.max(np.abs(np.array([evaluation, training]) - START_LOSS)))
    return make_finding(
        "loss at start",
        is_failed=not off <= 0.5,
        is_warned=off > 0.2,
        measured=f"{evaluation:.3f} nats in evaluation mode, {training:.3f} in training mode",
        wanted=f"ln 7 = {START_LOSS:.3f}, to within 0.2",
        advice="the first guesses are too sure of themselves: start the last layer from smaller numbers, or "
        "put a hidden dense layer before it (model.dense_features); check that the pixels are standardised",
        figures={"evaluation": evaluation, "training": training},
    )


def check_gradients(rms: Mapping[str, float]) -> Finding:
    """Judge whether gradients reach every leaf of the weights.

    Args:
        rms: root mean square of the gradient of each leaf, by name such as "block1/conv/kernel".
    """
    broken = [name for name, size in rms.items() if not math.isfinite(size)]
    silent = [name for name, size in rms.items() if size == 0]
    faults = [f"not finite: {', '.join(broken)}"] * bool(broken) + [f"zero: {', '.join(silent)}"] * bool(
        silent
    )
    smallest = min(rms, key=lambda name: rms[name])
    return make_finding(
        "gradients",
        is_failed=bool(faults),
        is_warned=False,
        measured="; ".join(faults)
        or f"reach all {len(rms)} leaves; smallest {rms[smallest]:.1e} ({smallest})",
        wanted="finite and not zero in every leaf",
        advice="a leaf without a gradient never learns: look for dead ReLUs behind it, or an output that "
        "does not depend on it; where it is not finite, start from smaller weights",
        figures=rms,
    )


def check_relus(start: Mapping[str, float], later: Mapping[str, float], *, steps: int) -> Finding:
    """Judge the share of each layer's units that no image makes active: dead, they get no gradient.

    Args:
        start: share in 0..1 by layer, of the fresh weights.
        later: the same after the first steps.
        steps: how many these were.
    """
    at_start, at_end = _worst(start), _worst(later)
    is_born_dead = max(start.values()) > 0.1
    return make_finding(
        "dead ReLUs",
        is_failed=max(*start.values(), *later.values()) > 0.9,
        is_warned=max(*start.values(), *later.values()) > 0.1,
        measured=f"{at_start} at the start, {at_end} after {steps} steps",
        wanted="at most 10 % of any layer",
        advice="the initial weights or biases switch units off: start from others, or add batch_norm"
        if is_born_dead
        else "the first steps push units below zero for every image, and there they stay (a step of Adam "
        "moves a unit by the rate times the sum of its inputs): lower optimizer.peak_rate, give more "
        "optimizer.warmup_epochs, or give the layer fewer inputs (model.head mean, more pooled blocks)",
        figures={f"{name}, start": share for name, share in start.items()}
        | {f"{name}, after {steps} steps": share for name, share in later.items()},
    )


def check_outputs(sds: Mapping[str, float]) -> Finding:
    """Judge the spread of each layer's outputs.

    Args:
        sds: standard deviation of the outputs before the ReLU, by layer.
    """
    low, high = (pick(sds, key=lambda name: _rank(sds[name])) for pick in (min, max))
    is_finite = all(map(math.isfinite, sds.values()))
    return make_finding(
        "scale of outputs",
        is_failed=not is_finite or sds[low] == 0,
        is_warned=sds[low] < 0.01 or sds[high] > 100,
        measured=f"sd {sds[low]:.2g} ({low}) to {sds[high]:.2g} ({high})",
        wanted="sd of every layer in 0.01..100",
        advice="one size for all layers keeps the gradients alive: add batch_norm, start from He's weights, "
        "or lower optimizer.peak_rate; logits that hardly vary mean that the network gives up on the images",
        figures=sds,
    )


def check_gradient_scale(rms: Mapping[str, float]) -> Finding:
    """Judge how far the layers' gradients lie apart: they vanish or explode on their way down.

    Args:
        rms: root mean square of the gradient at each layer's outputs.
    """
    low, high = (pick(rms, key=lambda name: _rank(rms[name])) for pick in (min, max))
    is_finite = all(map(math.isfinite, rms.values()))
    spread = rms[high] / rms[low] if rms[low] else math.inf
    return make_finding(
        "scale of gradients",
        is_failed=not is_finite or not rms[low],
        is_warned=spread > 1e4,
        measured=f"rms {rms[low]:.1e} ({low}) to {rms[high]:.1e} ({high}), a factor of {spread:.0f}",
        wanted="a factor of at most 10,000 between layers",
        advice="gradients vanish on the way: add batch_norm, or take fewer layers; where they explode, set "
        "optimizer.clip_norm",
        figures=rms,
    )


def check_updates(ratios: Mapping[str, float], *, steps: int) -> Finding:
    """Judge how much a step changes the weights: about 1e-3 of their size (CS231n notes, Karpathy).

    Args:
        ratios: median |update| over median |weight| of each layer's kernel, in the last of the first steps.
        steps: how many these were.
    """
    low, high = (pick(ratios, key=lambda name: _rank(ratios[name])) for pick in (min, max))
    is_finite = all(map(math.isfinite, ratios.values()))
    is_high = not (is_finite and ratios[high] <= 3e-2)
    return make_finding(
        "update to weight",
        is_failed=not is_finite or ratios[high] > 0.3,
        is_warned=is_high or ratios[low] < 3e-5,
        measured=f"{ratios[low]:.1e} ({low}) to {ratios[high]:.1e} ({high}) after {steps} steps",
        wanted="about 1e-3: 3e-5..3e-2 in every layer",
        advice="each step rewrites too much of the weights: lower optimizer.peak_rate, or give "
        "optimizer.warmup_epochs"
        if is_high
        else "the weights hardly move: raise optimizer.peak_rate",
        figures=ratios,
    )


def check_batch_norm(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], *, steps: int
) -> Finding:
    """Judge whether the running statistics leave their start and stay finite.

    Args:
        before: float [C] by name such as "block1/norm/mean"; empty where the network has no batch norm.
        after: the same after the first steps.
        steps: how many these were.
    """
    moved = {name: float(np.abs(after[name] - old).max()) for name, old in before.items()}
    broken = [name for name, way in moved.items() if not math.isfinite(way)]
    still = [name for name, way in moved.items() if way == 0]
    faults = [f"not finite: {', '.join(broken)}"] * bool(broken) + [
        f"do not move: {', '.join(still)}"
    ] * bool(still)
    measured = f"all {len(moved)} move in {steps} steps" if moved else "the network has no batch norm"
    return make_finding(
        "batch-norm statistics",
        is_failed=bool(faults),
        is_warned=False,
        measured="; ".join(faults) or measured,
        wanted="move from their start and stay finite",
        advice="evaluation mode would use wrong statistics: training has to pass batch_stats as mutable and "
        "keep what comes back; where they are not finite, lower optimizer.peak_rate",
        figures=moved,
    )


def check_dropout(agreement: Mapping[str, float]) -> Finding:
    """Judge how much of the gradient dropout leaves: other masks on one batch should point the same way.

    Args:
        agreement: mean cosine of the gradients of each layer's kernel, -1..1; empty without dropout.
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
        advice="the masks decide where the weights go, and not the images: lower the dropout rates "
        "(model.blocks.*.dropout_rate, model.dense_dropout_rate), or take wider layers",
        figures=agreement,
    )


def check_heart(*, accuracy: float, objective: float, images: int, steps: int) -> Finding:
    """Judge whether a few images can be learnt by heart, with dropout and augmentation off.

    Args:
        accuracy: on these images in evaluation mode, 0..1.
        objective: the training loss of the last step, in nats.
        images: how many.
        steps: how many were taken.
    """
    return make_finding(
        "one batch by heart",
        is_failed=not accuracy >= 0.9,
        is_warned=accuracy < 0.98,
        measured=f"{percent(accuracy)} of {images} images after {steps} steps, "
        f"objective {objective:.3f} nats",
        wanted="at least 98 %",
        advice="what cannot learn a single batch learns nothing: look at optimizer.peak_rate first (too "
        "high, or far too low), then at optimizer.l2, optimizer.weight_decay and the size of the network",
        figures={"accuracy": accuracy, "objective": objective, "images": images, "steps": steps},
    )


def _worst(shares: Mapping[str, float]) -> str:
    name = max(shares, key=lambda layer: shares[layer])
    return f"{percent(shares[name])} of {name}" if shares[name] else "none"


def _rank(figure: float) -> float:
    """Order figures so that what is not finite counts as the smallest, and never as the largest."""
    return figure if math.isfinite(figure) else -math.inf
