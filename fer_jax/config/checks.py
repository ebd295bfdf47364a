"""Checks of config fields: each refuses a bad value in one message that names the field."""

import dataclasses
import math

from fer_jax.errors import ConfigError


def check(is_good: bool, field_name: str, value: object, wanted: str) -> None:
    """Refuse a value that is not good.

    Args:
        is_good: what was found out about it.
        field_name: dotted name of the config field.
        value: what came.
        wanted: what is good, in words.

    Raises:
        ConfigError: it is not good.
    """
    if not is_good:
        raise ConfigError(f"config field {field_name} is {value!r}; wanted {wanted}")


def check_types(section: object, prefix: str) -> None:
    """Check each field of a config class against its annotation, so that range checks compare numbers."""
    for each in dataclasses.fields(section):  # type: ignore[arg-type]
        value, wanted = getattr(section, each.name), each.type
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if wanted is float:
            check(is_number, f"{prefix}{each.name}", value, "a number")
        elif wanted is int:
            check(is_number and isinstance(value, int), f"{prefix}{each.name}", value, "an integer")
        elif wanted is bool:
            check(isinstance(value, bool), f"{prefix}{each.name}", value, "True or False")


def check_rate(field_name: str, value: float) -> None:
    """Refuse what is not in [0, 1)."""
    check(0 <= value < 1, field_name, value, "a rate in [0, 1)")


def check_probability(field_name: str, value: float) -> None:
    """Refuse what is not in [0, 1]."""
    check(0 <= value <= 1, field_name, value, "a probability in [0, 1]")


def check_at_most(field_name: str, value: float, most: float, words: str) -> None:
    """Refuse what is more than something else allows, which `words` names."""
    check(value <= most, field_name, value, f"at most {words}, which is {most}")


def check_seed(field_name: str, value: int) -> None:
    """Refuse what is not in [0, 2**32)."""
    # JAX builds a key from the lowest 32 bits alone: a larger seed would repeat the keys of a small one.
    check(0 <= value < 2**32, field_name, value, "a seed in [0, 2**32)")


def check_not_negative(field_name: str, value: float) -> None:
    """Refuse what is negative, infinite or not a number."""
    check(value >= 0 and math.isfinite(value), field_name, value, "a finite number >= 0")


def check_finite_positive(field_name: str, value: float) -> None:
    """Refuse what is not above 0, infinite or not a number."""
    check(value > 0 and math.isfinite(value), field_name, value, "a finite number > 0")
