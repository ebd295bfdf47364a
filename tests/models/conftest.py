"""What the tests of networks share."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import pytest

QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.fixture(scope="session")
def init() -> Callable[[nn.Module, jax.Array], Any]:
    """Give the function that draws a module's variables, compiled without optimisations.

    Random draws in many shapes take XLA far longer to optimise than to make.
    """
    return lambda module, x: jax.jit(
        lambda: module.init(jax.random.key(0), x, is_training=False), compiler_options=QUICKLY
    )()
