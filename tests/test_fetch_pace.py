"""Servers that are slow or never end, and signals while they are."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fetching import fetch_error, fetch_one, make_source, read_files
from systems import needs_signals

import cxrbuild.http
from cxrbuild.http import RetryPolicy

Answer = Callable[[socket.socket, threading.Event], None]


@contextmanager
def serving(answer: Answer, *, reads: bool = True) -> Iterator[str]:
    """Serve on the loopback: read a request, unless ``answer`` reads it, and let it write."""
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if reads:
                connection.recv(65536)
            answer(connection, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.tar"
        finally:
            over.set()
            with suppress(
                OSError
            ):  # Windows shuts down what is connected only, and ends `accept` at the close
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()


def drip(text: bytes, before: bytes = b"", every: float = 0.02) -> Answer:
    """Write some bytes at once, then one byte at a time, again and again."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(before)
        while True:
            for byte in text:
                connection.sendall(bytes([byte]))
                if over.wait(every):
                    return

    return answer


def stall(before: bytes) -> Answer:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(before)
        over.wait(60)

    return answer


def repeat(text: bytes, before: bytes) -> Answer:
    """Write some bytes, then others again and again, as fast as they are read."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(before)
        while not over.is_set():
            connection.sendall(text)

    return answer


def continue_for_ever(connection: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RATE = "in 0.4 seconds, less than 1,000 bytes a second"
HEADERS = "did not complete its answer's headers in time"
WITHOUT_END = "headers, chunk sizes or trailers without end"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (drip(b"x", OK), RATE),
        (drip(b"x", OK + b"x" * 20_000), RATE),
        (drip(b"1\r\nx\r\n", CHUNKED), RATE),
        (drip(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"), f"{RATE}|{HEADERS}"),
        (drip(b"HTTP/1.1 100 Continue\r\n\r\n"), f"{RATE}|{HEADERS}"),
        (drip(b"x"), f"{RATE}|{HEADERS}"),
        (continue_for_ever, f"{HEADERS}|{WITHOUT_END}"),
        (repeat(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n"), f"{HEADERS}|{WITHOUT_END}|interrupted"),
        (repeat(b"X" * 1000, b"HTTP/1.1 200 OK\r\n"), f"{HEADERS}|{WITHOUT_END}|interrupted"),
        (repeat(b"X: y\r\n", CHUNKED + b"1\r\nx\r\n0\r\n"), WITHOUT_END),
        (repeat(b"0" * 1000, CHUNKED + b"1\r\nx\r\n"), f"{WITHOUT_END}|interrupted"),
        (stall(OK), "the server did not answer in time"),
        (stall(b""), "the server did not answer in time"),
    ],
    ids=[
        "body",
        "body after some",
        "chunks",
        "headers",
        "slow 100s",
        "status",
        "fast 100s",
        "fast headers",
        "fast header",
        "fast trailers",
        "fast chunk size",
        "stall",
        "silence",
    ],
)
def test_download_ends_a_try_that_is_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, words: str
) -> None:
    policy = RetryPolicy(
        tries=2, first_wait=0.001, longest_wait=0.002, read=0.4, answer=0.6, min_rate=1000, window=0.4
    )
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", policy)
    before = time.monotonic()
    with serving(answer) as url, pytest.raises(AssertionError, match=words):
        raise AssertionError(fetch_error(make_source(tmp_path, url=url), tmp_path / "data"))
    assert time.monotonic() - before < 6


def test_download_ignores_a_length_of_5000_digits(tmp_path: Path) -> None:
    content = tar_of_one()

    def answer(connection: socket.socket, over: threading.Event) -> None:  # noqa: ARG001
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n" + content)

    with serving(answer) as url:
        fetch_one(make_source(tmp_path, url=url), tmp_path / "data")
    assert read_files(tmp_path / "data/sources/mine") == {"a.png": b"x"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_download_keeps_its_pace_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words, *name], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = tar_of_one()

    def whole(connection: socket.socket, over: threading.Event) -> None:  # noqa: ARG001
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    def slow(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            drip(b"x", OK)(secure, over)

    with serving(whole, reads=False) as url:
        fetch_one(make_source(tmp_path, url=url.replace("http:", "https:")), tmp_path / "data")
    assert read_files(tmp_path / "data/sources/mine") == {"a.png": b"x"}
    policy = RetryPolicy(tries=2, first_wait=0.001, longest_wait=0.002, read=0.4, window=0.4)
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", policy)
    with serving(slow, reads=False) as url:
        message = fetch_error(make_source(tmp_path, url=url.replace("http:", "https:")), tmp_path / "other")
    assert RATE in message


def test_download_ends_a_handshake_that_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(
        tries=2, first_wait=0.001, longest_wait=0.002, connect=0.4, read=0.4, answer=0.6, window=0.4
    )
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", policy)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # The beginning of a TLS record of 16 kB, then its bytes one at a time.
    before = time.monotonic()
    with serving(drip(b"\x02", b"\x16\x03\x03\x40\x00")) as url:
        message = fetch_error(make_source(tmp_path, url=url.replace("http:", "https:")), tmp_path / "data")
    assert "failed 2 times in a row" in message
    assert time.monotonic() - before < 6


def tar_of_one() -> bytes:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    return out.getvalue()


ANSWERS = {
    "body": OK + b"x" * 70_000, "silence": b"", "busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\n\r\n"
}  # fmt: skip
ENDINGS = ((signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"))


@needs_signals
# Each answer and each signal; the other pairs run with the slow tests.
@pytest.mark.parametrize(
    ("before", "sent", "status", "word"),
    [
        pytest.param(before, *ending, id=f"{name}-{ending[2]}", marks=pytest.mark.slow if slow else [])
        for name, before in ANSWERS.items()
        for ending in ENDINGS
        for slow in [(ending == ENDINGS[0]) == (name == "silence")]
    ],
)
def test_fetch_ends_within_two_seconds_of_a_signal(
    tmp_path: Path, before: bytes, sent: signal.Signals, status: int, word: str
) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n[reader]\nkind = "folders"\npattern = "(?P<a>.*)"\nimages = ["*"]\n'
    )
    asked = threading.Event()

    def answer(connection: socket.socket, over: threading.Event) -> None:
        asked.set()
        stall(before)(connection, over)

    with serving(answer) as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "cxrbuild", "fetch", "mine.toml", "--from", f"mine={url}"],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_PROXY": "127.0.0.1"},
        )  # fmt: skip
        assert asked.wait(30)
        time.sleep(0.3)
        process.send_signal(sent)
        start = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 2
    assert process.returncode == status
    assert f"cxrbuild: {word}; completed work is kept, run the same command to resume" in err
    assert "Traceback" not in err
