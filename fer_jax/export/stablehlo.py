"""A network as a StableHLO program, serialised by `jax.export`: JAX alone runs it, on every platform."""

from typing import Final

import jax
import numpy as np
from jax import export as jax_export

from fer_jax.export.comparison import Program
from fer_jax.export.graph.translation import describe_images, make_program
from fer_jax.inference.predictor import Network

PLATFORMS: Final = ("cpu", "cuda", "tpu")


def serialise(network: Network) -> bytes:
    """Serialise images uint8 [N, 48, 48, 1] -> (logits, probabilities) float32 [N, C], for any N >= 1.

    The weights are part of the program.
    """
    program = make_program(network)

    def predict(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = program(network.variables, images)
        return logits, jax.nn.softmax(logits)

    # A GPU's shortcuts in precision would move single predictions away from those of a CPU.
    with jax.default_matmul_precision("highest"):
        exported = jax_export.export(jax.jit(predict), platforms=PLATFORMS)(describe_images())
    return bytes(exported.serialize())


def open_program(serialised: bytes) -> Program:
    """Read a serialised program back; it returns the logits."""
    call = jax.jit(jax_export.deserialize(bytearray(serialised)).call)
    return lambda images: np.asarray(call(images)[0])
