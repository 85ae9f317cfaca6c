"""A folder in object storage, and its copy on this machine."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.file_status import status_of
from cxrbuild.files import files_under, locked, read_json, replacing, write_json
from cxrbuild.progress import Progress
from cxrbuild.redaction import advice_on, redacted_message
from cxrbuild.remote.address import is_supported
from cxrbuild.remote.lease import LEASE, Lease
from cxrbuild.remote.objects import (
    Copied,
    Stored,
    cache_folder,
    connect,
    copied_file,
    is_safe_name,
    version_of,
)

_logger = logging.getLogger(__name__)

_THREADS = 16
# Seconds after which what was copied is recorded, so that a killed run copies little twice.
_RECORD_S = 2.0
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# Files that have a meaning on one machine only: locks, temporary files, and the states of files; the journal
# of a build has none.
_LOCAL = re.compile(r"(.*/)?(\.cxrbuild\.lock|\.[^/]*\.[0-9a-f]{8}\.part)|\.cxrbuild/(?!journal$).+")


class RemoteFolder:
    """A folder in object storage, and its copy on this machine.

    Parameters
    ----------
    address
        ``s3://BUCKET/PREFIX``.
    use
        Whether the copy is read, and so is always what is there, or written.
    """

    def __init__(self, address: str, use: Literal["read", "write"]) -> None:
        if not is_supported(address):
            from cxrbuild.http import redact_address

            raise CxrbuildError(
                "this address cannot be used here", where=redact_address(address),
                expected="a folder, or s3://BUCKET/PREFIX",
                todo="Copy it to a folder or into a bucket first",
            )  # fmt: skip
        self.address = address.rstrip("/")
        parent, _, name = self.address.rpartition("/")
        self.use = use
        place = cache_folder() / use / hashlib.sha256(parent.encode()).hexdigest()[:16]
        self.copy = place / name
        self.state = place / f".{name}"
        with self._reporting("cannot be used"):
            self.fs, self.root = connect(self.address)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the copy for this process alone.

        Raises
        ------
        CxrbuildError
            Another process has locked it.
        """
        try:
            with locked(self.state):
                yield
        except CxrbuildError as error:
            if error.where == self.state:
                error.where = self.address
            raise

    @contextmanager
    def leased(self) -> Iterator[Lease]:
        """Hold the lease of the address, so that no other machine writes to it."""
        with self._reporting("cannot be leased"):
            lease = Lease(self.fs, f"{self.root}/{LEASE}", self.address, self.state / "owner")
            lease.acquire()
        try:
            yield lease
        finally:
            with suppress(Exception):  # it ends by itself where the storage cannot be reached
                lease.release()

    @contextmanager
    def naming_address(self) -> Iterator[None]:
        """Name the address in errors that name the copy."""
        try:
            yield
        except CxrbuildError as error:
            # Of the folders next to it, too.
            here, there = str(self.copy.parent), self.address.rpartition("/")[0]
            for name in ("what", "where", "found", "todo"):
                value = getattr(error, name)
                if value is not None and here in str(value):
                    setattr(error, name, str(value).replace(here, there))
            raise

    def list(self) -> dict[str, Stored]:
        """Return the objects by name; the one object that the address itself is has the name ``""``.

        Raises
        ------
        CxrbuildError
            The storage cannot be read, or an object has a name that no file can have.
        """
        with self._reporting("cannot be read"):
            self.fs.invalidate_cache()
            try:
                found = self.fs.find(self.root, detail=True)
            except FileNotFoundError:
                found = {}
        objects = {
            path.removeprefix(self.root).removeprefix("/"): Stored(version_of(info), int(info["size"]))
            for path, info in found.items()
            # A bucket can have an empty object as a folder.
            if (path == self.root or path.startswith(f"{self.root}/")) and not path.endswith("/")
        }
        objects.pop(LEASE, None)
        if unsafe := [name for name in objects if not is_safe_name(name)]:
            raise CxrbuildError(
                "objects have names that cannot be those of files", where=self.address,
                found=name_some(sorted(unsafe), 5),
                todo="Rename or remove these objects, or name another prefix",
            )  # fmt: skip
        return objects

    def neighbours(self, seal: str) -> Iterator[RemoteFolder]:
        """Yield the folders next to this one that have a file of this name, each with a copy as this one has.

        Raises
        ------
        CxrbuildError
            The storage cannot be read.
        """
        parent = self.root.rpartition("/")[0]
        with self._reporting("cannot be read"):
            self.fs.invalidate_cache()
            found = self.fs.glob(f"{parent}/*/{seal}") if parent else []
        for path in found:
            folder = path.removesuffix(f"/{seal}")
            if folder != self.root:
                yield RemoteFolder(f"s3://{folder}", self.use)

    def download(self, wanted: Callable[[str], bool], progress: Progress) -> None:
        """Bring the copy to the state of the address, as far as files are wanted.

        In a copy that is written, a file stays if it changed here and its object did not: it is the work of a
        run that was killed.

        Raises
        ------
        CxrbuildError
            An object cannot be read, or the disk is full.
        """
        objects = {name: stored for name, stored in self.list().items() if wanted(name)}
        if "" in objects and len(objects) == 1:
            self._download_object(objects[""], progress)
            return
        if self.copy.is_file():
            self.copy.unlink()
        record = self._read_record()
        if self.use == "read":
            self._remove_others(objects, wanted)
            record = {name: known for name, known in record.items() if self._is_unchanged(name, known)}
        for name in [name for name in record if wanted(name) and name not in objects]:
            if self._is_unchanged(name, record.pop(name)):
                (self.copy / name).unlink()
        missing = [
            name
            for name, stored in objects.items()
            if name not in record
            or record[name].version != stored.version
            or not (self.copy / name).is_file()
        ]
        _logger.info("%s: %d of %d objects to download", self.address, len(missing), len(objects))

        def download(name: str) -> Copied:
            target = self.copy / name
            with replacing(target) as temporary:
                self.fs.get_file(f"{self.root}/{name}", str(temporary))
                if (size := temporary.stat().st_size) != objects[name].size:
                    raise OSError(f"{name} has {size:,} bytes, expected {objects[name].size:,}")
            return copied_file(target, objects[name].version)

        sizes = {name: objects[name].size for name in missing}
        self._copy_all("downloading", sizes, download, record, progress, "cannot be read")

    def upload(
        self, seals: Collection[str], lease: Lease, progress: Progress, *, only: Collection[str] | None = None
    ) -> None:
        """Bring the address to the state of the copy; the seals are removed first and written last.

        Parameters
        ----------
        seals
            The files that mark the folder as complete, in the order in which they are written.
        lease
            The lease of the address.
        progress
            Opens a progress bar.
        only
            The files to write, if not all: no other object changes.

        Raises
        ------
        CxrbuildError
            An object cannot be written, or another machine took the lease.
        """
        objects, record = self.list(), self._read_record()
        files = {
            name: status_of(entry)
            for entry in files_under(self.copy)
            if not _LOCAL.fullmatch(name := Path(entry.path).relative_to(self.copy).as_posix())
            and (only is None or name in only)
        }
        changed = [
            name
            for name in files
            if name not in objects
            or name not in record
            or record[name].version != objects[name].version
            or not self._is_unchanged(name, record[name])
        ]
        removed = [name for name in record if name not in files and name in objects and only is None]
        _logger.info("%s: %d objects to write, %d to remove", self.address, len(changed), len(removed))
        if not changed and not removed:
            return
        last = [name for name in seals if name in files]
        with self._reporting("cannot be written"):
            lease.require()
            for name in seals:
                record.pop(name, None)
                if name in objects:
                    self.fs.rm_file(f"{self.root}/{name}")
            self._write_record(record)

        def upload(name: str) -> Copied:
            before = files[name]
            self.fs.put_file(str(self.copy / name), f"{self.root}/{name}")
            info = self.fs.info(f"{self.root}/{name}", refresh=True)
            if int(info["size"]) != before.st_size:
                raise OSError(f"{name} has {info['size']:,} bytes there, expected {before.st_size:,}")
            return Copied(version_of(info), before.st_size, before.st_mtime_ns, before.st_ctime_ns)

        sizes = {name: files[name].st_size for name in changed if name not in last}
        self._copy_all("uploading", sizes, upload, record, progress, "cannot be written")
        with self._reporting("cannot be written"):
            for name in removed:
                self.fs.rm_file(f"{self.root}/{name}")
                record.pop(name)
            self._write_record(record)
            for name in last:
                lease.require()
                record[name] = upload(name)
                self._write_record(record)

    def _remove_others(self, objects: Collection[str], wanted: Callable[[str], bool]) -> None:
        if not self.copy.is_dir():
            return
        for entry in list(files_under(self.copy)):
            name = Path(entry.path).relative_to(self.copy).as_posix()
            if wanted(name) and name not in objects:
                Path(entry.path).unlink()
        for folder, _, _ in sorted(os.walk(self.copy), reverse=True):
            with suppress(OSError):  # not empty
                Path(folder).rmdir()

    def _download_object(self, stored: Stored, progress: Progress) -> None:
        if self.copy.is_dir():
            shutil.rmtree(self.copy)
        record = self._read_record()
        if "" in record and record[""].version == stored.version and self.copy.is_file():
            return
        with (
            self._reporting("cannot be read"),
            progress(f"downloading {self.copy.name}", stored.size, "B") as bar,
            replacing(self.copy) as temporary,
            self.fs.open(self.root, "rb") as stream,
            temporary.open("wb") as target,
        ):
            while block := stream.read(1 << 22):
                target.write(block)
                bar.update(len(block))
        self._write_record({"": copied_file(self.copy, stored.version)})

    def _copy_all(
        self,
        title: str,
        sizes: Mapping[str, int],
        copy: Callable[[str], Copied],
        record: dict[str, Copied],
        progress: Progress,
        failed: str,
    ) -> None:
        """Copy files in threads; record them now and then, and at the end whatever it is."""
        if not sizes:
            return
        recorded = time.monotonic()
        try:
            with (
                self._reporting(failed),
                progress(title, sum(sizes.values()), "B") as bar,
                ThreadPoolExecutor(_THREADS) as pool,
            ):
                running = {pool.submit(self._retried, copy, name): name for name in sizes}
                try:
                    for future in as_completed(running):
                        name = running[future]
                        record[name] = future.result()
                        bar.update(sizes[name])
                        if time.monotonic() - recorded > _RECORD_S:
                            self._write_record(record)
                            recorded = time.monotonic()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        finally:
            self._write_record(record)

    def _retried(self, copy: Callable[[str], Copied], name: str) -> Copied:
        from cxrbuild.http import RetryableError, retry

        def attempt() -> Copied:
            try:
                return copy(name)
            except (FileNotFoundError, PermissionError, CxrbuildError):
                raise
            except Exception as error:  # each library has its own for a connection that breaks
                if getattr(error, "errno", None) in _NO_SPACE:
                    raise
                raise RetryableError(redacted_message(error, self.address)) from error

        def give_up(failures: int, error: RetryableError) -> CxrbuildError:
            return CxrbuildError(
                f"the object could not be copied {failures} times in a row", where=f"{self.address}/{name}",
                found=str(error), todo="Run the same command again to resume; what was copied is kept",
            )  # fmt: skip

        return retry(attempt, wait=time.sleep, give_up=give_up, name=f"{self.address}/{name}")

    def _is_unchanged(self, name: str, known: Copied) -> bool:
        try:
            return copied_file(self.copy / name, known.version) == known
        except FileNotFoundError:
            return False

    def _read_record(self) -> dict[str, Copied]:
        path = self.state / "objects.json"
        if not path.is_file():
            return {}
        return {name: Copied(*entry) for name, entry in read_json(path).items()}

    def _write_record(self, record: Mapping[str, Copied]) -> None:
        write_json(self.state / "objects.json", {name: list(entry) for name, entry in record.items()})

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except CxrbuildError:
            raise
        # Each library raises errors of its own kind.
        except Exception as error:
            raise CxrbuildError(
                f"the object storage {what}", where=self.address,
                found=redacted_message(error, self.address),
                todo=advice_on(error) or "Check the address, the credentials and their permissions",
            ) from None  # fmt: skip
