"""The version of a file that a server sends, by its ETag or date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.http import parse_date

if TYPE_CHECKING:
    import requests


def validator_of(response: requests.Response) -> str | None:
    """Return what identifies a file's version for certain, ``None`` where the server gives nothing that does.

    RFC 9110, 13.1.5: If-Range takes a strong ETag, or a date that is strong.
    """
    etag = _etag(response)
    if etag:
        return etag if etag.startswith('"') else None
    modified = response.headers.get("Last-Modified", "").strip()
    then, now = parse_date(modified), parse_date(response.headers.get("Date", ""))
    # 8.8.2.2: a date is strong if the file cannot have changed twice within its second.
    return modified if then and now and (now - then).total_seconds() >= 1 else None


def has_validator(response: requests.Response, validator: str) -> bool:
    """Return whether an answer names the version with this validator.

    An answer without a validator does not. RFC 9110, 15.3.7, requires the ETag in a partial answer; it lets a
    server omit Last-Modified where If-Range was sent. A server that ignores If-Range omits it too, and then
    its new file looks like the old one. A download from the start costs less than a file of two versions.
    """
    if validator.startswith('"'):
        return _etag(response) == validator
    return response.headers.get("Last-Modified", "").strip() == validator


def _etag(response: requests.Response) -> str:
    return response.headers.get("ETag", "").strip()
