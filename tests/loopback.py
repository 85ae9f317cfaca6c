"""The base of the HTTP servers that fetching and publishing are tested with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class LoopbackServer(ThreadingHTTPServer):
    """A server on an unused port of the loopback."""

    daemon_threads = True

    def __init__(self, handler: type[LoopbackHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers requests, and logs none."""

    server: LoopbackServer

    def log_message(self, *_: object) -> None:
        pass


class ServiceHandler(LoopbackHandler):
    """Reads a request completely, and sends the response of ``respond``."""

    protocol_version = "HTTP/1.1"

    def respond(self, body: bytes) -> tuple[int, Any, dict[str, str]]:
        """Return status, bytes or a JSON document, and headers; one request at a time."""
        raise NotImplementedError

    def _run(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        with self.server.lock:
            status, document, headers = self.respond(body)
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _run  # noqa: N815  # the names are http.server's


Server = TypeVar("Server", bound=LoopbackServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run a server until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
