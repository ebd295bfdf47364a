"""The worker of the latency benchmark: one trained network in one library, from pixels to probabilities.

`benchmarks.latency` starts it; `KINDS` has what it can run. Each call takes a NumPy array of gray levels and
returns a NumPy array of probabilities, as a program that serves predictions would.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import arena
from fer_jax.config.files import from_json
from fer_jax.config.run import Config
from fer_jax.images.standardise import PixelStats, standardise
from fer_jax.runtime import cpu

WARM_UP_CALLS = 20
UNTIMED_CALLS = 5

Predict = Callable[[np.ndarray], np.ndarray]


class Job(NamedTuple):
    """The worker's task, as JSON on its command line.

    Attributes:
        name: its kind's.
        folder: with `weights.npz`, `images.npy` and, for ONNX Runtime, `net.onnx`.
        config: from `to_json`.
        stats: of the training images' pixels; in JSON a pair.
    """

    name: str
    folder: str
    config: dict[str, Any]
    stats: PixelStats


class Net(NamedTuple):
    """A trained network.

    Attributes:
        config: of its run.
        params: nested dicts of float32 arrays.
        batch_stats: likewise.
        stats: of the training images' pixels.
    """

    config: Config
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    stats: PixelStats


class Kind(NamedTuple):
    """How a candidate computes.

    Attributes:
        title: its name in the table.
        needs: modules of the extra `bench`.
        make: prepares it: (job, net, images uint8 [B, 48, 48, 1]) -> the function to time.
        is_tuned: whether `runtime.cpu.tune_cpu` is called.
    """

    title: str
    needs: tuple[str, ...]
    make: Callable[[Job, Net, np.ndarray], Predict]
    is_tuned: bool


def save_weights(path: Path, params: Any, batch_stats: Any) -> None:
    """Write nested dicts of arrays into one file, for processes that do not import jax."""
    flat: dict[str, Any] = {}
    for name, tree in (("params", params), ("batch_stats", batch_stats)):
        for block, layers in tree.items():
            for layer, values in layers.items():
                arrays = values if isinstance(values, dict) else {"": values}
                flat |= {f"{name}/{block}/{layer}/{key}": np.asarray(each) for key, each in arrays.items()}
    np.savez(path, **flat)


def load_weights(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load the params and batch_stats that `save_weights` wrote."""
    trees: dict[str, Any] = {"params": {}, "batch_stats": {}}
    with np.load(path) as arrays:
        for name, array in arrays.items():
            tree, block, layer, key = name.split("/")
            place = trees[tree].setdefault(block, {})
            if key:
                place.setdefault(layer, {})[key] = array
            else:
                place[layer] = array
    return trees["params"], trees["batch_stats"]


# JAX; on the CPU its outputs become NumPy arrays without a copy.


def _jax_function(net: Net) -> Callable[[Any, Any], Any]:
    import jax

    from fer_jax.models.cnn import make_model

    model = make_model(net.config.model, net.config.device)

    def predict(variables: Any, images: Any) -> Any:
        logits: Any = model.apply(variables, standardise(images, net.stats), is_training=False)
        return jax.nn.softmax(logits)

    return predict


def _make_jit(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare `jax.jit` with the weights on the device, passed in each call."""
    import jax

    predict = jax.jit(_jax_function(net))
    variables = jax.device_put({"params": net.params, "batch_stats": net.batch_stats})
    return lambda images: np.asarray(predict(variables, images))


def _make_ahead(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare the same, compiled ahead of time for one shape."""
    import jax

    variables = jax.device_put({"params": net.params, "batch_stats": net.batch_stats})
    predict = jax.jit(_jax_function(net)).lower(variables, images).compile()
    return lambda images: np.asarray(predict(variables, images))


def _make_constants(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare the same with the weights as constants, so that XLA can use their values."""
    import jax

    variables = {"params": net.params, "batch_stats": net.batch_stats}
    predict = jax.jit(partial(_jax_function(net), variables)).lower(images).compile()
    return lambda images: np.asarray(predict(images))


def _make_winograd(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare the function of `benchmarks.latency.winograd`."""
    import jax

    from benchmarks.latency.winograd import make_predict

    function = make_predict(net.config.model, net.params, net.batch_stats, net.stats)
    predict = jax.jit(function).lower(images).compile()
    return lambda images: np.asarray(predict(images))


# The others.


def make_torch_module(net: Net, *, channels_last: bool) -> Any:
    """Make PyTorch's network from pixels to probabilities, in evaluation mode."""
    import torch

    from benchmarks.pytorch import nets as torch_nets

    class FromPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch_nets.Net(net.config.model, torch_nets.Style(channels_last=channels_last))
            torch_nets.carry_over(self.net, net.params, net.batch_stats)

        def forward(self, images: Any) -> Any:
            x = torch_nets.to_input(images, net.stats, channels_last=channels_last)
            return self.net(x).softmax(-1)

    return FromPixels().eval()


def _make_torch(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare eager PyTorch with channels last."""
    import torch

    torch.set_num_threads(arena.count_cores())
    module = make_torch_module(net, channels_last=True)

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(images)).numpy()

    return predict


def _make_onnx(job: Job, net: Net, images: np.ndarray) -> Predict:
    """Prepare ONNX Runtime on the CPU with its default settings."""
    import onnxruntime

    path = Path(job.folder) / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


_TORCH, _ONNX = ("torch",), ("torch", "onnx", "onnxscript", "onnxruntime")
KINDS = {
    "jax": Kind("JAX, jit", (), _make_jit, True),
    "jax-ahead": Kind("JAX, compiled ahead", (), _make_ahead, True),
    "jax-constants": Kind("JAX, ahead, weights inside", (), _make_constants, True),
    "jax-winograd": Kind("JAX, ahead, folded, Winograd", (), _make_winograd, True),
    "torch-users": Kind("PyTorch as users run it", _TORCH, _make_torch, False),
    "torch": Kind("PyTorch tuned", _TORCH, _make_torch, True),
    "onnx": Kind("ONNX Runtime", _ONNX, _make_onnx, False),
}
"""Tuned PyTorch has fer_jax's allocator setting. Both use channels last and all cores."""


def main() -> int:
    """Prepare one candidate, call it a few times, and serve."""
    job = Job(*json.loads(sys.argv[1]))
    kind = KINDS[job.name]
    # Before the first large array and before the libraries are imported.
    tuning = cpu.tune_cpu() if kind.is_tuned else []
    folder = Path(job.folder)
    params, batch_stats = load_weights(folder / "weights.npz")
    config = from_json(Config, job.config, where="the worker's command line")
    net = Net(config, params, batch_stats, PixelStats(*job.stats))
    images = np.load(folder / "images.npy")
    start = time.perf_counter()
    predict = kind.make(job, net, images)
    probabilities = predict(images)
    facts = {
        "first_call_s": time.perf_counter() - start,
        "probabilities": probabilities.tolist(),
        "cores": arena.count_cores(),
        "tuning": tuning,
    }
    for _ in range(WARM_UP_CALLS):
        predict(images)
    arena.serve(facts, lambda: predict(images), untimed_iterations=UNTIMED_CALLS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
