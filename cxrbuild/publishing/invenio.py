"""Requests to InvenioRDM's REST API, within the server's rate limit, and the messages of its refusals."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote, urlsplit

from cxrbuild import http
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.http import (
    Authorization,
    RetryableError,
    host_of,
    open_session,
    parse_count,
    parse_date,
    redact_address,
    retry_after,
)
from cxrbuild.publishing.rate_limit import Allowance, RateLimit
from cxrbuild.publishing.record import RecordMetadata
from cxrbuild.publishing.sending import send_with_retries
from cxrbuild.redaction import redacted_message

if TYPE_CHECKING:
    import requests

_logger = logging.getLogger(__name__)

ZENODO = "https://zenodo.org"
# For plain JSON, Zenodo responds in the format of its former API.
_JSON = "application/vnd.inveniordm.v1+json"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TICK_S = 0.2


class ServiceProblem(TypedDict, total=False):
    """A field of a record's metadata that the service refuses."""

    field: str
    messages: list[str]


class RecordFile(TypedDict, total=False):
    """A file of a record; the size and the checksum are those of a completed file."""

    key: str
    status: str
    size: float
    checksum: str


class FileList(TypedDict, total=False):
    """The files of a record."""

    entries: list[RecordFile]


class Doi(TypedDict, total=False):
    """The DOI of a record."""

    identifier: str


class RecordDocument(TypedDict, total=False):
    """A record or draft, with the keys that cxrbuild reads."""

    id: str
    is_published: bool
    metadata: RecordMetadata
    pids: dict[str, Doi]
    custom_fields: dict[str, Any]
    links: dict[str, str]
    errors: list[ServiceProblem]


class Invenio:
    """A deposit service.

    Its address is that of Zenodo, or ``ZENODO_URL``; its token is ``ZENODO_TOKEN``.

    Raises
    ------
    CxrbuildError
        The address is neither HTTPS nor of this machine, so no token is sent to it.
    """

    def __init__(self) -> None:
        self.base = (os.environ.get("ZENODO_URL", "").strip() or ZENODO).rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise CxrbuildError(
                "a token is sent over HTTPS only", where=f"ZENODO_URL: {redact_address(self.base)}",
                expected="https://HOST, as https://sandbox.zenodo.org",
                todo="Set ZENODO_URL to an address with https://, or unset it to publish to Zenodo",
            )  # fmt: skip
        host = parts.hostname or ""
        # A record's publisher is the service that publishes it: only Zenodo's own hosts are Zenodo.
        self.publisher = "Zenodo" if f".{host}".endswith(".zenodo.org") else host
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._limit = RateLimit()

    def close(self) -> None:
        """Close the connections."""
        if self._session:
            self._session.close()

    def path(self, record: str, *parts: str) -> str:
        """Return the path of a record, or of something below it."""
        return "/".join(["/api/records", *(quote(part, safe="") for part in (record, *parts) if part)])

    def request(self, method: str, path: str, document: object = None, *, repeatable: bool = True) -> Any:
        """Send a request, with retries, and return the JSON document of the response.

        Parameters
        ----------
        method, path
            The HTTP method, and the path on the service.
        document
            A JSON document to send.
        repeatable
            Whether to send the request again when the response was lost. Requests that create something are
            not repeatable.

        Returns
        -------
        dict or None
            ``None`` where the service has no such record or file.

        Raises
        ------
        CxrbuildError
            The server refuses the request, or the retry policy ended.
        """
        result: Any = None

        def attempt() -> None:
            nonlocal result
            try:
                result = self.request_once(method, path, document)
            except RetryableError as error:
                if not repeatable and error.wait is None:
                    raise CxrbuildError(
                        f"the result of the request is unknown: {error}", where=self.base + path,
                        todo=f"Check {self.base}/me/uploads for a new draft, then run the command again",
                    ) from None  # fmt: skip
                raise

        send_with_retries(attempt, where=self.base + path)
        return result

    def request_once(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        content: Iterable[bytes] | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> Any:
        """Send a request once.

        Parameters
        ----------
        method, path, document
            As for ``request``.
        content
            The bytes of a file, instead of a document.
        alive
            Called during the wait; an error that it raises ends the wait.

        Raises
        ------
        CxrbuildError
            The server refuses the request.
        RetryableError
            The request failed, or the server asks to wait.
        """
        import requests

        headers = {"Accept": _JSON}
        if content is not None:
            headers |= {"Content-Type": "application/octet-stream"}
        session = self._open_session()
        self._wait_for_limit(alive)
        response = None
        try:
            response = session.request(
                method, self.base + path, json=document, data=content, headers=headers,
                timeout=(http.RETRY_POLICY.connect, http.RETRY_POLICY.longest_asked), allow_redirects=False,
            )  # fmt: skip
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise RetryableError(f"the connection failed ({redacted_message(error)})") from None
        except requests.RequestException as error:
            raise CxrbuildError(
                "the request cannot be sent",
                where=self.base + path,
                found=redacted_message(error),
                todo="Check ZENODO_URL and the settings of the proxy",
            ) from None
        finally:
            self._limit.end(None if response is None else _read_allowance(response))
        _logger.debug("%s %s: status %d", method, path, response.status_code)
        return self._read(response, path)

    def _open_session(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                token = os.environ.get("ZENODO_TOKEN", "").strip()
                if not token:
                    raise CxrbuildError(
                        "no token", where="ZENODO_TOKEN", expected="a token of your account",
                        todo=f"Make one with the scopes deposit:write and deposit:actions at "
                        f"{self.base}/account/settings/applications/ and export it",
                    )  # fmt: skip
                self._session = open_session(Authorization(host_of(self.base), f"Bearer {token}"))
            return self._session

    def _wait_for_limit(self, alive: Callable[[], None]) -> None:
        """Wait until the server accepts another request."""
        wait = self._limit.start()
        if wait > 0:
            _logger.debug("the rate limit is reached: waiting %.1f s", wait)
        while wait > 0:
            alive()
            time.sleep(min(_TICK_S, wait))
            wait = self._limit.start()

    def _read(self, response: requests.Response, path: str) -> Any:
        status = response.status_code
        if status == 429 or status >= 500:
            wait = retry_after(response)
            if wait is None and status == 429:
                wait = _until_reset(response)
            raise RetryableError(f"the server responded with status {status}", wait)
        if status in (404, 410):
            return None
        if status in (401, 403):
            raise CxrbuildError(
                f"the server responded with status {status}", where=self.base + path,
                expected="the permission to deposit", found=_error_message(response),
                todo="Check that ZENODO_TOKEN belongs to this server and has the scopes deposit:write and "
                "deposit:actions, and that the record is yours",
            )  # fmt: skip
        if status >= 300:
            raise CxrbuildError(
                f"the server responded with status {status}",
                where=self.base + path,
                found=_error_message(response),
                todo="Correct what the server names; if that is nothing of yours, try again later",
            )
        if status == 204 or not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            raise CxrbuildError(
                "the server's response is not JSON",
                where=self.base + path,
                todo="Check the address in ZENODO_URL",
            ) from None


def problems(document: RecordDocument) -> list[str]:
    """Return the problems that the server finds in a record's metadata."""
    errors = document.get("errors", [])
    return [f"{error.get('field')}: {' '.join(map(str, error.get('messages', [])))}" for error in errors]


def _read_allowance(response: requests.Response) -> Allowance | None:
    remaining = parse_count(response.headers.get("X-RateLimit-Remaining"))
    if remaining is None:
        return None
    seconds = min(_until_reset(response), http.RETRY_POLICY.longest_asked)
    return Allowance(remaining, parse_count(response.headers.get("X-RateLimit-Reset")), seconds)


def _until_reset(response: requests.Response) -> float:
    reset = parse_count(response.headers.get("X-RateLimit-Reset"))
    date = parse_date(response.headers.get("Date", ""))
    now = date.timestamp() if date else time.time()
    return max(reset - now, 1.0) if reset is not None else http.RETRY_POLICY.longest_wait


def _error_message(response: requests.Response) -> str | None:
    try:
        document = response.json()
        messages = [str(document.get("message") or "").rstrip("."), *problems(document)]
    except (ValueError, AttributeError, TypeError):
        return None
    return redacted_message(ValueError(name_some(filter(None, messages)))) or None
