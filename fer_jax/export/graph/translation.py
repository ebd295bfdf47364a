"""A network's JAX program, its jaxpr, as a graph of ONNX operations."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from fer_jax import fer2013
from fer_jax.export.graph.constants import to_constant
from fer_jax.export.graph.operations import BATCH, Operation, Value
from fer_jax.export.graph.primitives import CALLS, translate_equation
from fer_jax.images.standardise import standardise
from fer_jax.inference.predictor import Network

BATCH_AXIS = "N"


def make_program(network: Network) -> Any:
    """Make the function that is exported: (variables, images uint8 [N, 48, 48, 1]) -> logits [N, C]."""

    def program(variables: Any, images: jax.Array) -> Any:
        return network.model.apply(variables, standardise(images, network.pixel_stats), is_training=False)

    return program


def describe_images() -> jax.ShapeDtypeStruct:
    """Describe images uint8 [N, 48, 48, 1], N >= 1, of which nobody knows how many there are."""
    (batch,) = jax_export.symbolic_shape(BATCH_AXIS)
    return jax.ShapeDtypeStruct((batch, *fer2013.IMAGE_SHAPE), jnp.uint8)


def translate(network: Network) -> Operation:
    """Translate a network from images uint8 [N, 48, 48, 1] to logits float32 [N, C].

    Raises:
        ConfigError: it has an operation that cannot be translated.
    """
    program = make_program(network)
    traced = jax.make_jaxpr(program)(network.variables, describe_images())
    images = Operation("Input", (), (BATCH, *fer2013.IMAGE_SHAPE), (0, 1, 2, 3))
    variables = [to_constant(leaf) for leaf in jax.tree.leaves(network.variables)]
    constants = [to_constant(constant) for constant in traced.consts]
    (logits,) = _run(traced.jaxpr, [*constants, *variables, images])
    return logits


def _run(jaxpr: Any, inputs: list[Value]) -> list[Any]:
    """Follow the equations of a jaxpr, and of those that it calls; `inputs` begin with its constants."""
    known: dict[Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], inputs, strict=True))

    def look_up(atom: Any) -> Value:
        # A literal has its value in it.
        return to_constant(atom.val) if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        values = [look_up(atom) for atom in equation.invars]
        name = equation.primitive.name
        if name in CALLS:
            called = equation.params[CALLS[name]]
            outputs = _run(called.jaxpr, [*map(to_constant, called.consts), *values])
        else:
            outputs = [translate_equation(equation, values)]
        known.update(zip(equation.outvars, outputs, strict=True))
    return [look_up(atom) for atom in jaxpr.outvars]
