"""Downloads from a server that misbehaves as servers do."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import io
import json
import os
import random
import shlex
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fetching import write_files
from file_server import (
    ARCHIVE,
    OTHER,
    THIRD,
    Answer,
    Server,
    archive,
    fetch_error,
    fetch_one,
    make_source,
    tarball,
)

import cxrbuild.http
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetch_advice import advise_fetch
from cxrbuild.fetching.set_aside import advise_on_kept
from cxrbuild.fetching.sources import FetchResult, fetch
from cxrbuild.http import RetryPolicy
from cxrbuild.lockfile import read_lock
from cxrbuild.progress import Silent
from cxrbuild.shell import quote

SECRET = "s3cr3t"
pytestmark = pytest.mark.usefixtures("quick_retries")


def test_fetch_downloads_verifies_and_removes_the_archive(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE)]
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    first = fetch_one(source, data)
    assert first.downloaded
    assert first.locked.proof == "archive and names"
    assert not first.locked.unpinned
    assert read_lock(data) == {"mine": first.locked}
    assert (data / "sources/mine/images/a.bin").stat().st_size == 300_000
    assert list((data / "downloads").iterdir()) == []
    again = fetch_one(source, data)
    assert not again.downloaded
    assert again.locked == first.locked
    assert len(server.asked) == 1


def test_download_requests_the_bytes_without_encoding(server: Server, tmp_path: Path) -> None:
    # A server that names the archive's own compression as Content-Encoding must not have it undone.
    server.answers["/a"] = [Answer(ARCHIVE, headers={"Content-Encoding": "gzip"})]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").locked.files == 1
    assert server.headers_of("/a")[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "validator", [{"etag": '"1"'}, {"etag": None, "modified": "Mon, 22 Jun 2020 10:00:00 GMT"}]
)
@pytest.mark.parametrize(
    "how", [{"drop_at": 200_000}, {"stall_at": 200_000}, {"drop_at": 200_000, "reset": True}]
)
def test_download_resumes_after_an_interruption(
    server: Server, tmp_path: Path, validator: dict[str, Any], how: dict[str, Any]
) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, **validator, **how), Answer(ARCHIVE, **validator)]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").downloaded
    first, second = server.headers_of("/a")
    assert "Range" not in first
    if os.name == "nt" and "reset" in how and "Range" not in second:
        return  # Windows discards what was received and not read when a connection is reset
    assert 0 < int(second["Range"].removeprefix("bytes=").rstrip("-")) <= 200_000
    assert second["If-Range"] == (validator["etag"] or validator["modified"])


@pytest.mark.parametrize(
    "validator",
    [
        {"etag": None},
        {"etag": 'W/"1"'},
        {"etag": None, "modified": email.utils.formatdate(time.time() + 3600, usegmt=True)},
    ],
)
def test_download_starts_again_without_a_strong_validator(
    server: Server, tmp_path: Path, validator: dict[str, Any]
) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=200_000, **validator), Answer(ARCHIVE, **validator)]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").downloaded
    assert all("Range" not in headers for headers in server.headers_of("/a"))


@pytest.mark.parametrize(
    "second",
    [
        Answer(OTHER, etag='"2"'),  # as RFC 9110 has it: If-Range no longer holds, the whole file comes
        Answer(OTHER, ranges=False),  # a server that knows no ranges
        Answer(ARCHIVE, shift=7),  # a range that starts elsewhere
    ],
)
def test_download_never_joins_two_versions(server: Server, tmp_path: Path, second: Answer) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=200_000), second, Answer(second.body)]
    source = make_source(tmp_path, f"{server.url}/a", of=second.body)
    assert fetch_one(source, tmp_path / "data").locked.proof == "archive and names"


@pytest.mark.parametrize(
    ("seed", "size", "etag"), [(3, 310_000, '"1"'), (2, 300_000, '"2"'), (4, 100_000, '"2"')]
)
def test_download_starts_again_on_a_range_of_another_version(
    server: Server, tmp_path: Path, seed: int, size: int, etag: str
) -> None:
    # The server heeds no If-Range; the total, the ETag or a 416 shows that it is another file.
    other = archive(seed, size)
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=200_000), Answer(other, etag=etag, careless=True)]
    source = make_source(tmp_path, f"{server.url}/a", of=other)
    assert fetch_one(source, tmp_path / "data").locked.proof == "archive and names"
    _, second, third = server.headers_of("/a")
    assert "Range" in second
    assert "Range" not in third


DATE, LATER = "Mon, 22 Jun 2020 10:00:00 GMT", "Tue, 23 Jun 2020 10:00:00 GMT"


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ({"etag": '"1"'}, {"etag": '"2"'}),
        ({"etag": '"1"'}, {"etag": None}),
        ({"etag": '"1"'}, {"etag": 'W/"1"'}),
        ({"etag": None, "modified": DATE}, {"etag": None, "modified": LATER}),
        ({"etag": None, "modified": DATE}, {"etag": None, "modified": None}),
        ({"etag": None, "modified": DATE}, {"etag": '"2"', "modified": None}),
    ],
)
def test_download_refuses_a_partial_answer_without_the_validator(
    server: Server, tmp_path: Path, first: dict[str, Any], says: dict[str, str | None]
) -> None:
    # Stored, not compressed, and of one length: only the validator differs.
    one, other = (Answer(data) for data in (tarball(1), tarball(2)))
    assert len(one.body) == len(other.body)
    server.answers["/a"] = [
        Answer(one.body, drop_at=200_000, **first),
        Answer(other.body, careless=True, part=says, **first),
    ]
    taken = fetch_one(make_source(tmp_path, f"{server.url}/a", of=None), tmp_path / "data")
    assert taken.downloaded
    file = tmp_path / "data/sources/mine/images/a.bin"
    assert file.read_bytes() == random.Random(2).randbytes(300_000)
    _, second, third = server.headers_of("/a")
    assert "Range" in second
    assert "Range" not in third


@pytest.mark.parametrize("length", [True, False])
def test_download_is_not_complete_because_another_version_has_the_same_length(
    server: Server, tmp_path: Path, length: bool
) -> None:
    # The server heeds no If-Range and has no byte beyond those held: of a file that is shorter now.
    # Without a length, the connection's end is the file's; a killed run left what it had.
    source, data = make_source(tmp_path, f"{server.url}/a", of=OTHER), tmp_path / "data"
    downloads = data / "downloads"
    downloads.mkdir(parents=True)
    note = {"url": f"{server.url}/a", "validator": '"1"'} | ({"total": 2 * len(OTHER)} if length else {})
    (downloads / "mine.part.json").write_text(json.dumps(note))
    (downloads / "mine.part").write_bytes(archive(3, 600_000)[: len(OTHER)])
    server.answers["/a"] = [Answer(OTHER, etag='"2"', careless=True)]
    assert fetch_one(source, data).locked.proof == "archive and names"
    second, third = server.headers_of("/a")
    assert "Range" in second
    assert "Range" not in third


def test_fetch_resumes_a_failed_run(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=150_000), Answer(status=503)]
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    message = fetch_error(source, data)
    assert "failed 3 times in a row" in message
    assert "503" in message
    assert f"kept in {data / 'downloads/mine.part'}" in message
    assert "Run the command again to resume it" in message
    assert not (data / "sources/mine").exists()
    server.answers["/a"] = [Answer(ARCHIVE)]
    fetch_one(source, data)
    assert server.headers_of("/a")[-1]["Range"].startswith("bytes=1")


def test_fetch_resumes_a_killed_run(server: Server, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cxrbuild.fetching.sources import fetch;"
        "from cxrbuild.catalog.source import Source;"
        "source = Source.model_validate_json(sys.argv[1]);"
        "fetch([source], Path(sys.argv[2]))"
    )
    server.answers["/a"] = [Answer(ARCHIVE, stall_at=200_000)]
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    part = data / "downloads/mine.part"
    said = json.loads(source.model_dump_json(by_alias=True, exclude_none=True)) | {
        "file": str(tmp_path / "mine.toml")
    }
    with subprocess.Popen([sys.executable, "-c", program, json.dumps(said), str(data)]) as run:
        while not (part.exists() and part.stat().st_size > 190_000) and run.poll() is None:
            time.sleep(0.01)
        run.kill()
    assert not (data / "sources/mine").exists()
    held = part.stat().st_size
    server.answers["/a"] = [Answer(ARCHIVE)]
    notes: list[str] = []

    class Noting(Silent):
        def note(self, message: str, /) -> None:
            notes.append(message)

    assert fetch_one(source, data, progress=Noting()).locked.proof == "archive and names"
    assert notes == [
        f"mine: fetching {server.url}/a into {data / 'sources/mine'}",
        f"mine: downloading: resumes at {held / 1e6:,.1f} of {len(ARCHIVE) / 1e6:,.1f} MB.",
    ]
    assert server.headers_of("/a")[-1]["Range"] == f"bytes={held}-"


def test_download_uses_a_complete_part_but_not_one_that_is_too_long(server: Server, tmp_path: Path) -> None:
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    downloads = data / "downloads"
    downloads.mkdir(parents=True)
    (downloads / "mine.part.json").write_text(json.dumps({"url": f"{server.url}/a", "validator": '"1"'}))
    (downloads / "mine.part").write_bytes(ARCHIVE)
    server.answers["/a"] = [Answer(ARCHIVE)]
    fetch_one(source, data)
    assert len(server.asked) == 1
    shutil.rmtree(data / "sources")
    downloads.joinpath("mine.part.json").write_text(
        json.dumps({"url": f"{server.url}/a", "validator": '"1"'})
    )
    downloads.joinpath("mine.part").write_bytes(ARCHIVE + b"more")
    fetch_one(source, data)
    assert "Range" not in server.headers_of("/a")[-1]


def test_download_does_not_resume_a_part_of_another_address(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=150_000), Answer(status=503)]
    server.answers["/b"] = [Answer(ARCHIVE)]
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    fetch_error(source, data)
    fetch_one(source, data, origins={"mine": f"{server.url}/b"})
    assert "Range" not in server.headers_of("/b")[0]


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_download_retries_when_the_server_is_busy(server: Server, tmp_path: Path, status: int) -> None:
    server.answers["/a"] = [Answer(status=status), Answer(status=status), Answer(ARCHIVE)]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").downloaded


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_download_waits_as_long_as_the_server_asks(server: Server, tmp_path: Path, kind: str) -> None:
    # A date has whole seconds: two from now is at least one.
    words = "1" if kind == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
    server.answers["/a"] = [Answer(status=503, headers={"Retry-After": words}), Answer(ARCHIVE)]
    before = time.monotonic()
    fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert 0.9 < time.monotonic() - before < 4


@pytest.mark.parametrize(
    "asked",
    ["86400", "1000000000", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
     "Fri, 31 Dec 99999 23:59:59 GMT", "-5", "1e9", "soon", ""],
    ids=lambda asked: asked[:12],
)  # fmt: skip
def test_download_limits_the_wait_that_a_server_asks_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(
        cxrbuild.http, "RETRY_POLICY", RetryPolicy(tries=2, first_wait=0.01, longest_asked=0.01)
    )
    server.answers["/a"] = [Answer(status=429, headers={"Retry-After": asked}), Answer(ARCHIVE)]
    before = time.monotonic()
    fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert time.monotonic() - before < 3


def test_download_resets_the_count_of_failures_on_progress(server: Server, tmp_path: Path) -> None:
    # Five tries break off, with three allowed: each brings some 60,000 bytes more.
    drops = [Answer(ARCHIVE, drop_at=60_000) for _ in range(5)]
    server.answers["/a"] = [*drops, Answer(ARCHIVE)]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").downloaded
    assert len(server.asked) == 6


def test_download_ends_without_progress(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, etag=None, drop_at=100_000)]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert "failed 3 times in a row" in message
    assert "the body ended early" in message
    assert len(server.asked) == 3


def test_download_ends_when_no_server_answers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/a?token={SECRET}"
        message = fetch_error(make_source(tmp_path, url), tmp_path / "data")
    assert "Connection refused" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "The file may have moved"), (403, "requires a login"), (401, "requires a login"), (418, "418")],
)
def test_download_ends_at_once_on_a_refusal(server: Server, tmp_path: Path, status: int, words: str) -> None:
    server.answers["/a"] = [Answer(status=status)]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert f"mine: {server.url}/a: the server answered {status}" in message
    assert words in message
    assert "--from SOURCE=FILE" in message
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (
            b"<!DOCTYPE html><html><head><title>Log in &amp; go\n on</title>",
            "text/html; charset=utf-8",
            "titled 'Log in & go on'",
        ),
        (b"\n <html><body>", "application/zip", "without a title"),
        (b"Please log in.", "text/html", "without a title"),
        (b'{"message": "Unauthorized"}', "application/json", "application/json"),
    ],
)
def test_download_refuses_a_web_page(
    server: Server, tmp_path: Path, body: bytes, kind: str, words: str
) -> None:
    server.answers["/a"] = [Answer(body, headers={"Content-Type": kind})]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a", of=None), tmp_path / "data")
    assert "the server sent a web page instead of the archive" in message
    assert words in message
    assert "Download the file in a browser and give it with --from" in message
    assert not list((tmp_path / "data/downloads").iterdir())


def test_download_accepts_an_archive_that_is_served_as_html(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, headers={"Content-Type": "text/html"})]
    assert fetch_one(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data").downloaded


def test_download_requires_room_on_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    server.answers["/a"] = [Answer(ARCHIVE)]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert "too little room" in message
    assert f"Expected: {len(ARCHIVE):,} bytes free. Found: 1,000" in message
    assert len(server.asked) == 1


def test_fetch_keeps_a_refused_archive_and_does_not_resume_it(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(OTHER)]
    source, data = make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    message = fetch_error(source, data)
    kept = data / "downloads/mine.refused"
    assert f"Expected: an archive with SHA-256 {hashlib.sha256(ARCHIVE).hexdigest()}" in message
    assert f"Found: SHA-256 {hashlib.sha256(OTHER).hexdigest()}" in message
    assert "--allow-unpinned" in message
    assert f"--from {quote(f'mine={kept}')}" in message
    assert kept.read_bytes() == OTHER
    assert not (data / "sources/mine").exists()
    # The address does not exist: the error names what is kept, and the command that uses it.
    answers = server.answers.pop("/a")
    command = f"--data {quote(data)} --from {quote(f'mine={kept}')} --allow-unpinned`"
    use = f"{command} takes its files without a download"
    message = fetch_error(source, data)
    assert "404" in message
    assert f"refused is kept as {kept}: `" in message
    assert use in message
    server.answers["/a"] = answers
    taken = fetch_one(source, data, origins={"mine": str(kept)}, allow_unpinned=True)
    assert taken.locked.proof == "names"
    assert taken.locked.unpinned
    assert kept.exists()
    # The advice for damaged files names what they were accepted from, and works.
    image = next(path for path in sorted((data / "sources/mine").rglob("*")) if path.is_file())
    content = image.read_bytes()
    image.write_bytes(b"damaged")
    again = f"--data {quote(data)} --from {quote(f'mine={kept}')} --allow-unpinned` again"
    assert again in advise_fetch(data, [source])
    assert advise_fetch(data, [source]).endswith(": it moves the present files aside and keeps them")
    other = make_source(tmp_path, f"{server.url}/a", name="other")
    assert "` and `" in (both := advise_fetch(data, [other, source]))
    assert both.endswith(" again: they move the present files aside and keep them")
    again_taken = fetch_one(source, data, origins={"mine": str(kept)}, allow_unpinned=True)
    assert image.read_bytes() == content
    assert again_taken.locked == taken.locked
    (note,) = taken.notes
    size = f"{len(OTHER) / 1e6:,.1f} MB"
    assert note == f"mine: {kept} ({size}) is kept: 1 archive that a former `fetch` refused."
    # What to do is said once, of all sources.
    advice = advise_on_kept(data, ["mine", "other"])
    assert advice.startswith(
        f"`--from {quote(f'mine={kept}')}` takes the files from these archives without a download."
    )
    assert advise_on_kept(data, ["other"]) == ""
    # A run that finds the files present says so too.
    assert fetch_one(source, data, allow_unpinned=True).notes == [note]
    # Another refused archive does not replace it, the same one again is not kept twice.
    server.answers["/a"] = [Answer(THIRD), Answer(OTHER)]
    second = data / "downloads/mine~2.refused"
    assert f"--from {quote(f'mine={second}')}" in fetch_error(source, data)
    assert f"--from {quote(f'mine={kept}')}" in fetch_error(source, data)
    assert (kept.read_bytes(), second.read_bytes()) == (OTHER, THIRD)
    # Nor do files that were accepted from elsewhere: they are not the pinned ones either.
    folder = write_files(tmp_path / "folder", {"images/a.bin": b"x"})
    elsewhere = {"mine": str(folder)}
    assert fetch_one(source, data, origins=elsewhere, allow_unpinned=True).locked.unpinned
    assert kept.exists()
    assert second.exists()
    server.answers["/a"] = [Answer(ARCHIVE)]
    assert fetch_one(source, data).locked.proof == "archive and names"
    assert not second.exists()
    assert "Range" not in server.headers_of("/a")[-1]
    assert not kept.exists()


def test_fetch_refuses_an_incomplete_archive_without_a_length(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE[:200_000], length=False)]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a", of=None), tmp_path / "data")
    assert "the archive is damaged or incomplete" in message


def test_fetch_fetches_the_others_when_one_source_fails(server: Server, tmp_path: Path) -> None:
    server.answers |= {"/a": [Answer(ARCHIVE)], "/page": [Answer(b"<html>")]}
    sources = [
        make_source(tmp_path, f"{server.url}/nowhere", name="lost"),
        make_source(tmp_path, f"{server.url}/a", name="mine"),
        make_source(tmp_path, f"{server.url}/page", name="page"),
    ]
    with pytest.raises(CxrbuildError) as caught:
        fetch(sources, tmp_path / "data")
    assert isinstance(caught.value.partial, FetchResult)
    (mine,) = caught.value.partial.sources.values()
    assert (mine.downloaded, mine.locked.proof) == (True, "archive and names")
    message = str(caught.value)
    assert "2 of 3 sources were not fetched" in message
    assert "lost: " in message
    assert "404" in message
    assert "page: " in message
    assert "web page" in message
    assert list(read_lock(tmp_path / "data")) == ["mine"]
    assert (tmp_path / "data/sources/mine/images/a.bin").exists()


def test_several_refused_sources_are_accepted_by_one_command(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(OTHER)] * 2
    sources = [make_source(tmp_path, f"{server.url}/a", name=name) for name in ("mine", "yours")]
    data = tmp_path / "data"
    with pytest.raises(CxrbuildError) as caught:
        fetch(sources, data)
    command = str(caught.value).rpartition("run `")[2].rpartition("`")[0]
    words = shlex.split(command)
    assert words[:2] + words[-5:] == [
        "cxrbuild", "fetch", "--allow-unpinned",
        "--from", f"mine={data / 'downloads' / 'mine.refused'}",
        "--from", f"yours={data / 'downloads' / 'yours.refused'}",
    ]  # fmt: skip


def test_download_uses_the_proxy_of_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy is asked for the whole address.
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    server.answers["http://mine.invalid/a"] = [Answer(ARCHIVE)]
    assert fetch_one(make_source(tmp_path, "http://mine.invalid/a"), tmp_path / "data").downloaded


def test_download_ends_after_ten_redirects(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(status=302, headers={"Location": "/a"})]
    assert "redirected more than 10 times" in fetch_error(
        make_source(tmp_path, f"{server.url}/a"), tmp_path / "data"
    )


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/a"])
def test_download_refuses_redirects_to_other_schemes(server: Server, tmp_path: Path, target: str) -> None:
    server.answers["/a"] = [Answer(status=302, headers={"Location": target})]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert f"{target}: not an address to download from" in message


def test_fetch_stops_all_downloads_on_an_interrupt(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers |= {"/a": [Answer(status=503, headers={"Retry-After": "60"})], "/b": [Answer(ARCHIVE)]}
    monkeypatch.setattr(cxrbuild.http, "RETRY_POLICY", RetryPolicy())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cxrbuild.fetching.sources.write_lock", interrupted)
    sources = [make_source(tmp_path, f"{server.url}/{one}", name=one) for one in "ab"]
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(sources, tmp_path / "data")
    assert time.monotonic() - before < 5


def zip_of_one() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("top/images/a.bin", b"a" * 1000)
    return out.getvalue()


@pytest.mark.parametrize("packed", [ARCHIVE, zip_of_one()], ids=["tar.gz", "zip"])
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_fetch_removes_a_gzip_that_the_server_added(
    server: Server, tmp_path: Path, packed: bytes, encoding: str
) -> None:
    server.answers["/a"] = [Answer(gzip.compress(packed), headers={"Content-Encoding": encoding})]
    source = make_source(tmp_path, f"{server.url}/a", of=packed)
    assert fetch_one(source, tmp_path / "data").locked.proof == "archive and names"


def test_fetch_keeps_a_tar_gz_that_the_server_calls_encoded(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = [Answer(ARCHIVE, headers={"Content-Encoding": "x-gzip"})]
    source = make_source(tmp_path, f"{server.url}/a")
    assert fetch_one(source, tmp_path / "data").locked.proof == "archive and names"


def test_download_refuses_pages_and_archives_in_other_encodings(server: Server, tmp_path: Path) -> None:
    page = gzip.compress(b"<html><title>Log in</title>")
    server.answers["/a"] = [Answer(page, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})]
    server.answers["/b"] = [Answer(ARCHIVE, headers={"Content-Encoding": "br"})]
    message = fetch_error(make_source(tmp_path, f"{server.url}/a"), tmp_path / "data")
    assert "the server sent a web page instead of the archive" in message
    assert "titled 'Log in'" in message
    message = fetch_error(make_source(tmp_path, f"{server.url}/b"), tmp_path / "data")
    assert "Expected: no Content-Encoding, or gzip. Found: br" in message
