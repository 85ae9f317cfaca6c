"""Exclude a second writer from an address in object storage, which has no locks."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import write_bytes

LEASE = ".cxrbuild.lease"
"""The object that one writer holds."""

# Seconds between two renewals, and how long a lease without a renewal is watched before it is taken over. No
# clock is compared with another machine's.
_RENEW_S = 10.0
_WATCH_S = 35.0
_SETTLE_S = 1.0


class Lease:
    """A lease on an address: an object that its holder renews while it works.

    Where the storage can create an object only if there is none (``If-None-Match``), two writers never hold a
    lease at once. Elsewhere each looks again after a second, which finds all but writers of the same instant.

    Parameters
    ----------
    fs
        The fsspec file system.
    path
        The path of the object on it.
    address
        The leased address, for messages.
    owner
        A file with the name of this copy: the lease of its own killed run is taken over at once.
    """

    def __init__(self, fs: Any, path: str, address: str, owner: Path) -> None:
        self._fs = fs
        self._path = path
        self._address = address
        if not owner.is_file():
            write_bytes(owner, secrets.token_hex(16).encode())
        self._content = {
            "owner": owner.read_text(), "run": secrets.token_hex(8), "host": socket.gethostname()
        }  # fmt: skip
        self._renewals = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def acquire(self) -> None:
        """Take the lease, and renew it from now on.

        Raises
        ------
        CxrbuildError
            Another machine holds it.
        """
        held = self._read()
        if held is not None and held.get("owner") != self._content["owner"]:
            deadline = time.monotonic() + _WATCH_S
            while time.monotonic() < deadline:
                time.sleep(_SETTLE_S)
                now = self._read()
                if now is None:
                    held = None
                    break
                if now != held:
                    raise self._in_use(now)
        try:
            self._write(create=held is None)
        except FileExistsError:
            raise self._in_use(self._read() or {}) from None
        time.sleep(_SETTLE_S)
        self.require()
        self._thread.start()

    def require(self) -> None:
        """Require that this run still holds the lease.

        Raises
        ------
        CxrbuildError
            Another run has taken it.
        """
        held = self._read() or {}
        if held.get("run") != self._content["run"]:
            raise self._in_use(held)

    def release(self) -> None:
        """Give the lease back, if this run still holds it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if (self._read() or {}).get("run") == self._content["run"]:
            self._fs.rm_file(self._path)

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_S):
            # A failure may pass; the lease is required again before the seal is written.
            with suppress(Exception):
                self.require()
                self._renewals += 1
                self._write(create=False)

    def _write(self, *, create: bool) -> None:
        data = json.dumps(self._content | {"renewals": self._renewals}).encode()
        if create:
            self._fs.pipe_file(self._path, data, mode="create")
        else:
            self._fs.pipe_file(self._path, data)

    def _read(self) -> dict[str, Any] | None:
        self._fs.invalidate_cache()
        try:
            found = json.loads(self._fs.cat_file(self._path))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _in_use(self, held: dict[str, Any]) -> CxrbuildError:
        return CxrbuildError(
            "another cxrbuild command writes to this address", where=self._address,
            found=f"its lease, held by {held.get('host', 'an unknown machine')}",
            todo="Wait until it ends, or name another address",
        )  # fmt: skip
