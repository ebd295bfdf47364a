"""Files that operating systems and NAS make beside the user's own."""

from typing import Final

_LITTER: Final = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
        *("@eadir", "#recycle", "#snapshot", "lost+found"),
    }
)
# Windows' mark of a download, however a copy spells the colon.
_ZONE_MARK: Final = "zone.identifier"


def is_litter(name: str) -> bool:
    """Whether a system made a file, or any folder that it is in: .DS_Store, __MACOSX/…, Thumbs.db.

    >>> [is_litter(name) for name in ("__MACOSX/train/._1.png", "a/.DS_Store", "./sad/1.png", "../sad/1.png")]
    [True, True, False, False]
    >>> [is_litter(name) for name in ("0.png:Zone.Identifier", "~$faces.csv", "@eaDir/sad/1.png")]
    [True, True, True]
    """
    parts = [part for part in name.split("/") if part not in (".", "..")]
    return any(
        part.startswith((".", "__", "~$")) or part.lower() in _LITTER or _ZONE_MARK in part.lower()
        for part in parts
    )
