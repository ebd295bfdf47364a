"""A PostgreSQL server of its own, in a folder, on a free port of this machine; from Debian's package, or any.

PostgreSQL refuses to run as root, so as root the server runs as the user `nobody`. It waits for no disk: here
processes die, and what they have written the system keeps.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

HOW_TO_INSTALL: Final = "apt install postgresql"
USER: Final = "team"
DATABASE: Final = "sweeps"

_DEBIAN: Final = Path("/usr/lib/postgresql")
_OWNER: Final = "nobody"
_SECONDS: Final = 60


def find_binaries() -> Path | None:
    """Return the folder of `initdb`: Debian's newest, or that in PATH; None where there is none."""
    debian = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


@dataclass(frozen=True)
class Server:
    """A server that runs, with a role `team` that owns the database `sweeps`.

    Attributes:
        binaries: folder of its programs.
        folder: of its data and its log.
        port: on 127.0.0.1.
        password: of the role.
    """

    binaries: Path
    folder: Path
    port: int
    password: str

    @property
    def address(self) -> str:
        """The URL of the database, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def address_with_password(self) -> str:
        """The URL of the database."""
        return self.address.replace("@", f":{self.password}@", 1)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} "
            "-c max_connections=40 -c fsync=off -c full_page_writes=off"
        )
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-t", str(_SECONDS), "-o", options)

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """Stop it; immediate: as a crash does, without a last checkpoint."""
        self._run("pg_ctl", "stop", "-w", "-D", "data", "-m", mode, "-t", str(_SECONDS))

    def connect(self, database: str = DATABASE, user: str = USER) -> Any:
        """Return a connection of psycopg that commits by itself."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=self.password,
            autocommit=True,
            connect_timeout=5,
        )

    def make_database(self, name: str) -> None:
        """Make a database that the role owns."""
        with contextlib.closing(self.connect("postgres", "postgres")) as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER}")

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [self.binaries / program, *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # The server keeps it open.
            stderr=subprocess.DEVNULL,
            check=True,
            **_as_owner(),
        )


@contextmanager
def running_server(binaries: Path, password: str) -> Iterator[Server]:
    """Make a server, start it, and delete it at the end.

    Args:
        binaries: from `find_binaries`.
        password: of the role `team` and of the superuser `postgres`.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Server(binaries, folder, _find_port(), password)
    try:
        secret = folder / "password"
        secret.write_text(password)
        if owner := _as_owner():
            for path in (folder, secret):
                shutil.chown(path, owner["user"], owner["group"])
        server._run(
            *("initdb", "-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", "password"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        )
        server.start()
        with contextlib.closing(server.connect("postgres", "postgres")) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{password}'")
        server.make_database(DATABASE)
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner() -> dict[str, Any]:
    """Return what `subprocess` needs so that a program does not run as root."""
    if os.geteuid() != 0:
        return {}
    import grp
    import pwd

    owner = pwd.getpwnam(_OWNER)
    return {"user": owner.pw_uid, "group": grp.getgrgid(owner.pw_gid).gr_gid, "extra_groups": []}


def _find_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
