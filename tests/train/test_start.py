"""What the first training step waits for."""

import subprocess
import sys

LATER = ("matplotlib", "pandas", "scipy.special", "tensorboardX", "onnx", "tensorflow_datasets")


def test_the_first_step_does_not_wait_for_what_comes_later() -> None:
    """Reports are drawn at the end, and few trainings have teachers: their libraries take half a second."""
    program = "import sys; import fer_jax.train.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "fer_jax.train.run" in done.stdout.split()
    assert not set(LATER) & set(done.stdout.split())
