"""Hashes, atomic writes and locks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.file_status import status_of
from cxrbuild.parsing import parse_json

if TYPE_CHECKING:
    from filelock import FileLock

_BLOCK = 1 << 20
# Two changes within one tick of a file system's clock have the same time; FAT's tick is the longest.
_TICK_S = 0.02
_COARSE_TICK_NS = 2_000_000_000
_LOCK = ".cxrbuild.lock"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex, reading it in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    """Return a file's git blob hash: SHA-1 of the word blob, the size, a NUL byte and the content."""
    with path.open("rb") as stream:
        digest = hashlib.sha1(b"blob %d\0" % os.fstat(stream.fileno()).st_size, usedforsecurity=False)
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def git_blob(data: bytes) -> str:
    """Return the git blob hash of bytes."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def temporary_name(name: str) -> str:
    """Return a unique temporary name for a file that is being written."""
    return f".{name[:60]}.{secrets.token_hex(4)}.part"


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files of killed runs from a folder; a process that still writes there fails."""
    for path in folder.glob(f".*.{'[0-9a-f]' * 8}.part"):
        if path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path, temporary: str | Path | None = None) -> Iterator[None]:
    """Name a file in errors of the system that name none, as those of writing do, or a temporary one.

    Parameters
    ----------
    path
        The file or folder to name.
    temporary
        The temporary file or folder that becomes ``path``.
    """
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else str(error.filename)
        if error.errno is not None and named in (None, str(temporary)):
            error.filename = str(Path(path))  # with the separators of the system
        # Windows has two separators, and what is below may be joined with either.
        elif (
            error.errno is not None and named and named.startswith((f"{temporary}{os.sep}", f"{temporary}/"))
        ):
            error.filename = str(Path(f"{path}{named.removeprefix(str(temporary))}"))
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path next to ``path`` to write to, and rename it to ``path`` if no error occurs.

    A run that is killed leaves no half-written file under the final name.
    """
    temporary = path.with_name(temporary_name(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with naming(path, temporary):
            yield temporary
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require_file_place(path: Path) -> None:
    """Require that a file can be written to a path that the user gave, before the work that it takes.

    Folders above it that are missing are made when it is written, see `replacing`.

    Raises
    ------
    CxrbuildError
        A file is where one of its folders should be, or the path is a folder.
    """
    above = next(parent for parent in (path.parent, *path.parent.parents) if os.path.lexists(parent))
    if not above.is_dir():
        raise CxrbuildError(
            "a file is where the folder of this file should be", where=path, found=f"no folder {above}",
            todo="Correct the path, or move that file away",
        )  # fmt: skip
    if path.is_dir():
        raise CxrbuildError("this is a folder", where=path, expected="the path of a file to write",
                            todo="Add the name of a file")  # fmt: skip


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document completely or not at all, see `json_bytes`."""
    write_bytes(path, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    """Return a JSON document as it is written to files: indented, keys in the order given, UTF-8."""
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises
    ------
    CxrbuildError
        The file is not JSON.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CxrbuildError(
            "not a JSON document", where=path, found=error,
            todo="Move it away, or restore the former file, and run the command again",
        ) from error  # fmt: skip


def is_desktop_file(name: str) -> bool:
    """Return whether a name is of a file that macOS or Windows adds to folders that a user opens."""
    return name in {".DS_Store", "Thumbs.db", "desktop.ini"} or name.startswith("._")


def files_under(root: Path, skips: Callable[[str], bool] | None = None) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a folder in no particular order; links are not followed.

    Parameters
    ----------
    root
        The folder.
    skips
        Whether to skip the folder with a path, and everything below it; ``None`` skips none.
    """
    folders = [os.fspath(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry
                elif skips is None or not skips(entry.path):
                    folders.append(entry.path)


def tree_state(roots: Iterable[Path], states: dict[str, str] | None = None) -> str | None:
    """Return a hash of the names, modes, sizes and times of files and of everything below folders.

    No program can set a change time (ctime). Files of the same state therefore have the same content, however
    the clock was set. What is read after this call, or was written before it, has the content of the state:
    the call lasts longer than a tick of the clock that stamps files.

    Parameters
    ----------
    roots
        Files and folders.
    states
        Gets the state of each file below the folders, by path, with ``/`` on Windows too; stays empty where
        the result is ``None``.

    Returns
    -------
    str or None
        ``None`` where a root is missing, a link is below it, or the file system's clock is too coarse for
        changes made a moment ago.
    """
    time.sleep(_TICK_S)
    digest = hashlib.sha256()
    newest, coarse = 0, True
    found_states: dict[str, str] = {}
    pending = []
    for root in roots:
        try:
            # A root may be a link: to what, and that target, count.
            digest.update(_state_line(str(root.readlink()) if root.is_symlink() else "", status_of(root)))
            digest.update(_state_line(str(root), status_of(root, follow_symlinks=True)))
        except FileNotFoundError:
            return None
        if root.is_dir():
            pending.append(os.fspath(root))
    while pending:
        with os.scandir(pending.pop()) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                if entry.is_symlink():
                    return None
                status = status_of(entry)
                newest = max(newest, status.st_ctime_ns)
                coarse = coarse and status.st_ctime_ns % 1_000_000_000 == 0
                digest.update(_state_line(entry.path, status))
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif states is not None:
                    found_states[entry.path.replace(os.sep, "/")] = file_state(status)
    if coarse and newest > time.time_ns() - _COARSE_TICK_NS:
        return None
    time.sleep(_TICK_S)
    if states is not None:
        states |= found_states
    return digest.hexdigest()


def file_state(status: os.stat_result) -> str:
    """Return the mode, size and times of a file as text; see `tree_state` and `status_of`."""
    return f"{status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _state_line(name: str, status: os.stat_result) -> bytes:
    return b"%s\0%s\n" % (os.fsencode(name), file_state(status).encode())


def find_changed(files: Sequence[tuple[str, str]]) -> list[str]:
    """Return the paths whose files cannot be read or do not have the git blob hash given with the path."""
    return [path for path, blob in files if _blob_or_none(Path(path)) != blob]


def _blob_or_none(path: Path) -> str | None:
    try:
        return git_blob_of(path)
    except OSError:
        return None


@contextmanager
def locked_in_place(folder: Path) -> Iterator[None]:
    """Lock a folder for this process alone without adding a file to it.

    Windows locks no folder: there, a file in this user's folder of temporary files stands for it.

    Raises
    ------
    CxrbuildError
        Another process has locked it.
    """
    if sys.platform == "win32":
        name = hashlib.sha256(os.path.normcase(folder.resolve()).encode()).hexdigest()
        with _locked(folder, Path(tempfile.gettempdir()) / f"cxrbuild-{name[:16]}.lock"):
            yield
        return
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        # What reads the folder reports why it cannot be opened.
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(folder) from None
        except OSError as error:
            # Some network file systems have no such locks.
            if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
        yield
    finally:
        os.close(handle)


def _in_use(folder: Path) -> CxrbuildError:
    return CxrbuildError(
        "another cxrbuild command uses this folder", where=folder,
        todo="Wait until it ends, or name another folder",
    )  # fmt: skip


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for this process alone.

    Raises
    ------
    CxrbuildError
        Another process has locked it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, folder / _LOCK, made):
        yield


@contextmanager
def locked_until_removed(folder: Path) -> Iterator[None]:
    """Lock a folder for this process alone, and remove it with everything in it when the block ends.

    Raises
    ------
    CxrbuildError
        Another process has locked it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = _acquire(folder, folder / _LOCK)
    try:
        yield
    finally:
        try:
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != _LOCK:
                    path.unlink()
            if os.name == "nt":
                lock.release()  # Windows removes no open file
            # Another process may lock the folder that Windows has let go.
            shutil.rmtree(folder, ignore_errors=os.name == "nt")
        finally:
            lock.release()


def _acquire(folder: Path, path: Path) -> FileLock:
    from filelock import FileLock, Timeout

    lock = FileLock(path, blocking=False)
    try:
        with naming(folder, path):
            lock.acquire()
    except Timeout:
        raise _in_use(folder) from None
    return lock


@contextmanager
def _locked(folder: Path, path: Path, made: Sequence[Path] = ()) -> Iterator[None]:
    lock = _acquire(folder, path)
    try:
        yield
    except BaseException:
        if os.name == "nt":
            lock.release()  # Windows removes no open file
        _remove_empty(made, path)
        raise
    finally:
        lock.release()


def _remove_empty(folders: Sequence[Path], lock: Path) -> None:
    """Remove folders that this command made, innermost first, if they hold nothing but its lock."""
    with suppress(OSError):
        if folders and not set(folders[0].iterdir()) - {lock}:
            lock.unlink(missing_ok=True)
            for folder in folders:
                folder.rmdir()
