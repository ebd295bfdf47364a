"""Arguments from Python code: the types of its options check a command line, and nothing checks these."""

from collections.abc import Collection

from fer_jax.errors import ConfigError


def check_choice(name: str, value: object, choices: Collection[str], *, others: str = "") -> None:
    """Refuse an argument that is none of its choices; `others` says what may come besides.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} came {value!r}; wanted one of {', '.join(choices)}{others}")
