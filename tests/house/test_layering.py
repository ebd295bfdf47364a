"""A module imports only from earlier rows, and the host half never imports jax."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fer_jax"

# The table of DESIGN. `data.*` stands for every module of the package fer_jax/data.
ROWS = (
    ("errors", "fer2013", "notebook"),
    ("config_checks", "randomness", "classes"),
    ("config_augment", "config_craft"),
    ("config",),
    ("pixels", "tones", "mix", "config_file"),
    ("augment",),
    (
        "data.*",
        "models.*",
        "losses",
        "metrics",
        "optimizer",
        "averages",
        "calibration",
        "bootstrap",
        "paired",
        "decomposition",
        "confident",
        "corruptions",
        "views",
    ),
    ("state",),
    ("step", "clean_stats"),
    (
        "feed",
        "steppers",
        "stopping",
        "checkpoint",
        "tables",
        "report",
        "seeds_report",
        "pictures",
        "contact_sheet",
        "command",
        "runtime",
        "run_folder",
        "display",
        "insight_pictures",
        "comparison_pictures",
        "comparison_report",
        "figures",
        "evidence",
        "advice",
        "rules",
        "diagnosis",
        "bias_variance_report",
        "sweep_space",
        "sweep_report",
        "sweep_pictures",
        "sweep_study",
        "saliency",
        "probe",
        "audit_rules",
        "audit_page",
        "page",
        "page_parts",
        "page_measured",
        "page_charts",
        "released",
        "release_card",
    ),
    ("epochs", "run_record"),
    (
        "place",
        "resuming",
        "write_up",
        "training",
        "trained",
        "label_sets",
        "evaluation",
        "robustness",
        "mistakes",
        "comparison",
        "comparison_runs",
        "bias_variance_runs",
        "sweeping",
        "trial",
        "rate_range",
        "sanity",
        "data_sanity",
        "legibility",
        "checking",
        "label_errors",
        "auditing",
        "ensembling",
        "distillation",
        "releasing",
        "rescoring",
    ),
    (
        "train",
        "evaluate",
        "show",
        "compare",
        "diagnose",
        "bias_variance",
        "check",
        "audit",
        "release",
        "sweep",
        "__main__",
    ),
)
SHARE_A_ROW = ("data.*", "models.*", *ROWS[9], *ROWS[-2], *ROWS[-1])
HOST_HALF = (
    "errors",
    "fer2013",
    "classes",
    "config_checks",
    "config_augment",
    "config_craft",
    "config",
    "config_file",
    "pixels",
    "tones",
    "augment",
    "mix",
    "data.*",
)
DEVICE_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "orbax")


def entry_of(module: str) -> str:
    """Name the table's entry for a module: 'data.kaggle' -> 'data.*'."""
    return f"{module.split('.')[0]}.*" if "." in module else module


def row_of(module: str) -> int | None:
    return next((number for number, row in enumerate(ROWS) if entry_of(module) in row), None)


def may_import(module: str, imported: str) -> bool:
    """Say whether the table lets one module of the package import another."""
    row, imported_row = row_of(module), row_of(imported)
    if row is None or imported_row is None or row != imported_row:
        return row is not None and imported_row is not None and imported_row < row
    if "." in module:  # Inside a package: the package's own modules, and no others of its row.
        return entry_of(module) == entry_of(imported)
    return module in SHARE_A_ROW and imported in SHARE_A_ROW


def imports_of(node: ast.AST, place: str = "module") -> Iterator[tuple[int, str, str]]:
    """Yield line, dotted name and place (module, function or typing) of everything that is imported."""
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


def broken_rules(module: str, source: str, modules: set[str]) -> list[str]:
    """Check one module's imports; a line `file:line: rule` for each that breaks the table."""
    where = f"fer_jax/{module.replace('.', '/')}.py"
    if row_of(module) is None:
        return [f"{where}:1: not in the table: give it a row in ROWS of tests/test_layering.py"]
    broken = []
    for line, name, place in imports_of(ast.parse(source)):
        origin, *parts = name.split(".")
        if origin == "":
            broken.append(f"{where}:{line}: write `{name}` as an absolute import")
        if origin == "fer_jax":
            # `from fer_jax import config` names a module, `from fer_jax.config.run import Config` a thing in one.
            imported = next((m for m in (".".join(parts), ".".join(parts[:-1])) if m in modules), None)
            if imported is not None and not may_import(module, imported):
                broken.append(
                    f"{where}:{line}: {module} may not import {imported}: see ROWS in tests/test_layering.py"
                )
        if origin in DEVICE_LIBRARIES and place != "typing":
            if entry_of(module) in HOST_HALF:
                broken.append(f"{where}:{line}: the host half may not import {name}")
            if module == "randomness" and place == "module":
                broken.append(f"{where}:{line}: randomness may import {name} only inside a function")
    return broken


def test_imports_follow_the_table() -> None:
    paths = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "__init__.py"
    }
    broken = [
        line for module, path in paths.items() for line in broken_rules(module, path.read_text(), set(paths))
    ]
    for path in PACKAGE.rglob("__init__.py"):
        # Inside a function, or for types alone, an import exports nothing.
        found = imports_of(ast.parse(path.read_text()))
        names = [name for _, name, place in found if name.startswith("fer_jax") and place == "module"]
        broken += [f"{path.relative_to(PACKAGE.parent)}:1: no re-exports: {name}" for name in names]
    assert not broken, "\n" + "\n".join(broken)


def test_the_check_sees_what_it_should() -> None:
    modules = {"config", "randomness", "losses", "state", "data.split", "data.kaggle", "report", "pictures"}
    bad = {
        "config": "from fer_jax.engine.state import TrainState",
        "losses": "from fer_jax.data import split",
        "data.split": "def f():\n    import jax.numpy as jnp",
        "data.kaggle": "from . import split",
        "randomness": "import jax",
        "helpers": "",
    }
    good = {
        "data.split": "from fer_jax.data.readers.kaggle import read",
        "state": "import jax\nfrom fer_jax import config",
        "report": "from fer_jax import pictures",
        "randomness": "def f():\n    import jax",
    }
    assert [module for module, source in bad.items() if not broken_rules(module, source, modules)] == []
    assert [broken_rules(module, source, modules) for module, source in good.items()] == [[]] * len(good)


SLOW_LIBRARIES = {
    *DEVICE_LIBRARIES,
    "matplotlib",
    "optuna",
    "pandas",
    "scipy",
    "tensorboardX",
    "tensorflow_datasets",
}
HELP = """
import contextlib, importlib, io, sys
with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
    importlib.import_module(sys.argv[1]).main(["--help"])
print(bool(printed.getvalue()), *{name.split(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize("program", ROWS[-1])
def test_help_does_not_wait_for_what_it_does_not_need(program: str) -> None:
    words = [sys.executable, "-c", HELP, f"fer_jax.{program}"]
    has_printed, *imported = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    assert has_printed == "True"
    assert not SLOW_LIBRARIES & set(imported)
