"""The parts of `fer_jax.engine.step` with the fast kernels, and alternatives to them."""

import functools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import optax

from benchmarks.roofline.operations import (
    GRADIENT,
    INPUT,
    KERNEL,
    Call,
    Conv,
    Dense,
    Parts,
    Place,
    list_convs,
    list_denses,
    make_array,
)
from fer_jax.config.run import Config
from fer_jax.engine.optimizer import make_optimizer
from fer_jax.engine.state import init_state
from fer_jax.models import kernels, winograd
from fer_jax.models.cnn import make_model
from fer_jax.models.pooling import max_pool_2x2
from fer_jax.randomness import Stream, jax_key
from fer_jax.runtime import machine

RATE = 1e-6


def make_parts(config: Config, *, batch_size: int, scale_numbers: int) -> Parts:
    """Make the parts of `fer_jax.engine.step` with the fast kernels, and the alternatives."""
    place = functools.cache(lambda use, shape: jax.device_put(make_array(use, shape)))
    calls = [call for conv in list_convs(config.model) for call in _list_block(conv, batch_size, place)]
    for dense in list_denses(config.model):
        calls += _list_dense(dense, batch_size, place)
    numbers = jax.numpy.ones(scale_numbers)
    calls.append(Call("optimizer", "update", "JAX", _make_update(config, place)))
    calls.append(Call("memory", "scale", "JAX", partial(jax.jit(lambda x: 2 * x), numbers)))
    return Parts(calls, jax.block_until_ready, machine.describe_device())


def _list_block(conv: Conv, batch_size: int, place: Place) -> Iterator[Call]:
    """List the calls of a block: the step's, and XLA's convolution if the step uses another."""
    block, side = conv.block, conv.side
    x = place(INPUT, (batch_size, side, side, conv.inputs))
    kernel = place(KERNEL, (3, 3, conv.inputs, block.features))
    before = place(INPUT, (batch_size, side, side, block.features))
    grad = place(GRADIENT, before.shape)
    xla = winograd.plain_conv

    if block.batch_norm and conv.inputs == 1:
        one_channel = partial(kernels.conv_one_channel, is_pooled=block.pool)
        cut = _cut_windows if block.pool else lambda array: array
        yield from _list_conv(conv, "JAX", one_channel, x, kernel, cut(grad))
        yield from _list_conv(conv, "XLA", xla, x, kernel, grad)
        before = cut(before)
    elif block.batch_norm and winograd.suits(x, block.features):
        yield from _list_conv(conv, "JAX", winograd.conv, x, kernel, grad)
        yield from _list_conv(conv, "XLA", xla, x, kernel, grad)
    else:
        yield from _list_conv(conv, "JAX", xla, x, kernel, grad)
    yield from _list_rest(conv, before, batch_size, place)


def _list_conv(
    conv: Conv, method: str, convolve: Callable[[Any, Any], Any], x: Any, kernel: Any, grad: Any
) -> Iterator[Call]:
    by_input = jax.jit(lambda x, kernel, grad: jax.vjp(convolve, x, kernel)[1](grad)[0])
    by_kernel = jax.jit(lambda x, kernel, grad: jax.vjp(convolve, x, kernel)[1](grad)[1])
    yield Call(conv.name, "convolution", method, partial(jax.jit(convolve), x, kernel))
    if conv.inputs > 1:
        yield Call(conv.name, "convolution by input", method, partial(by_input, x, kernel, grad))
    yield Call(conv.name, "convolution by kernel", method, partial(by_kernel, x, kernel, grad))


def _cut_windows(x: Any) -> Any:
    """Make each 2 × 2 window an image: [B, H, W, C] to [B · H / 2 · W / 2, 2, 2, C]."""
    windows = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])
    return windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2, 2, x.shape[3])


def _list_rest(conv: Conv, before: Any, batch_size: int, place: Place) -> Iterator[Call]:
    block, features = conv.block, conv.block.features
    scale, bias = jax.numpy.ones(features), jax.numpy.zeros(features)
    key_words = jax.random.key_data(jax_key(0, Stream.DROPOUT))

    def rest(key_words: jax.Array, x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        if block.batch_norm:
            rate = block.dropout_rate
            return kernels.norm_relu_pool_drop(x, scale, bias, key_words, block.pool, rate)[0]
        x = jax.nn.relu(x + bias)
        return kernels.drop(key_words, max_pool_2x2(x) if block.pool else x, rate=block.dropout_rate)

    def differentiate(key_words: jax.Array, *inputs: jax.Array) -> Any:
        return jax.vjp(partial(rest, key_words), *inputs)

    def forward(key_words: jax.Array, *inputs: jax.Array) -> Any:
        out, pull_back = differentiate(key_words, *inputs)
        # As in the step, what the gradient will read is written too, except the inputs and the output.
        leaves = jax.tree.leaves(pull_back)
        return out, [leaf for leaf in leaves if all(leaf is not each for each in (*inputs, out))]

    inputs = (key_words, before, scale, bias)
    go, go_back = jax.jit(forward), jax.jit(lambda pull_back, grad: list(pull_back(grad)))
    out, pull_back = jax.jit(differentiate)(*inputs)
    grad = place(GRADIENT, (batch_size, conv.pooled_side, conv.pooled_side, features)).reshape(out.shape)
    yield Call(conv.name, "rest", "JAX", lambda: go(*inputs)[0])
    yield Call(conv.name, "rest gradient", "JAX", partial(go_back, pull_back, grad))


def _list_dense(dense: Dense, batch_size: int, place: Place) -> Iterator[Call]:
    x, kernel = place(INPUT, (batch_size, dense.inputs)), place(KERNEL, (dense.inputs, dense.outputs))
    grad, bias = place(GRADIENT, (batch_size, dense.outputs)), jax.numpy.zeros(dense.outputs)
    forward = jax.jit(lambda x, kernel, bias: x @ kernel + bias)
    by_input = jax.jit(lambda kernel, grad: grad @ kernel.T)
    by_kernel = jax.jit(lambda x, grad: [x.T @ grad, grad.sum(0)])
    yield Call(dense.name, "product", "JAX", partial(forward, x, kernel, bias))
    yield Call(dense.name, "product by input", "JAX", partial(by_input, kernel, grad))
    yield Call(dense.name, "product by kernel", "JAX", partial(by_kernel, x, grad))


def _make_update(config: Config, place: Place) -> Callable[[], Any]:
    optimizer = make_optimizer(config.optimizer)
    state = init_state(jax_key(0, Stream.INIT), make_model(config.model, config.device), optimizer)
    params, opt_state = state.params, state.opt_state
    grads = jax.tree.map(lambda leaf: place(GRADIENT, leaf.shape), params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def move(params: Any, opt_state: Any, grads: Any) -> Any:
        directions, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, optax.tree.scale(-RATE, directions)), opt_state

    def update() -> Any:
        nonlocal params, opt_state
        params, opt_state = move(params, opt_state, grads)
        return jax.tree.leaves(params)

    return update
