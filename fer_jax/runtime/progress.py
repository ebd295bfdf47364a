"""How far a long step is: a bar on a terminal, one changing line in a notebook, now and then a line in a log.

The console's clock (`rich.console.Console.get_time`) is the only one, so that a test can turn it.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

FIRST_LOG_LINE_S: Final = 5.0
"""A step that takes longer says so in a log."""
LOG_LINE_S: Final = 30.0
"""The longest silence of a step in a log."""
NOTEBOOK_S: Final = 1.0
"""How often a notebook's line changes."""
_BAR_WIDTHS: Final = (10, 40)
_GAP: Final = "  "

OnStep = Callable[[int, int], None]
"""Called with how much is done, and the total."""


def ignore_step(done: int, total: int) -> None:
    """Show nobody how much is done."""


class Listener(Protocol):
    """Is told how far a long step is, and what else there is to say; `Steps` is one."""

    def move(self, done: int, total: int) -> None:
        """Take how much is done, and the total."""

    def tell(self, line: str) -> None:
        """Take a line for people."""


class _Nobody:
    """Listens to nothing."""

    def move(self, done: int, total: int) -> None:
        """Ignore it."""

    def tell(self, line: str) -> None:
        """Ignore it."""


NOBODY: Final[Listener] = _Nobody()
"""The listener of work that nobody watches."""


@dataclass(kw_only=True)
class Meter:
    """How far a step is, and since when. Times are seconds of one clock.

    Attributes:
        words: what is done.
        total: how much there is to do; None: not known yet.
        started: when the step began.
        done: how much is done.
        images_per_step: of a step of training, for the speed; 0: no speed is shown.
    """

    words: str
    total: float | None
    started: float
    done: float = 0.0
    images_per_step: int = 0

    def __post_init__(self) -> None:
        self._begin = (self.started, self.done)
        self._moves = 0
        self._latest = self.started

    def move(self, now: float, done: float) -> None:
        """Set how much is done. The first move starts the measurement of the speed: it may hold a compile."""
        if done == self.done:
            return
        self.done, self._latest, self._moves = done, now, self._moves + 1
        if self._moves == 1:
            self._first = (now, done)

    @property
    def rate(self) -> float | None:
        """How much is done a second, without the first move where there are others; None: not known yet."""
        if not self._moves:
            return None
        since, done = self._begin if self._moves == 1 else self._first
        return (self.done - done) / (self._latest - since) if self._latest > since else None

    def eta(self, now: float) -> float | None:
        """Estimate the seconds that are left; None: not known yet."""
        if self.total is None or not self.rate:
            return None
        return max(0.0, (self.total - self.done) / self.rate - (now - self._latest))


def clock(seconds: float | None) -> str:
    """Write a time as h:mm:ss.

    >>> clock(14.4), clock(3725), clock(None)
    ('0:00:14', '1:02:05', '-:--:--')
    """
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def log_line(meter: Meter, now: float) -> str:
    """Say in a sentence how far a step is.

    >>> log_line(Meter(words="views", total=20, started=0.0, done=3), 14.0)
    'views: 3 of 20, elapsed 0:00:14, ETA -:--:--'
    """
    amount = "" if meter.total is None else f": {_whole(meter.done)} of {_whole(meter.total)}"
    eta = "" if meter.total is None else f", ETA {clock(meter.eta(now))}"
    return f"{meter.words}{amount}, elapsed {clock(now - meter.started)}{eta}"


def bar_line(meter: Meter, now: float, *, width: int, marks: str = "━─") -> str:
    """Lay out words, bar, amount, speed, elapsed time and ETA in one line of at most `width` characters.

    What does not fit is left out: the speed first, then the amount, then the bar; at last the words are cut.
    `marks` are the bar's characters, for what is done and for the rest.
    """
    times = f"elapsed {clock(now - meter.started)}"
    if meter.total is None:
        return _fit(meter.words, times, width)
    times += f"{_GAP}ETA {clock(meter.eta(now))}"
    amount = f"{_whole(meter.done)}/{_whole(meter.total)}"
    rate = meter.rate if meter.images_per_step else None
    speed = "" if rate is None else f"{rate * meter.images_per_step:,.0f} img/s"
    least, most = _BAR_WIDTHS
    for pieces in ([amount, speed, times], [amount, times], [times]):
        tail = _GAP.join(filter(None, pieces))
        room = width - len(meter.words) - len(tail) - 2 * len(_GAP)
        if room >= least:
            share = min(1.0, meter.done / meter.total) if meter.total else 0.0
            done = int(share * min(room, most))
            bar = marks[0] * done + marks[1] * (min(room, most) - done)
            return _GAP.join([meter.words, bar, tail])
    return _fit(meter.words, times, width)


def _fit(words: str, times: str, width: int) -> str:
    """Put words and times in one line; the words are cut where they do not fit."""
    room = width - len(times) - len(_GAP)
    if room < 2:
        return times[:width]
    return f"{words if len(words) <= room else f'{words[: room - 1]}…'}{_GAP}{times}"


def _whole(amount: float) -> str:
    """Write how many units are complete; ten tenths may add up to a little less than one."""
    return f"{int(amount + 1e-6):,}"


class Steps:
    """A step that is shown: call it after each unit of work, or `move` it to how much is done."""

    def __init__(self, meter: Meter, console: Console, show: Callable[[], None]) -> None:
        """Show a meter with `show`, by the console's clock."""
        self.meter, self._console, self._show = meter, console, show

    def __call__(self, steps: float = 1) -> None:
        """Advance by one unit, or by so many."""
        self.move(self.meter.done + steps)

    def move(self, done: float, total: float | None = None, *, words: str | None = None) -> None:
        """Set how much is done; of how much, and in other words, where they are given."""
        self.meter.move(self._console.get_time(), done)
        self.meter.total = self.meter.total if total is None else total
        self.meter.words = self.meter.words if words is None else words
        self._show()

    def tell(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self._console.print(line)


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    return Console().is_jupyter


@contextmanager
def show(console: Console, meter: Meter) -> Iterator[Steps]:
    """Show a meter in the way that suits the console, until the block ends."""
    if console.quiet:
        yield Steps(meter, console, lambda: None)
    elif console.is_terminal and not console.is_dumb_terminal:
        with _Bar(
            console=console, get_renderable=lambda: _render(console, meter), transient=True, auto_refresh=True
        ):
            yield Steps(meter, console, lambda: None)
    elif console.is_jupyter or is_notebook():  # There the console of a command is a plain one.
        line = _NotebookLine(console, meter)
        with _paced(console, meter, line.show, first_s=NOTEBOOK_S, every_s=NOTEBOOK_S) as steps:
            yield steps
        line.end()
    else:

        def print_line(now: float) -> None:
            console.print(log_line(meter, now))

        with _paced(console, meter, print_line, first_s=FIRST_LOG_LINE_S, every_s=LOG_LINE_S) as steps:
            yield steps


class _Bar(Live):
    """A bar whose thread is quiet where the output is closed; the command's own next line will find out."""

    def refresh(self) -> None:
        """Draw the bar again."""
        with contextlib.suppress(BrokenPipeError):
            super().refresh()


def _render(console: Console, meter: Meter) -> Text:
    marks = "#." if console.options.ascii_only else "━─"
    line = bar_line(meter, console.get_time(), width=console.width, marks=marks)
    text = Text(line, no_wrap=True, overflow="crop")
    text.highlight_regex(f"{marks[0]}+", "bar.complete")
    return text


class _NotebookLine:
    """One line of a notebook's output, which is replaced."""

    def __init__(self, console: Console, meter: Meter) -> None:
        self._console, self._meter, self._handle = console, meter, None

    def show(self, now: float) -> None:
        from IPython.display import display

        content = {"text/plain": bar_line(self._meter, now, width=self._console.width)}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self) -> None:
        """Leave the line as it is at the end, if there is one."""
        if self._handle is not None:
            self.show(self._console.get_time())


@contextmanager
def _paced(
    console: Console, meter: Meter, show: Callable[[float], None], *, first_s: float, every_s: float
) -> Iterator[Steps]:
    """Show a meter after `first_s` of a step and then every `every_s`; `show` is given the time.

    A thread does so too: work that never returns is seen all the same.
    """
    due, lock, ended = meter.started + first_s, threading.Lock(), threading.Event()

    def show_if_due() -> None:
        nonlocal due
        with lock:
            now = console.get_time()
            if now >= due:
                due = now + every_s
                show(now)

    def repeat() -> None:
        # Whatever reads the output may have closed it; the command's own next line will find out.
        with contextlib.suppress(OSError, ValueError):
            while not ended.wait(max(0.1, due - console.get_time())):
                show_if_due()

    thread = threading.Thread(target=repeat, daemon=True, name="progress")
    thread.start()
    try:
        yield Steps(meter, console, show_if_due)
    finally:
        ended.set()
        thread.join()
