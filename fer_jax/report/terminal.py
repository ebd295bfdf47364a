"""What a training run shows on the terminal before and while it trains."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import HOW_TO_GET
from fer_jax.data.split import Split
from fer_jax.fer2013 import names_of


def show_notice(console: Console, *, is_chosen: bool) -> None:
    """Say that the faces are synthetic, where nobody can miss it, and how to get the real ones.

    Args:
        console: where to write.
        is_chosen: the config asks for them; else no file was found.
    """
    why = "data.source is synthetic" if is_chosen else "No FER2013 file was found"
    console.rule("SYNTHETIC FACES", style="bold red")
    console.print(f"{why}: these are drawn faces, not FER2013.", style="bold")
    console.print(HOW_TO_GET)
    console.rule(style="red")


def show_data(console: Console, examples: Examples) -> None:
    """Say what the data is, and list the bad rows that were left out."""
    console.print(f"data       {examples.description}")
    if examples.skipped_rows:
        console.print(f"           {len(examples.skipped_rows)} bad rows left out:", style="bold")
        for message in examples.skipped_rows:
            console.print(f"           {message}")


def show_split(
    console: Console, examples: Examples, split: Split, *, classes: int, copies: dict[str, int]
) -> None:
    """Show the rows of each part, by class, and how many of them are copies of training images.

    Args:
        console: where to write.
        examples: all of them.
        split: rows of each part.
        classes: how many the labels tell apart.
        copies: what `count_leaks` counted.
    """
    names = " ".join(f"{label:>8}" for label in names_of(classes))
    console.print(f"split          rows {names}")
    for name, rows in split.parts.items():
        counts = " ".join(f"{n:8,}" for n in class_counts(examples.labels[rows], classes=classes))
        console.print(f"  {name:<8} {len(rows):8,} {counts}")
    counted = " and ".join(f"{number:,} of {name}" for name, number in copies.items())
    console.print(f"  exact copies of training images: {counted}")


def make_bar(console: Console) -> Progress:
    """Make the live bar: what, steps, speed, time gone and left; hidden where output is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
