"""A server of files on the loopback that misbehaves as servers do, and sources that come from it."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import struct
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from loopback import LoopbackHandler, LoopbackServer

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.sources import fetch
from cxrbuild.fetching.tree import Fetched


@dataclass
class Answer:
    """What the server does with one request."""

    body: bytes = b""
    status: int = 200
    etag: str | None = '"1"'
    modified: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True
    drop_at: int | None = None
    reset: bool = False
    stall_at: int | None = None
    shift: int = 0
    careless: bool = False
    # What a part of the file, or an answer that there is none, says of its version, where it is not the same.
    part: dict[str, str | None] = field(default_factory=dict)


class Server(LoopbackServer):
    """The files, as one or more answers by path, and the requests for them."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    def shutdown(self) -> None:
        """End the answers that stall, then the server."""
        self.over.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def headers_of(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.asked if asked == path]


class Handler(LoopbackHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((path, dict(self.headers)))
        answers = self.server.answers.get(path, [Answer(status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        start, status = 0, answer.status
        wanted = self.headers.get("Range")
        holds = answer.careless or self.headers.get("If-Range") in (answer.etag, answer.modified)
        if wanted and answer.ranges and status == 200 and holds:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206 if start < len(answer.body) else 416
        body = b"" if status == 416 else answer.body[start + answer.shift :]
        self.send_response(status)
        if status == 206:
            last = len(answer.body) - 1
            self.send_header("Content-Range", f"bytes {start + answer.shift}-{last}/{len(answer.body)}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(answer.body)}")
        says: dict[str, str | None] = {"etag": answer.etag, "modified": answer.modified}
        if status in (206, 416):
            says |= answer.part
        for name, header in (("etag", "ETag"), ("modified", "Last-Modified")):
            if value := says[name]:
                self.send_header(header, value)
        if answer.length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        end = min(one for one in (answer.drop_at, answer.stall_at, len(body)) if one is not None)
        self.wfile.write(body[:end])
        self.wfile.flush()
        if answer.stall_at is not None:
            self.server.over.wait(5)
        if answer.reset:
            # A linger of zero seconds makes the kernel send a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def archive(seed: int = 1, size: int = 300_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo("top/images/a.bin")
        member.size = size
        tar.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))
    return out.getvalue()


def tarball(seed: int, size: int = 300_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("top/images/a.bin")
        member.size = size
        tar.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))
    return out.getvalue()


ARCHIVE = archive()
OTHER = archive(2)
THIRD = archive(3)


def make_source(
    tmp_path: Path, url: str | None, *, of: bytes | None = ARCHIVE, name: str = "mine", **download: Any
) -> Source:
    (tmp_path / "mine.txt").write_text("images/a.bin\n")
    pin = {"sha256": hashlib.sha256(of).hexdigest(), "listing": "mine.txt"} if of else {}
    return Source.model_validate(
        {
            "name": name,
            "title": "Mine",
            "download": {"strip": 1, **({"url": url} if url else {}), **download},
            "pin": pin,
            "reader": {"kind": "folders", "pattern": "(?P<a>.*)", "images": ["*"]},
            "file": tmp_path / "mine.toml",
        }
    )


def fetch_one(source: Source, data: Path, **options: Any) -> Fetched:
    return fetch([source], data, **options).sources[source.name]


def fetch_error(source: Source, data: Path, **options: Any) -> str:
    with pytest.raises(CxrbuildError) as caught:
        fetch([source], data, **options)
    return str(caught.value)
