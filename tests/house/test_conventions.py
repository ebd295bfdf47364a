"""The rules of the house that neither ruff nor mypy knows, for every module and every config."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_jax.config.files import load_config

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "fer_jax").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# Docstrings are not counted: more of them is no fault.
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60

MAY_PRINT = {
    "train",
    "evaluate",
    "compare",
    "diagnose",
    "bias_variance",
    "sweep",
    "check",
    "audit",
    "show",
    "__main__",
    "command",
    "runtime",
    "epochs",
}
PROGRAM_IMPORTS = {"argparse", "time", "datetime", "timeit", "random"}
MAKERS_OF_RANDOMNESS = {"default_rng", "SeedSequence", "Philox", "PRNGKey", "RandomState"}

Problem = tuple[int, str]
"""A line number and the rule that the line breaks."""


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def code_lines(node: ast.Module | ast.FunctionDef) -> int:
    """Count a module's or function's lines, from its first statement on, without docstrings."""
    if not node.body:
        return 0
    texts = (
        each for each in ast.walk(node) if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    )
    spans = sum((text.end_lineno or 0) - text.lineno + 1 for text in texts)
    return (node.body[-1].end_lineno or 0) - node.body[0].lineno + 1 - spans


def sizes(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Modules and functions stay small."""
    if code_lines(tree) > MAX_MODULE_LINES:
        yield 1, f"{code_lines(tree)} lines of code; a module has at most {MAX_MODULE_LINES}: split it"
    for function in functions_of(tree):
        lines = code_lines(function)
        if lines > MAX_FUNCTION_LINES:
            yield (
                function.lineno,
                f"{function.name} has {lines} lines; at most {MAX_FUNCTION_LINES}: split it",
            )


def documented(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Public modules, classes and functions have a docstring."""
    if ast.get_docstring(tree) is None:
        yield 1, "a module starts with a docstring that says what it is for"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield node.lineno, f"{node.name} is public: it needs a docstring"


def parameters(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Randomness comes first, and a boolean is always said."""
    for function in functions_of(tree):
        positional = [*function.args.posonlyargs, *function.args.args]
        names = [argument.arg for argument in positional if argument.arg not in ("self", "cls")]
        keywords = function.args.kwonlyargs
        all_names = names + [argument.arg for argument in keywords]
        for name in ("rng", "key"):
            if name in all_names[1:]:
                yield function.lineno, f"{function.name}: `{name}` is the first parameter"
        if function.name.startswith("draw_") and names[:1] != ["rng"] and "seed" not in all_names:
            yield function.lineno, f"{function.name}: a draw_* function takes `rng` first, or a `seed`"
        defaults = [*zip(reversed(positional), reversed(function.args.defaults), strict=False)]
        defaults += [
            (a, d) for a, d in zip(keywords, function.args.kw_defaults, strict=True) if d is not None
        ]
        for argument, default in defaults:
            if isinstance(default, ast.Constant) and isinstance(default.value, bool):
                yield argument.lineno, f"{function.name}: the boolean `{argument.arg}` may have no default"


def program_only(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Only programs print, parse arguments and read a clock; only `randomness` makes randomness."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and module not in MAY_PRINT:
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
            for name in PROGRAM_IMPORTS & names:
                yield node.lineno, f"only a program imports {name}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and module not in MAY_PRINT:
                yield node.lineno, "only a program prints"
            makes_randomness = called.split(".")[-1] in MAKERS_OF_RANDOMNESS or called.endswith("random.key")
            if makes_randomness and module != "randomness":
                yield node.lineno, f"{called}: take randomness from fer_jax.randomness"


def plain(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Errors are raised in words, and nothing is left for later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "no assert: raise an error of fer_jax/errors.py, with what came and what to do"
    for number, line in enumerate(source.splitlines(), 1):
        if "TODO" in line or "FIXME" in line:
            yield number, "do it now, or write an issue"


RULES: tuple[Callable[[str, ast.Module, str], Iterator[Problem]], ...] = (
    sizes,
    documented,
    parameters,
    program_only,
    plain,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[str, ast.Module, str], Iterator[Problem]]) -> None:
    broken = []
    for path in MODULES:
        source = path.read_text()
        for line, problem in rule(source, ast.parse(source), path.stem):
            broken.append(f"{path.relative_to(ROOT)}:{line}: {problem}")
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (sizes, "x = 1\n" * 301),
        (sizes, "def f():\n" + "    g()\n" * 61),
        (documented, '"""A."""\ndef f(): ...'),
        (parameters, "def f(x, *, key): ..."),
        (parameters, "def draw_shift(count, rng): ..."),
        (parameters, "def f(x, *, is_new=False): ..."),
        (program_only, "print(1)"),
        (program_only, "from time import perf_counter"),
        (program_only, "rng = np.random.default_rng(0)"),
        (program_only, "key = jax.random.key(0)"),
        (plain, "assert x"),
        (plain, "x = 1  # TODO"),
    ],
)
def test_the_rule_sees_what_it_should(rule: Callable[..., Iterator[Problem]], bad: str) -> None:
    assert list(rule(bad, ast.parse(bad), "losses"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_is_a_record(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), (
        f"{path}:1: start with what, why, command, cost, result"
    )
    assert load_config(path).name == path.stem, f"{path}: the config's name is the file's"


@pytest.mark.parametrize("module", ["config", "config_craft"])
def test_every_config_field_explains_itself(module: str) -> None:
    tree = ast.parse((ROOT / "fer_jax" / f"{module}.py").read_text())
    broken = []
    for each in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "Config"):
        for node, after in zip(each.body, [*each.body[1:], None], strict=True):
            is_explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(node, ast.AnnAssign) and not is_explained:
                broken.append(
                    f"fer_jax/{module}.py:{node.lineno}: a docstring under the field is its --help text"
                )
    assert not broken, "\n" + "\n".join(broken)
