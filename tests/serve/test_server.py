"""The server on a real socket: slow, endless and many clients, and its end."""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs fer-jax[server]")
pytest.importorskip("uvicorn", reason="needs fer-jax[server]")

from starlette.applications import Starlette

from fer_jax.errors import ConfigError
from fer_jax.serve import server

Build = Callable[..., Starlette]
Encode = Callable[..., bytes]
Connect = Callable[[], http.client.HTTPConnection]
Serving = Callable[[Starlette], contextlib.AbstractContextManager[Connect]]

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"


def post(connect: Connect, body: bytes) -> tuple[int, str | None]:
    """Post a body and return the status and `Retry-After`."""
    with contextlib.closing(connect()) as connection:
        connection.request("POST", "/v1/predict", body)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Retry-After")


def talk(connect: Connect, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send parts as they are, and read until the server closes the connection."""
    with contextlib.closing(connect()) as connection:
        connection.connect()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                connection.sock.sendall(part)
                time.sleep(pause_s)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.sock.recv(65536):
                received += part
        return received


def test_of_a_hundred_at_once_some_are_answered_and_the_others_told_to_wait(
    build: Build, encode: Encode, serving: Serving
) -> None:
    inside: list[int] = []
    is_refused = threading.Event()

    def analyze(image: np.ndarray) -> list[None]:
        inside.append(1)
        is_refused.wait(5)  # However slow the machine: the places are taken until somebody finds none.
        time.sleep(0.01)
        most.append(len(inside))
        inside.pop()
        return []

    def ask(number: int) -> tuple[int, str | None]:
        answer = post(connect, body)
        if answer[0] == 503:
            is_refused.set()
        return answer

    most: list[int] = []
    body = encode("JPEG")
    with serving(build(analyze, places=4)) as connect, ThreadPoolExecutor(100) as pool:
        answers = Counter(pool.map(ask, range(100)))
        assert set(answers) == {(200, None), (503, "1")}
        assert max(most) == 1
        assert post(connect, body) == (200, None)


def test_a_slow_body_gets_408_and_frees_its_place(build: Build, encode: Encode, serving: Serving) -> None:
    with serving(build(places=1, upload_seconds=0.3)) as connect:
        start = time.monotonic()
        said = talk(
            connect, HEAD + b"Content-Length: 1000\r\nConnection: close\r\n\r\n", b"\xff\xd8", pause_s=0.1
        )
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'{"error":"the photo did not arrive within 0.3 s' in said
        assert time.monotonic() - start < 3
        assert post(connect, encode("JPEG")) == (200, None)


def test_a_slow_head_is_cut_off(build: Build, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with serving(build()) as connect:
        assert talk(connect, b"GET /health HTTP/1.1\r\n", *[b"X"] * 8, pause_s=0.1) == b""
        # After an answer, too; and a request that is whole in time is answered.
        said = talk(connect, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", *[b"G"] * 8, pause_s=0.1)
        assert said.count(b"HTTP/1.1 200") == 1


def test_an_endless_body_is_refused_and_then_cut_off(
    build: Build, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    with serving(build()) as connect:
        said = talk(connect, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 40, pause_s=0.03)
    assert said.startswith(b"HTTP/1.1 413 ")


def test_too_long_a_body_is_refused_by_its_head(build: Build, serving: Serving) -> None:
    with serving(build()) as connect:
        lines = b"Content-Length: 200001\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        assert talk(connect, HEAD + lines).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 TLS\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"X: " + b"x" * 100_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n",
    ],
)
def test_what_is_not_http_gets_400(
    build: Build, serving: Serving, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with serving(build()) as connect:
        assert talk(connect, sent).startswith(b"HTTP/1.1 400 ")
    assert not [record for record in caplog.records if record.exc_info]


def test_who_hangs_up_is_not_worked_for(build: Build, encode: Encode, serving: Serving) -> None:
    begun, may_end, count = threading.Event(), threading.Event(), Counter[str]()

    def analyze(image: np.ndarray) -> list[None]:
        count["analysed"] += 1
        begun.set()
        may_end.wait(5)
        return []

    body = encode("JPEG")
    with serving(build(analyze)) as connect, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, connect, body)
        begun.wait(5)
        with contextlib.closing(connect()) as connection:
            connection.request("POST", "/v1/predict", body)
            time.sleep(0.2)
        time.sleep(0.2)
        may_end.set()
        assert first.result() == (200, None)
        assert post(connect, body) == (200, None)
    assert count["analysed"] == 2


def test_what_has_no_answer_when_the_server_ends_gets_503(
    build: Build,
    encode: Encode,
    serving: Serving,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(server, "DRAIN_SECONDS", 0.2)
    begun, may_end = threading.Event(), threading.Event()

    def analyze(image: np.ndarray) -> list[None]:
        begun.set()
        may_end.wait(5)
        return []

    body = encode("JPEG")
    whole = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with ThreadPoolExecutor(3) as pool:
        with serving(build(analyze)) as connect:
            asked = [pool.submit(talk, connect, whole)]
            assert begun.wait(5)
            # One that waits in the line, and one whose photo does not come.
            asked += [pool.submit(talk, connect, sent) for sent in (whole, whole[:-9])]
            time.sleep(0.2)
        for each in asked:
            head, _, said = each.result().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ") and b"content-type: application/json" in head
            assert said.startswith(b'{"error":"the server stopped before')
        may_end.set()
    assert not [record for record in caplog.records if record.exc_info]


PROCESS = """
import sys
from fer_jax import cli
from fer_jax.serve import server
from fer_jax.serve.answers import Model
from fer_jax.serve.app import make_app
from fer_jax.serve.photos import Limits

written = []
def watch(event, details):
    if event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+"):
        written.append(details[0])
sys.addaudithook(watch)

def analyze(image):
    print("begun", flush=True)
    sys.stdin.readline()  # Until the test lets it end.
    return []

def program():
    model = Model(("happy",), ({"name": "mine", "sha256": ""},), {}, 1, analyze)
    limits = Limits(bytes=10**6, pixels=10**6, places=4, upload_seconds=5.0)
    with server.listen("127.0.0.1", 0) as listening:
        print(listening.getsockname()[1], flush=True)
        return server.run_server(make_app(model, limits, hosts=(), demo=None), listening)

status = cli.run(program)
print("written", written)
sys.exit(status)
"""


def wait_until_refused(port: int) -> None:
    """Connect again and again, for at most five seconds, until nobody listens any more."""
    deadline = time.monotonic() + 5
    with contextlib.suppress(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.02)
        pytest.fail("the server still takes connections")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_what_is_in_work_finish(encode: Encode, sent: signal.Signals, status: int) -> None:
    body = encode("JPEG", comment=b"MARK")
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", PROCESS]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            port = int(process.stdout.readline())
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            idle = socket.create_connection(("127.0.0.1", port), timeout=10)
            with contextlib.closing(connection), idle:
                connection.request("POST", "/v1/predict", body)
                assert process.stdout.readline() == "begun\n"
                process.send_signal(sent)
                wait_until_refused(port)
                process.stdin.write("\n")
                process.stdin.flush()
                answer = connection.getresponse()
                assert (answer.status, answer.read()[:12]) == (200, b'{"width":64,')
                assert idle.recv(1) == b""
            said, logged = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == status
    assert server.DRAINING in logged
    assert "POST /v1/predict 200" in logged
    assert "MARK" not in logged
    assert said == "written []\n"


def test_answers_do_not_wait_for_the_clients_acknowledgement(
    build: Build, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    made = server.TimedProtocol.connection_made

    def note(self: server.TimedProtocol, transport: Any) -> None:
        seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(server.TimedProtocol, "connection_made", note)
    with serving(build()) as connect, contextlib.closing(connect()) as connection:
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
    assert [bool(each) for each in seen] == [True]


def test_a_port_in_use_is_one_message() -> None:
    with server.listen("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        assert server.name_address(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConfigError, match=f"--port {port}: .*in use; give another --port"):
            server.listen(host, port)
    with pytest.raises(ConfigError, match=r"--host no\.such\.host\.invalid"):
        server.listen("no.such.host.invalid", 0)
    with pytest.raises(ConfigError, match=r"--host a\.\.b"):
        server.listen("a..b", 0)


def test_a_server_at_every_address_is_shown_by_a_name_that_it_knows() -> None:
    with server.listen("0.0.0.0", 0) as listening:
        assert server.name_address(listening) == f"http://localhost:{listening.getsockname()[1]}"
