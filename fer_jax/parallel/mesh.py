"""The mesh of devices: seeds along one axis, the parts of a batch along the other.

A row of the mesh trains one replica. Its devices hold the same state, and each has its part of every batch.
The program is that of one device: XLA divides it (GSPMD), so that statistics of a batch, sums and the
partners of mixed images are those of the whole batch. Each row has devices of every process, so that all
processes run the same programs in the same order.
"""

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.distributed import global_state
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fer_jax.config.model import DeviceConfig
from fer_jax.errors import ConfigError
from fer_jax.text import counted

SEEDS: Final = "seeds"
DATA: Final = "data"
_COMPILED: Final = count()
_LONGEST_MS: Final = 86_400_000


def choose_devices(config: DeviceConfig) -> list[jax.Device]:
    """Choose the devices of this process.

    Raises:
        ConfigError: there are fewer than `device.count`.
    """
    found = jax.local_devices()
    if config.count == "all":
        return found
    if config.count > len(found):
        make = (
            f"; on a CPU, the environment variable JAX_NUM_CPU_DEVICES={config.count} makes as many, to try "
            "things out"
        )
        raise ConfigError(
            f"device.count is {config.count}, and this process has {counted(len(found), 'device')} "
            f"({found[0].platform.upper()}); give at most as many, or all"
            f"{make if found[0].platform == 'cpu' else ''}"
        )
    return found[: config.count]


def make_mesh(config: DeviceConfig, *, seeds: int) -> Mesh | None:
    """Make the mesh with the axes `seeds` and `data`, of the devices of all processes.

    As many seeds as divide the devices of a process train side by side, each on a row of its own; further
    ones take turns.

    Args:
        config: `device.count` counts, in every process the same.
        seeds: how many are trained together.

    Returns:
        The mesh; None for a single device, whose programs need none.

    Raises:
        ConfigError: see `choose_devices`.
    """
    if count_devices(config) == 1:
        return None
    own, processes = len(choose_devices(config)), jax.process_count()
    devices = np.array(
        [[each for each in jax.devices() if each.process_index == index][:own] for index in range(processes)]
    )
    rows = math.gcd(seeds, own)
    # A row has the same places of every process, process by process: its part of a batch is one piece.
    grid = devices.reshape(processes, rows, own // rows).swapaxes(0, 1).reshape(rows, -1)
    return Mesh(grid, (SEEDS, DATA))


class OneDevice:
    """Where a replica trains that has one device for itself: nothing is divided, and no program differs."""

    devices = 1

    def __init__(self, device: jax.Device | None = None) -> None:
        """Take a device; None: JAX's own choice."""
        self._device = device

    def cut(self, batch: Any, *, axis: int = 0) -> Any:
        """Return the batch."""
        return batch

    def put_shared(self, parts: Any, *, axis: int = 0) -> Any:
        """Return the parts, which the next program takes along."""
        return parts

    def put_whole(self, tree: Any) -> Any:
        """Put arrays on the device; what is there already stays."""
        return tree if self._device is None else jax.device_put(tree, self._device)

    def put_data(self, arrays: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
        """Put arrays on the device."""
        return tuple(jax.device_put(each, self._device) for each in arrays)

    def spread(self, program: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """Return a compiled program as it is."""
        return program


class Share:
    """A row of the mesh, as this process sees it: where state and batches of a replica go."""

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        """Take the devices of the row, those of this process next to each other."""
        self.devices = len(devices)
        self._mesh = Mesh(np.array(devices), (DATA,))
        self._whole = NamedSharding(self._mesh, PartitionSpec())
        own = [place for place, each in enumerate(devices) if each.process_index == jax.process_index()]
        self._first, self._last = own[0], own[-1] + 1

    def cut(self, batch: Any, *, axis: int = 0) -> Any:
        """Cut this process's part out of a pytree of arrays along an axis, which `devices` divides."""

        def cut(x: Any) -> Any:
            each = x.shape[axis] // self.devices
            return x[(slice(None),) * axis + (slice(self._first * each, self._last * each),)]

        return jax.tree.map(cut, batch)

    def put_shared(self, parts: Any, *, axis: int = 0) -> Any:
        """Make arrays that are divided among the devices along an axis, of what each process has cut."""
        sharding = NamedSharding(self._mesh, PartitionSpec(*[None] * axis, DATA))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), parts)

    def put_whole(self, tree: Any) -> Any:
        """Put arrays that are the same in every process on every device; what is there already stays."""
        return jax.tree.map(self._put, tree)

    def put_data(self, arrays: Sequence[np.ndarray]) -> tuple[jax.Array, ...]:
        """Divide arrays along their rows; the last device's part is filled up with zeros.

        Where a program takes some rows of an array, each device looks up those that it has, and their sum is
        the result (GSPMD): the devices exchange batches, never the data. A process reads its own parts only.
        """
        return tuple(map(self._divide, arrays))

    def _divide(self, array: np.ndarray) -> jax.Array:
        rows = divisible(len(array), self)

        def read(index: Any) -> np.ndarray:
            part = np.asarray(array[index[0]])
            missing = rows // self.devices - len(part)
            return (
                np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)]) if missing else part
            )

        sharding = NamedSharding(self._mesh, PartitionSpec(DATA))
        return jax.make_array_from_callback((rows, *array.shape[1:]), sharding, read)

    def _put(self, leaf: Any) -> Any:
        if getattr(leaf, "sharding", None) == self._whole:
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(self._put(jax.random.key_data(leaf)))
        here = np.asarray(leaf)
        # Not jax.device_put, which would compare the numbers of all processes.
        return jax.make_array_from_callback(here.shape, self._whole, lambda index: here[index])

    def spread(self, program: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """Compile a program for arrays of this row; every device gets all of its results."""
        compiled = jax.jit(program, out_shardings=self._whole, **options)
        return compiled if jax.process_count() == 1 else _start_together(compiled)


def _start_together(program: Any) -> Callable[..., Any]:
    """Let all processes compile a program before one runs it: on a CPU the others are waited for 30 s."""
    ready: dict[Any, Any] = {}
    store: Any = global_state.client

    def call(*args: Any, **static: Any) -> Any:
        key = (*static.items(), *(np.shape(leaf) for leaf in jax.tree.leaves(args)))
        if key not in ready:
            ready[key] = program.lower(*args, **static).compile()
            store.wait_at_barrier(f"compiled {next(_COMPILED)}", _LONGEST_MS)
        return ready[key](*args)

    return call


Place = OneDevice | Share
"""Where a replica trains."""
ONE_DEVICE: Final = OneDevice()


def spread(program: Callable[..., Any], places: Sequence[Place], **options: Any) -> list[Callable[..., Any]]:
    """Compile a program for the place of each replica, once for each place."""
    made = {place: place.spread(program, **options) for place in dict.fromkeys(places)}
    return [made[place] for place in places]


def list_places(config: DeviceConfig, *, seeds: int, batch_size: int | None) -> list[Place]:
    """List where each replica trains: its row of the mesh, or the one device.

    Args:
        config: `device.count` counts, in every process the same.
        seeds: how many are trained together.
        batch_size: of the training; None: it is not chosen yet.

    Raises:
        ConfigError: see `choose_devices`; or the devices of a place cannot divide a batch.
    """
    mesh = make_mesh(config, seeds=seeds)
    if mesh is None:
        return [ONE_DEVICE] * seeds
    rows = [OneDevice(row[0]) if len(row) == 1 else Share(list(row)) for row in mesh.devices]
    if batch_size is not None:
        _check_batch(batch_size, rows[0].devices)
    return [rows[number % len(rows)] for number in range(seeds)]


def describe(places: Sequence[Place]) -> str:
    """Say how many devices share a batch and how many replicas train side by side; empty for one device.

    >>> describe([ONE_DEVICE, ONE_DEVICE])
    ''
    """
    devices, rows = places[0].devices, len(set(places))
    words = [f"shared by {counted(devices, 'device')}"] if devices > 1 else []
    words += [f"{rows} seeds side by side"] if rows > 1 else []
    words += [f"{jax.process_count()} processes"] if jax.process_count() > 1 else []
    return "".join(f"; {each}" for each in words)


def _check_batch(batch_size: int, devices: int) -> None:
    if batch_size % devices:
        processes = jax.process_count()
        among = f" of {processes} processes" if processes > 1 else ""
        raise ConfigError(
            f"train.batch_size is {batch_size}, and {devices} devices{among} share each batch; wanted a "
            f"multiple of {devices}, or another device.count"
        )


def divisible(size: int, place: Place) -> int:
    """Round the size of a batch that may be padded up to what the devices of a place can divide."""
    return math.ceil(size / place.devices) * place.devices


def count_devices(config: DeviceConfig) -> int:
    """Count the devices of all processes that train together."""
    return len(choose_devices(config)) * jax.process_count()
