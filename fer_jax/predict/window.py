"""The window of `--show`: Tk, which comes with Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fer_jax.errors import ConfigError


class Show(Protocol):
    """Shows a picture uint8 [H, W, 3]; False once the user has closed the window."""

    def __call__(self, image: np.ndarray) -> bool:
        """Show it."""


@contextmanager
def open_window(title: str) -> Iterator[Show]:
    """Open a window, which is as large as the first picture or the screen; q and Escape close it.

    Raises:
        ConfigError: this Python has no Tk, or there is no display.
    """
    try:
        import tkinter

        from PIL import ImageTk

        root = tkinter.Tk()
    except Exception as error:  # tkinter.TclError, which only a Python with Tk has, or ImportError
        raise ConfigError(
            f"--show takes Tk and a display: {error}; install python3-tk, or write drawn copies with --out"
        ) from None
    root.title(title)
    label = tkinter.Label(root, background="black")
    label.pack()
    is_open = [True]

    def close(event: Any = None) -> None:
        is_open[0] = False

    root.protocol("WM_DELETE_WINDOW", close)
    for key in ("<Escape>", "q"):
        root.bind(key, close)

    def show(image: np.ndarray) -> bool:
        picture = Image.fromarray(image)
        picture.thumbnail((root.winfo_screenwidth() * 9 // 10, root.winfo_screenheight() * 8 // 10))
        photo = ImageTk.PhotoImage(picture)
        label.configure(image=photo)
        label.image = photo  # type: ignore[attr-defined] # Tk keeps no reference of its own.
        root.update()
        return is_open[0]

    try:
        yield show
    finally:
        root.destroy()
