"""Releases in folders and buckets: whatever fsspec can address.

While a release is on its way its ``SHA256SUMS`` stands at the target as ``SHA256SUMS.sending``: that says
whose files these are. It takes its own name when all of them are there. A file appears under its name whole
or not at all, so a file of the right size is one that was sent; where it can be had for little, its hash is
compared too.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact.names import SUMS
from cxrbuild.errors import CxrbuildError, advice_for, name_some
from cxrbuild.files import sha256_of
from cxrbuild.http import RetryableError, redact_address
from cxrbuild.progress import Progress
from cxrbuild.publishing.release import Release, ReleaseFile
from cxrbuild.publishing.secrets import told
from cxrbuild.publishing.sending import Step, Tell, persist, send_all

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Opens a file system and returns it with the path on it.
Connect = Callable[[], tuple["AbstractFileSystem", str]]

_BLOCK = 1 << 20
_PART = 16 << 20
_SENDING = ".sending"
_BEGUN = SUMS + _SENDING
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "sftp": "sftp", "ssh": "sftp"}
_PACKAGES = {"s3": "s3fs", "gcs": "gcsfs", "sftp": "paramiko"}
_BUCKETS = ("s3", "gs")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# What does not pass by waiting.
_FINAL = (
    AttributeError, FileExistsError, FileNotFoundError, IsADirectoryError, LookupError, NotADirectoryError,
    NotImplementedError, PermissionError, TypeError, ValueError,
)  # fmt: skip


def _tell_nobody(_: int) -> None:
    pass


class Store:
    """A folder or the part of a bucket below a prefix.

    Parameters
    ----------
    release
        What goes there.
    address
        As fsspec writes it: a path, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `sftp://HOST/PATH`.
    connect
        Opens a connection to it, as ``connector`` returns it.

    Raises
    ------
    CxrbuildError
        It cannot be reached.
    """

    def __init__(self, release: Release, address: str, connect: Connect) -> None:
        self.release = release
        self.address = address
        self.shown = _shown(address)
        self._opened: list[AbstractFileSystem] = []
        self._of_thread = threading.local()
        self._connect = connect
        with self._words("cannot be opened"):
            self.fs, root = connect()
        self._opened.append(self.fs)
        self._of_thread.fs = self.fs
        self.root = root.rstrip("/")
        protocol = self.fs.protocol
        self.kind = protocol if isinstance(protocol, str) else protocol[0]

    def close(self) -> None:
        """Close the connections."""
        for fs in self._opened:
            if (client := getattr(fs, "client", None)) is not None and hasattr(client, "close"):
                client.close()
        self._opened.clear()

    def steps(self) -> list[Step]:
        """Return what is to be at the target, and what of that is there.

        Raises
        ------
        CxrbuildError
            The target holds something else.
        """
        if self._is_folder() and Path(self.root).resolve().is_relative_to(self.release.folder.resolve()):
            raise CxrbuildError(
                "the target is the release itself", where=self.shown, todo="Name another folder"
            )
        with self._words("cannot be read"):
            held = self._list()
            whole, begun = SUMS in held, _BEGUN in held
            marker = SUMS if whole else _BEGUN
            known = {*self.release.files, SUMS, _BEGUN} if whole or begun else set()
            if known and self.fs.cat_file(self._path(marker)) != self.release.sums.path.read_bytes():
                raise self._other(marker)
            strange = [name for name in held if name not in known and not _temporary(name)]
            if strange:
                raise CxrbuildError(
                    "the target holds files that are not of this release", where=self.shown,
                    found=name_some(sorted(strange), 5),
                    todo="Name a place that is new or empty: whoever loads it takes every file in it",
                )  # fmt: skip
            candidates = [
                file
                for name, file in self.release.files.items()
                if held.get(name, {}).get("size") == file.bytes
            ]
            with ThreadPoolExecutor(8) as pool:
                proven = pool.map(lambda file: self._proven(file, held[file.name]), candidates)
                same = {file.name for file, proof in zip(candidates, proven, strict=True) if proof}
        steps = [
            Step(name, f"{self.shown}/{name}", file.bytes, held=name in same)
            for name, file in self.release.files.items()
        ]
        return [*steps, Step(SUMS, f"{self.shown}/{SUMS}", self.release.sums.bytes, held=whole)]

    def send(self, steps: Sequence[Step], *, jobs: int, progress: Progress) -> dict[str, Any]:
        """Send what is not held, ``SHA256SUMS`` last.

        Raises
        ------
        CxrbuildError
            Something could not be sent; what arrived stays.
        """
        *files, sums = steps
        missing = [step for step in files if not step.held]
        if not missing and sums.held:
            return {"url": self.shown}
        if not sums.held:
            self._attempt(_BEGUN, partial(self._put, self.release.sums, _BEGUN))
        with self._words("cannot be written"):
            self._make_folders(missing)
            self._sweep()
        send_all(missing, self._send, jobs=jobs, title=f"publish {self.release.edition}", progress=progress)
        with self._words("cannot be read"):
            held = self._list()
        if lost := [step.name for step in files if held.get(step.name, {}).get("size") != step.bytes]:
            raise CxrbuildError(
                "files that were sent are not there", where=self.shown, found=name_some(lost, 5),
                todo="Something else is at work in this place; run the command again when it is not",
            )  # fmt: skip
        if not sums.held:
            self._attempt(SUMS, self._finish)
        return {"url": self.shown}

    def _list(self) -> dict[str, dict[str, Any]]:
        self.fs.invalidate_cache()
        try:
            found: dict[str, dict[str, Any]] = self.fs.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        root = self.fs._strip_protocol(self.root).rstrip("/") + "/"
        # A bucket may hold an empty object in place of a folder.
        return {
            path.removeprefix(root): info
            for path, info in found.items()
            if path.startswith(root) and path != root
        }

    def _other(self, marker: str) -> CxrbuildError:
        what = "another release" if marker == SUMS else "another release, not whole yet"
        return CxrbuildError(
            f"the target holds {what}", where=self.shown, expected=f"the {SUMS} of {self.release.edition}",
            found="another one", todo="A release never changes: give this one a place of its own",
        )  # fmt: skip

    def _proven(self, file: ReleaseFile, info: dict[str, Any]) -> bool:
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

    def _make_folders(self, steps: Sequence[Step]) -> None:
        # Here and not where files are sent: two threads that make the same folder are in each other's way.
        if self.kind not in _BUCKETS:
            for folder in sorted({str(PurePosixPath(self._path(step.name)).parent) for step in steps}):
                self.fs.makedirs(folder, exist_ok=True)

    def _sweep(self) -> None:
        """Remove what a killed run left under names of its own."""
        if self.kind == "s3":
            bucket, key, _ = self.fs.split_path(self._path(""))
            # Unfinished uploads cost their owner money and nothing else: no right to list them, no harm.
            with suppress(OSError):
                found = self.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
                for upload in found.get("Uploads", []):
                    if upload["Key"].removeprefix(key) in self.release.files:
                        self.fs.abort_mpu(bucket, upload["Key"], upload["UploadId"])
        elif self.kind not in _BUCKETS:
            for name in self._list():
                if _temporary(name):
                    self.fs.rm_file(self._path(name))

    def _send(self, step: Step, tell: Tell) -> None:
        with self._words("cannot be written", passing=True):
            self._put(self.release.files[step.name], step.name, tell)

    def _put(self, file: ReleaseFile, name: str, tell: Tell = _tell_nobody) -> None:
        """Bring a file to the target: whole, or not under its name."""
        fs = self._own_fs()
        if self.kind in _BUCKETS:
            from fsspec.callbacks import Callback

            # An object appears when its last byte is there; its hash stands in its metadata.
            callback = Callback(hooks={"told": lambda _, value, **__: tell(value)})
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
                tell(done)
        if digest.hexdigest() != file.sha256:
            raise CxrbuildError("changed while it was sent", where=file.path, todo="Run the command again")
        if (size := fs.info(temporary)["size"]) != file.bytes:
            raise RetryableError(f"{size:,} bytes arrived, not {file.bytes:,}")
        fs.mv(temporary, str(path))

    def _as_object(self, file: ReleaseFile) -> dict[str, Any]:
        if self.kind == "s3":
            return {"Metadata": {"sha256": file.sha256}, "chunksize": _PART, "max_concurrency": 4}
        return {"metadata": {"sha256": file.sha256}, "consistency": "md5"}

    def _finish(self) -> None:
        if self.kind in _BUCKETS:
            self._put(self.release.sums, SUMS)
            self.fs.rm_file(self._path(_BEGUN))
        else:
            self.fs.mv(self._path(_BEGUN), self._path(SUMS))

    def _attempt(self, name: str, act: Callable[[], None]) -> None:
        def attempt() -> None:
            with self._words("cannot be written", passing=True):
                act()

        persist(attempt, where=f"{self.shown}/{name}")

    def _own_fs(self) -> AbstractFileSystem:
        """Return this thread's own connection, where a protocol has one that threads cannot share."""
        if self.fs.async_impl or self._is_folder():
            return self.fs
        if getattr(self._of_thread, "fs", None) is None:
            self._of_thread.fs = self._connect()[0]
            self._opened.append(self._of_thread.fs)
        return self._of_thread.fs

    @contextmanager
    def _words(self, what: str, *, passing: bool = False) -> Iterator[None]:
        """Turn whatever a library raises into words; with ``passing`` into a failure that may pass."""
        try:
            yield
        except (CxrbuildError, RetryableError, CancelledError):
            raise
        # Each protocol's library raises errors of its own kind.
        except Exception as error:
            words = told(error, self.address)
            if passing and not isinstance(error, _FINAL) and getattr(error, "errno", None) not in _FULL:
                # The connection may be gone; the next try opens another one.
                self._of_thread.fs = None
                raise RetryableError(words) from None
            raise CxrbuildError(
                what, where=self.shown, found=words,
                todo=advice_for(error) or "Check the address, and the permissions to read and write there",
            ) from None  # fmt: skip


def _temporary(name: str) -> bool:
    base = PurePosixPath(name).name
    return base.startswith(".") and base.endswith(_SENDING)


def _shown(address: str) -> str:
    return redact_address(address).rstrip("/") if "://" in address else address


def connector(address: str) -> Connect:
    """Return what opens a connection to an address, with the path there.

    Raises
    ------
    CxrbuildError
        No such protocol, or its package is not installed.
    """
    protocol = address.partition("://")[0] if "://" in address else "file"
    extra = _EXTRAS.get(protocol)
    try:
        import fsspec

        if extra == "sftp":
            from cxrbuild.publishing.sftp import CarefulSFTP

            given = CarefulSFTP._get_kwargs_from_urls(address)
            path = CarefulSFTP._strip_protocol(address)
            # An instance that is closed must not come back from fsspec's cache.
            return lambda: (CarefulSFTP(skip_instance_cache=True, **given), path)
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        name = "fsspec" if extra is None else _PACKAGES[extra]
        raise CxrbuildError(
            f"{name} is not installed" if extra else told(error), where=_shown(address),
            todo=f"Run `pip install 'cxrbuild[{extra}]'`" if extra else "Install the package that it names",
        ) from None  # fmt: skip
    except ValueError:
        raise CxrbuildError(
            f"no such protocol: {protocol}", where=_shown(address),
            expected="a folder, s3://, gs://, sftp://, hf://datasets/, zenodo: or what else fsspec knows",
        ) from None  # fmt: skip
    return partial(fsspec.core.url_to_fs, address)
