"""Checks of the fields of a config section: each rejects a bad value with a message that names the field."""

import dataclasses
import math
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
