"""Words of other people's libraries, without what must not be seen."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "ZENODO_TOKEN",
)
_MOST = 400


def told(error: BaseException, address: str = "") -> str:
    """Return the words of an error and of its causes on one line, without credentials.

    Parameters
    ----------
    error
        Any error.
    address
        An address that may hold a password.
    """
    # Libraries wrap each other's errors; the innermost says what it was.
    wrapped = [error]
    while (inner := wrapped[-1].__cause__) is not None and inner not in wrapped:
        wrapped.append(inner)
    words = "; ".join(" ".join(str(one).split()) or type(one).__name__ for one in wrapped)
    for secret in _secrets(address):
        words = words.replace(secret, "...")
    # Signed addresses carry their signature in the query, other ones a user and a password.
    words = re.sub(r"(https?://[^\s'\"<>?]+)\?[^\s'\"<>]*", r"\1?...", words)
    words = re.sub(r"(\w+://)[^\s/@'\"]+@", r"\1", words)
    return words if len(words) <= _MOST else f"{words[:_MOST]}..."


def _secrets(address: str) -> list[str]:
    found = {os.environ.get(name, "").strip() for name in _VARIABLES}
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        password = ""
    found |= {password, unquote(password)}
    # The longest first: one secret may be the beginning of another.
    return sorted((secret for secret in found if len(secret) > 3), key=len, reverse=True)
