"""The worker of the convolution benchmark: all shapes' convolutions and gradients, by one method.

`benchmarks.throughput.convolutions` starts it.
"""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

from benchmarks.harness import arena
from benchmarks.roofline.operations import GRADIENT, INPUT, KERNEL, NAMES, Call, make_array
from benchmarks.roofline.worker import measure_norm, serve_calls
from fer_jax.runtime import cpu

Method = Literal["xla", "winograd", "shifted", "im2col", "torch"]


class Shape(NamedTuple):
    """A 3 × 3 convolution from [B, side, side, inputs] to [B, side, side, outputs]."""

    side: int
    inputs: int
    outputs: int

    def __str__(self) -> str:
        """Name it as in the table."""
        return f"{self.side} px, {self.inputs} to {self.outputs}"


class Job(NamedTuple):
    """The worker's task, as JSON on its command line."""

    method: Method
    shapes: list[Shape]
    batch_size: int


def main() -> int:
    """Do the task given on the command line."""
    job = Job(*json.loads(sys.argv[1]))
    tuning = cpu.tune_cpu()
    make_calls = _make_torch_calls if job.method == "torch" else _make_jax_calls
    calls, wait = make_calls(job)
    norms = [measure_norm(wait(call.run())) for call in calls]
    serve_calls(calls, wait, norms, {"cores": arena.count_cores(), "tuning": tuning})
    return 0


def _draw(job: Job) -> Iterator[tuple[str, Any, Any, Any]]:
    """Draw input, kernel and the output's gradient of each shape, NHWC and HWIO, with the shape's name."""
    for side, inputs, outputs in job.shapes:
        images = (job.batch_size, side, side)
        kernel = make_array(KERNEL, (3, 3, inputs, outputs))
        x, grad = make_array(INPUT, (*images, inputs)), make_array(GRADIENT, (*images, outputs))
        yield str(Shape(side, inputs, outputs)), x, kernel, grad


def _make_jax_calls(job: Job) -> tuple[list[Call], Callable[[Any], Any]]:
    import jax

    convolve = make_jax_methods()[job.method]
    # Compiled once for each shape; only what is returned is computed.
    forward = jax.jit(convolve)
    by_input = jax.jit(lambda x, kernel, grad: jax.vjp(convolve, x, kernel)[1](grad)[0])
    by_kernel = jax.jit(lambda x, kernel, grad: jax.vjp(convolve, x, kernel)[1](grad)[1])
    calls = []
    for name, *arrays in _draw(job):
        x, kernel, grad = map(jax.device_put, arrays)
        runs = (
            partial(forward, x, kernel),
            partial(by_input, x, kernel, grad),
            partial(by_kernel, x, kernel, grad),
        )
        calls += [Call(name, part, job.method, run) for part, run in zip(NAMES, runs, strict=False)]
    return calls, jax.block_until_ready


def make_jax_methods() -> dict[str, Callable[[Any, Any], Any]]:
    """Make JAX's ways to convolve float32 [B, H, W, C] with [3, 3, C, D], each with gradients, by name."""
    import jax
    import jax.numpy as jnp

    from fer_jax.models import winograd

    def windows(x: jax.Array) -> list[jax.Array]:
        height, width = x.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifts = [(row, column) for row in range(3) for column in range(3)]
        return [padded[:, row : row + height, column : column + width] for row, column in shifts]

    def turn(kernel: jax.Array) -> jax.Array:
        return kernel[::-1, ::-1].swapaxes(2, 3)

    def shifted(x: jax.Array, kernel: jax.Array) -> jax.Array:
        weights = kernel.reshape(9, *kernel.shape[2:])
        return sum((each @ weight for each, weight in zip(windows(x), weights, strict=True)), jnp.zeros(()))

    def shifted_by_kernel(x: jax.Array, grad: jax.Array) -> jax.Array:
        rows = grad.reshape(-1, grad.shape[-1])
        products = [each.reshape(-1, x.shape[-1]).T @ rows for each in windows(x)]
        return jnp.stack(products).reshape(3, 3, x.shape[-1], -1)

    def unfold(x: jax.Array) -> jax.Array:
        return jax.lax.optimization_barrier(jnp.concatenate(windows(x), axis=-1))

    def im2col(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return unfold(x) @ kernel.reshape(-1, kernel.shape[-1])

    def im2col_by_kernel(x: jax.Array, grad: jax.Array) -> jax.Array:
        product = unfold(x).reshape(-1, 9 * x.shape[-1]).T @ grad.reshape(-1, grad.shape[-1])
        return product.reshape(3, 3, x.shape[-1], -1)

    def with_gradients(forward: Any, by_kernel: Any) -> Any:
        # The gradient by the input is a convolution too, with the kernel turned around.
        convolve = jax.custom_vjp(forward)
        convolve.defvjp(
            lambda x, kernel: (forward(x, kernel), (x, kernel)),
            lambda saved, grad: (forward(grad, turn(saved[1])), by_kernel(saved[0], grad)),
        )
        return convolve

    return {
        "xla": winograd.plain_conv,
        "winograd": winograd.conv,
        "shifted": with_gradients(shifted, shifted_by_kernel),
        "im2col": with_gradients(im2col, im2col_by_kernel),
    }


def _make_torch_calls(job: Job) -> tuple[list[Call], Callable[[Any], Any]]:
    import torch

    torch.set_num_threads(arena.count_cores())
    last = torch.channels_last
    calls = []
    for name, *arrays in _draw(job):
        x, grad = (
            torch.tensor(each).permute(0, 3, 1, 2).contiguous(memory_format=last) for each in arrays[::2]
        )
        kernel = torch.tensor(arrays[1]).permute(3, 2, 0, 1).contiguous(memory_format=last)

        def differentiate(wanted: list[bool], x: Any = x, kernel: Any = kernel, grad: Any = grad) -> Any:
            settings = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
            results = torch.ops.aten.convolution_backward(grad, x, kernel, None, *settings, wanted)
            return results[wanted.index(True)]

        runs = (
            partial(torch.nn.functional.conv2d, x, kernel, padding=1),
            partial(differentiate, [True, False, False]),
            partial(differentiate, [False, True, False]),
        )
        calls += [Call(name, part, job.method, run) for part, run in zip(NAMES, runs, strict=False)]
    return calls, lambda result: result


if __name__ == "__main__":
    sys.exit(main())
