"""A package imports lower rows only, a command imports no command, and the host half never imports jax."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fer_jax"

ROWS = (
    ("errors", "fer2013", "litter", "randomness", "files", "strict_json", "text"),
    ("config", "metrics", "runtime", "faces"),
    ("images", "data", "models", "cli", "parallel"),
    ("runs", "report"),
    ("engine", "inference"),
    (
        "audit",
        "bias_variance",
        "cache",
        "check",
        "compare",
        "configs",
        "diagnose",
        "evaluate",
        "export",
        "predict",
        "release",
        "serve",
        "show",
        "sweep",
        "train",
        "verify",
    ),
    ("api",),
    ("__init__", "__main__"),
)
"""The rooms, by row. A room is a package, or a module at the root, with everything in it."""

COMMANDS = ROWS[5]
IN_THE_GROUND = {("files", "errors"), ("files", "strict_json")}
"""What a room may import of its own row."""

DOORS = ("fer_jax", "fer_jax.config")
"""The packages that re-export: where users write code."""

HOST_HALF = (
    *("errors", "fer2013", "litter", "files", "strict_json", "text"),
    *("config", "faces", "images", "data", "cli"),
)
DEVICE_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax")

MAX_ROOT_MODULES = 10
MAX_FILES = 12

Import = tuple[int, str, str]
"""Line, dotted name, and where it stands: module, function or typing."""


def imports_of(node: ast.AST, place: str = "module") -> Iterator[Import]:
    """Yield everything that is imported."""
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name, place) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (node.module or "")
        yield from ((node.lineno, f"{origin}.{alias.name}", place) for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        place = "typing"
    elif isinstance(node, ast.FunctionDef):
        place = "function"
    for child in ast.iter_child_nodes(node):
        yield from imports_of(child, place)


def row_of(room: str) -> int | None:
    return next((number for number, row in enumerate(ROWS, 1) if room in row), None)


def broken_rules(module: str, source: str) -> list[str]:
    """Check the imports of one module, such as `fer_jax.data.split`; one line for each that breaks a rule."""
    where, room = f"{module.replace('.', '/')}.py", module.split(".")[1]
    row = row_of(room)
    if row is None:
        return [f"{where}:1: {room} is in no row: give it one in ROWS of tests/house/test_layering.py"]
    broken = []
    for line, name, place in imports_of(ast.parse(source)):
        origin, *parts = name.split(".")
        if origin == "":
            broken.append(f"{where}:{line}: write `{name}` as an absolute import")
        if origin == "fer_jax" and parts and parts[0] != room and (room, parts[0]) not in IN_THE_GROUND:
            imported_row = row_of(parts[0])
            if imported_row is None or imported_row >= row:
                broken.append(
                    f"{where}:{line}: {room} (row {row}) may not import {'.'.join(parts)} "
                    f"(row {imported_row or 'none'}); move what both need down to a row below both"
                )
        if origin in DEVICE_LIBRARIES and place != "typing":
            if room in HOST_HALF:
                broken.append(f"{where}:{line}: the host half may not import {name}")
            if room == "randomness" and place == "module":
                broken.append(f"{where}:{line}: randomness may import {name} only inside a function")
    return broken


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_a_package_imports_lower_rows_only() -> None:
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
    broken = [line for path in paths for line in broken_rules(name_module(path), path.read_text())]
    assert not broken, "\n" + "\n".join(broken)


def test_only_the_doors_re_export() -> None:
    broken = []
    for path in PACKAGE.rglob("__init__.py"):
        if name_module(path).removesuffix(".__init__") in DOORS:
            continue
        # Inside a function, or for types alone, an import exports nothing.
        names = [name for _, name, place in imports_of(ast.parse(path.read_text())) if place == "module"]
        broken += [f"{path.relative_to(ROOT)}:1: no re-exports: {name}" for name in names]
    assert not broken, "\n" + "\n".join(broken)


def test_rooms_stay_small() -> None:
    folders = [each for each in PACKAGE.rglob("*") if each.is_dir() and each.name != "__pycache__"]
    sizes = {
        folder.relative_to(ROOT): len([each for each in folder.iterdir() if each.name != "__pycache__"])
        for folder in [PACKAGE, *folders]
        if folder.name not in ("weights", "templates")
    }
    modules = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert len(modules) <= MAX_ROOT_MODULES, f"{len(modules)} modules at the root: {modules}"
    del sizes[Path("fer_jax")]
    full = {str(folder): count for folder, count in sizes.items() if count > MAX_FILES}
    assert not full, f"at most {MAX_FILES} files a folder: {full}"


def test_the_check_sees_what_it_should() -> None:
    bad = {
        "fer_jax.config.run": "from fer_jax.engine.state import TrainState",
        "fer_jax.engine.losses": "from fer_jax.inference import predictor",
        "fer_jax.evaluate.run": "from fer_jax.release import card",
        "fer_jax.text": "from fer_jax import files",
        "fer_jax.data.split": "def f():\n    import jax.numpy as jnp",
        "fer_jax.data.kaggle": "from . import split",
        "fer_jax.randomness": "import jax",
        "fer_jax.helpers": "",
    }
    good = {
        "fer_jax.data.split": "from fer_jax.data.readers.kaggle import read\nfrom fer_jax import fer2013",
        "fer_jax.engine.state": "import jax\nfrom fer_jax.config.run import Config",
        "fer_jax.files": "from fer_jax.errors import RunError",
        "fer_jax.randomness": "def f():\n    import jax",
    }
    assert [module for module, source in bad.items() if not broken_rules(module, source)] == []
    assert [broken_rules(module, source) for module, source in good.items()] == [[]] * len(good)


SLOW_LIBRARIES = {
    *DEVICE_LIBRARIES,
    "matplotlib",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "scipy",
    "tensorboardX",
    "tensorflow_datasets",
    *("PIL", "filelock", "numpy", "rich"),
}
HELP = """
import contextlib, importlib, io, sys
for program in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        importlib.import_module(program).main(["--help"])
    print(program, bool(printed.getvalue()), *{name.split(".")[0] for name in sys.modules})
"""


PROGRAMS = ["__main__", *(f"{room}.__main__" for room in COMMANDS if (PACKAGE / room).is_dir())]


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    """In one process: what a program has imported stays, so the first one that is not clean is named."""
    programs = [f"fer_jax.{program}" for program in PROGRAMS]
    words = [sys.executable, "-c", HELP, *programs]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [program for program, *_ in lines] == programs
    for program, has_printed, *imported in lines:
        assert has_printed == "True", program
        assert not SLOW_LIBRARIES & set(imported), program
