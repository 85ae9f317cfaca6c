"""Servers that answer at random: the pinned bytes or a message, and credentials for one host alone."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from fetching import read_files
from figures import Figures
from file_server import ARCHIVE, OTHER, Answer, Server, fetch_one, make_source
from loopback import serving

import cxrbuild.http
from cxrbuild.errors import CxrbuildError
from cxrbuild.http import RetryPolicy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_retries")]
SERVERS = int(os.environ.get("CXRBUILD_SERVERS", "500"))
SECRET = "s3cr3t"
STATUSES = [204, 206, 301, 304, 400, 401, 403, 404, 408, 410, 416, 418, 425, 429, 500, 502, 503, 599]
WAITS = ["0", "-1", "1e9", "1000000000", "9" * 5000, "Thu, 01 Jan 1970 00:00:00 GMT", "soon", ""]
ETAGS = ['"1"', '"2"', 'W/"1"', "", None, '"', "x" * 5000]
DATES = [None, "Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT", "soon"]
ENCODINGS = ["identity", "gzip", "x-gzip", "br", "deflate", "gzip, gzip", ""]


def draw_answer(random_: random.Random, targets: list[str]) -> Answer:
    """Draw what a server does with one request: most often a file, with something wrong."""
    size = len(ARCHIVE)
    answer = Answer(
        random_.choice([ARCHIVE, ARCHIVE, ARCHIVE, OTHER, ARCHIVE[: size // 2], b"", b"<html>no</html>"]),
        etag=random_.choice(ETAGS), modified=random_.choice(DATES), ranges=random_.random() < 0.8,
        length=random_.random() < 0.8, careless=random_.random() < 0.2,
        shift=random_.choice([0, 0, 0, 0, 1, -1]),
        drop_at=random_.choice([None, None, 0, 1, size // 3, size // 2]), reset=random_.random() < 0.2,
    )  # fmt: skip
    match random_.randrange(6):
        case 0:
            answer.status = random_.choice(STATUSES)
            answer.headers["Retry-After"] = random_.choice(WAITS)
        case 1 | 2:
            answer.status = random_.choice([301, 302, 303, 307, 308])
            answer.headers["Location"] = random_.choice(targets)
        case 3:
            answer.headers["Content-Encoding"] = random_.choice(ENCODINGS)
        case _:
            pass
    if random_.random() < 0.2:
        answer.part = {"etag": random_.choice(ETAGS), "modified": random_.choice(DATES)}
    return answer


def draw_servers(random_: random.Random, own: Server, other: Server) -> None:
    """Give both servers some answers for each of their paths; the last one of a path is for ever."""
    targets = [
        f"{own.url}/a", f"{own.url}/b", "/b", "b", f"{other.url}/b?signature={SECRET}", f"{other.url}/a",
        f"//127.0.0.1:{other.port}/b", f"http://me:{SECRET}@127.0.0.1:{other.port}/b", "ftp://127.0.0.1/a",
        "file:///etc/passwd", "http://[", "javascript:x", "",
    ]  # fmt: skip
    for server in (own, other):
        server.asked.clear()
        for path in ("/a", "/b"):
            answers = [draw_answer(random_, targets) for _ in range(random_.randrange(1, 5))]
            server.answers[path] = [*answers, Answer(ARCHIVE)] if random_.random() < 0.8 else answers
    if random_.random() < 0.5:
        to_other = [target for target in targets if str(other.port) in target]
        own.answers["/a"].insert(0, Answer(status=302, headers={"Location": random_.choice(to_other)}))


def test_servers_give_the_pinned_bytes_or_one_message(
    tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "cxrbuild")
    policy = RetryPolicy(
        tries=4, first_wait=0.001, longest_wait=0.002, longest_asked=0.01, connect=2, read=0.5, answer=1
    )
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", policy)
    with serving(Server()) as expected:
        expected.answers["/a"] = [Answer(ARCHIVE)]
        fetch_one(make_source(tmp_path, f"{expected.url}/a"), tmp_path / "expected")
    files = read_files(tmp_path / "expected/sources/mine")
    for seed in range(SERVERS):
        random_, data = random.Random(seed), tmp_path / str(seed)
        with serving(Server()) as own, serving(Server()) as other:
            draw_servers(random_, own, other)
            url = f"http://me:{SECRET}@127.0.0.1:{own.port}/a?token={SECRET}"
            source = make_source(tmp_path, None)
            try:
                fetch_one(source, data, origins={"mine": url})
            except CxrbuildError as error:
                assert SECRET not in str(error)  # noqa: PT017
                figures.add("refused with a message")
            else:
                assert read_files(data / "sources/mine") == files
                figures.add("gave the pinned bytes")
            figures.add("servers")
            figures.add("requests to another host without credentials", len(other.asked))
            assert not [headers for _, headers in other.asked if "Authorization" in headers]
            assert all("Authorization" in headers for path, headers in own.asked if path == "/a")
        assert SECRET not in caplog.text
        caplog.clear()
        for path in data.rglob("*"):
            if path.is_file() and path.suffix != ".bin":
                assert SECRET.encode() not in path.read_bytes()
