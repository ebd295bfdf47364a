"""The machine's peak: workers that multiply square matrices, in JAX and in PyTorch.

    python -m benchmarks.harness.gemm --library torch --dtype float32

Other benchmarks start them as additional candidates, so that a step is compared with what the machine could
do in the same minutes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.harness.arena import Candidate, Dtype, Library, Result, count_cores, median_s, serve
from benchmarks.harness.bench import has_gpu
from fer_jax import cli
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.runtime import cpu

CPU_SIZE: Final = 2048
"""Rows and columns of the matrices on a CPU."""


@dataclass(frozen=True)
class Gemm:
    """Multiply two square matrices on command (`go N`, `stop` on standard input)."""

    library: Library = "jax"
    """The library that multiplies."""
    dtype: Dtype = "float32"
    """Type of the numbers."""
    size: int = 2048
    """Rows and columns."""


def make_candidates(
    *, libraries: Sequence[Library], dtypes: Sequence[Dtype], size: int | None = None
) -> list[Candidate]:
    """Make the candidates that measure the machine's peak; `find_peaks` reads their results.

    Args:
        libraries: those that are installed.
        dtypes: of the numbers.
        size: rows and columns; None: 2048 on a CPU, 8192 where there is a GPU.
    """
    size = size or (8192 if has_gpu() else CPU_SIZE)
    argv = (sys.executable, "-m", "benchmarks.harness.gemm", "--size", str(size))
    return [
        Candidate(f"gemm {library} {dtype}", (*argv, "--library", library, "--dtype", dtype), {})
        for dtype in dtypes
        for library in libraries
    ]


def find_peaks(results: Sequence[Result]) -> dict[str, float]:
    """Return the peak of each dtype in FLOP/s: the faster library's median. Other results are ignored."""
    peaks: dict[str, float] = {}
    for result in results:
        if result.name.startswith("gemm "):
            dtype, flops = result.facts["dtype"], 2 * result.facts["size"] ** 3
            peaks[dtype] = max(peaks.get(dtype, 0.0), flops / median_s(result))
    return peaks


def _make_matrix(size: int) -> np.ndarray:
    """Make a matrix float32 [size, size] of random numbers: a card can be faster on constant ones."""
    return numpy_rng(0, Stream.INIT).standard_normal((size, size), np.float32)


def _jax_gemm(options: Gemm) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    a = jnp.asarray(_make_matrix(options.size), options.dtype)
    multiply = jax.jit(jnp.matmul)
    return lambda: multiply(a, a).block_until_ready()


def _torch_gemm(options: Gemm) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(count_cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        # As JAX does by default: float32 matrices are multiplied in TF32.
        torch.set_float32_matmul_precision("high")
    a = torch.tensor(_make_matrix(options.size), dtype=getattr(torch, options.dtype), device=device)

    def run() -> None:
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def main(argv: list[str] | None = None) -> int:
    """Be the worker that measures the peak."""
    return cli.run(lambda: _serve_gemm(cli.parse(Gemm, argv, prog="python -m benchmarks.harness.gemm")))


def _serve_gemm(options: Gemm) -> int:
    cpu.tune_cpu()
    run = _jax_gemm(options) if options.library == "jax" else _torch_gemm(options)
    run()
    serve({"dtype": options.dtype, "size": options.size}, run, untimed_iterations=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
