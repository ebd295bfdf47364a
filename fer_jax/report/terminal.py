"""What commands show on the terminal: the data, the split, and a progress bar."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console

from fer_jax.config.data import DataConfig
from fer_jax.config.run import Config
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import complete, load_examples
from fer_jax.data.location import HOW_TO_GET
from fer_jax.data.split import Split, describe_missing
from fer_jax.files import Json
from fer_jax.runtime import compile_cache, cpu, environment, machine, progress
from fer_jax.runtime.progress import Meter, Steps
from fer_jax.runtime.verbosity import Verbosity, get_verbosity
from fer_jax.text import align, counted, thousands

READING: Final = "reading the data"
COMPILING: Final = "compiling; the first step takes longer than the others"


class CommandConsole(Console):
    """rich's console, but a closed output is the command's to report: rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Let the error pass, which rich has just caught: `cli.run` turns it into an exit status."""
        raise


def make_console() -> Console:
    """Make the console of a command, which says as much as `runtime.verbosity` has it say.

    In a notebook its lines are plain text, and stay together; rich would make each a block of its own.
    """
    is_quiet = get_verbosity() == Verbosity.QUIET
    # A kernel says that its output is a terminal.
    is_terminal = False if progress.is_notebook() else None
    return CommandConsole(
        markup=False,
        highlight=False,
        soft_wrap=True,
        quiet=is_quiet,
        force_terminal=is_terminal,
        force_jupyter=False,
    )


def begin(title: str, config: Config) -> Console:
    """Tune the process before anything is computed, and print what runs and on which device.

    The settings and versions, which `run.json` records, are printed where the command is verbose.
    """
    environment.check_xla_flags()
    console = make_console()
    settings = [*cpu.tune_cpu(), *([compile_cache.keep_compiled()] if config.device.compile_cache else [])]
    console.print(title, style="bold")
    show_notes(console, [line for line in settings if line.startswith(compile_cache.NOT_KEPT)])
    console.print(f"runs on    {machine.describe_device()}; {machine.describe_cpu()}")
    if get_verbosity() == Verbosity.VERBOSE:
        versions = ", ".join(f"{name} {version}" for name, version in machine.list_versions().items())
        for name, lines in {"settings": settings, "versions": [versions]}.items():
            for number, line in enumerate(lines):
                console.print(f"{'' if number else name:<10} {line}")
    return console


def keep_compiled(console: Console) -> None:
    """Let JAX keep compiled programs, or say why it cannot."""
    words = compile_cache.keep_compiled_if_possible()
    show_notes(console, [] if words is None else [words])


def load_data(console: Console, config: DataConfig) -> Examples:
    """Load the images that a config asks for, and show what they are.

    Raises:
        DataError: the file is missing, malformed or refused.
    """
    with show_steps(console, READING, None) as steps:
        examples = load_examples(config, listener=steps)
    if examples.is_synthetic:
        show_notice(console, is_chosen=config.source == "synthetic")
    show_data(console, examples)
    return examples


def load_training_data(console: Console, config: Config) -> tuple[Config, Examples]:
    """Load the images to train on, complete the config by their classes, and show what they are.

    Returns:
        See `data.load.complete`.

    Raises:
        DataError: the file is missing, malformed or refused, or a class has no picture.
        ConfigError: the config names other classes.
    """
    config, examples = complete(config, load_data(console, config.data))
    if examples.is_own:
        show_classes(console, examples)
    return config, examples


def show_classes(console: Console, examples: Examples) -> None:
    """Show the classes of pictures of one's own, in the order of the network's outputs."""
    names = examples.names
    counts = class_counts(examples.labels, classes=len(names))
    rows = [[name, str(output), thousands(counts[output])] for output, name in enumerate(names)]
    for line in align([["class", "output", "pictures"], *rows]).splitlines():
        console.print(f"           {line}")


def show_notice(console: Console, *, is_chosen: bool) -> None:
    """Warn prominently that the faces are synthetic; where nobody asked for them, tell how to get real ones.

    Args:
        console: where to write.
        is_chosen: whether the config asks for them; otherwise no file was found.
    """
    why = "data.source is synthetic" if is_chosen else "No FER2013 file was found"
    console.rule("SYNTHETIC FACES", style="bold red")
    console.print(f"{why}: these faces are drawn by a program, they are not FER2013.", style="bold")
    if not is_chosen:
        console.print(HOW_TO_GET)
    console.rule(style="red")


def show_data(console: Console, examples: Examples) -> None:
    """Show what the data is, prominently if there are cautions, and list the bad rows that were skipped."""
    console.print(f"data       {examples.description}", style="bold" if examples.cautions else None)
    if examples.skipped_rows:
        console.print(f"           {counted(len(examples.skipped_rows), 'bad row')} skipped:", style="bold")
        for message in examples.skipped_rows:
            console.print(f"           {message}")


def show_split(
    console: Console, examples: Examples, split: Split, *, names: Sequence[str], facts: Json
) -> None:
    """Show the rows of each part, by class, what is missing, and how many rows are copies of training images.

    Args:
        console: where to write.
        examples: all of them.
        split: rows of each part.
        names: of the classes.
        facts: what `record.describe_run` says of the split.
    """
    widths = [max(8, len(name)) for name in names]
    shown = " ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    console.print(f"split          rows {shown}")
    for name, rows in split.parts.items():
        counts = class_counts(examples.labels[rows], classes=len(names))
        shown = " ".join(f"{n:{width},}" for n, width in zip(counts, widths, strict=True))
        console.print(f"  {name:<8} {len(rows):8,} {shown}")
    for line in describe_missing(examples, split, names):
        console.print(f"  {line}", style="bold")
    copies = {kind: facts[f"{kind}_of_training_images"] for kind in ("copies", "near_copies")}
    for kind, found in copies.items():
        if found is not None:
            words = "exact copies" if kind == "copies" else "near copies"
            in_parts = " and ".join(f"{number:,} of {name}" for name, number in found.items())
            console.print(f"  {words} of training images: {in_parts}")


def show_notes(console: Console, notes: Sequence[str]) -> None:
    """Show lines about what was just shown, indented."""
    for note in notes:
        console.print(f"           {note}")


@contextmanager
def show_steps(
    console: Console, words: str, total: float | None, *, done: float = 0.0, images_per_step: int = 0
) -> Iterator[Steps]:
    """Show how far a long step is, with the elapsed and the remaining time, until the block ends.

    On a terminal it is a bar, in a notebook a line that changes; a log gets a line after five seconds and
    then every half minute, even if nothing is done in between.

    Args:
        console: where to show it.
        words: what is done; `Steps.move` may change them.
        total: how much there is to do; None: not known yet.
        done: how much of it was done before, by a run that is resumed.
        images_per_step: of a training step, to show the speed; 0: no speed.

    Yields:
        What to call after each unit of work, or with how many are done: `steps()`, `steps(3)`,
        `steps.move(done, total)`.
    """
    started = console.get_time()
    meter = Meter(words=words, total=total, started=started, done=done, images_per_step=images_per_step)
    with progress.show(console, meter) as steps:
        yield steps
