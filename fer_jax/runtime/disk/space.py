"""Whether there is room on the disk for what a program will write."""

import errno
from pathlib import Path

from fer_jax.errors import DiskError
from fer_jax.files import free_bytes, megabytes


def check_space(folder: Path, needed: int, *, what: str) -> None:
    """Refuse to start what would fill the disk.

    A quota is not seen, see `free_bytes`: where one is met, the write that meets it fails with a message.

    Args:
        folder: where it will be written; it need not exist yet.
        needed: bytes.
        what: what will be written, for the message.

    Raises:
        DiskError: fewer bytes are free.
    """
    try:
        free = free_bytes(folder)
    except OSError:
        return  # A disk that cannot be asked may have room.
    if free < needed:
        raise DiskError(
            f"{what} needs up to {megabytes(needed)} in {folder}, and {megabytes(free)} are free there; free "
            "some space, or write to another disk",
            errno.ENOSPC,
        )
