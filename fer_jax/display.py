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

from fer_jax import fer2013
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import HOW_TO_GET
from fer_jax.data.split import Split


def show_notice(console: Console) -> None:
    """Say that no FER2013 file was found, where nobody can miss it, and how to get one."""
    console.rule("[bold red]SYNTHETIC FACES[/]", style="red")
    console.print("[bold]No FER2013 file was found: this run trains on drawn faces, not on FER2013.[/]")
    console.print(HOW_TO_GET, markup=False)
    console.rule(style="red")


def show_data(console: Console, examples: Examples) -> None:
    """Say what the data is, and list the bad rows that were left out."""
    console.print(f"data       {examples.description}", markup=False)
    if examples.skipped_rows:
        console.print(f"           [bold]{len(examples.skipped_rows)} bad rows left out:[/]")
        for message in examples.skipped_rows:
            console.print(f"           {message}", markup=False)


def show_split(console: Console, examples: Examples, split: Split) -> None:
    """Show the rows of each part, by class."""
    names = " ".join(f"{label:>8}" for label in fer2013.LABELS)
    console.print(f"split          rows {names}")
    for name, rows in split.parts.items():
        counts = " ".join(f"{n:8,}" for n in class_counts(examples.labels[rows]))
        console.print(f"  {name:<8} {len(rows):8,} {counts}")


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
