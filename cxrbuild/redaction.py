"""Messages of other libraries' errors, with credentials redacted."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

from cxrbuild.errors import advice_for

_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "ZENODO_TOKEN",
)
_MAX_LENGTH = 400


def redacted_message(error: BaseException, address: str = "") -> str:
    """Return the messages of an error and of its causes on one line, with credentials redacted.

    Parameters
    ----------
    error
        Any error.
    address
        An address that may hold a password.
    """
    texts = [" ".join(str(one).split()) or type(one).__name__ for one in _causes(error)]
    # A library that wraps an error often repeats its message.
    message = "; ".join(dict.fromkeys(texts))
    for secret in _secrets(address):
        message = message.replace(secret, "...")
    # Signed addresses have their signature in the query; others can have a user and a password.
    message = re.sub(r"(https?://[^\s'\"<>?]+)\?[^\s'\"<>]*", r"\1?...", message)
    message = re.sub(r"(\w+://)[^\s/@'\"]+@", r"\1", message)
    return message if len(message) <= _MAX_LENGTH else f"{message[:_MAX_LENGTH]}..."


def advice_on(error: BaseException) -> str | None:
    """Return what a user can do about an error whose cause the operating system reports, else ``None``."""
    return next((advice for one in _causes(error) if (advice := advice_for(one))), None)


def _causes(error: BaseException) -> list[BaseException]:
    # Libraries wrap each other's errors; the innermost has the reason.
    wrapped = [error]
    while (inner := wrapped[-1].__cause__) is not None and inner not in wrapped:
        wrapped.append(inner)
    return wrapped


def _secrets(address: str) -> list[str]:
    found = {os.environ.get(name, "").strip() for name in _VARIABLES}
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        password = ""
    found |= {password, unquote(password)}
    # The longest first: one secret may be the beginning of another.
    return sorted((secret for secret in found if len(secret) > 3), key=len, reverse=True)
