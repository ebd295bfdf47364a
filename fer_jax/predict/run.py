"""The work of `predict`: read the sources, show and write what was found."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from fer_jax.errors import DataError, RunError
from fer_jax.faces.sources import Found
from fer_jax.files import write_json, write_table, writing
from fer_jax.inference.analyzer import Analyzer, make_analyzer
from fer_jax.predict import drawn, window
from fer_jax.predict.collect import Collector
from fer_jax.predict.copies import place_copies
from fer_jax.predict.frames import Event, Frame, Opened, Problem, read_events
from fer_jax.predict.options import PredictOptions
from fer_jax.predict.rows import Faces, describe
from fer_jax.report import terminal
from fer_jax.runtime import compile_cache, cpu
from fer_jax.runtime.progress import Steps
from fer_jax.runtime.signals import watch_signals
from fer_jax.text import align, counted, join

_LISTED: Final = 5


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        status: 0; 3 if a source could not be read, 4 if an output could not be written, 130 or 143 if a
            signal came. The rows so far are written.
        notes: what was passed over, or damaged and yet used.
        problems: what could not be read or written.
    """

    status: int
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def predict(options: PredictOptions, found: Found) -> Outcome:
    """Find and classify the faces of the sources, and show and write what was found.

    Raises:
        FerJaxError: weights or the detector cannot be loaded.
        BrokenPipeError: the reader of the output is gone; the tables are written.
    """
    console = terminal.make_console()
    cpu.tune_cpu()
    uncached = compile_cache.keep_compiled_if_possible()
    with terminal.show_steps(console, "loading the networks", None):
        analyzer = load_analyzer(options)
    settings = describe(
        analyzer,
        video_views=options.video_views,
        abstain_below=options.abstain_below,
        every=options.every,
        smooth_s=options.smooth,
    )
    collector, started = Collector(settings), console.get_time()
    notes = [] if uncached is None else [uncached]
    failure: RunError | BrokenPipeError | None = None
    with watch_signals() as arrived:
        events = read_events(
            found.sources,
            analyzer,
            video_views=options.video_views,
            every=options.every,
            smooth_s=options.smooth,
            warn=notes.append,
        )
        try:
            _consume(options, found, _until(events, arrived), collector, console)
        except (RunError, BrokenPipeError) as error:
            failure = error
    faces = collector.to_faces()
    seconds = console.get_time() - started
    # Written before anything is printed: a reader of the output may be gone.
    written, lost = _write(options, faces)
    if isinstance(failure, BrokenPipeError):
        raise failure
    _report(console, faces, seconds)
    if written:
        console.print(f"written to {', '.join(written)}")
    unwritten = [*([] if failure is None else [failure]), *lost]
    problems = [*found.problems, *faces.problems, *map(str, unwritten)]
    statuses = [128 + signum for signum in arrived[:1]]
    statuses += [each.exit_code for each in unwritten]
    statuses += [DataError.exit_code] if problems else []
    return Outcome([*statuses, 0][0], (*notes, *_list_passed_over(found)), tuple(problems))


def load_analyzer(options: PredictOptions) -> Analyzer:
    """Load what the options name.

    Raises:
        FerJaxError: it cannot be loaded.
    """
    return make_analyzer(
        options.weights,
        views=options.views,
        detector=None if options.no_detector else options.detector,
        min_score=options.min_score,
        min_face_px=options.min_face,
        has_small_faces=options.small_faces,
    )


def _until(events: Iterator[Event], arrived: list[int]) -> Generator[Event]:
    """Yield events until a signal has come."""
    for event in events:
        yield event
        if arrived:
            return


def _consume(
    options: PredictOptions, found: Found, events: Generator[Event], collector: Collector, console: Console
) -> None:
    """Take all events: collect their rows, and write and show what is drawn.

    Raises:
        RunError: a drawn copy or a crop cannot be written; the rows before it are collected.
    """
    with ExitStack() as stack:
        stack.enter_context(closing(events))
        copies = crops = show = None
        if options.crops is not None:
            crops = drawn.place_by_name(place_copies(options.crops, found.sources))
        if options.out is not None:
            places = drawn.place_by_name(place_copies(options.out, found.sources))
            copies = stack.enter_context(drawn.writing_copies(places, every=options.every))
        if options.show:
            show = stack.enter_context(window.open_window("fer_jax"))
        steps = stack.enter_context(terminal.show_steps(console, "finding faces", len(found.sources)))
        note_progress = _make_progress(steps, console)
        for event in events:
            collector.add(event)
            note_progress(event)
            if isinstance(event, Opened) and copies is not None:
                copies.begin(event)
            if not isinstance(event, Frame):
                continue
            if crops is not None:
                drawn.save_crops(event, crops[event.source])
            if copies is None and show is None:
                continue
            picture = drawn.annotate(event, abstain_below=options.abstain_below)
            if copies is not None:
                copies.add(event, picture)
            if show is not None and not show(picture):
                return


def _make_progress(steps: Steps, console: Console) -> Callable[[Event], None]:
    """Make what moves the bar: by sources, and within a video by its frames."""
    started = console.get_time()
    ended = -1
    frames = faces = 0
    count: int | None = None

    def note(event: Event) -> None:
        nonlocal ended, frames, faces, count
        if isinstance(event, Opened):
            ended, count = ended + 1, event.frame_count
        elif isinstance(event, Frame):
            frames, faces = frames + 1, faces + len(event.faces)
            share = min(1.0, (event.number + 1) / count) if count else 0.0
            seconds = max(console.get_time() - started, 1e-9)
            words = (
                f"{counted(faces, 'face')}, {faces / seconds:.1f} faces/s, {frames / seconds:.1f} frames/s"
            )
            steps.move(max(ended, 0) + share, words=words)
        elif isinstance(event, Problem):
            steps.move(max(ended, 0))

    return note


def _report(console: Console, faces: Faces, seconds: float) -> None:
    """Show the first faces and a summary."""
    table = faces.to_table()
    if len(faces):
        console.print(align(table))
        rest = len(faces) - (len(table) - 1)
        if rest:
            console.print(f"... and {rest:,} more")
    frames = sum(each.frames for each in faces.sources)
    read = [each for each in faces.sources if each.frames]
    summary = f"{counted(len(faces), 'face')} in {counted(len(read), 'source')}"
    if frames != len(read):
        summary += f", {counted(frames, 'frame')}"
    speed = f"{seconds:.1f} s, {len(faces) / seconds:.1f} faces/s, {frames / seconds:.1f} frames/s"
    console.print(f"{summary}; {speed}")
    without = [each.source for each in read if not each.faces]
    if without:
        more = f" and {len(without) - _LISTED:,} more" if len(without) > _LISTED else ""
        listed = join(without[:_LISTED]) if not more else ", ".join(without[:_LISTED])
        console.print(f"no face in {listed}{more}")


def _write(options: PredictOptions, faces: Faces) -> tuple[list[str], list[RunError]]:
    """Write the tables that were asked for; one that cannot be written does not stop the others.

    Returns:
        The names of all outputs that are there, folders included, and what went wrong.
    """
    writers: dict[Path | None, Callable[[Path], None]] = {
        options.json: lambda path: write_json(path, faces.to_dict()),
        options.csv: lambda path: write_table(path, faces.to_frame(), is_parquet=False),
        options.parquet: lambda path: write_table(path, faces.to_frame(), is_parquet=True),
    }
    lost = []
    for path, write in writers.items():
        try:
            if path is not None:
                with writing(path):
                    write(path)
        except RunError as error:
            lost.append(error)
    outputs = (options.csv, options.json, options.parquet, options.out, options.crops)
    return [str(each) for each in outputs if each is not None and each.exists()], lost


def _list_passed_over(found: Found) -> list[str]:
    if not found.passed_over:
        return []
    return [f"{counted(found.passed_over, 'file')} passed over: neither pictures nor videos, by their names"]
