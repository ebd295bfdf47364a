"""Text of the pages can be read: the contrast of the style sheet's colours, light, dark and in print."""

import re
from pathlib import Path

import pytest

import fer_jax.report

SHEET = (Path(fer_jax.report.__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
READABLE = 4.5
"""The least contrast of text in level AA of the Web Content Accessibility Guidelines (2.2, 1.4.3)."""

TEXT = (
    *((name, "paper") for name in ("ink", "quiet", "link", "train", "val", "objective", "rate")),
    *((name, "paper") for name in ("run2", "run4", "run5")),
    *((name, "card") for name in ("ink", "quiet", "link")),
    ("ink", "warn-card"),
)
"""Colour of a text and colour behind it."""

Colour = tuple[float, float, float]


def read_schemes() -> dict[str, dict[str, str]]:
    """Read the variables of each scheme; the dark one and print change those of the light one."""
    light, dark, printed = (
        dict(re.findall(r"--([\w-]+): ([^;]+);", each))
        for each in re.findall(r":root \{(.*?)\}", SHEET, flags=re.DOTALL)
    )
    return {"light": light, "dark": light | dark, "print": light | printed}


SCHEMES = read_schemes()


def to_colour(value: str) -> Colour:
    """Read `#rrggbb` or `r g b`: three numbers in 0..255."""
    if value.startswith("#"):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    red, green, blue = map(int, value.split())
    return red, green, blue


def luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Colour, second: Colour) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_is_readable(scheme: str) -> None:
    colours = {name: to_colour(value) for name, value in SCHEMES[scheme].items() if value.startswith("#")}
    found = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in TEXT}
    assert {pair: value for pair, value in found.items() if value < READABLE} == {}
    assert contrast((255, 255, 255), to_colour("#a8001c")) > READABLE  # The strip about synthetic faces.


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shade", ["shade", "loss-shade"])
def test_numbers_on_the_darkest_cells_are_readable(scheme: str, shade: str) -> None:
    values = SCHEMES[scheme]
    most, paper, over = float(values["shade-most"]), to_colour(values["paper"]), to_colour(values[shade])
    red, green, blue = (most * new + (1 - most) * old for new, old in zip(over, paper, strict=True))
    assert contrast(to_colour(values["ink"]), (red, green, blue)) > READABLE
