"""Files that operating systems and NAS make beside the user's own."""

from typing import Final

_LITTER: Final = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
        *("@eadir", "#recycle", "#snapshot", "lost+found", "__macosx", ".ds_store", ".ipynb_checkpoints"),
        *(".appledouble", ".thumbnails", ".@__thumb"),
    }
)
_LITTER_STARTS: Final = ("._", "~$", ".trash")
# Windows' mark of a download, however a copy spells the colon.
_ZONE_MARK: Final = "zone.identifier"


def is_litter(name: str) -> bool:
    """Whether a system made a file, or any folder that it is in; so is all that begins with `.` or `__`.

    >>> [is_litter(name) for name in ("__MACOSX/train/._1.png", "a/.DS_Store", "./sad/1.png", "../sad/1.png")]
    [True, True, False, False]
    >>> [is_litter(name) for name in ("0.png:Zone.Identifier", "~$faces.csv", "@eaDir/sad/1.png")]
    [True, True, True]
    """
    return is_system_file(name) or any(part.startswith((".", "__")) for part in _split(name))


def is_system_file(name: str) -> bool:
    """Whether a system is known to have made a file, or any folder that it is in.

    >>> [is_system_file(name) for name in ("__MACOSX/1.png", "a/._1.png", ".Trash-1000/1.png", "Thumbs.db")]
    [True, True, True, True]
    >>> [is_system_file(name) for name in ("__fear/1.png", ".old/1.png")]
    [False, False]
    """
    return any(
        part.startswith(_LITTER_STARTS) or part in _LITTER or _ZONE_MARK in part
        for part in map(str.lower, _split(name))
    )


def is_hidden(name: str) -> bool:
    """Whether a file, or any folder that it is in, is hidden: its name begins with a dot.

    >>> [is_hidden(name) for name in ("joy/.1.png", ".old/1.png", "./joy/1.png", "__joy/1.png")]
    [True, True, False, False]
    """
    return any(part.startswith(".") for part in _split(name))


def _split(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in (".", "..")]
