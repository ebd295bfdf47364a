"""What the processes of a training do together, besides its steps: to stop, and to take over a state."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Agree = Callable[[Sequence[int]], int]
"""(signals that came to this process) -> the number of a signal at which all stop now; 0: go on."""


def first_signal(signals: Sequence[int]) -> int:
    """Stop at the first signal: for a process that trains alone.

    >>> first_signal([]), first_signal([15, 2])
    (0, 15)
    """
    return signals[0] if signals else 0


def make_agree() -> Agree:
    """Make the function with which processes agree to stop at the same step; all call it equally often.

    The largest number is found on the devices, between two steps, and is read one call later: no step waits
    for it. All have it after the same call.
    """
    devices = [
        next(each for each in jax.devices() if each.process_index == index)
        for index in range(jax.process_count())
    ]
    mesh = Mesh(np.array(devices), ("processes",))
    own, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("processes",), ()))
    largest = jax.jit(jnp.max, out_shardings=whole)

    def ask(signals: Sequence[int]) -> jax.Array:
        here = np.array([first_signal(signals)], np.int32)
        return largest(jax.make_array_from_process_local_data(own, here))

    asked = [ask([])]

    def agree(signals: Sequence[int]) -> int:
        asked.append(ask(signals))
        return int(asked.pop(0))

    return agree


def take_over(tree: Any) -> Any:
    """Give every process the arrays of process 0, to the bit; those of the others are of the same shapes."""
    leaves, form = jax.tree.flatten(tree)
    arrays = [np.asarray(leaf) for leaf in leaves]
    content = b"".join(array.tobytes() for array in arrays)
    # As integers: zeros are added to them, and -0.0 + 0.0 is 0.0.
    padded = np.frombuffer(content + bytes(-len(content) % 4), np.uint32)
    found = np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes()
    places = np.cumsum([0, *(array.nbytes for array in arrays)])
    taken = [
        jnp.asarray(np.frombuffer(found[first:last], array.dtype).reshape(array.shape))
        for array, first, last in zip(arrays, places, places[1:], strict=False)
    ]
    return jax.tree.unflatten(form, taken)
