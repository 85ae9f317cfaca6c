"""Addresses without their secrets, and the secrets for the one host that they are meant for."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError

# A list of what is secret would miss the next storage service's word for it.
_HARMLESS = frozenset({"dl", "download", "file", "filename", "format", "id", "name", "raw", "ref", "version"})
_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile("[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Authorization:
    """What proves us to one host, and to no other.

    Attributes
    ----------
    host
        Scheme, name and port of the host.
    header
        The value of the header ``Authorization``.
    """

    host: tuple[str, str, int]
    header: str = field(repr=False)


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
            "not an address to download from",
            where=shown(url),
            expected="http://HOST/... or https://HOST/...",
        )
    return parts.scheme, parts.hostname.lower(), port or _PORTS[parts.scheme]


def shown(words: str) -> str:
    """Return an address, or what was typed in the place of one, as it may be shown and stored.

    User and password are left out, and each value of the query that may be a token.

    Examples
    --------
    >>> shown("https://me:secret@example.org/a.zip?download=1&X-Amz-Signature=abc")
    'https://example.org/a.zip?download=1&X-Amz-Signature=...'
    >>> shown("me:secret@example.org/a.zip")
    '...@example.org/a.zip'
    """
    start = _SCHEME.search(words)
    before, url = (words[: start.start()], words[start.start() :]) if start else (words, "")
    head, at, tail = before.rpartition("@")
    # /films/of@home is a path; what has a colon, or no folder, before its @ may be a user's.
    if at and (":" in head or "/" not in head):
        before = f"...@{tail}"
    path, mark, query = before.partition("?")
    before = path + mark + _shown_query(query)
    if not url:
        return before
    try:
        parts = urlsplit(url)
        # A password with a bare / ? or # in it stands where the port would.
        _ = parts.port
    except ValueError:
        return f"{before}an address that cannot be read"
    netloc = parts.netloc.rpartition("@")[2]
    return before + urlunsplit((parts.scheme, netloc, parts.path, _shown_query(parts.query), ""))


def _shown_query(query: str) -> str:
    shown_pairs = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key.lower() in _HARMLESS:
            shown_pairs.append(f"{key}={value}")
        else:
            # A word alone may itself be the token.
            shown_pairs.append(f"{key}=..." if value else "...")
    return "&".join(shown_pairs)


def bare(url: str) -> str:
    """Return an address as it is asked for: without user, password and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def authorization(source: Source, url: str) -> Authorization | None:
    """Return what to send with a download, ``None`` where nothing is to be sent.

    The address's own user and password come first. Kaggle's credentials go to the host of the mirror that the
    source declares under the name ``kaggle``, and to no other.

    Raises
    ------
    CxrbuildError
        Credentials are there and cannot be read.
    """
    host = host_of(url)
    parts = urlsplit(url)
    if parts.username:
        return Authorization(host, _basic(unquote(parts.username), unquote(parts.password or "")))
    mirror = source.download.mirrors.get("kaggle")
    if source.download.credentials == "kaggle" and mirror and host == host_of(mirror):
        header = _kaggle()
        return Authorization(host, header) if header else None
    return None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _kaggle() -> str | None:
    if token := os.environ.get("KAGGLE_API_TOKEN", "").strip():
        return f"Bearer {token}"
    user = os.environ.get("KAGGLE_USERNAME", "").strip()
    key = os.environ.get("KAGGLE_KEY", "").strip()
    if user and key:
        return _basic(user, key)
    configured = os.environ.get("KAGGLE_CONFIG_DIR")
    home = Path.home()
    folders = [Path(configured)] if configured else [home / ".kaggle", home / ".config" / "kaggle"]
    for path in (folder / "kaggle.json" for folder in folders):
        if path.is_file():
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                return _basic(document["username"].strip(), document["key"].strip())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                # The parser's own words could quote the key.
                raise CxrbuildError(
                    "Kaggle's credentials cannot be read", where=path,
                    expected='{"username": "...", "key": "..."}',
                    todo="Create the file anew at kaggle.com, or remove it: public data needs none",
                ) from None  # fmt: skip
    return None
