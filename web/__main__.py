"""Build the browser demo into a folder, and serve it on this machine.

python -m web
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_jax import cli
from fer_jax.errors import ConfigError
from fer_jax.runs.sources import WEIGHTS, list_names

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Build the browser demo, a static page, and serve it on 127.0.0.1 until Ctrl-C."""

    out: Path = Path("dist/demo")
    """Folder to build into; an earlier demo there is replaced."""
    networks: tuple[str, ...] = ("tiny", "mid")
    """Released networks to choose from; the page starts with the first."""
    serve: bool = True
    """Serve the page after building it."""
    port: int = 8017
    """Port to serve on; 0 for any that is free."""


def main(argv: list[str] | None = None) -> int:
    """Parse, build, serve, and return the exit status."""
    return cli.run(lambda: _run(cli.parse(DemoCommand, argv, prog="python -m web")))


def _run(command: DemoCommand) -> int:
    if not command.networks:
        raise ConfigError("--networks is empty; wanted at least one released network, such as tiny")
    known = list_names(WEIGHTS)
    unknown = [name for name in command.networks if name not in known]
    if unknown:
        raise ConfigError(f"--networks has {unknown[0]}; wanted names of {', '.join(known)}")
    if not 0 <= command.port <= 65535:
        raise ConfigError(f"--port is {command.port}; wanted 0 to 65535")
    if not command.serve:
        _build(command)
        return 0
    from web.server import HOST, make_server

    # First of all, so that a port that is taken is told before anything is built.
    with make_server(command.out, command.port) as server:
        console = _build(command)
        console.print(f"the demo is at http://{HOST}:{server.server_port}/ until Ctrl-C")
        server.serve_forever()
    return 0


def _build(command: DemoCommand) -> "Console":
    from fer_jax.report.terminal import make_console, show_steps
    from web.build import build, export_network, measure

    console = make_console()
    with show_steps(console, "building the demo", None):
        build(command.out, command.networks, export_network)
    files, size = measure(command.out)
    console.print(f"wrote {command.out}: {files} files, {size / 1e6:.1f} MB")
    return console


if __name__ == "__main__":
    sys.exit(main())
