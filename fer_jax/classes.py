"""Names of the classes that a network tells apart: FER2013's seven expressions, or these and contempt."""

from typing import Final

from fer_jax import fer2013

NAMES: Final = (*fer2013.LABELS, "contempt")
"""Names of FER+'s eight classes: FER2013's seven in their order, and contempt."""


def names_of(count: int) -> tuple[str, ...]:
    """Name the classes of a network, in the order of its outputs.

    Args:
        count: how many outputs it has, 7 or 8.

    >>> names_of(8)[6:]
    ('neutral', 'contempt')
    """
    return NAMES[:count]
