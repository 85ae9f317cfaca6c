"""Limits on how slow a server may be, counted at the socket: headers, framing and content."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.wait import wait_for_read

from cxrbuild import http
from cxrbuild.threads import Cancellation

if TYPE_CHECKING:
    from requests import Session

_TICK_S = 0.2
# What the headers of one answer, its interim answers included, may have; and what separates its content.
_MAX_HEADER_BYTES = 1 << 20


class PaceError(TimeoutError):
    """A server that is too slow; the text is the end of a sentence."""


class Pace:
    """The pace of one download: how long it waited for how many bytes.

    Only the time that is spent waiting for bytes counts: a slow disk is not the server's.

    Parameters
    ----------
    cancellation
        Ends every wait.
    """

    def __init__(self, cancellation: Cancellation) -> None:
        self.cancellation = cancellation
        self._answer_from: float | None = None
        self._header_bytes = 0
        self._begin_window()

    def begin_answer(self) -> None:
        """Expect the headers of an answer."""
        self._answer_from = time.monotonic()
        self._header_bytes = 0
        self._begin_window()

    def end_answer(self) -> None:
        """Expect the content of an answer."""
        self._answer_from = None

    def wait_for(self, sock: socket.socket) -> None:
        """Wait for bytes.

        Raises
        ------
        PaceError
            There are none for too long, or too few.
        CancelledError
            The download is cancelled.
        """
        pending = getattr(sock, "pending", None)
        if pending is not None and pending():
            return
        started = time.monotonic()
        while True:
            self.cancellation.check()
            waited = time.monotonic() - started
            self._check(waited)
            if wait_for_read(sock, timeout=_TICK_S):
                self._waited += time.monotonic() - started
                return

    def add(self, size: int) -> None:
        """Count bytes that arrived."""
        self._bytes += size
        if self._answer_from is not None:
            self._header_bytes += size

    def _begin_window(self) -> None:
        self._waited = 0.0
        self._bytes = 0

    def _check(self, waited: float) -> None:
        policy = http.RETRY_POLICY
        if waited >= policy.read:
            raise PaceError("the server did not answer in time")
        if self._answer_from is not None and (
            time.monotonic() - self._answer_from >= policy.answer or self._header_bytes > _MAX_HEADER_BYTES
        ):
            raise PaceError("the server did not complete its answer's headers in time")
        if self._waited + waited >= policy.window:
            if self._bytes < policy.min_rate * policy.window:
                raise PaceError(
                    f"the server sent {self._bytes:,} bytes in {policy.window:g} seconds, "
                    f"less than {policy.min_rate:,} bytes a second"
                )
            self._begin_window()


@contextmanager
def _connecting(connection: HTTPConnection) -> Iterator[None]:
    """End a connection whose set-up takes too long: each of its reads may be in time, their sum not."""

    def end() -> None:
        sock = connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(http.RETRY_POLICY.answer, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def pace_session(session: Session, pace: Pace) -> None:
    """Let the connections of a session keep a pace."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PacedAdapter(pace))


class _PacedAdapter(HTTPAdapter):
    def __init__(self, pace: Pace) -> None:
        self._pools = _pool_classes(pace)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pool_classes(pace: Pace) -> dict[str, type[HTTPConnectionPool]]:
    class PacedConnection(HTTPConnection):
        def connect(self) -> None:
            with _connecting(self):
                super().connect()
            self.sock: Any = _PacedSocket(self.sock, pace)

    class PacedTLSConnection(HTTPSConnection):
        def connect(self) -> None:
            with _connecting(self):
                super().connect()
            self.sock: Any = _PacedSocket(self.sock, pace)

    class PacedPool(HTTPConnectionPool):
        ConnectionCls = PacedConnection

    class PacedTLSPool(HTTPSConnectionPool):
        ConnectionCls = PacedTLSConnection

    return {"http": PacedPool, "https": PacedTLSPool}


class _PacedSocket:
    """A connected socket whose files keep a pace as they are read."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock, self._pace = sock, pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        # http.client asks for a file to read bytes from, and for no other.
        return _PacedReader(_PacedFile(self._sock, self._sock.makefile("rb", buffering=0), self._pace))


class _PacedReader(io.BufferedReader):
    """Lines of limited length: headers, sizes of chunks and trailers, which libraries read to their end."""

    _line_bytes = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        limited = size is not None and 0 <= size <= _MAX_HEADER_BYTES
        line = super().readline(size if limited else _MAX_HEADER_BYTES)
        self._line_bytes += len(line)
        if self._line_bytes >= _MAX_HEADER_BYTES:
            raise PaceError("the server sent headers, chunk sizes or trailers without end")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        self._line_bytes = 0
        return super().read(size)


class _PacedFile(io.RawIOBase):
    def __init__(self, sock: socket.socket, file: io.RawIOBase, pace: Pace) -> None:
        self._sock, self._file, self._pace = sock, file, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._pace.wait_for(self._sock)
        size: int | None = self._file.readinto(buffer)
        self._pace.add(size or 0)
        return size

    def close(self) -> None:
        self._file.close()
        super().close()
