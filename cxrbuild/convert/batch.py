"""Convert films from files to files: the part of a build that runs in many processes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cxrbuild.convert import NotConvertible, Settings, to_jpeg
from cxrbuild.files import git_blob, naming, sha256_of, temporary_name

# No words of a finished ledger: no build is made where a film has one of them.
CHANGED = "changed_since_fetch"
GONE = "gone_since_plan"


class Converted(NamedTuple):
    """What became of one film; either its JPEG or the reason why there is none."""

    image_id: str
    source_sha256: str | None = None
    source_format: str | None = None
    jpeg_path: str | None = None
    jpeg_sha256: str | None = None
    jpeg_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    conversion: str | None = None
    exclusion: str | None = None
    exclusion_detail: str | None = None


class Film(NamedTuple):
    """A film to convert: its file, its JPEG in the build, and what became of it before.

    The file must have the git blob hash; without one it is taken as it is. Paths are words, here and where
    films are read and written: with `Path` writing a film takes several times as long.
    """

    source: str
    blob: str | None
    jpeg_path: str
    before: Converted


class Piece(NamedTuple):
    """Some films of a build, converted in one go."""

    settings: Settings
    build: str
    films: tuple[Film, ...]


def convert_piece(piece: Piece) -> list[Converted]:
    """Convert some films to their JPEGs.

    A film whose bytes and JPEG are what they were is not converted again; a film that cannot be converted is
    a result with its reason.

    Raises
    ------
    OSError
        A JPEG cannot be written, or a former one cannot be read.
    """
    return list(_convert_films(piece))


def _convert_films(piece: Piece) -> Iterator[Converted]:
    for film in piece.films:
        name, target = film.before.image_id, f"{piece.build}/{film.jpeg_path}"
        try:
            with open(film.source, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            yield Converted(name, exclusion=GONE)
            continue
        except OSError as error:
            _remove(target)
            yield Converted(name, exclusion="unreadable", exclusion_detail=str(error.strerror))
            continue
        if film.blob is not None and git_blob(data) != film.blob:
            yield Converted(name, exclusion=CHANGED)
            continue
        digest = hashlib.sha256(data).hexdigest()
        if film.before.source_sha256 == digest and _as_before(film.before, target):
            yield film.before
            continue
        try:
            jpeg = to_jpeg(data, piece.settings)
        except NotConvertible as error:
            _remove(target)
            yield Converted(name, digest, exclusion=error.reason, exclusion_detail=error.found)
            continue
        _write(target, jpeg.data)
        yield Converted(
            name, digest, jpeg.source_format, film.jpeg_path,
            digest if jpeg.data is data else hashlib.sha256(jpeg.data).hexdigest(),
            len(jpeg.data), jpeg.width, jpeg.height, jpeg.conversion,
        )  # fmt: skip


def _remove(target: str) -> None:
    """Remove a JPEG of what the film was before: it must not stand in for it."""
    with suppress(FileNotFoundError):
        os.unlink(target)


def _write(target: str, data: bytes) -> None:
    """Write a JPEG whole or not at all, into a folder that is there.

    A cluster that takes a worker for lost gives its piece to another: two may write one film.
    """
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/{temporary_name(name)}"
    try:
        with naming(target, temporary):
            with open(temporary, "wb") as stream:
                stream.write(data)
            os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _as_before(before: Converted, target: str) -> bool:
    if before.jpeg_sha256 is None:
        return before.exclusion is not None and not os.path.lexists(target)
    # A link would be a hole in a build that is moved elsewhere.
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != before.jpeg_bytes:
        return False
    return sha256_of(Path(target)) == before.jpeg_sha256
