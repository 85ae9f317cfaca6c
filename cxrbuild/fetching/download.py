"""Download one file over HTTP: resume it where that is safe, retry where that may help."""

from __future__ import annotations

import re
import ssl
import time
import zlib
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from cxrbuild import http
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.extraction import require_room
from cxrbuild.fetching.pace import Pace, PaceError, pace_session
from cxrbuild.fetching.partial import PartialFile, Version
from cxrbuild.fetching.unpack import looks_like_archive
from cxrbuild.fetching.validator import has_validator, validator_of
from cxrbuild.files import naming
from cxrbuild.http import (
    Authorization,
    RetryableError,
    host_of,
    open_session,
    parse_count,
    redact_address,
    redact_place,
    retry,
    retry_after,
    without_credentials,
)
from cxrbuild.progress import Bar, Progress
from cxrbuild.threads import Cancellation

if TYPE_CHECKING:
    import requests

_BLOCK = 1 << 16
_REDIRECTS = 10
_PAGES = ("text/html", "application/xhtml+xml", "application/json", "application/problem+json")
_BROWSER = "Download the file in a browser and give it with --from SOURCE=FILE"


def download(
    url: str,
    part: Path,
    *,
    title: str,
    progress: Progress,
    cancellation: Cancellation,
    authorization: Authorization | None = None,
) -> None:
    """Download a file to ``part``, resuming what is there if that is of the same version.

    If the download is interrupted, ``part`` keeps the bytes received so far, and ``part``.json next to it the
    version's validator. Without a validator nothing is resumed.

    Parameters
    ----------
    url
        The address, http or https.
    part
        Where the bytes go.
    title
        The title of the progress bar.
    progress
        Opens the progress bar, in bytes.
    cancellation
        Ends the download.
    authorization
        The credentials, which are sent to their own host alone.

    Raises
    ------
    CxrbuildError
        The server refuses, sends a web page instead of a file, or fails too often in a row; or the disk has
        too little room.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with open_session(authorization) as session, ExitStack() as bars:
        pace = Pace(cancellation)
        pace_session(session, pace)
        transfer = _Transfer(url, part, title, progress, session, pace, bars)
        retry(
            transfer.attempt, wait=cancellation.wait, give_up=transfer.give_up,
            progressed=transfer.progressed, report=transfer.report_retry, name=f"{title} {redact_place(url)}",
        )  # fmt: skip


class _Transfer:
    """The download of one file over several tries."""

    def __init__(
        self,
        url: str,
        part: Path,
        title: str,
        progress: Progress,
        session: requests.Session,
        pace: Pace,
        bars: ExitStack,
    ) -> None:
        self.url, self.title = url, title
        self.partial = PartialFile(part, url)
        self.progress, self.session, self.pace, self.bars = progress, session, pace, bars
        self.bar: Bar | None = None
        self.reported = 0
        self.furthest = self.partial.size()
        self.since = time.monotonic()

    def progressed(self) -> bool:
        """Return whether enough bytes arrived since this was last true, the time of failed tries included."""
        gained, now = self.partial.size() - self.furthest, time.monotonic()
        if gained <= 0 or gained < http.RETRY_POLICY.min_rate * (now - self.since):
            return False
        self.furthest += gained
        self.since = now
        return True

    def give_up(self, failures: int, error: RetryableError) -> CxrbuildError:
        """Return the error for a download that failed too often."""
        kept = self.partial.size()
        return CxrbuildError(
            f"the download failed {failures} times in a row, the last time because {error}",
            where=redact_address(self.url),
            found=f"{kept:,} bytes so far, kept in {self.partial.path}" if kept else None,
            todo="Run the command again to resume it" if kept else f"Try again later. {_BROWSER}",
        )  # fmt: skip

    def report_retry(self, failures: int, error: RetryableError, pause: float) -> None:
        """Report a failed try, so that waiting is not taken for standing still."""
        tries = http.RETRY_POLICY.tries
        self.progress.note(
            f"{self.title}: {error}; try {failures + 1} of {tries} in {pause:,.0f} s"
            if pause >= 1
            else f"{self.title}: {error}; try {failures + 1} of {tries} at once"
        )

    def attempt(self) -> None:
        """Try once; return when the file is complete."""
        version = self.partial.version()
        start = self.partial.size()
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if version and start:
            headers |= {"Range": f"bytes={start}-", "If-Range": version.validator}
        with self._answer(headers) as response:
            if version and start and response.status_code == 206:
                total = self._resumed(response, version, start)
            elif version and start and response.status_code == 416:
                # A file of another version may be as long as what has arrived of this one.
                whole = version.total == start or has_validator(response, version.validator)
                if whole and response.headers.get("Content-Range", "").strip() == f"bytes */{start}":
                    return
                self.partial.remove()
                raise RetryableError("the part received before did not fit the server's file")
            elif response.status_code == 200:
                start, total = 0, parse_count(response.headers.get("Content-Length"))
            else:
                raise _refusal(response, self.url)
            self._receive(response, start, total)

    def _answer(self, headers: dict[str, str]) -> requests.Response:
        import requests

        url = without_credentials(self.url)
        try:
            for _ in range(_REDIRECTS):
                # Redirects are followed here: requests would look for each new host in ~/.netrc.
                self.pace.begin_answer()
                with self.progress(f"{self.title}: waiting for {host_of(url)[1]}", None, ""):
                    response = self.session.get(
                        url,
                        headers=headers,
                        stream=True,
                        allow_redirects=False,
                        timeout=(http.RETRY_POLICY.connect, http.RETRY_POLICY.read),
                    )
                self.pace.end_answer()
                target = self.session.get_redirect_target(response)
                if target is None:
                    return response
                response.close()
                url = without_credentials(urljoin(url, target))
                host_of(url)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            if isinstance(_cause(error), ssl.SSLCertVerificationError):
                raise CxrbuildError(
                    "the server's certificate could not be verified", where=redact_address(url),
                    todo="Behind a proxy that opens connections, set REQUESTS_CA_BUNDLE to its certificate",
                ) from None  # fmt: skip
            raise RetryableError(_reason(error)) from None
        except (requests.RequestException, ValueError) as error:
            raise CxrbuildError(
                "the address cannot be requested",
                where=redact_address(url),
                found=type(error).__name__,
                todo=_BROWSER,
            ) from None
        raise CxrbuildError(
            f"redirected more than {_REDIRECTS} times", where=redact_address(self.url), todo=_BROWSER
        )

    def _resumed(self, response: requests.Response, version: Version, start: int) -> int | None:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        total = parse_count(span[2]) if span else None
        known = version.total
        fits = span and parse_count(span[1]) == start and (None in (total, known) or total == known)
        if not (fits and has_validator(response, version.validator)):
            self.partial.remove()
            raise RetryableError("the server's file changed since the download began")
        return total if total is not None else known

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        from urllib3.exceptions import HTTPError

        blocks = response.raw.stream(_BLOCK, decode_content=False)
        try:
            block = next(blocks, b"")
            text = _without_encoding(response, block, self.url)
            if start == 0 and _is_page(response, text):
                raise _page(response, text, self.url)
            if total is not None:
                require_room(total - start, self.partial.path.parent)
            if self.bar is None:
                if start:
                    whole = "" if total is None else f" of {total / 1e6:,.1f}"
                    self.progress.note(f"{self.title}: resumes at {start / 1e6:,.1f}{whole} MB.")
                self.bar = self.bars.enter_context(self.progress(self.title, total, "B", done=start))
                self.reported = start
            if start == 0:
                self.partial.begin(validator_of(response), total)
            size = start
            self._report(size)
            with naming(self.partial.path), self.partial.path.open("ab") as stream:
                while block:
                    stream.write(block)
                    # Each block reaches the kernel, so that a killed run keeps it.
                    stream.flush()
                    size += len(block)
                    self._report(size)
                    block = next(blocks, b"")
        except HTTPError as error:
            raise RetryableError(_reason(error)) from None
        if total is not None and size != total:
            if size > total:
                self.partial.remove()
            raise RetryableError(f"{size:,} bytes arrived, not {total:,}")

    def _report(self, size: int) -> None:
        assert self.bar
        self.bar.update(size - self.reported)
        self.reported = size


def _without_encoding(response: requests.Response, start: bytes, url: str) -> bytes:
    """Return the first bytes of a file without the gzip of its transfer; see `decode_content`."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return start
    if encoding not in ("gzip", "x-gzip"):
        raise CxrbuildError(
            "the server sent the file in an encoding that was not asked for", where=redact_address(url),
            expected="no Content-Encoding, or gzip", found=encoding, todo=_BROWSER,
        )  # fmt: skip
    try:
        return zlib.decompressobj(31).decompress(start, 4096)
    except zlib.error:
        return start


def _is_page(response: requests.Response, start: bytes) -> bool:
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return True
    # A server may call any file text/html; an archive shows by its first bytes that it is one.
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    return kind in _PAGES and not looks_like_archive(start)


def _refusal(response: requests.Response, url: str) -> Exception:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        return RetryableError(f"the server answered {_status(response)}", retry_after(response))
    todo = {
        401: "It requires a login. ",
        403: "It requires a login, or allows no access from here. ",
        404: "The file may have moved. ",
        410: "The file was removed. ",
    }.get(status, "")
    return CxrbuildError(
        f"the server answered {_status(response)}",
        where=redact_address(url),
        expected="the file",
        todo=todo + _BROWSER,
    )


def _status(response: requests.Response) -> str:
    text = " ".join(re.sub(r"[^ -~]", " ", response.reason or "").split())[:80]
    return f"{response.status_code} {text}".strip()


def _page(response: requests.Response, start: bytes, url: str) -> CxrbuildError:
    title = re.search(rb"<title[^>]*>(.*?)</title", start, re.DOTALL | re.IGNORECASE)
    text = " ".join(unescape(title[1].decode("utf-8", "replace")).split())[:120] if title else ""
    kind = response.headers.get("Content-Type", "no type").split(";")[0]
    return CxrbuildError(
        "the server sent a web page instead of the archive",
        where=redact_address(url),
        expected="an archive",
        found=f"{kind}, titled {text!r}" if text else f"{kind}, without a title",
        todo=f"It may require a login or a click. {_BROWSER}",
    )


def _cause(error: BaseException) -> BaseException:
    """Return the error at the root: requests wraps urllib3's, which wraps the system's."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [*error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
        error = next((one for one in inner if isinstance(one, BaseException) and id(one) not in seen), error)
    return error


def _reason(error: BaseException) -> str:
    # Never the error's own message: it has the address with all its tokens.
    cause = _cause(error)
    if isinstance(cause, PaceError):
        return str(cause)
    if isinstance(cause, TimeoutError) or "Timeout" in type(error).__name__:
        return "the server did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return f"the connection failed ({cause.strerror})"
    if "Incomplete" in type(cause).__name__:
        return "the body ended early"
    return f"the connection was interrupted ({type(cause).__name__})"
