"""The optimizer: an Optax chain without a learning rate, which is an argument of the train step.

That keeps the whole schedule, plateau cuts included, a pure function of the config, the step and the
validation losses so far: none of it has to be stored. See `engine.schedule`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from fer_jax.config.training import OptimizerConfig
from fer_jax.engine.muon import is_matrix, scale_by_muon


def _kernels(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _labels(params: optax.Params) -> Any:
    """Label each weight with the one that moves it: "muon" or "adam"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: "muon" if is_matrix([each.key for each in path], leaf.shape) else "adam", params
    )


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
        # Jordan computes in bfloat16, which CPUs are slow at. The Adam beside it is Dozat's (2016).
        products = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
        parts = {
            "muon": scale_by_muon(beta=config.momentum, products=products),
            "adam": optax.scale_by_adam(nesterov=True),
        }
        links.append(optax.partition(parts, _labels))
    else:
        links.append(optax.scale_by_adam())
    if config.weight_decay:
        links.append(optax.add_decayed_weights(config.weight_decay, mask=_kernels))
    return optax.chain(*links)
