"""The optimizer: an Optax chain without a learning rate, which is an argument of the train step.

That keeps the whole schedule, plateau cuts included, a pure function of the config, the step and the
validation losses so far: none of it has to be stored. See `engine.schedule`.
"""

from typing import Any

import jax
import optax
import optax.contrib

from fer_jax.config.training import OptimizerConfig
from fer_jax.models.cnn import LAST_LAYER


def _kernels(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


MUON_RMS = 0.2
"""RMS of Muon's updates, about that of Adam's (Liu et al. 2025): one learning rate suits both."""

NEWTON_SCHULZ = ((3.4445, -4.775, 2.0315),) * 5
"""Jordan's coefficients, a row for each of Muon's iterations. For several rows Optax makes
a loop, for one row five copies of its body: the same numbers, but slower to compile and to run on a CPU."""


def _matrices(params: optax.Params) -> Any:
    """Choose the weights that Muon takes as matrices [all inputs, outputs]; None for those that Adam moves.

    Adam moves biases, norms, the last layer, and kernels with one input channel (the first and the depthwise
    ones): they are no maps between features (Jordan 2024).
    """

    def matrix_of(path: Any, leaf: Any) -> optax.contrib.MuonDimensionNumbers | None:
        names = [each.key for each in path]
        if names[-1] != "kernel" or LAST_LAYER in names or leaf.shape[-2] == 1:
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

    return jax.tree_util.tree_map_with_path(matrix_of, params)


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Chain gradient clipping, L2, momentum, Adam or Muon, and decoupled weight decay, for learning rate 1.

    Returns:
        A transformation whose updates the train step multiplies by minus the learning rate. L2 and weight
        decay apply to the kernels alone, not biases or batch norm (decoupled: Loshchilov & Hutter 2019).
    """
    links: list[optax.GradientTransformation] = []
    if config.clip_value:
        links.append(optax.clip(config.clip_value))
    if config.clip_norm:
        links.append(optax.clip_by_global_norm(config.clip_norm))
    if config.l2:
        links.append(optax.add_decayed_weights(config.l2, mask=_kernels))
    if config.name == "sgd":
        links.append(optax.trace(decay=config.momentum, nesterov=config.nesterov))
    elif config.name == "muon":
        # The train step multiplies by minus the learning rate, so Muon must not. Its Adam is Dozat's (2016).
        links.append(
            optax.contrib.muon(
                -1.0,
                ns_coeffs=NEWTON_SCHULZ,
                beta=config.momentum,
                consistent_rms=MUON_RMS,
                muon_weight_dimension_numbers=_matrices,
            )
        )
    else:
        links.append(optax.scale_by_adam())
    if config.weight_decay:
        links.append(optax.add_decayed_weights(config.weight_decay, mask=_kernels))
    return optax.chain(*links)
