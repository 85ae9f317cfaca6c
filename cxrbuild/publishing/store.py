"""Publish releases to folders, buckets and servers that fsspec can address.

During an upload the target has the release's ``SHA256SUMS`` as ``SHA256SUMS.sending``, which identifies the
release. It gets its final name when all files are complete. A file appears under its name only when it is
complete, so a file of the right size was sent; where a hash is cheap to read, it is compared too.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypedDict

from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, is_of_memory, name_some
from cxrbuild.files import sha256_of
from cxrbuild.http import RetryableError, redact_address
from cxrbuild.progress import Progress
from cxrbuild.publishing.release import OutgoingRelease, ReleaseFile
from cxrbuild.publishing.sending import (
    FileToSend,
    Location,
    Report,
    UnreachableError,
    is_of_connection,
    send_all,
    send_with_retries,
    steps_to,
)
from cxrbuild.redaction import advice_on, redacted_message

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_logger = logging.getLogger(__name__)

# Opens a file system and returns it with the path on it.
Connect = Callable[[], tuple["AbstractFileSystem", str]]

_BLOCK = 1 << 20
_CHUNK = 16 << 20
_SENDING = ".sending"
_INCOMPLETE_SUMS = SUMS + _SENDING
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "sftp": "sftp", "ssh": "sftp"}
_PACKAGES = {"s3": "s3fs", "gcs": "gcsfs", "sftp": "paramiko"}
_BUCKETS = ("s3", "gs")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Errors that no retry solves.
_FINAL = (
    AttributeError, FileExistsError, FileNotFoundError, IsADirectoryError, LookupError, NotADirectoryError,
    NotImplementedError, PermissionError, TypeError, ValueError,
)  # fmt: skip


class StoredFile(TypedDict, total=False):
    """What fsspec reports about a file: the keys are those that the protocol has."""

    name: str
    size: int
    metadata: dict[str, str] | None


def _ignore(_: int) -> None:
    pass


class Store:
    """A folder, or a bucket below a prefix.

    Parameters
    ----------
    release
        The release to send.
    address
        As fsspec writes it: a path, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `sftp://HOST/PATH`.
    connect
        Opens a connection to it, as ``find_connector`` returns it.
    """

    def __init__(self, release: OutgoingRelease, address: str, connect: Connect) -> None:
        self.release = release
        self.address = address
        self.shown = _shown(address)
        self._opened: list[AbstractFileSystem] = []
        self._per_thread = threading.local()
        self._connect = connect

    def close(self) -> None:
        """Close the connections."""
        for fs in self._opened:
            if (client := getattr(fs, "client", None)) is not None and hasattr(client, "close"):
                client.close()
        self._opened.clear()

    def files_to_send(self) -> list[FileToSend]:
        """Return the files to be at the target, ``SHA256SUMS`` last, as if it were empty."""
        return steps_to(self.shown, [*self.release.files.values(), self.release.sums])

    def steps(self) -> list[FileToSend]:
        """Return the files to be at the target, and which of them are there.

        Raises
        ------
        CxrbuildError
            The target cannot be reached, or holds other files or another release.
        """
        self._open()
        if self._is_folder() and Path(self.root).resolve().is_relative_to(self.release.folder.resolve()):
            raise CxrbuildError(
                "the target is the release itself", where=self.shown, todo="Name another folder"
            )
        with self._reporting("cannot be read"):
            held = self._list()
            complete, begun = SUMS in held, _INCOMPLETE_SUMS in held
            marker = SUMS if complete else _INCOMPLETE_SUMS
            state = "complete" if complete else "incomplete" if begun else "empty"
            _logger.debug("%s holds %d files, %s", self.shown, len(held), state)
            known = {*self.release.files, SUMS, _INCOMPLETE_SUMS} if complete or begun else set()
            if known and self.fs.cat_file(self._path(marker)) != self.release.sums.path.read_bytes():
                raise self._other_release(marker)
            strange = [name for name in held if name not in known and not _is_temporary(name)]
            if strange:
                raise CxrbuildError(
                    "the target holds files that are not of this release", where=self.shown,
                    found=name_some(sorted(strange), 5),
                    todo="Name a new or empty target: programs that load a dataset read every file in it",
                )  # fmt: skip
            candidates = [
                file
                for name, file in self.release.files.items()
                if held.get(name, {}).get("size") == file.bytes
            ]
            with ThreadPoolExecutor(8) as pool:
                verified = pool.map(lambda file: self._verify(file, held[file.name]), candidates)
                same = {file.name for file, equal in zip(candidates, verified, strict=True) if equal}
            for name in sorted(set(held) & set(self.release.files) - same):
                _logger.debug("to send again, the size or hash differs: %s", name)
        held_now = {*same, SUMS} if complete else same
        return [replace(step, held=step.name in held_now) for step in self.files_to_send()]

    def send(self, steps: Sequence[FileToSend], *, jobs: int, progress: Progress) -> Location:
        """Send the files that are not held, ``SHA256SUMS`` last.

        Raises
        ------
        CxrbuildError
            A file cannot be sent; completed files are kept.
        """
        *files, sums = steps
        missing = [step for step in files if not step.held]
        if not missing and sums.held:
            return {"url": self.shown}
        if not sums.held:
            self._attempt(_INCOMPLETE_SUMS, partial(self._put, self.release.sums, _INCOMPLETE_SUMS))
        with self._reporting("cannot be written"):
            self._make_folders(missing)
            self._remove_remains()
        send_all(missing, self._send, jobs=jobs, title=f"publish {self.release.label}", progress=progress)
        with self._reporting("cannot be read"):
            held = self._list()
        if lost := [step.name for step in files if held.get(step.name, {}).get("size") != step.bytes]:
            raise CxrbuildError(
                "files that were sent are missing", where=self.shown, found=name_some(lost, 5),
                todo="Check whether another program changes this target, and run the command again",
            )  # fmt: skip
        if not sums.held:
            self._attempt(SUMS, self._finish)
        return {"url": self.shown}

    def _open(self) -> None:
        with self._reporting("cannot be opened"):
            self.fs, root = self._connect()
        self._opened.append(self.fs)
        self._per_thread.fs = self.fs
        self.root = root.rstrip("/")
        protocol = self.fs.protocol
        self.kind = protocol if isinstance(protocol, str) else protocol[0]
        _logger.debug("opened %s by %s", self.shown, type(self.fs).__name__)

    def _list(self) -> dict[str, StoredFile]:
        self.fs.invalidate_cache()
        try:
            found: dict[str, StoredFile] = self.fs.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        root = self.fs._strip_protocol(self.root).rstrip("/") + "/"
        # A bucket can hold an empty object as a folder.
        return {
            path.removeprefix(root): info
            for path, info in found.items()
            if path.startswith(root) and path != root
        }

    def _other_release(self, marker: str) -> CxrbuildError:
        what = "another release" if marker == SUMS else "another, incomplete release"
        return CxrbuildError(
            f"the target holds {what}", where=self.shown, expected=f"the {SUMS} of {self.release.label}",
            found="another one", todo="A release never changes: name another target",
        )  # fmt: skip

    def _verify(self, file: ReleaseFile, info: StoredFile) -> bool:
        if self._is_folder():
            return sha256_of(Path(info["name"])) == file.sha256
        if self.kind == "s3":
            return bool(self.fs.metadata(info["name"]).get("sha256") == file.sha256)
        if self.kind == "gs":
            return bool((info.get("metadata") or {}).get("sha256") == file.sha256)
        return True

    def _is_folder(self) -> bool:
        return self.kind in ("file", "local")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _make_folders(self, steps: Sequence[FileToSend]) -> None:
        # Before files are sent: two threads that create the same folder would conflict.
        if self.kind not in _BUCKETS:
            for folder in sorted({str(PurePosixPath(self._path(step.name)).parent) for step in steps}):
                self.fs.makedirs(folder, exist_ok=True)

    def _remove_remains(self) -> None:
        """Remove the incomplete files of a killed run."""
        if self.kind == "s3":
            bucket, key, _ = self.fs.split_path(self._path(""))
            # Unfinished uploads only cost storage, so a missing permission to list them is ignored.
            with suppress(OSError):
                found = self.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
                for upload in found.get("Uploads", []):
                    if upload["Key"].removeprefix(key) in self.release.files:
                        _logger.debug("removing an incomplete upload: %s", upload["Key"])
                        self.fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])
        elif self.kind not in _BUCKETS:
            for name in self._list():
                if _is_temporary(name):
                    _logger.debug("removing an incomplete file: %s", name)
                    self.fs.rm_file(self._path(name))

    def _send(self, step: FileToSend, report: Report) -> None:
        with self._reporting("cannot be written", retryable=True):
            self._put(self.release.files[step.name], step.name, report)

    def _put(self, file: ReleaseFile, name: str, report: Report = _ignore) -> None:
        """Write a file to the target; only a complete file gets its name."""
        fs = self._own_fs()
        if self.kind in _BUCKETS:
            from fsspec.callbacks import Callback

            # An object appears when it is complete; its metadata holds its hash.
            callback = Callback(hooks={"report": lambda _, value, **__: report(value)})
            fs.put_file(str(file.path), self._path(name), callback=callback, **self._as_object(file))
            return
        path = PurePosixPath(self._path(name))
        fs.makedirs(str(path.parent), exist_ok=True)
        temporary = str(path.with_name(f".{path.name}{_SENDING}"))
        digest, done = hashlib.sha256(), 0
        with file.path.open("rb") as source, fs.open(temporary, "wb") as stream:
            while block := source.read(_BLOCK):
                stream.write(block)
                digest.update(block)
                done += len(block)
                report(done)
        if digest.hexdigest() != file.sha256:
            raise CxrbuildError(
                "the file changed while it was sent", where=file.path, todo="Run the command again"
            )
        if (size := fs.info(temporary)["size"]) != file.bytes:
            raise RetryableError(f"{size:,} bytes arrived, not {file.bytes:,}")
        fs.mv(temporary, str(path))

    def _as_object(self, file: ReleaseFile) -> dict[str, Any]:
        if self.kind == "s3":
            return {"Metadata": {"sha256": file.sha256}, "chunksize": _CHUNK, "max_concurrency": 4}
        return {"metadata": {"sha256": file.sha256}, "consistency": "md5"}

    def _finish(self) -> None:
        if self.kind in _BUCKETS:
            self._put(self.release.sums, SUMS)
            self.fs.rm_file(self._path(_INCOMPLETE_SUMS))
        else:
            self.fs.mv(self._path(_INCOMPLETE_SUMS), self._path(SUMS))

    def _attempt(self, name: str, act: Callable[[], None]) -> None:
        def attempt() -> None:
            with self._reporting("cannot be written", retryable=True):
                act()

        send_with_retries(attempt, where=f"{self.shown}/{name}")

    def _own_fs(self) -> AbstractFileSystem:
        """Return this thread's connection, for protocols whose connections threads cannot share."""
        if self.fs.async_impl or self._is_folder():
            return self.fs
        if getattr(self._per_thread, "fs", None) is None:
            self._per_thread.fs = self._connect()[0]
            self._opened.append(self._per_thread.fs)
        return self._per_thread.fs

    @contextmanager
    def _reporting(self, what: str, *, retryable: bool = False) -> Iterator[None]:
        """Report the errors of libraries as ours; with ``retryable`` as failures that may pass."""
        try:
            yield
        except (CxrbuildError, RetryableError, CancelledError):
            raise
        # Each protocol's library raises errors of its own kind.
        except Exception as error:
            if is_of_memory(error):
                raise
            message = redacted_message(error, self.address)
            if retryable and not isinstance(error, _FINAL) and getattr(error, "errno", None) not in _NO_SPACE:
                # The connection may be closed; the next try opens another one.
                self._per_thread.fs = None
                raise RetryableError(message) from None
            kind = UnreachableError if is_of_connection(error) else CxrbuildError
            raise kind(
                what, where=self.shown, found=message,
                todo=advice_on(error) or "Check the address, and the permissions to read and write there",
            ) from None  # fmt: skip


def _is_temporary(name: str) -> bool:
    base = PurePosixPath(name).name
    return base.startswith(".") and base.endswith(_SENDING)


def _shown(address: str) -> str:
    return redact_address(address).rstrip("/") if "://" in address else address


def find_connector(address: str) -> Connect:
    """Return a function that opens a connection to an address and returns it with the path.

    Raises
    ------
    CxrbuildError
        There is no such protocol, or its package is not installed.
    """
    protocol = address.partition("://")[0] if "://" in address else "file"
    extra = _EXTRAS.get(protocol)
    try:
        import fsspec

        if extra == "sftp":
            from cxrbuild.publishing.sftp import CheckedSFTP

            given = CheckedSFTP._get_kwargs_from_urls(address)
            path = CheckedSFTP._strip_protocol(address)
            # fsspec's cache must not return a closed instance.
            return lambda: (CheckedSFTP(skip_instance_cache=True, **given), path)
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        name = "fsspec" if extra is None else _PACKAGES[extra]
        raise CxrbuildError(
            f"{name} is not installed" if extra else redacted_message(error), where=_shown(address),
            todo=f'Run `pip install "cxrbuild[{extra}]"`' if extra else "Install the missing package",
        ) from None  # fmt: skip
    except ValueError:
        raise CxrbuildError(
            f"unknown protocol: {protocol}", where=_shown(address),
            expected="a folder, s3://, gs://, sftp://, hf://datasets/, zenodo: or another fsspec address",
            todo="Correct the part before ://, or install the fsspec package of the protocol",
        ) from None  # fmt: skip
    return partial(fsspec.core.url_to_fs, address)
