"""Checks of arguments from Python code, which no parser has checked."""

from collections.abc import Collection

from fer_jax.errors import ConfigError


def check_choice(name: str, value: object, choices: Collection[str], *, others: str = "") -> None:
    """Refuse an argument that is not one of its choices; `others` says what else is allowed.

    Raises:
        ConfigError: it is not one of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} came {value!r}; wanted one of {', '.join(choices)}{others}")
