"""Build the image on a Debian base and try it, without a daemon and without a registry of images.

    make docker-test

Needs root, mmdebstrap and buildah. What is given is passed on to `buildah bud`, such as
`--volume /etc/ssl/certs:/etc/ssl/certs:ro` where the network has certificates of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
IMAGE, BASE = "localhost/fer-jax-try", "localhost/fer-jax-try-base"
PACKAGES = "python3,python3-venv,ca-certificates"
PORT = 8765
START_SECONDS = 90
USER = "1000"
DRAW = "from PIL import Image; Image.effect_noise((320, 240), 64).convert('RGB').save('/work/noise.png')"


def call(*words: str, **options: Any) -> str:
    """Run a program and return what it prints; what goes wrong is shown, and ends this one."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(
            f"{' '.join(words)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}"[-4000:]
        )
    return done.stdout.strip()


@contextlib.contextmanager
def container_of(image: str) -> Iterator[str]:
    """Make a working container of an image, and remove it in the end."""
    container = call("buildah", "from", image)
    try:
        yield container
    finally:
        call("buildah", "rm", container)


def build(options: Sequence[str]) -> None:
    """Build the base, and the image on it."""
    with tempfile.TemporaryDirectory() as folder, container_of("scratch") as container:
        tar = f"{folder}/base.tar"
        call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tar)
        call("buildah", "add", "--quiet", container, tar, "/")
        path = ":".join(f"{place}/{kind}" for place in ("/usr/local", "/usr", "") for kind in ("sbin", "bin"))
        call("buildah", "config", "--env", f"PATH={path}", container)
        call("buildah", "commit", "--quiet", container, BASE)
    call(
        *("buildah", "bud", "--network=host", "--format", "docker", "--build-arg", f"BASE={BASE}"),
        *("--tag", IMAGE, *options, str(ROOT)),
    )


class Container:
    """The image's files, read-only but for /work, as its user sees them."""

    def __init__(self, root: Path, config: dict[str, Any]) -> None:
        """Mount what `docker run --read-only --volume ...:/work` mounts."""
        self.root = root
        place = f"--chdir={config['WorkingDir']}"
        self._prefix = [
            "chroot",
            f"--userspec={USER}:{USER}",
            str(root),
            "/usr/bin/env",
            "-i",
            place,
            *config["Env"],
        ]
        call("mount", "--bind", str(root), str(root))
        call("mount", "-o", "remount,ro,bind", str(root))
        call("mount", "-t", "proc", "proc", str(root / "proc"))
        call("mount", "--rbind", "/dev", str(root / "dev"))
        self.mount_empty("work", f"mode=0755,uid={USER}")

    def mount_empty(self, name: str, options: str) -> None:
        """Mount an empty folder that can be written."""
        call("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.root / name))

    def close(self) -> None:
        """Unmount."""
        call("umount", "--recursive", "--lazy", str(self.root))

    def words(self, *words: str) -> list[str]:
        """Make the command line of a program inside."""
        return [*self._prefix, *words]

    def call(self, *words: str) -> str:
        """Run a program inside."""
        return call(*self.words(*words))


def ask(path: str, body: bytes | None = None) -> tuple[int, Any]:
    """Ask the server and return status and JSON."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", body, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def expect(what: str, found: Any, wanted: Any) -> None:
    """Say that something is as it should be, or end."""
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")
    print(f"{what}: {found}", flush=True)


def try_server(inside: Container, config: dict[str, Any], log: IO[str]) -> None:
    """Start the image's command, ask it, check its health, and stop it."""
    command = [*config["Entrypoint"], *config["Cmd"], "--port", str(PORT)]
    health = [word.replace(":8000", f":{PORT}") for word in config["Healthcheck"]["Test"][1:]]
    started = time.monotonic()
    with subprocess.Popen(inside.words(*command), stdout=log, stderr=log) as server:
        try:
            while subprocess.run(inside.words(*health), capture_output=True, check=False).returncode:
                if server.poll() is not None or time.monotonic() - started > START_SECONDS:
                    log.seek(0)
                    sys.exit(f"the server did not start:\n{log.read()}")
                time.sleep(0.5)
            print(f"serve: healthy after {time.monotonic() - started:.1f} s", flush=True)
            status, answer = ask("/v1/predict", (inside.root / "work/noise.png").read_bytes())
            expect("serve: a photo", (status, answer["width"], answer["height"]), (200, 320, 240))
            expect("serve: no photo", ask("/v1/predict", b"text")[0], 415)
            server.send_signal(signal.SIGTERM)
            expect("serve: status after SIGTERM", server.wait(20), 143)
        finally:
            server.kill()


def main(options: Sequence[str]) -> None:
    """Build, and try both commands."""
    if shutil.which("mmdebstrap") is None or shutil.which("buildah") is None or os.geteuid() != 0:
        sys.exit("this needs root, mmdebstrap and buildah: apt install mmdebstrap buildah")
    os.environ |= {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    build(options)
    print(call("buildah", "images", "--format", "{{.Name}}: {{.Size}}", IMAGE), flush=True)
    config = json.loads(call("buildah", "inspect", "--type", "image", IMAGE))["Docker"]["config"]
    expect("user", config["User"], f"{USER}:{USER}")
    with container_of(IMAGE) as container, tempfile.TemporaryFile("w+") as log, ExitStack() as stack:
        inside = Container(Path(call("buildah", "mount", container)), config)
        stack.callback(inside.close)
        expect("user inside", inside.call("id", "-u"), USER)
        written = subprocess.run(
            inside.words("touch", "/opt/new"), capture_output=True, text=True, check=False
        )
        expect("file system is read-only", "Read-only file system" in written.stderr, True)
        print(inside.call("fer-jax", "--version"), flush=True)
        inside.call("python", "-c", DRAW)
        # The server writes nothing, not even into /tmp; predict keeps compiled programs there.
        try_server(inside, config, log)
        inside.mount_empty("tmp", "mode=1777")
        print(inside.call("fer-jax", "predict", "noise.png", "--csv", "faces.csv"), flush=True)
        head = (inside.root / "work/faces.csv").read_text().partition(",")[0]
        expect("predict: the first column", head, "source")


if __name__ == "__main__":
    if os.environ.get("FER_JAX_MOUNTS") != "own":
        # In mounts of its own, so that none is left behind.
        again = ["unshare", "--mount", "--fork", sys.executable, __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(again, env=os.environ | {"FER_JAX_MOUNTS": "own"}, check=False).returncode)
    main(sys.argv[1:])
