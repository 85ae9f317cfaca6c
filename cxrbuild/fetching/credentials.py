"""Credentials for downloads, each for the one host that it is meant for."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError
from cxrbuild.http import Authorization, basic_auth, host_of
from cxrbuild.parsing import parse_json


def authorization(source: Source, url: str) -> Authorization | None:
    """Return the credentials for a download, ``None`` where there are none.

    User and password of the address come first. Kaggle's credentials go to the host of the mirror that the
    source declares under the name ``kaggle``, and to no other.

    Raises
    ------
    CxrbuildError
        There are credentials that cannot be read.
    """
    host = host_of(url)
    parts = urlsplit(url)
    if parts.username:
        return Authorization(host, basic_auth(unquote(parts.username), unquote(parts.password or "")))
    mirror = source.download.mirrors.get("kaggle")
    if source.download.credentials == "kaggle" and mirror and host == host_of(mirror):
        header = _kaggle()
        return Authorization(host, header) if header else None
    return None


def _kaggle() -> str | None:
    if token := os.environ.get("KAGGLE_API_TOKEN", "").strip():
        return f"Bearer {token}"
    user = os.environ.get("KAGGLE_USERNAME", "").strip()
    key = os.environ.get("KAGGLE_KEY", "").strip()
    if user and key:
        return basic_auth(user, key)
    configured = os.environ.get("KAGGLE_CONFIG_DIR")
    home = Path.home()
    folders = [Path(configured)] if configured else [home / ".kaggle", home / ".config" / "kaggle"]
    for path in (folder / "kaggle.json" for folder in folders):
        if path.is_file():
            try:
                document = parse_json(path.read_text(encoding="utf-8"))
                return basic_auth(document["username"].strip(), document["key"].strip())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                # The parser's own message could quote the key.
                raise CxrbuildError(
                    "Kaggle's credentials cannot be read", where=path,
                    expected='{"username": "...", "key": "..."}',
                    todo="Create the file again at kaggle.com, or remove it: public data needs none",
                ) from None  # fmt: skip
    return None
