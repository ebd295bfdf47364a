"""Muon, with the kernels of a network in a few batched matrix products.

Jordan 2024, "Muon: an optimizer for hidden layers in neural networks": the momentum of each matrix is made
orthogonal by five iterations of Newton and Schulz, three matrix products each. One after another, the
matrices of a network are hundreds of small products, each of which waits for the one before, and an
accelerator spends its time on starting them. Here all matrices with the same smaller side are one batch.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fer_jax.models.cnn import LAST_LAYER
from fer_jax.models.layers import EXCITE

RMS: Final = 0.2
"""RMS of Muon's updates, about that of Adam's (Liu et al. 2025): one learning rate suits both."""
COEFFICIENTS: Final = (3.4445, -4.775, 2.0315)
"""Jordan's, of x, x³ and x⁵: singular values end between 0.5 and 1.5, about 1."""
ITERATIONS: Final = 5
_SMALLEST_NORM: Final = 1e-8


class MuonState(NamedTuple):
    """State of `scale_by_muon`.

    Attributes:
        steps: int32 [], taken.
        mu: momentum, like the parameters.
    """

    steps: jax.Array
    mu: Any


def is_matrix(path: Sequence[str], shape: Sequence[int]) -> bool:
    """Whether Muon takes a weight as a matrix [all inputs, outputs]; Adam moves the others.

    Muon takes kernels that are maps between many features: convolutions larger than 1 × 1 with several input
    channels, and the hidden dense layer. Adam moves biases, norms, the first and the last layer, as Jordan
    advises, depthwise kernels, and the small kernels (1 × 1, squeeze-and-excitation): they would be half of
    the matrices, with hardly any of the weights.

    Args:
        path: names from the network down to the weight.
        shape: of the weight, [height, width, inputs, outputs] or [inputs, outputs].

    >>> is_matrix(["block2", "conv1", "kernel"], (3, 3, 64, 128)), is_matrix(["dense", "kernel"], (128, 64))
    (True, True)
    >>> is_matrix(["block2", "shortcut", "kernel"], (1, 1, 64, 128))
    False
    """
    if path[-1] != "kernel" or LAST_LAYER in path or EXCITE in path:
        return False
    return len(shape) == 2 or (math.prod(shape[:-2]) > 1 and shape[-2] > 1)


def scale_by_muon(*, beta: float, products: Any) -> optax.GradientTransformation:
    """Make gradients momentum, with Nesterov's look ahead, and orthogonal, with RMS `RMS`.

    The numbers are those of `optax.contrib.muon` with `consistent_rms`, up to rounding.

    Args:
        beta: decay of the momentum.
        products: dtype of the matrix products. In bfloat16 singular values end near 1 as well (Jordan 2024).

    Returns:
        A transformation of kernels [..., outputs], for learning rate -1.
    """

    def init(params: optax.Params) -> MuonState:
        return MuonState(jnp.zeros((), jnp.int32), optax.tree.zeros_like(params))

    def update(
        grads: optax.Updates, state: MuonState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, MuonState]:
        del params
        steps = optax.safe_increment(state.steps)
        mu = optax.tree.update_moment(grads, state.mu, beta, 1)
        ahead = jax.tree.map(
            lambda m, g: beta * m + (1 - beta) * g,
            optax.tree.bias_correction(mu, beta, optax.safe_increment(steps)),
            optax.tree.bias_correction(grads, beta, steps),
        )
        kernels, structure = jax.tree.flatten(ahead)
        matrices = [kernel.reshape(-1, kernel.shape[-1]) for kernel in kernels]
        updates = [
            (RMS * math.sqrt(max(matrix.shape)) * matrix).reshape(kernel.shape)
            for kernel, matrix in zip(kernels, orthogonalise(matrices, products=products), strict=True)
        ]
        return jax.tree.unflatten(structure, updates), MuonState(steps, mu)

    return optax.GradientTransformation(init, update)


def orthogonalise(matrices: Sequence[jax.Array], *, products: Any) -> list[jax.Array]:
    """Make matrices about orthogonal, each from its singular value decomposition U S V to about U V.

    Args:
        matrices: float32 [any, any], of any shapes.
        products: dtype of the matrix products.

    Returns:
        float32, of the same shapes. Those with the same smaller side are computed together.
    """
    sides = [min(matrix.shape) for matrix in matrices]
    made: dict[int, jax.Array] = {}
    for side in sorted(set(sides)):
        places = [place for place, own in enumerate(sides) if own == side]
        # As [longer, shorter], which a kernel usually is already. Rows of zeros at the end change no other
        # number: they add nothing to the product with the transpose, and stay zero.
        oriented = [_orient(matrices[place]) for place in places]
        longest = max(len(matrix) for matrix in oriented)
        batch = jnp.stack([jnp.pad(each, ((0, longest - len(each)), (0, 0))) for each in oriented])
        for place, matrix, done in zip(places, oriented, _iterate(batch, products), strict=True):
            cut = done[: len(matrix)]
            made[place] = cut if cut.shape == matrices[place].shape else cut.T
    return [made[place] for place in range(len(matrices))]


def _orient(matrix: jax.Array) -> jax.Array:
    return matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T


def _iterate(x: jax.Array, products: Any) -> jax.Array:
    """Iterate matrices float32 [K, longer, shorter]: x <- x (a + b g + c g²), where g is xᵀ x."""
    a, b, c = COEFFICIENTS
    norms = jnp.sqrt(jnp.sum(x * x, axis=(1, 2), keepdims=True))
    y = (x / (norms + _SMALLEST_NORM)).astype(products)
    # In the polynomial and not added to the last product: one pass less over the larger matrices.
    identity = a * jnp.eye(x.shape[2], dtype=products)[None]
    for _ in range(ITERATIONS):
        gram = y.mT @ y
        y = y @ (identity + b * gram + c * (gram @ gram))
    return y.astype(x.dtype)
