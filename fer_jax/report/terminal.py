"""What commands show on the terminal: the data, the split, and a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fer_jax.config.data import DataConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import HOW_TO_GET, load_examples
from fer_jax.data.split import Split
from fer_jax.fer2013 import names_of
from fer_jax.runtime import compile_cache, cpu, machine


def begin(title: str, config: Config) -> Console:
    """Tune the process before anything is computed, and print what runs, where and with which settings."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    settings = [*cpu.tune_cpu(), *([compile_cache.keep_compiled()] if config.device.compile_cache else [])]
    console.print(title, style="bold")
    console.print("; ".join([f"runs on    {machine.describe_device()}", machine.describe_cpu(), *settings]))
    return console


def load_data(console: Console, config: DataConfig) -> Examples:
    """Load the images that a config asks for, and show what they are.

    Raises:
        DataError: the file is missing, malformed or refused.
    """
    examples = load_examples(config)
    if examples.is_synthetic:
        show_notice(console, is_chosen=config.source == "synthetic")
    show_data(console, examples)
    return examples


def show_notice(console: Console, *, is_chosen: bool) -> None:
    """Warn prominently that the faces are synthetic, and tell how to get the real ones.

    Args:
        console: where to write.
        is_chosen: whether the config asks for them; otherwise no file was found.
    """
    why = "data.source is synthetic" if is_chosen else "No FER2013 file was found"
    console.rule("SYNTHETIC FACES", style="bold red")
    console.print(f"{why}: these faces are drawn by a program, they are not FER2013.", style="bold")
    console.print(HOW_TO_GET)
    console.rule(style="red")


def show_data(console: Console, examples: Examples) -> None:
    """Show what the data is, and list the bad rows that were skipped."""
    console.print(f"data       {examples.description}")
    if examples.skipped_rows:
        console.print(f"           {len(examples.skipped_rows)} bad rows skipped:", style="bold")
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
        classes: number of classes of the labels.
        copies: what `count_leaks` returns.
    """
    names = " ".join(f"{label:>8}" for label in names_of(classes))
    console.print(f"split          rows {names}")
    for name, rows in split.parts.items():
        counts = " ".join(f"{n:8,}" for n in class_counts(examples.labels[rows], classes=classes))
        console.print(f"  {name:<8} {len(rows):8,} {counts}")
    counted = " and ".join(f"{number:,} of {name}" for name, number in copies.items())
    console.print(f"  exact copies of training images: {counted}")


def make_bar(console: Console) -> Progress:
    """Make the progress bar, with speed and times; it is hidden if the output is not a terminal."""
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


@contextmanager
def show_steps(console: Console, words: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a progress bar; yield the function that advances it, by one step or the given number."""
    with make_bar(console) as bar:
        task = bar.add_task(words, total=total, speed="")
        yield lambda steps=1: bar.advance(task, steps)


@contextmanager
def show_progress(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar of unknown length; yield the function that sets how much is done, of how much."""
    with make_bar(console) as bar:
        task = bar.add_task(description, total=None, speed="")

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield move
