"""Run a network over images in evaluation mode."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from fer_jax.data.batches import in_order
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.inference.run_weights import Trained
from fer_jax.models.cnn import LAST_LAYER


def predict(trained: Trained, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Run the network over images in evaluation mode.

    Args:
        trained: the weights.
        images: uint8 [N, 48, 48, 1], N >= 1.

    Returns:
        Logits float32 [N, C] and the last features float32 [N, D]: what the last layer sees, with the
        head `classes` the mean over the places.
    """
    variables = {"params": trained.params, "batch_stats": trained.batch_stats}
    batches = [
        _predict_batch(trained.model, trained.pixel_stats, variables, images[rows])
        for rows, _ in in_order(np.arange(len(images)), trained.config.train.eval_batch_size)
    ]
    logits, features = (
        np.concatenate([np.asarray(x) for x in parts]) for parts in zip(*batches, strict=True)
    )
    return logits[: len(images)], features[: len(images)]


@partial(jax.jit, static_argnums=(0, 1))
def _predict_batch(
    model: nn.Module, pixel_stats: PixelStats, variables: Any, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    seen: list[jax.Array] = []

    def watch(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.module.name == LAST_LAYER and context.method_name == "__call__":
            seen.append(args[0])
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        logits: Any = model.apply(variables, standardise(jnp.asarray(images), pixel_stats), is_training=False)
    features = seen[0].mean(axis=(1, 2)) if seen[0].ndim == 4 else seen[0]
    return logits, features.astype(jnp.float32)
