"""Which version of a file a server sends: what it gives to tell one from another."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


def validator_of(response: requests.Response) -> str | None:
    """Return what tells a file's version for certain, ``None`` where the server gives no such thing.

    RFC 9110, 13.1.5: If-Range takes a strong ETag, or a date that is strong.
    """
    etag = _etag(response)
    if etag:
        return etag if etag.startswith('"') else None
    modified = response.headers.get("Last-Modified", "").strip()
    then, now = date_of(modified), date_of(response.headers.get("Date", ""))
    # 8.8.2.2: a date is strong if the file cannot have changed twice within its second.
    return modified if then and now and (now - then).total_seconds() >= 1 else None


def is_of(response: requests.Response, validator: str) -> bool:
    """Tell whether an answer says that it is of the version with this validator.

    An answer that says nothing is not. A part of a file must carry the ETag that the whole would (RFC 9110,
    15.3.7); Last-Modified may be left out where If-Range was sent. But a server that does not heed If-Range
    leaves it out just so, and then nothing tells its new file from the old one: a download from the start
    costs less than a file of two versions.
    """
    if validator.startswith('"'):
        return _etag(response) == validator
    return response.headers.get("Last-Modified", "").strip() == validator


def date_of(words: str) -> datetime | None:
    """Return the date that a header tells, ``None`` where it tells none."""
    try:
        date = email.utils.parsedate_to_datetime(words)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _etag(response: requests.Response) -> str:
    return response.headers.get("ETag", "").strip()
