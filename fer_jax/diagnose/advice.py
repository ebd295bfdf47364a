"""What to change in a config next: less or more regularisation, or more capacity.

The steps are those of the seven runs: dropout halved or raised by a quarter, features doubled, augmentation
on half of the images.
"""

from dataclasses import asdict
from typing import Any, NamedTuple

from fer_jax.config.model import ConvBlock
from fer_jax.config.run import Config


class Change(NamedTuple):
    """A config field to change: dotted name, current value, next value, and why."""

    name: str
    old: Any
    new: Any
    why: str


def is_augmented(config: Config) -> bool:
    """Whether any augmentation is on."""
    return any(_probabilities(config).values())


def release(config: Config) -> list[Change]:
    """Halve dropout (below 0.2: none) and turn off decay; without either of them, augment half as often.

    >>> from fer_jax.config.model import ModelConfig
    >>> config = Config(name="a", model=ModelConfig(dense_dropout_rate=0.5))
    >>> [(change.name, change.old, change.new) for change in release(config)]
    [('model.dense_dropout_rate', 0.5, 0.25)]
    """
    model, why = config.model, "the training images are not fitted"
    rates = {f"model.blocks.{k}.dropout_rate": block.dropout_rate for k, block in enumerate(model.blocks)}
    rates["model.dense_dropout_rate"] = model.dense_dropout_rate
    halves = {name: (rate, rate / 2 if rate >= 0.2 else 0.0) for name, rate in rates.items()}
    decays = {f"optimizer.{name}": (getattr(config.optimizer, name), 0.0) for name in ("l2", "weight_decay")}
    changes = [Change(name, old, new, why) for name, (old, new) in {**halves, **decays}.items() if old]
    return changes or [Change(name, p, p / 2, why) for name, p in _probabilities(config).items() if p]


def restrain(config: Config) -> list[Change]:
    """Raise dropout by 0.25 (at most 0.5 before the last layer, 0.25 after blocks), add pooling, augment."""
    model, why = config.model, "less memorisation"
    rates = {"model.dense_dropout_rate": (model.dense_dropout_rate, 0.5)}
    rates |= {f"model.blocks.{k}.dropout_rate": (b.dropout_rate, 0.25) for k, b in enumerate(model.blocks)}
    if not model.dense_features:
        del rates["model.dense_dropout_rate"]
    raised = {name: (rate, min(most, rate + 0.25)) for name, (rate, most) in rates.items() if rate < most}
    changes = [Change(name, old, new, why) for name, (old, new) in raised.items()]
    if not any(block.pool for block in model.blocks):
        changes.append(Change("model.blocks.0.pool", False, True, "fewer positions to memorise"))
    return [*changes, *augment(config)]


def augment(config: Config) -> list[Change]:
    """Shift and flip half of the images; nothing if there is augmentation already."""
    if is_augmented(config):
        return []
    names = ("shift_probability", "flip_probability")
    return [Change(f"augment.{name}", 0.0, 0.5, "more variety in the training images") for name in names]


def grow(config: Config) -> list[Change]:
    """Go to three blocks with batch norm; if there are three, double the features of the last one."""
    blocks = config.model.blocks
    missing = 3 - len(blocks)
    if missing <= 0:
        return widen_last(config)
    more = [*blocks, *(ConvBlock(features=blocks[-1].features) for _ in range(missing))]
    now, then = ([asdict(block) for block in each] for each in (blocks, more))
    return [Change("model.blocks", now, then, f"{missing} more convolutions, with batch norm")]


def widen_last(config: Config) -> list[Change]:
    """Double the features of the last block."""
    blocks = config.model.blocks
    features, name = blocks[-1].features, f"model.blocks.{len(blocks) - 1}.features"
    return [Change(name, features, 2 * features, "more features to tell expressions apart")]


def weigh_classes(config: Config, *, rare: str) -> list[Change]:
    """Add label smoothing, and go one step up in `loss.class_weights`, for the rare classes.

    Args:
        config: of the run.
        rare: name of the rarest class.
    """
    loss, changes = config.loss, []
    if not loss.label_smoothing:
        changes.append(Change("loss.label_smoothing", 0.0, 0.1, "less confidence in the frequent classes"))
    if loss.class_weights != "balanced":
        heavier = "sqrt" if loss.class_weights == "none" else "balanced"
        changes.append(Change("loss.class_weights", loss.class_weights, heavier, f"{rare} counts for more"))
    return changes


def stop_early(config: Config, *, best_epoch: int) -> list[Change]:
    """Select the best epoch instead of the last; if that is done already, stop training there.

    Args:
        config: of the run.
        best_epoch: of the lowest validation loss, from 1.
    """
    if config.train.select == "last":
        return [Change("train.select", "last", "best", f"epoch {best_epoch} is better than the last epoch")]
    return set_epochs(config, best_epoch, why="there is no gain after this epoch")


def set_epochs(config: Config, epochs: int, *, why: str) -> list[Change]:
    """Train for so many epochs in one go, instead of the plan's and those of all extensions.

    >>> from fer_jax.config.training import TrainConfig
    >>> extended = Config(name="a", train=TrainConfig(epochs=10, extra_epochs=(5,)))
    >>> [change[:3] for change in set_epochs(extended, 30, why="it was still improving")]
    [('train.epochs', 15, 30)]
    """
    return [Change("train.epochs", config.train.total_epochs, epochs, why)]


def scale_rate(config: Config, factor: float, *, why: str) -> list[Change]:
    """Multiply the peak learning rate by a factor, rounded to one digit.

    >>> scale_rate(Config(name="a"), 3, why="")[0][:3]
    ('optimizer.peak_rate', 0.001, 0.003)
    """
    rate = config.optimizer.peak_rate
    return [Change("optimizer.peak_rate", rate, float(f"{factor * rate:.0e}"), why)]


def _probabilities(config: Config) -> dict[str, float]:
    fields = asdict(config.augment).items()
    return {f"augment.{name}": value for name, value in fields if name.endswith("_probability")}
