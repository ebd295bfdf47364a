"""The rules of the house that neither ruff nor mypy knows, for every module and every config."""

import ast
import dataclasses
import functools
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_jax.config.augment import AugmentConfig
from fer_jax.config.files import load_config
from fer_jax.config.model import ConvBlock
from fer_jax.config.run import Config

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "fer_jax").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# Docstrings are not counted: more of them is no fault.
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60

MAY_PRINT = ("fer_jax.cli",)
"""What acts as a program beside the commands' `__main__`: the part of the command line that they share."""

MAY_READ_A_CLOCK = ("fer_jax.runtime.machine", "fer_jax.api.runs")
MAY_HAVE_SWITCHES = "fer_jax.api."
"""What people call by hand, in notebooks: like a command's options, its booleans have defaults."""

PROGRAM_IMPORTS = {"argparse", "time", "datetime", "timeit", "random"}
MAKERS_OF_RANDOMNESS = {"default_rng", "SeedSequence", "Philox", "PRNGKey", "RandomState"}

Problem = tuple[int, str]
"""A line number and the rule that the line breaks."""


def dotted_name(path: Path) -> str:
    """Name a module as an import does, for many files of the package have the same stem."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def read_modules() -> dict[Path, tuple[str, ast.Module]]:
    """Read and parse every module, once for all rules."""
    sources = {path: path.read_text() for path in MODULES}
    return {path: (source, ast.parse(source)) for path, source in sources.items()}


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


def public_names(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Find the public classes and functions of a module, and the public methods of these classes."""

    def found_in(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from found_in(node.body, f"{prefix}{node.name}.")

    return found_in(tree.body, "")


def documented(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Public modules, classes, functions, methods and properties have a docstring."""
    if ast.get_docstring(tree) is None:
        yield 1, "a module starts with a docstring that says what it is for"
    for name, node in public_names(tree):
        if ast.get_docstring(node) is None:
            yield node.lineno, f"{name} is public: it needs a docstring"


def annotated(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Public functions, methods and properties have the type of each parameter and of what they return."""
    for name, node in public_names(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        each = node.args
        arguments = [*each.posonlyargs, *each.args, *each.kwonlyargs, each.vararg, each.kwarg]
        for argument in arguments:
            if argument and argument.annotation is None and argument.arg not in ("self", "cls"):
                yield argument.lineno, f"{name} is public: `{argument.arg}` needs a type"
        if node.returns is None:
            yield node.lineno, f"{name} is public: what it returns needs a type"


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
        for argument, default in defaults if not module.startswith(MAY_HAVE_SWITCHES) else ():
            if isinstance(default, ast.Constant) and isinstance(default.value, bool):
                yield argument.lineno, f"{function.name}: the boolean `{argument.arg}` may have no default"


def program_only(source: str, tree: ast.Module, module: str) -> Iterator[Problem]:
    """Only programs print, parse arguments and read a clock; only `randomness` makes randomness."""
    is_program = module.endswith("__main__") or module in MAY_PRINT
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and not (is_program or module in MAY_READ_A_CLOCK):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
            for name in PROGRAM_IMPORTS & names:
                yield node.lineno, f"only a program imports {name}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and not is_program:
                yield node.lineno, "only a program prints"
            makes_randomness = called.split(".")[-1] in MAKERS_OF_RANDOMNESS or called.endswith("random.key")
            if makes_randomness and module != "fer_jax.randomness":
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
    annotated,
    parameters,
    program_only,
    plain,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[str, ast.Module, str], Iterator[Problem]]) -> None:
    broken = []
    for path, (source, tree) in read_modules().items():
        for line, problem in rule(source, tree, dotted_name(path)):
            broken.append(f"{path.relative_to(ROOT)}:{line}: {problem}")
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (sizes, "x = 1\n" * 301),
        (sizes, "def f():\n" + "    g()\n" * 61),
        (documented, '"""A."""\ndef f(): ...'),
        (documented, '"""A."""\nclass C:\n    """C."""\n    def f(self): ...'),
        (documented, '"""A."""\nclass C:\n    """C."""\n    @property\n    def f(self): ...'),
        (annotated, "def f(x) -> None: ..."),
        (annotated, "def f(*, x: int): ..."),
        (annotated, "class C:\n    def f(self, *x) -> None: ..."),
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
    assert list(rule(bad, ast.parse(bad), "fer_jax.engine.losses"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_is_a_record(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), (
        f"{path}:1: start with what, why, command, cost, result"
    )
    assert load_config(path).name == path.stem, f"{path}: the config's name is the file's"


def sections_of(kind: type) -> Iterator[type]:
    """Find the dataclasses of a config, those inside others too."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for part in (hint, *typing.get_args(hint)):
            if isinstance(part, type) and dataclasses.is_dataclass(part):
                yield from sections_of(part)


def test_every_config_field_explains_itself() -> None:
    sections = set(sections_of(Config)) - {Config}
    assert {ConvBlock, AugmentConfig} <= sections
    broken = []
    for section in sections:
        body = ast.parse(textwrap.dedent(inspect.getsource(section))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, after in zip(body.body, [*body.body[1:], None], strict=True):
            is_explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(node, ast.AnnAssign) and not is_explained:
                field = f"{section.__module__}.{section.__name__}.{ast.unparse(node.target)}"
                broken.append(f"{field}: a docstring under the field is its --help text")
    assert not broken, "\n" + "\n".join(broken)


def names_held(annotation: ast.expr) -> Iterator[str]:
    """Find the names in a field's type; what a function takes or returns is not held."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Callable"):
        return
    if isinstance(annotation, ast.Name | ast.Attribute):
        yield ast.unparse(annotation)
        return
    for child in ast.iter_child_nodes(annotation):
        if isinstance(child, ast.expr):
            yield from names_held(child)


def fields_of(node: ast.ClassDef) -> set[str]:
    annotations = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
    return {name for annotation in annotations for name in names_held(annotation)}


def compared_arrays(trees: dict[str, ast.Module]) -> list[str]:
    """Find the dataclasses that hold arrays, or what holds arrays, and yet have a generated `__eq__`."""
    classes = [
        (place, node)
        for place, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    holders, before = {"np.ndarray", "jax.Array"}, set[str]()
    while holders != before:
        before = holders
        found = [(Path(place).stem, node.name) for place, node in classes if fields_of(node) & before]
        holders = before | {name for stem, own in found for name in (own, f"{stem}.{own}")}
    return [
        f"{place}:{node.lineno}: {node.name} holds arrays, which `==` cannot compare: @dataclass(eq=False)"
        for place, node in classes
        for decorator in map(ast.unparse, node.decorator_list)
        if "dataclass" in decorator and "eq=False" not in decorator and fields_of(node) & holders
    ]


def test_what_holds_arrays_is_not_compared() -> None:
    """On Python 3.13 the generated `__eq__` of a dataclass asks an array whether it is true."""
    trees = {str(path.relative_to(ROOT)): tree for path, (_, tree) in read_modules().items()}
    broken = compared_arrays(trees)
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("fields", "is_broken"),
    [
        ("x: np.ndarray", True),
        ("x: dict[str, jax.Array | None]", True),
        ("x: 'list[Pair]'", True),
        ("x: Callable[[np.ndarray], None]", False),
        ("x: a.Pair", True),
        ("x: optuna.Pair", False),
        ("x: int", False),
    ],
)
def test_the_array_is_seen_wherever_it_is_held(fields: str, is_broken: bool) -> None:
    pair = "class Pair(NamedTuple):\n    left: np.ndarray\n"
    for decorator, is_compared in (("@dataclass(frozen=True)", True), ("@dataclass(eq=False)", False)):
        tree = ast.parse(f"{pair}{decorator}\nclass A:\n    {fields}\n")
        assert bool(compared_arrays({"a.py": tree})) == (is_broken and is_compared)
