"""ONNX Runtime Web, from npm: in the version and with the hashes of `package-lock.json` beside this file."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from fer_jax.errors import RunError

HERE: Final = Path(__file__).parent
FILES: Final = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
"""The program and its WebAssembly, and their names in the demo; the packages beside them are not needed.

Many hosts, nginx among them, do not know `.mjs`, and browsers run no module of an unknown type.
"""

# Nothing of a package is run, and what npm has in its cache is not asked for again.
_INSTALL: Final = (
    "ci",
    "--ignore-scripts",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
)

_CODES: Final = ("code ", "syscall ", "errno ")
"""How lines of npm begin that name an error; the one below them says what it is."""


def fetch_runtime(folder: Path) -> None:
    """Copy the files of ONNX Runtime Web into a folder.

    Raises:
        RunError: npm is missing, cannot reach its registry, or gets another file than the locked one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RunError(
            "npm is not installed; the demo's ONNX Runtime Web comes from it (Debian: apt install npm)"
        )
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, scratch)
        done = subprocess.run([npm, *_INSTALL], cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line.removeprefix("npm error ").strip() for line in done.stderr.splitlines()]
            reasons = [line for line in said if not line.startswith(_CODES)]
            reason = next(iter(reasons), f"status {done.returncode}").rstrip(".")
            raise RunError(
                f"npm could not install onnxruntime-web: {reason}; the first build needs a network, or a "
                "registry that npm is set up for"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            shutil.copy(Path(scratch) / "node_modules" / "onnxruntime-web" / "dist" / source, folder / name)
