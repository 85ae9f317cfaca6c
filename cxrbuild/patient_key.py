"""The secret that patient numbers are hashed with, and the fingerprint that shows whether it is the same."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping

from cxrbuild.errors import CxrbuildError

KEY_VARIABLE = "CXRBUILD_PATIENT_KEY"
KEY_ADVICE = "to the key of before, or at first to what "
KEY_ADVICE += "`python -c 'import secrets; print(secrets.token_hex())'` prints, and keep it"
"""To what a user sets the variable, as the end of a sentence."""
_SHORTEST_KEY = 16
_DIGITS = 16


def read_key(*, then: str = "") -> bytes:
    """Return the secret from the environment.

    Parameters
    ----------
    then
        What the user does when it is set, as a sentence of the error.

    Raises
    ------
    CxrbuildError
        There is none, or it is too short.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if len(key) < _SHORTEST_KEY:
        raise CxrbuildError(
            "the key to hash patient numbers with is too short"
            if key
            else "no key to hash patient numbers with",
            where=f"environment variable {KEY_VARIABLE}",
            expected=f"a secret of {_SHORTEST_KEY} characters or more, the same in every run, kept apart "
            "from the dataset",
            found="none" if not key else f"{len(key)} characters",
            todo=f"Set it {KEY_ADVICE}" + (f". {then}" if then else ""),
        )
    return key.encode()


def require_long_key() -> None:
    """Refuse a secret that is too short; without one there is nothing to refuse yet.

    Raises
    ------
    CxrbuildError
        There is a secret in the environment, and it is too short.
    """
    if os.environ.get(KEY_VARIABLE):
        read_key()


def hash_identifier(key: bytes, identifier: str) -> str:
    """Return what replaces an identifier: a keyed hash, the same wherever the identifier occurs."""
    return hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def key_fingerprint() -> str | None:
    """Return a value that changes with the secret and does not reveal it; ``None`` where there is none."""
    if len(os.environ.get(KEY_VARIABLE, "")) < _SHORTEST_KEY:
        return None
    return hmac.new(read_key(), b"the key of cxrbuild", hashlib.sha256).hexdigest()[:_DIGITS]


def require_same_key(recorded: Mapping[str, str | None]) -> None:
    """Refuse another secret than the one that was used before.

    Parameters
    ----------
    recorded
        Fingerprints recorded before, by the place of the record; ``None`` where none was recorded.

    Raises
    ------
    CxrbuildError
        A fingerprint differs from the one of the environment's secret.
    """
    found = key_fingerprint()
    for where, expected in recorded.items():
        if expected is not None and expected != found:
            raise CxrbuildError(
                f"{KEY_VARIABLE} is not the key that the patient numbers were hashed with", where=where,
                expected=f"the key with the fingerprint {expected}", found=found or "no key",
                todo="Every patient would get another id. Set the key of before; to use another one on "
                "purpose, fetch into another folder (--data) and build into another folder (--out)",
            )  # fmt: skip
