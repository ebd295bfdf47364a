import contextlib
import io
import itertools
import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from fer_jax.report import terminal
from fer_jax.runtime.progress import Meter, bar_line
from fer_jax.runtime.verbosity import Verbosity, set_verbosity


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_console(clock: Callable[[], float], *, is_terminal: bool, **more: int | bool | str) -> Console:
    return Console(
        file=io.StringIO(),
        get_time=clock,
        force_terminal=is_terminal,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
        **more,  # type: ignore[arg-type]
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def meter() -> Meter:
    """Make a training of 12,400 steps: 10 s for the compile, then 100 steps a second."""
    meter = Meter(words="epoch 12/100, objective 1.234", total=12_400, started=0.0, images_per_step=128)
    meter.move(10.0, 1)
    meter.move(22.0, 1201)
    return meter


def test_the_line_keeps_the_times_and_drops_the_rest_as_the_terminal_gets_narrow(meter: Meter) -> None:
    lines = {width: bar_line(meter, 22.0, width=width) for width in (30, 50, 60, 80, 120)}
    times = "elapsed 0:00:22  ETA 0:01:52"
    assert lines[120] == (
        f"epoch 12/100, objective 1.234  {'━' * 3}{'─' * 28}  1,201/12,400  12,800 img/s  {times}"
    )
    assert lines[80] == f"epoch 12/100, objective 1.234  {'━'}{'─' * 18}  {times}"
    assert lines[60] == f"epoch 12/100, objective 1.234  {times}"
    assert lines[50] == f"epoch 12/100, objec…  {times}"
    assert lines[30] == times
    assert all(len(line) <= width for width, line in lines.items())


def test_the_first_step_holds_a_compile_and_the_eta_counts_down(meter: Meter) -> None:
    assert meter.rate == 100
    assert meter.eta(22.0) == pytest.approx(111.99)
    assert meter.eta(32.0) == pytest.approx(101.99)
    resumed = Meter(words="training", total=100, started=0.0, done=50)
    assert resumed.eta(1.0) is None
    resumed.move(5.0, 60)
    assert resumed.eta(5.0) == 20


def test_a_log_gets_a_line_after_five_seconds_and_then_every_half_minute() -> None:
    clock = Clock()
    console = make_console(clock, is_terminal=False, width=200)
    with terminal.show_steps(console, "views", 100) as steps:
        for second in range(1, 71):
            clock.now = float(second)
            steps()
    assert written(console).splitlines() == [
        "views: 5 of 100, elapsed 0:00:05, ETA 0:01:35",
        "views: 35 of 100, elapsed 0:00:35, ETA 0:01:05",
        "views: 65 of 100, elapsed 0:01:05, ETA 0:00:35",
    ]


def test_a_log_gets_lines_while_a_single_unit_of_work_takes_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(0, 1000, 6))
    console = make_console(lambda: float(next(ticks)), is_terminal=False, width=200)
    said: list[str] = []
    monkeypatch.setattr(console, "print", said.append)
    with terminal.show_steps(console, "compiling", None):
        for _ in range(500):
            if said:
                break
            threading.Event().wait(0.01)
    assert said[0].startswith("compiling, elapsed 0:00:")


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(no_color: bool) -> None:
    clock = Clock()
    console = make_console(clock, is_terminal=True, width=80, no_color=no_color, color_system="standard")
    with terminal.show_steps(console, "views", 4) as steps:
        clock.now = 14.0
        steps()
        console.print("a line of its own")
    text = written(console)
    assert "a line of its own\n" in text
    assert "elapsed 0:00:14  ETA 0:00:42" in text
    assert ("\x1b[91m━" in text) is not no_color
    assert text.endswith("\x1b[1A\x1b[2K")  # The last line is erased.


def test_a_notebook_gets_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            shown.append(content["text/plain"])

    def show(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        shown.append(content["text/plain"])
        return Handle()

    monkeypatch.setattr(display, "display", show)
    clock = Clock()
    console = make_console(clock, is_terminal=False, force_jupyter=True, width=80)
    with terminal.show_steps(console, "views", 4) as steps:
        for clock.now in (0.5, 1.0, 2.0, 2.5):
            steps()
    assert [line.lstrip("views ━─") for line in shown] == [
        "2/4  elapsed 0:00:01  ETA 0:00:01",
        "3/4  elapsed 0:00:02  ETA 0:00:01",
        "4/4  elapsed 0:00:02  ETA 0:00:00",
    ]


class Pipe(io.StringIO):
    """An output whose reader may go away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed_by_reader, self.refused = False, threading.Event()

    def write(self, text: str) -> int:
        if self.is_closed_by_reader:
            self.refused.set()
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [False, True], ids=["log", "bar"])
def test_a_closed_output_is_found_out_by_the_command_and_not_by_the_thread(is_terminal: bool) -> None:
    """What a thread raises is a warning of pytest, and warnings are errors here."""
    pipe, ticks = Pipe(), itertools.count(step=6)
    console = terminal.CommandConsole(
        file=pipe,
        get_time=lambda: float(next(ticks)),
        force_terminal=is_terminal,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
    )
    # The end of a bar is written, too.
    with contextlib.suppress(BrokenPipeError), terminal.show_steps(console, "views", None):
        pipe.is_closed_by_reader = True
        assert pipe.refused.wait(10)
        with pytest.raises(BrokenPipeError):
            console.print("the next line")


def test_a_quiet_console_says_nothing() -> None:
    set_verbosity(Verbosity.QUIET)
    try:
        assert terminal.make_console().quiet
    finally:
        set_verbosity(Verbosity.NORMAL)
    assert not terminal.make_console().quiet
