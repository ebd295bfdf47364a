"""Write the constraints files: one exact version of every package, one file for each Python.

``make update`` runs this. uv resolves ``pyproject.toml`` for each Python and platform below, installed here
or not, from wheels only, so a package that a platform lacks is found now and not by a user.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
OLDEST_MACOS = "14.0"
EXTRAS = (
    *("dev", "docs", "use", "video", "server", "export", "sweep", "sweep-postgres", "parquet"),
    *("wandb", "mlflow", "bench", "update"),
)
INSTALLERS = ("pip", "editables", "hatchling", "setuptools", "wheel")  # build fer_jax and promise
SOURCE_ONLY = "promise"  # a dependency of TensorFlow Datasets that has no wheel; pure Python
FREE = "torch"  # its build (CPU, CUDA, ROCm) is the machine's, and it pins NVIDIA's packages itself
HEADER = f"""\
# Exact versions for Python {{python}}, written by `make update`. All have wheels for Linux (x86-64, aarch64),
# macOS {OLDEST_MACOS} (arm64) and Windows (x86-64); only {SOURCE_ONLY}, pure Python, is built from source.
# Left free: {FREE} and NVIDIA's packages, which depend on the machine; jax pins its own plugins.
"""
ROOT = Path(__file__).resolve().parent.parent


def resolve(python: str, platform: str, pinned: dict[str, str], folder: Path) -> dict[str, str]:
    """Return name -> version of what one Python on one platform installs, in agreement with ``pinned``."""
    requirements, constraints, excluded = (
        folder / name for name in ("installers.in", "pinned.txt", "free.txt")
    )
    requirements.write_text("\n".join(INSTALLERS))
    constraints.write_text(format_pins(pinned))
    excluded.write_text(FREE)
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", python, "--python-platform", platform]
    command += ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY]
    command += ["--constraints", str(constraints), "--excludes", str(excluded)]
    command += [option for extra in EXTRAS for option in ("--extra", extra)]
    command += ["pyproject.toml", str(requirements)]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS}
    run = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(
            f"Python {python} on {platform} cannot be resolved; uv says why above. Nothing more was written."
        )
    return dict(line.split("==") for line in run.stdout.split())


def format_pins(pins: dict[str, str]) -> str:
    """Return pins as the lines of a constraints file, sorted by name."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def main() -> None:
    """Renew the file of every Python; the first platform chooses, the others must have the same versions."""
    for python in PYTHONS:
        pins: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for platform in PLATFORMS:
                pins |= resolve(python, platform, pins, Path(folder))
        path = ROOT / "constraints" / f"python{python}.txt"
        path.write_text(HEADER.format(python=python) + format_pins(pins))
        print(f"{path.relative_to(ROOT)}: {len(pins)} packages")


if __name__ == "__main__":
    main()
