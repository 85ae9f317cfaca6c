"""InvenioRDM's REST: one request at a time within the server's limits, and its refusals in words."""

from __future__ import annotations

import email.utils
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cxrbuild import http
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.http import Authorization, RetryableError, host_of, open_session, parse_count, redact_address
from cxrbuild.publishing.secrets import told
from cxrbuild.publishing.sending import persist

if TYPE_CHECKING:
    import requests

ZENODO = "https://zenodo.org"
# Zenodo answers plain JSON in the form of its former API.
_JSON = "application/vnd.inveniordm.v1+json"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TICK_S = 0.2


class Invenio:
    """A deposit service.

    Its address is that of Zenodo, or ``ZENODO_URL``; its token is ``ZENODO_TOKEN``.

    Raises
    ------
    CxrbuildError
        The address is not one that a token may be sent to.
    """

    def __init__(self) -> None:
        self.base = (os.environ.get("ZENODO_URL", "").strip() or ZENODO).rstrip("/")
        parts = urlsplit(self.base)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise CxrbuildError(
                "not an address to send a token to", where=f"ZENODO_URL: {redact_address(self.base)}",
                expected="https://HOST, as https://sandbox.zenodo.org",
            )  # fmt: skip
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._closed_until = 0.0
        # How many more requests the server takes until then, ``None`` where it does not say.
        self._left: int | None = None
        self._under_way = 0

    def close(self) -> None:
        """Close the connections."""
        if self._session:
            self._session.close()

    def path(self, record: str, *parts: str) -> str:
        """Return the path of a record, or of something below it."""
        return "/".join(["/api/records", *(quote(part, safe="") for part in (record, *parts) if part)])

    def ask(self, method: str, path: str, document: Any = None, *, again: bool = True) -> Any:
        """Ask for a JSON document; ``None`` where there is none.

        Parameters
        ----------
        method, path
            What to ask.
        document
            What to send along.
        again
            Whether to ask once more when the answer was lost. What makes something new is asked for once.

        Raises
        ------
        CxrbuildError
            The server refuses, or fails too often.
        """
        answer: Any = None

        def attempt() -> None:
            nonlocal answer
            try:
                answer = self.once(method, path, document)
            except RetryableError as error:
                if not again and error.wait is None:
                    raise CxrbuildError(
                        f"no answer came, so it may or may not be done: {error}", where=self.base + path,
                        todo=f"Look at {self.base}/me/uploads, then run the command again",
                    ) from None  # fmt: skip
                raise

        persist(attempt, where=self.base + path)
        return answer

    def once(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        content: Iterable[bytes] | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> Any:
        """Ask once.

        Parameters
        ----------
        method, path, document
            As for ``ask``.
        content
            The bytes of a file, in place of a document.
        alive
            Called while waiting; what it raises ends the wait.

        Raises
        ------
        CxrbuildError
            The server refuses.
        RetryableError
            It failed, or asks to wait.
        """
        import requests

        headers = {"Accept": _JSON}
        if content is not None:
            headers |= {"Content-Type": "application/octet-stream"}
        session = self._connected()
        self._enter(alive)
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
            raise RetryableError(f"the connection failed ({told(error)})") from None
        except requests.RequestException as error:
            raise CxrbuildError("cannot be asked for", where=self.base + path, found=told(error)) from None
        finally:
            self._leave(response)
        return self._read(response, path)

    def _connected(self) -> requests.Session:
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

    def _enter(self, alive: Callable[[], None]) -> None:
        """Wait until the server takes a request more."""
        while True:
            with self._lock:
                wait = self._closed_until - time.monotonic()
                if wait <= 0 and self._left is not None and self._left <= 0:
                    self._left = None
                if wait <= 0:
                    self._left = None if self._left is None else self._left - 1
                    self._under_way += 1
                    return
            alive()
            time.sleep(min(_TICK_S, wait))

    def _leave(self, response: requests.Response | None) -> None:
        with self._lock:
            self._under_way -= 1
            remaining = (
                parse_count(response.headers.get("X-RateLimit-Remaining")) if response is not None else None
            )
            if response is not None and remaining is not None:
                # Those under way may not be counted yet.
                self._left = remaining - self._under_way
                if self._left <= 0:
                    self._closed_until = time.monotonic() + min(
                        _until_reset(response), http.RETRY_POLICY.longest_asked
                    )

    def _read(self, response: requests.Response, path: str) -> Any:
        status = response.status_code
        if status == 429 or status >= 500:
            after = response.headers.get("Retry-After", "").strip()
            wait = float(after) if after.isdecimal() else _until_reset(response) if status == 429 else None
            raise RetryableError(f"the server answered {status}", wait)
        if status in (404, 410):
            return None
        if status in (401, 403):
            raise CxrbuildError(
                f"the server answered {status}", where=self.base + path, expected="leave to deposit",
                found=_complaint(response),
                todo="Look whether ZENODO_TOKEN is of this server, has the scopes deposit:write and "
                "deposit:actions, and whether the record is yours",
            )  # fmt: skip
        if status >= 300:
            raise CxrbuildError(
                f"the server answered {status}", where=self.base + path, found=_complaint(response)
            )
        if status == 204 or not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            raise CxrbuildError(
                "the server's answer is not JSON",
                where=self.base + path,
                todo="Look whether ZENODO_URL is right",
            ) from None


def faults(document: Any) -> list[str]:
    """Return what the server finds wrong with a record's metadata."""
    errors = document.get("errors", []) if isinstance(document, dict) else []
    return [f"{error.get('field')}: {' '.join(map(str, error.get('messages', [])))}" for error in errors]


def _until_reset(response: requests.Response) -> float:
    reset = response.headers.get("X-RateLimit-Reset", "").strip()
    try:
        now = email.utils.parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError):
        now = time.time()
    return max(float(reset) - now, 1.0) if reset.isdecimal() else http.RETRY_POLICY.longest_wait


def _complaint(response: requests.Response) -> str | None:
    try:
        document = response.json()
        words = [str(document.get("message") or "").rstrip("."), *faults(document)]
    except (ValueError, AttributeError):
        return None
    return told(ValueError(name_some(filter(None, words)))) or None
