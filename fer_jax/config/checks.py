"""Checks of config fields and of arguments: each rejects a bad value with a message that names it."""

import dataclasses
import math
import sys
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from operator import attrgetter

from fer_jax.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Checks:
    """The checks of one section. They raise `ConfigError`; making them checks the types of all fields.

    Attributes:
        section: an instance of a config class.
        prefix: of its fields' dotted names, such as `loss.`.
    """

    section: object
    prefix: str

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self.section):  # type: ignore[arg-type]
            value, wanted = getattr(self.section, each.name), each.type
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if wanted is float:
                self.check(each.name, is_number, "a number")
            elif wanted is int:
                self.check(each.name, is_number and isinstance(value, int), "an integer")
            elif wanted is bool:
                self.check(each.name, isinstance(value, bool), "True or False")

    def check(self, name: str, is_good: bool, wanted: str, *, shown: object = None) -> None:
        """Reject a field that is not good; `shown` stands in for a value that is too long for the message."""
        if not is_good:
            value = attrgetter(name)(self.section) if shown is None else shown
            raise ConfigError(f"config field {self.prefix}{name} is {value!r}; wanted {wanted}")

    def at_least(self, least: int, *names: str) -> None:
        """Reject a value below a lower limit."""
        for name in names:
            self.check(name, attrgetter(name)(self.section) >= least, f">= {least}")

    def at_most(self, name: str, most: float, words: str) -> None:
        """Reject a value above an upper limit, which `words` describes."""
        self.check(name, attrgetter(name)(self.section) <= most, f"at most {words}, which is {most}")

    def within(self, name: str, least: float, most: float, unit: str) -> None:
        """Reject a value outside [least, most]; `unit` says what it is."""
        value = attrgetter(name)(self.section)
        self.check(name, least <= value <= most, f"{unit} in [{least}, {most}]")

    def probability(self, *names: str) -> None:
        """Reject a value outside [0, 1]."""
        for name in names:
            self.within(name, 0, 1, "a probability")

    def rate(self, *names: str) -> None:
        """Reject a value outside [0, 1)."""
        for name in names:
            self.check(name, 0 <= getattr(self.section, name) < 1, "a rate in [0, 1)")

    def seed(self, name: str) -> None:
        """Reject a value outside [0, 2**32)."""
        # JAX builds a key from the lowest 32 bits only: a larger seed would repeat the keys of a smaller one.
        self.check(name, 0 <= getattr(self.section, name) < 2**32, "a seed in [0, 2**32)")

    def not_negative(self, *names: str) -> None:
        """Reject a value that is negative, infinite or NaN."""
        for name in names:
            value = getattr(self.section, name)
            self.check(name, value >= 0 and math.isfinite(value), "a finite number >= 0")

    def positive(self, *names: str) -> None:
        """Reject a value that is not positive, infinite or NaN."""
        for name in names:
            value = getattr(self.section, name)
            self.check(name, value > 0 and math.isfinite(value), "a finite number > 0")


def check_choice(name: str, value: object, choices: Collection[str], *, others: str = "") -> None:
    """Refuse an argument that is not one of its choices; `others` says what else is allowed.

    Raises:
        ConfigError: it is not one of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} came {value!r}; wanted one of {', '.join(choices)}{others}")


def check_ranges(ranges: Mapping[str, tuple[float, float, float]]) -> None:
    """Refuse numbers, each with its least and its largest value, that are out of their range.

    A number whose least value is an int must be whole.

    Raises:
        ConfigError: one is, or is not finite, not whole or not a number.
    """
    for name, (value, least, most) in ranges.items():
        kind, words = (Integral, "a whole number ") if isinstance(least, int) else (Real, "a number ")
        is_number = isinstance(value, kind) and not isinstance(value, bool)
        # Python's own number: a narrow one of NumPy's cannot be compared with the largest float.
        number = (int if isinstance(value, Integral) else float)(value) if is_number else math.nan
        # A larger whole number could not become a float.
        largest = min(most, sys.float_info.max)
        if not least <= number <= largest:
            is_open = most == math.inf and not number > largest
            wanted = f">= {least:g}" if is_open else f"{least:g} to {largest:g}"
            shown = value if is_number else repr(value)
            raise ConfigError(f"{name} is {shown}; wanted {'' if is_number else words}{wanted}")
