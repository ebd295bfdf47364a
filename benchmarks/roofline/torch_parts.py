"""The parts of a train step in PyTorch, in the tuned style of `benchmarks.pytorch.nets`.

It needs the extra `bench`, and does not import jax.
"""

import functools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.pytorch import nets as torch_nets
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

RATE = 1e-6


def make_parts(config: Config, *, batch_size: int, scale_numbers: int) -> Parts:
    """Make the parts in the tuned style of `torch_nets`."""
    device = torch_nets.set_up(torch_nets.TUNED)

    @functools.cache
    def place(use: int, shape: tuple[int, ...]) -> Any:
        array = torch.from_numpy(make_array(use, shape)).to(device)
        if array.ndim < 4:
            return array
        if use == KERNEL:
            return array.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        return array.permute(0, 3, 1, 2)

    calls = [call for conv in list_convs(config.model) for call in _list_block(conv, batch_size, place)]
    for dense in list_denses(config.model):
        calls += _list_dense(dense, batch_size, place)
    net = torch_nets.Net(config.model, torch_nets.TUNED).to(device)
    torch_nets.refuse_craft(config)
    optimizer = torch_nets.make_optimizer(config.optimizer, net, rate=RATE, fused=True)
    for each in net.parameters():
        each.grad = torch.randn_like(each)

    def update() -> Any:
        # Without clipping and SGD's decoupled weight decay, which our configs do not use.
        optimizer.step()
        return [each.detach() for each in net.parameters()]

    numbers = torch.ones(scale_numbers, device=device)
    calls.append(Call("optimizer", "update", "PyTorch", update))
    calls.append(Call("memory", "scale", "PyTorch", lambda: 2 * numbers))
    is_on_gpu = device.type == "cuda"

    def wait(result: Any) -> Any:
        if is_on_gpu:
            torch.cuda.synchronize()
        return result

    return Parts(calls, wait, f"CUDA {torch.cuda.get_device_name()}" if is_on_gpu else "CPU")


def _list_block(conv: Conv, batch_size: int, place: Place) -> Iterator[Call]:
    block, side = conv.block, conv.side
    x = place(INPUT, (batch_size, side, side, conv.inputs))
    kernel = place(KERNEL, (3, 3, conv.inputs, block.features))
    grad = place(GRADIENT, (batch_size, side, side, block.features))
    scale, bias, mean, variance = torch.zeros(4, block.features, device=x.device)
    scale += 1
    conv_bias, bias_shape = (None, None) if block.batch_norm else (bias, bias.shape)

    def gradient(*mask: bool) -> Any:
        settings = (1, 1), (1, 1), (1, 1), False, (0, 0), 1, mask
        grads = torch.ops.aten.convolution_backward(grad, x, kernel, bias_shape, *settings)
        return grads[mask.index(True)]

    yield Call(
        conv.name, "convolution", "PyTorch", lambda: functional.conv2d(x, kernel, conv_bias, padding=1)
    )
    if conv.inputs > 1:
        yield Call(conv.name, "convolution by input", "PyTorch", partial(gradient, True, False, False))
    yield Call(
        conv.name, "convolution by kernel", "PyTorch", partial(gradient, False, True, not block.batch_norm)
    )

    before = place(INPUT, (batch_size, side, side, block.features)).detach().requires_grad_()
    wanted = [before, scale.requires_grad_(), bias.requires_grad_()] if block.batch_norm else [before]

    def rest() -> Any:
        y = before
        if block.batch_norm:
            y = functional.batch_norm(y, mean, variance, scale, bias, training=True)
        y = functional.relu(y, inplace=block.batch_norm)
        y = functional.max_pool2d(y, 2) if block.pool else y
        return functional.dropout(y, block.dropout_rate) if block.dropout_rate else y

    out = rest()
    out_grad = place(GRADIENT, (batch_size, conv.pooled_side, conv.pooled_side, block.features))
    yield Call(conv.name, "rest", "PyTorch", lambda: rest().detach())
    go_back = partial(torch.autograd.grad, out, wanted, out_grad, retain_graph=True)
    yield Call(conv.name, "rest gradient", "PyTorch", lambda: list(go_back()))


def _list_dense(dense: Dense, batch_size: int, place: Place) -> Iterator[Call]:
    x, grad = place(INPUT, (batch_size, dense.inputs)), place(GRADIENT, (batch_size, dense.outputs))
    # Outputs first, as in PyTorch.
    kernel = place(KERNEL, (dense.inputs, dense.outputs)).T.contiguous()
    bias = torch.zeros(dense.outputs, device=x.device)
    yield Call(dense.name, "product", "PyTorch", lambda: functional.linear(x, kernel, bias))
    yield Call(dense.name, "product by input", "PyTorch", lambda: grad @ kernel)
    yield Call(dense.name, "product by kernel", "PyTorch", lambda: [grad.T @ x, grad.sum(0)])
