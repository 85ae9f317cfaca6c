"""Bring a published release onto this machine, verified, so that it can be loaded."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names, parse_sums
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import locked, replacing, sha256_of, write_bytes
from cxrbuild.http import redact_address

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_FOLDER = "CXRBUILD_CACHE"
# The classes by which Python, requests, aiohttp, httpx and paramiko report that no server answers. They are
# compared by name, because none of these libraries needs to be installed.
_UNCONNECTED = {
    "ConnectionError", "TimeoutError", "Timeout", "gaierror", "ClientConnectionError", "TransportError",
    "NoValidConnectionsError",
}  # fmt: skip
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


def is_address(text: str) -> bool:
    """Return whether a text is an address, not a path."""
    return "://" in text


def download_release(address: str) -> Path:
    """Return the folder of a published release, which is downloaded if it is not there yet.

    The folder is in ``$CXRBUILD_CACHE``, by default ``~/.cache/cxrbuild``. Each file is compared with the
    release's SHA256SUMS. TFRecord is not downloaded. Without a connection the copy that is there is used; a
    copy of a release that is no longer at its address is not.

    Parameters
    ----------
    address
        As fsspec reads it, such as ``hf://datasets/OWNER/NAME`` or ``s3://BUCKET/PREFIX``.

    Raises
    ------
    CxrbuildError
        The address has no release any more or cannot be read, or a file differs from its hash. It names the
        copy that is there.
    """
    shown = redact_address(address).rstrip("/")
    folder = _cache() / hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
    with locked(folder):
        try:
            with _reporting(shown):
                system, root = _connect(address)
                sums = system.cat_file(f"{root}/{names.SUMS}")
        except CxrbuildError as error:
            found = sorted(folder.glob(f"*/{names.SUMS}"), key=lambda path: path.stat().st_mtime)
            if not found or isinstance(error.__cause__, ImportError):
                raise
            copy = found[-1].parent
            if not _is_unconnected(error.__cause__):
                raise _refuse_copy(error, copy) from error.__cause__
            return copy
        release = folder / hashlib.sha256(sums).hexdigest()[:16]
        if not (release / names.SUMS).is_file():
            _download(system, root, sums, release, shown)
        # The newest is used where there is no connection.
        os.utime(release / names.SUMS)
        return release


def _is_unconnected(error: BaseException | None) -> bool:
    """Return whether no server answered; one that answered 404, 410, 403 or 500 did."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & _UNCONNECTED or getattr(error, "errno", None) in _UNREACHABLE:
            return True
        error = error.__cause__ or error.__context__
    return False


def _refuse_copy(error: CxrbuildError, copy: Path) -> CxrbuildError:
    return CxrbuildError(
        f"{error.what}. The copy in {copy} is not used, because its publisher may have withdrawn the release",
        where=error.where, expected=error.expected, found=error.found,
        todo=f"{error.todo}, or ask the publisher; to use the copy all the same, load its folder",
    )  # fmt: skip


def _cache() -> Path:
    given = os.environ.get(_FOLDER)
    return Path(given) if given else Path.home() / ".cache" / "cxrbuild"


def _connect(address: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    system, root = url_to_fs(address)
    return system, root.rstrip("/")


def _download(system: AbstractFileSystem, root: str, sums: bytes, release: Path, shown: str) -> None:
    """Download what is missing; ``SHA256SUMS`` last, as the mark of a complete copy."""
    hashes, problems = parse_sums(sums.decode("utf-8", errors="replace"))
    if problems or names.BUILD not in hashes:
        raise CxrbuildError(
            "no release at this address", where=shown,
            expected=f"{names.SUMS} of a release, with the hash of {names.BUILD}",
            found=problems[0] if problems else f"{names.SUMS} of other files",
            todo="Check the address; if it is right, ask the release's publisher",
        )  # fmt: skip
    for name, expected in hashes.items():
        path = release / name
        if name.startswith(f"{names.TFRECORD}/") or (path.is_file() and sha256_of(path) == expected):
            continue
        with replacing(path) as temporary:
            with _reporting(f"{shown}/{name}"):
                system.get_file(f"{root}/{name}", str(temporary))
            if (found := sha256_of(temporary)) != expected:
                raise CxrbuildError(
                    "the file differs from the release's SHA256SUMS", where=f"{shown}/{name}",
                    expected=f"SHA-256 {expected}", found=found,
                    todo="Load it again; if the error remains, report it to the release's publisher",
                )  # fmt: skip
    write_bytes(release / names.SUMS, sums)


@contextmanager
def _reporting(shown: str) -> Iterator[None]:
    """Report the errors of fsspec and of the libraries of protocols as ours."""
    try:
        yield
    except CxrbuildError:
        raise
    except FileNotFoundError as error:
        raise CxrbuildError(
            "no release at this address", where=shown, expected=f"a folder with {names.SUMS}",
            todo="Check the address",
        ) from error  # fmt: skip
    except ImportError as error:
        raise CxrbuildError(
            "a library for this address is not installed", where=shown, found=str(error),
            todo='Install it, for example with `pip install "cxrbuild[hub]"` for hf:// or "cxrbuild[s3]" for s3://',
        ) from error  # fmt: skip
    # Each protocol's library raises errors of its own kind.
    except Exception as error:
        raise CxrbuildError(
            "the release cannot be read", where=shown, found=redact_address(str(error)),
            todo="Check the address, the connection and the permissions",
        ) from error  # fmt: skip
