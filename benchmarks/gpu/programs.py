"""How long an epoch of the real programs takes, data loading included, in JAX and in PyTorch."""

import tempfile
from pathlib import Path

from benchmarks.gpu import steps, tiny
from benchmarks.gpu.session import Content, Session
from benchmarks.harness import arena, bench
from benchmarks.throughput import epoch
from fer_jax.errors import RunError
from fer_jax.files import read_json

CONFIG = bench.ROOT / "configs" / "run6.py"
MOST_WORKERS = 8
"""Processes of PyTorch's DataLoader; no more than cores."""


def measure(session: Session) -> Content:
    """Run both programs for a few epochs, in new processes; only ours where PyTorch cannot be compared."""
    config = tiny.write_config(session.out / "tiny") if session.is_tiny else CONFIG
    lack = steps.find_lack_of_torch(session)
    # The config computes in float32.
    names = ["jax", "torch-tuned", "torch-tuned-bf16"] if lack is None else ["jax"]
    workers = 0 if session.is_tiny else min(MOST_WORKERS, arena.count_cores())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "epoch.json"
        words = ["--config", str(config), "--candidates", *names, "--workers", str(workers), "--rounds", "1"]
        words += ["--epochs", "2" if session.is_tiny else "4", "--out", str(out)]
        words += [] if session.data is None else ["--data", str(session.data)]
        status = epoch.main(words)
        if status:
            raise RunError(f"benchmarks.throughput.epoch ended with status {status}; see its message above")
        content = read_json(out)
    return Content(content["results"], content["settings"], {"missing": [] if lack is None else [lack]})
