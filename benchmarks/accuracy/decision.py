"""The rules by which recipes are decided, written down before a hold-out of Training is read.

Each rule is a pure function of what was counted on the hold-out (`split.protocol holdout`). Where a rule
finds too little gain, the older or simpler one stays. `decide` applies those for the large recipe, and gives
its reasons; `choose_network` is the one for a network of the size of `tiny` or `mid`. PublicTest has no part
in it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import log_softmax

from fer_jax.errors import ConfigError
from fer_jax.fer2013 import LABELS
from fer_jax.images.view_choice import ViewChoice
from fer_jax.images.views import CHOICES
from fer_jax.metrics.calibration import fit_temperature

GAIN: Final = 0.6
"""Points by which a recipe has to be better than the one that it replaces, mirrored image included."""
NETWORK_GAIN: Final = 1.0
"""Points by which the best of several networks has to be better than the one there is: more than `GAIN`,
because picking the best of several also picks the luckiest."""
LOSS_GAIN: Final = 0.02
"""Nats by which the loss, at its own best temperature, has to be lower where the accuracy is only as good."""
VIEWS_GAIN: Final = 0.3
"""Points by which more views have to be better than the image and its mirror image."""
SLOW_SECONDS: Final = 0.9
"""An epoch that takes longer leaves no time for the whole plan."""
NEW_EPOCHS: Final = 100
OLD_EPOCHS: Final = 60
SLOW_EPOCHS: Final = 70
SEEDS: Final = 4
SLOW_SEEDS: Final = 3
BASE_VIEWS: Final[ViewChoice] = "flip"
Size = Literal["tiny", "mid"]
"""The released network whose size the others have."""


@dataclass(frozen=True)
class Limit:
    """The most that a network of some size may have.

    Attributes:
        parameters: how many.
        macs: multiply-accumulates per image.
    """

    parameters: int
    macs: float = math.inf


LIMITS: Final[dict[Size, Limit]] = {"tiny": Limit(57_000), "mid": Limit(900_000, 65e6)}
"""By the network whose size they have."""


@dataclass(frozen=True)
class Arm:
    """A recipe as it was measured on the hold-out.

    Attributes:
        name: of its config, or what it changes.
        correct: number of correct predictions by the choice of views; `flip` is one.
        total: images of the hold-out.
        fitted_loss: mean cross-entropy in nats with flip, at the temperature that fits these images best.
    """

    name: str
    correct: Mapping[ViewChoice, int]
    total: int
    fitted_loss: float

    def accuracy(self, views: ViewChoice = BASE_VIEWS) -> str:
        """Write the accuracy in percent, with its counts."""
        return f"{100 * self.correct[views] / self.total:.2f} % ({self.correct[views]:,} of {self.total:,})"


@dataclass(frozen=True)
class Verdict:
    """What a rule says, and why."""

    holds: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """What is trained on all of Training, and measured on PublicTest at the end.

    Attributes:
        recipe: the name of the arm that won.
        epochs: of each training.
        seeds: how many trainings.
        has_second_generation: whether a second generation is trained, taught by the first.
        views: the choice of views for the published figure; one view is published beside it.
        reasons: a sentence for each rule.
    """

    recipe: str
    epochs: int
    seeds: int
    has_second_generation: bool
    views: ViewChoice
    reasons: tuple[str, ...]


def measure_arm(name: str, logits: Mapping[ViewChoice, np.ndarray], labels: np.ndarray) -> Arm:
    """Count an arm's correct predictions, and fit its temperature.

    Args:
        name: of the arm.
        logits: float64 [N, C] on the hold-out, by the choice of views; `flip` is one.
        labels: int [N], 0..C-1.
    """
    correct = {choice: int((each.argmax(axis=1) == labels).sum()) for choice, each in logits.items()}
    base = logits[BASE_VIEWS]
    log_probs = log_softmax(base / fit_temperature(base, labels), axis=1)
    loss = -float(log_probs[np.arange(len(labels)), labels].mean())
    return Arm(name, correct, len(labels), loss)


def lose(name: str, total: int, views: Iterable[ViewChoice]) -> Arm:
    """Return the arm of a recipe whose loss did not stay finite: nothing is right, at the loss of chance.

    Args:
        name: of the arm.
        total: images of the hold-out.
        views: the choices of views in which the other arms are measured.
    """
    return Arm(name, dict.fromkeys(views, 0), total, math.log(len(LABELS)))


def points_gained(old: Arm, new: Arm, views: ViewChoice = BASE_VIEWS) -> float:
    """Return by how many points a new arm is better than an old one, in the same views.

    Raises:
        ConfigError: they were measured on hold-outs of different sizes.

    >>> points_gained(Arm("a", {"flip": 700}, 1000, 1.0), Arm("b", {"flip": 706}, 1000, 1.0))
    0.6
    """
    if old.total != new.total:
        raise ConfigError(
            f"{old.name} was measured on {old.total:,} images and {new.name} on {new.total:,}; compare arms "
            "on one hold-out, of the same split.seed and split.holdout_fraction"
        )
    # One division of whole numbers: a gain of exactly a threshold is not lost to rounding.
    return 100 * (new.correct[views] - old.correct[views]) / old.total


def judge_change(old: Arm, new: Arm) -> Verdict:
    """Judge a change of any kind.

    It holds if it gains at least `GAIN` points.
    """
    gain = points_gained(old, new)
    said = f"{new.name} has {new.accuracy()}, {old.name} {old.accuracy()}: {gain:+.2f} points"
    return Verdict(gain >= GAIN, f"{said}, and {GAIN:g} are wanted")


def check_size(size: Size, name: str, *, parameters: int, macs: int) -> None:
    """Check that a network is within the limit of its comparison.

    Raises:
        ConfigError: it is larger.
    """
    most = LIMITS[size]
    if parameters > most.parameters:
        raise ConfigError(
            f"{name} has {parameters:,} parameters; the rule allows {most.parameters:,} at the size of {size}"
        )
    if macs > most.macs:
        raise ConfigError(
            f"{name} takes {macs:,} multiply-accumulates per image; the rule allows {most.macs:,.0f} at the "
            f"size of {size}"
        )


def choose_network(old: Arm, others: Sequence[Arm]) -> tuple[str, str]:
    """Choose a network: of the others the most accurate if it gains at least `NETWORK_GAIN`, else the old.

    Returns:
        Its name, and why.

    Raises:
        ConfigError: they were measured on hold-outs of different sizes.

    >>> arms = [Arm(name, {"flip": flip}, 1000, 1.0) for name, flip in (("a", 700), ("b", 709), ("c", 710))]
    >>> choose_network(arms[0], arms[1:2])[0], choose_network(arms[0], arms[1:])[0]
    ('a', 'c')
    """
    gains = {arm.name: points_gained(old, arm) for arm in others}
    best = max(gains, key=lambda name: gains[name])
    chosen = best if gains[best] >= NETWORK_GAIN else old.name
    said = f"{best} gains {gains[best]:+.2f} points over {old.name}, and at least {NETWORK_GAIN} are wanted"
    return chosen, f"{said}: {chosen} is chosen"


def judge_augmentation(old: Arm, new: Arm) -> Verdict:
    """Judge a recipe with a new augmentation, and all that goes with it, against the old one.

    It holds if it gains at least `GAIN` points, or loses none while its loss at its best temperature is
    lower by at least `LOSS_GAIN` nats: the loss varies less with the choice of images than the accuracy.
    """
    change = judge_change(old, new)
    lower = round(old.fitted_loss - new.fitted_loss, 6)
    said = f"loss {new.fitted_loss:.4f} after {old.fitted_loss:.4f}: {lower:.4f} nats lower"
    holds = change.holds or (points_gained(old, new) >= 0 and lower >= LOSS_GAIN)
    return Verdict(holds, f"{change.reason}, or none lost and a loss lower by {LOSS_GAIN:g}; {said}")


def choose_views(arm: Arm) -> tuple[ViewChoice, str]:
    """Choose the views of the published figure: flip, unless more views gain at least `VIEWS_GAIN` points.

    Of several that do, the one with the most correct predictions; of equal ones, the one with fewer views.

    Returns:
        The choice, and why.
    """
    counts = {views: len(CHOICES[views]) for views in arm.correct}
    more = [views for views in counts if counts[views] > counts[BASE_VIEWS]]
    said = ", ".join(f"{views} {arm.accuracy(views)}" for views in arm.correct)
    best = max(more, key=lambda views: (arm.correct[views], -counts[views]), default=BASE_VIEWS)
    gain = 100 * (arm.correct[best] - arm.correct[BASE_VIEWS]) / arm.total
    chosen = best if gain >= VIEWS_GAIN else BASE_VIEWS
    return chosen, f"{chosen}: {said}; more views than {BASE_VIEWS} have to gain {VIEWS_GAIN:g} points"


def decide(old: Arm, new: Arm, *, seconds_per_epoch: float) -> Decision:
    """Apply all rules to what the arms have on the hold-out.

    Args:
        old: the recipe with the old augmentation.
        new: that with the new one.
        seconds_per_epoch: of the winner, on all of Training, on the machine that trains.

    Raises:
        ConfigError: the arms were measured on different hold-outs.
    """
    augmentation = judge_augmentation(old, new)
    winner, epochs = (new, NEW_EPOCHS) if augmentation.holds else (old, OLD_EPOCHS)
    reasons = [f"recipe: {winner.name} for {epochs} epochs. {augmentation.reason}"]
    is_slow = seconds_per_epoch > SLOW_SECONDS
    seeds = SLOW_SEEDS if is_slow else SEEDS
    epochs = min(epochs, SLOW_EPOCHS) if is_slow else epochs
    generation = "no second generation" if is_slow else "a second generation"
    reasons.append(
        f"time: {seeds} seeds of {epochs} epochs, {generation}. An epoch takes {seconds_per_epoch:.2f} s, "
        f"and at most {SLOW_SECONDS:g} leave time for {SEEDS} seeds and a second generation"
    )
    views, why = choose_views(winner)
    reasons.append(f"views: {why}")
    return Decision(
        recipe=winner.name,
        epochs=epochs,
        seeds=seeds,
        has_second_generation=not is_slow,
        views=views,
        reasons=tuple(reasons),
    )
