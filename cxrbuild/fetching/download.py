"""One file over HTTP: resumed where that is safe, tried again where that helps."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cxrbuild import __version__
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.credentials import Authorization, bare, host_of, shown
from cxrbuild.fetching.unpack import looks_like_archive, room_for
from cxrbuild.fetching.validator import date_of, is_of, validator_of
from cxrbuild.files import read_json, write_json
from cxrbuild.progress import Bar, Progress

if TYPE_CHECKING:
    import requests

_BLOCK = 1 << 16
_REDIRECTS = 10
_PAGES = ("text/html", "application/xhtml+xml", "application/json", "application/problem+json")
_BROWSER = "Download the file in a browser and give it with --from SOURCE=FILE"


@dataclass(frozen=True)
class Patience:
    """How long a download is tried.

    Attributes
    ----------
    tries
        How many in a row may fail without one more byte.
    first_wait, longest_wait
        Seconds to wait after the first of them; twice as long each time, up to the longest.
    longest_asked
        Seconds that a server may ask us to wait.
    connect, read
        Seconds without an answer, or without a byte, until a try has failed.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_asked: float = 120.0
    connect: float = 20.0
    read: float = 30.0


PATIENCE = Patience()


class _TryAgainError(Exception):
    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    url: str,
    part: Path,
    *,
    title: str,
    progress: Progress,
    wait: Callable[[float], object],
    authorization: Authorization | None = None,
) -> None:
    """Download a file to ``part``, going on from what is there if that is the same version of it.

    Whatever ends the download early, ``part`` keeps what has come; beside it stands ``part``.json with the
    version's validator. Without a validator nothing is ever resumed.

    Parameters
    ----------
    url
        The address, http or https.
    part
        Where the bytes go.
    title
        What the progress bar says.
    progress
        Opens the progress bar, in bytes.
    wait
        Waits the seconds given between two tries.
    authorization
        What to send, to its own host alone.

    Raises
    ------
    CxrbuildError
        The server refuses, sends a web page in place of a file, or fails too often in a row; or the disk has
        too little room.
    """
    import requests

    part.parent.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session, ExitStack() as bars:
        session.auth = _Signer(authorization)
        transfer = _Transfer(url, part, title, progress, session, bars)
        failures, furthest = 0, transfer.held()
        while True:
            try:
                return transfer.attempt()
            except _TryAgainError as error:
                if transfer.held() > furthest:
                    failures, furthest = 0, transfer.held()
                failures += 1
                if failures >= PATIENCE.tries:
                    kept = transfer.held()
                    raise CxrbuildError(
                        f"the download failed {failures} times in a row, the last time because {error}",
                        where=shown(url),
                        found=f"{kept:,} bytes so far, kept in {part}" if kept else None,
                        todo="Run the command again to go on from there"
                        if kept
                        else f"Try again later. {_BROWSER}",
                    ) from None
                pause = min(PATIENCE.longest_wait, PATIENCE.first_wait * 2 ** (failures - 1))
                pause *= SystemRandom().uniform(0.5, 1.0)
                wait(pause if error.wait is None else error.wait)


class _Signer:
    """Signs requests to one host. As a session's ``auth`` it also keeps requests from asking ~/.netrc."""

    def __init__(self, authorization: Authorization | None) -> None:
        self.authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.authorization and host_of(request.url or "") == self.authorization.host:
            request.headers["Authorization"] = self.authorization.header
        return request


class _Transfer:
    """The download of one file over several tries."""

    def __init__(
        self,
        url: str,
        part: Path,
        title: str,
        progress: Progress,
        session: requests.Session,
        bars: ExitStack,
    ) -> None:
        self.url, self.part, self.title = url, part, title
        self.progress, self.session, self.bars = progress, session, bars
        self.note = note_beside(part)
        self.bar: Bar | None = None
        self.told = 0

    def held(self) -> int:
        """Return how many bytes there are that can be resumed."""
        return self.part.stat().st_size if self._note() else 0

    def _note(self) -> dict[str, Any]:
        if not (self.note.is_file() and self.part.is_file()):
            return {}
        try:
            note = read_json(self.note)
            return note if note["url"] == shown(self.url) and note["validator"] else {}
        except (CxrbuildError, KeyError, TypeError):
            return {}

    def _forget(self) -> None:
        # The bytes go first: a validator must never stand beside bytes of another version.
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def attempt(self) -> None:
        """Try once; return when the file is complete."""
        note = self._note()
        start = self.held()
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"cxrbuild/{__version__}"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": note["validator"]}
        with self._answer(headers) as response:
            if start and response.status_code == 206:
                total = self._resumed(response, note, start)
            elif start and response.status_code == 416:
                # A file of another version may be as long as what has come of this one.
                whole = note.get("total") == start or is_of(response, note["validator"])
                if whole and response.headers.get("Content-Range", "").strip() == f"bytes */{start}":
                    return
                self._forget()
                raise _TryAgainError("what was there did not fit the server's file")
            elif response.status_code == 200:
                start, total = 0, _length(response)
            else:
                raise _refusal(response, self.url)
            self._receive(response, start, total)

    def _answer(self, headers: dict[str, str]) -> requests.Response:
        import requests

        url = bare(self.url)
        try:
            for _ in range(_REDIRECTS):
                # Redirects are followed here: requests would look for each new host in ~/.netrc.
                response = self.session.get(
                    url,
                    headers=headers,
                    stream=True,
                    allow_redirects=False,
                    timeout=(PATIENCE.connect, PATIENCE.read),
                )
                target = self.session.get_redirect_target(response)
                if target is None:
                    return response
                response.close()
                url = bare(urljoin(url, target))
                host_of(url)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            if isinstance(_cause(error), ssl.SSLCertVerificationError):
                raise CxrbuildError(
                    "the server's certificate could not be verified", where=shown(url),
                    todo="Behind a proxy that opens connections, name its certificate in REQUESTS_CA_BUNDLE",
                ) from None  # fmt: skip
            raise _TryAgainError(_reason(error)) from None
        except (requests.RequestException, ValueError) as error:
            raise CxrbuildError(
                "cannot be asked for", where=shown(url), found=type(error).__name__, todo=_BROWSER
            ) from None
        raise CxrbuildError(f"redirected more than {_REDIRECTS} times", where=shown(self.url), todo=_BROWSER)

    def _resumed(self, response: requests.Response, note: dict[str, Any], start: int) -> int | None:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        total = int(span[2]) if span and span[2] != "*" else None
        fits = span and int(span[1]) == start and (total is None or total == note.get("total", total))
        if not (fits and is_of(response, note["validator"])):
            self._forget()
            raise _TryAgainError("the server's file is no longer the one begun with")
        known = total if total is not None else note.get("total")
        return int(known) if known is not None else None

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        from urllib3.exceptions import HTTPError

        blocks = response.raw.stream(_BLOCK, decode_content=False)
        try:
            block = next(blocks, b"")
            if start == 0 and _is_page(response, block):
                raise _page(response, block, self.url)
            if total is not None:
                room_for(total - start, self.part.parent)
            if self.bar is None:
                self.bar = self.bars.enter_context(self.progress(self.title, total, "B"))
            if start == 0:
                self._forget()
                if validator := validator_of(response):
                    write_json(
                        self.note, {"url": shown(self.url), "validator": validator} | _known(total=total)
                    )
            size = start
            self._tell(size)
            with self.part.open("ab") as stream:
                while block:
                    stream.write(block)
                    # Each block reaches the disk's keeper, so that a killed run keeps it.
                    stream.flush()
                    size += len(block)
                    self._tell(size)
                    block = next(blocks, b"")
        except HTTPError as error:
            raise _TryAgainError(_reason(error)) from None
        if total is not None and size != total:
            if size > total:
                self._forget()
            raise _TryAgainError(f"{size:,} bytes came, not {total:,}")

    def _tell(self, size: int) -> None:
        assert self.bar
        self.bar.update(size - self.told)
        self.told = size


def note_beside(part: Path) -> Path:
    """Return where the validator of a file under way stands."""
    return part.with_name(f"{part.name}.json")


def _is_page(response: requests.Response, start: bytes) -> bool:
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return True
    # A server may call any file text/html; an archive shows by its first bytes that it is one.
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    return kind in _PAGES and not looks_like_archive(start)


def _known(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _asked_wait(response: requests.Response) -> float | None:
    words = response.headers.get("Retry-After", "").strip()
    if words.isdecimal():
        seconds = float(words)
    elif date := date_of(words):
        seconds = (date - datetime.now(UTC)).total_seconds()
    else:
        return None
    return min(max(seconds, 0.0), PATIENCE.longest_asked)


def _refusal(response: requests.Response, url: str) -> Exception:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        return _TryAgainError(f"the server answered {_status(response)}", _asked_wait(response))
    todo = {
        401: "It wants a login. ",
        403: "It wants a login, or gives no access from here. ",
        404: "It may have moved. ",
        410: "It is gone. ",
    }.get(status, "")
    return CxrbuildError(
        f"the server answered {_status(response)}",
        where=shown(url),
        expected="the file",
        todo=todo + _BROWSER,
    )


def _status(response: requests.Response) -> str:
    words = " ".join(re.sub(r"[^ -~]", " ", response.reason or "").split())[:80]
    return f"{response.status_code} {words}".strip()


def _page(response: requests.Response, start: bytes, url: str) -> CxrbuildError:
    title = re.search(rb"<title[^>]*>(.*?)</title", start, re.DOTALL | re.IGNORECASE)
    words = " ".join(unescape(title[1].decode("utf-8", "replace")).split())[:120] if title else ""
    kind = response.headers.get("Content-Type", "no type").split(";")[0]
    return CxrbuildError(
        "the server sent a web page in place of the archive",
        where=shown(url),
        expected="an archive",
        found=f"{kind}, titled {words!r}" if words else f"{kind}, without a title",
        todo=f"It may want a login or a click. {_BROWSER}",
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
    # Never the error's own words: they hold the address with all its tokens.
    cause = _cause(error)
    if isinstance(cause, TimeoutError) or "Timeout" in type(error).__name__:
        return "no answer came in time"
    if isinstance(cause, OSError) and cause.strerror:
        return f"the connection failed ({cause.strerror})"
    if "Incomplete" in type(cause).__name__:
        return "the body ended early"
    return f"the connection broke off ({type(cause).__name__})"
