"""Read which files a version has from a listing: that of a pin, or what ``git ls-tree -r`` prints."""

from __future__ import annotations

import re
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.extraction import why_unsafe
from cxrbuild.fetching.record import TreeFile

_HEADER = "mode\tblob\tpath"
_LISTED = re.compile(r"(\d{6})(?: blob |\t)([0-9a-f]{40})\t(.+)", re.ASCII | re.DOTALL).fullmatch
# A file of an earlier pin, with this pin.
_FORMER = re.compile(r"[0-9a-f]*\t\t").match
_WRITE = "Write it with `git ls-tree -r COMMIT`, in UTF-8"
# git's documentation of core.quotePath: such a path is enclosed in double quotes, with the escapes of C.
_QUOTED = re.compile(rb'"((?:[^"\\]|\\[abtnvfr"\\]|\\[0-3][0-7]{2})*)"', re.DOTALL).fullmatch
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_CHARACTERS = {
    b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r",
    b'"': b'"', b"\\": b"\\",
}  # fmt: skip


def read_listing(path: Path) -> dict[str, TreeFile]:
    """Read the files of a git tree: ``mode blob path`` lines of a pin, or of ``git ls-tree -r``.

    git quotes a path with characters that are not ASCII, or with tabs, quotes or backslashes; it is read as
    the path itself. With ``-z`` git quotes nothing, and ends each entry with a NUL.

    Raises
    ------
    CxrbuildError
        There is no such file, a line of it is another one, or no source can have one of its paths.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CxrbuildError("no listing of files", where=path, found="no such file", todo=_WRITE) from None
    except UnicodeDecodeError as error:
        raise CxrbuildError("no listing of files in UTF-8", where=path, found=error, todo=_WRITE) from None
    # Only these end an entry: git writes other characters that end lines, such as U+2028, as they are.
    with_nul = "\0" in text
    lines = text.split("\0") if with_nul else [line.removesuffix("\r") for line in text.split("\n")]
    # The paths of a pin are as they are, whatever they begin with. Those of earlier pins have no hash.
    of_pin = lines[0] == _HEADER
    files = {}
    for number, line in enumerate(lines, 1):
        if not line or (of_pin and (number == 1 or _FORMER(line))):
            continue
        row, where = _LISTED(line), f"{path}, {'entry' if with_nul else 'line'} {number}"
        if row is None:
            raise CxrbuildError(
                "not a listing of files", where=where, expected="mode, blob and path", found=line[:80],
                todo=_WRITE,
            )  # fmt: skip
        name = row[3] if with_nul or of_pin else _unquoted(row[3], where)
        if reason := why_unsafe(name, name.split("/")):
            raise CxrbuildError(
                f"a path that no source can have: it {reason}", where=where,
                expected="paths in UTF-8, without control characters and backslashes", found=ascii(name),
                todo="Remove the line from the listing, and propose the pin of a folder without this file",
            )  # fmt: skip
        files[name] = TreeFile(row[1], row[2])
    if not files:
        raise CxrbuildError("the listing has no files", where=path, todo=_WRITE)
    return files


def _unquoted(name: str, where: str) -> str:
    """Return a path as it is; only a quoted one begins with a quote."""
    if not name.startswith('"'):
        return name
    quoted = _QUOTED(name.encode())
    if quoted is None:
        raise CxrbuildError(
            "a quoted path that git did not write", where=where, found=name[:80],
            expected='a path between double quotes, with a backslash before `"` and `\\`',
            todo="Write the listing again with `git ls-tree -r -z COMMIT`, which quotes nothing",
        )  # fmt: skip
    return _ESCAPE.sub(_character, quoted[1]).decode("utf-8", errors="surrogateescape")


def _character(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8)]) if code.isdigit() else _CHARACTERS[code]
