"""Requests over HTTP: sessions, authorization, retries, and addresses without their credentials."""

from __future__ import annotations

import base64
import email.utils
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import SystemRandom
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from cxrbuild import __version__
from cxrbuild.errors import CxrbuildError

if TYPE_CHECKING:
    import requests

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")

USER_AGENT = f"cxrbuild/{__version__}"
_REDACTED = "..."
# A list of secret parameters would miss those of the next storage service, so harmless ones are listed.
_HARMLESS = frozenset({"dl", "download", "file", "filename", "format", "id", "name", "raw", "ref", "version"})
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile("[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# The longest number that is read from a header: 18 digits are an exabyte.
_MAX_DIGITS = 18


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is tried again, and how long each try may take.

    Attributes
    ----------
    tries
        How many tries in a row may fail.
    first_wait, longest_wait
        Seconds to wait after the first failed try; the wait doubles each time, up to the longest.
    longest_asked
        Seconds that a server may ask the client to wait.
    connect, read
        Seconds without a connection, or without a byte, until a try has failed.
    answer
        Seconds from a request until the headers of its answer are complete.
    min_rate, window
        Bytes a second that a download brings at least, on average over a window of seconds.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_asked: float = 120.0
    connect: float = 20.0
    read: float = 30.0
    answer: float = 60.0
    min_rate: int = 1000
    window: float = 30.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Return the seconds to wait before the next try.

        Parameters
        ----------
        failures
            How many tries in a row have failed.
        asked
            Seconds that the server asks to wait, ``None`` where it does not say.
        """
        if asked is not None:
            return min(max(asked, 0.0), self.longest_asked)
        longest = min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1))
        # Many clients that fail at one time should not come back at one time.
        return longest * SystemRandom().uniform(0.5, 1.0)


RETRY_POLICY = RetryPolicy()


class RetryableError(Exception):
    """A failure that may pass.

    Parameters
    ----------
    reason
        What failed, as the end of a sentence.
    wait
        Seconds that the server asks to wait, ``None`` where it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def retry(
    attempt: Callable[[], Result],
    *,
    wait: Callable[[float], object],
    give_up: Callable[[int, RetryableError], CxrbuildError],
    progressed: Callable[[], bool] = lambda: False,
    report: Callable[[int, RetryableError, float], object] = lambda *_: None,
    name: str,
) -> Result:
    """Try something until it succeeds, with growing waits, or until `RETRY_POLICY` ends it.

    Parameters
    ----------
    attempt
        Tries once; raises `RetryableError` where another try may succeed.
    wait
        Waits the seconds given.
    give_up
        Returns the error to raise, given the number of failures in a row and the last one.
    progressed
        Returns whether the failed try brought progress: the count of failures then starts again.
    report
        Reports a failed try before the wait, given the number of failures in a row, the last one, and the
        seconds to wait.
    name
        What is tried, for the log: several may be tried at a time.

    Raises
    ------
    CxrbuildError
        The attempt failed too often, or raised this itself.
    """
    failures = 0
    while True:
        try:
            return attempt()
        except RetryableError as error:
            failures = 1 if progressed() else failures + 1
            if failures >= RETRY_POLICY.tries:
                raise give_up(failures, error) from None
            pause = RETRY_POLICY.pause(failures, error.wait)
            _logger.warning(
                "%s: try %d of %d failed: %s; next try in %.1f s",
                name, failures, RETRY_POLICY.tries, error, pause,
            )  # fmt: skip
            report(failures, error, pause)
        wait(pause)


@dataclass(frozen=True)
class Authorization:
    """Credentials for one host, and for no other.

    Attributes
    ----------
    host
        Scheme, name and port of the host.
    header
        The value of the header ``Authorization``.
    """

    host: tuple[str, str, int]
    header: str = field(repr=False)


class _HostAuth:
    """Authorize requests to one host alone."""

    def __init__(self, authorization: Authorization | None) -> None:
        self.authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.authorization and host_of(request.url or "") == self.authorization.host:
            request.headers["Authorization"] = self.authorization.header
        return request


def open_session(authorization: Authorization | None = None) -> requests.Session:
    """Open a session that sends credentials to their own host alone and never reads ``~/.netrc``."""
    import requests

    session = requests.Session()
    # Without an `auth` of its own requests would look for credentials in ~/.netrc.
    session.auth = _HostAuth(authorization)
    session.headers["User-Agent"] = USER_AGENT
    return session


def basic_auth(user: str, password: str) -> str:
    """Return the header ``Authorization`` for a user and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def host_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host name and port of an address.

    Raises
    ------
    CxrbuildError
        It is no http or https address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise CxrbuildError(
            "not an address to download from", where=redact_address(url),
            expected="http://HOST/... or https://HOST/...",
            todo="Correct the address: it needs http:// or https:// and a host",
        )  # fmt: skip
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def redact_address(text: str) -> str:
    """Return an address, or text that was typed instead of one, without its credentials.

    User and password are removed, and each value of the query that may be a token.

    Examples
    --------
    >>> redact_address("https://me:secret@example.org/a.zip?download=1&X-Amz-Signature=abc")
    'https://example.org/a.zip?download=1&X-Amz-Signature=...'
    >>> redact_address("me:secret@example.org/a.zip")
    '...@example.org/a.zip'
    """
    start = _SCHEME.search(text)
    before, url = (text[: start.start()], text[start.start() :]) if start else (text, "")
    head, at, tail = before.rpartition("@")
    # /images/of@home is a path; a colon, or no folder, before the @ may belong to a user and password.
    if at and (":" in head or "/" not in head):
        before = f"{_REDACTED}@{tail}"
    path, mark, query = before.partition("?")
    before = path + mark + _redact_query(query)
    if not url:
        return before
    try:
        parts = urlsplit(url)
        # A password with a bare / ? or # in it is parsed as a port.
        _ = parts.port
    except ValueError:
        return f"{before}an address that cannot be read"
    netloc = parts.netloc.rpartition("@")[2]
    return before + urlunsplit((parts.scheme, netloc, parts.path, _redact_query(parts.query), ""))


def redact_place(text: str) -> str:
    """Return a path or an address without user, password and query.

    Examples
    --------
    >>> redact_place("cohen=https://me:secret@example.org/a.zip?id=1")
    'cohen=https://example.org/a.zip'
    """
    return redact_address(text).partition("?")[0]


def _redact_query(query: str) -> str:
    pairs = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key.lower() in _HARMLESS:
            pairs.append(f"{key}={value}")
        else:
            # A key without a value may itself be the token.
            pairs.append(f"{key}={_REDACTED}" if value else _REDACTED)
    return "&".join(pairs)


def without_credentials(url: str) -> str:
    """Return an address as it is requested: without user, password and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def parse_count(text: str | None) -> int | None:
    """Return the number in a header such as ``Content-Length``, ``None`` where it has none that is sane."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def parse_date(text: str) -> datetime | None:
    """Return the date in a header, ``None`` where it has none."""
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds that a server asks to wait (RFC 9110, 10.2.3), ``None`` where it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if (seconds := parse_count(text)) is not None:
        return float(seconds)
    date = parse_date(text)
    return max((date - datetime.now(UTC)).total_seconds(), 0.0) if date else None
