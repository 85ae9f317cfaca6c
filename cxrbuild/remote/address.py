"""Addresses of folders and files in object storage."""

from __future__ import annotations

import re


def is_address(place: object) -> bool:
    """Return whether a place is an address, not a path of this machine."""
    return "://" in str(place)


def is_supported(address: object) -> bool:
    """Return whether an address is ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``, without a user or a query."""
    return re.fullmatch(r"s3://[^/\s?#@:]+(/[^/\s]+)*/?", str(address)) is not None
