"""Convert batches of image files to JPEG files: the part of a build that runs in many processes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cxrbuild.convert.conversion import Settings, to_jpeg
from cxrbuild.convert.exclusion import NotConvertible
from cxrbuild.file_status import status_of
from cxrbuild.files import file_state, git_blob, naming, sha256_of, temporary_name

# The result of an image whose source and JPEG are those of the previous run: that run's result holds.
UNCHANGED = "unchanged_since_previous"
# Never in a finished ledger: an image with one of these stops the build.
CHANGED = "changed_since_fetch"
MISSING = "missing_since_plan"


class Converted(NamedTuple):
    """Hold the result of one image: its JPEG, or the reason for its exclusion."""

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


class ImageTask(NamedTuple):
    """Hold what one image's conversion needs.

    Paths are strings, here and where images are read and written: writing an image with `Path` takes several
    times as long.

    Parameters
    ----------
    source_file
        The path of the source file.
    blob
        The git blob hash that the file must have; None accepts any content.
    jpeg_path
        The path of the JPEG, relative to the build.
    previous
        The result of the previous run, or the image_id alone.
    previous_blob
        The git blob hash of the file that the previous result is of, where it is known.
    jpeg_state
        The digest of the state that the previous JPEG was left in, where it is known.
    keep_metadata
        Whether a JPEG may be copied with its metadata.
    """

    source_file: str
    blob: str | None
    jpeg_path: str
    previous: Converted
    previous_blob: str | None = None
    jpeg_state: str | None = None
    keep_metadata: bool = True


class Batch(NamedTuple):
    """Hold the images of a build that one process converts in one call."""

    settings: Settings
    build: str
    tasks: tuple[ImageTask, ...]


def convert_batch(batch: Batch) -> list[Converted]:
    """Convert a batch of images to JPEG files.

    An image with unchanged bytes and an unchanged JPEG is not converted again: it is `UNCHANGED`. An image
    that cannot be converted is a result with its exclusion.

    Raises
    ------
    OSError
        A JPEG cannot be written, or a previous one cannot be read.
    """
    return list(_convert(batch))


def _convert(batch: Batch) -> Iterator[Converted]:
    for task in batch.tasks:
        name, target = task.previous.image_id, f"{batch.build}/{task.jpeg_path}"
        try:
            with open(task.source_file, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            yield Converted(name, exclusion=MISSING)
            continue
        except OSError as error:
            _remove(target)
            yield Converted(name, exclusion="unreadable", exclusion_detail=str(error.strerror))
            continue
        if task.blob is not None and git_blob(data) != task.blob:
            yield Converted(name, exclusion=CHANGED)
            continue
        # The blob was compared: a file of the same blob needs no second hash.
        is_known = task.blob is not None and task.blob == task.previous_blob
        digest = (task.previous.source_sha256 if is_known else None) or hashlib.sha256(data).hexdigest()
        if task.previous.source_sha256 == digest and _is_unchanged(task, target):
            yield Converted(name, exclusion=UNCHANGED)
            continue
        try:
            jpeg = to_jpeg(data, batch.settings, keep_metadata=task.keep_metadata)
        except NotConvertible as error:
            _remove(target)
            yield Converted(name, digest, exclusion=error.reason, exclusion_detail=error.found)
            continue
        _write(target, jpeg.data)
        yield Converted(
            name, digest, jpeg.source_format, task.jpeg_path,
            digest if jpeg.data is data else hashlib.sha256(jpeg.data).hexdigest(),
            len(jpeg.data), jpeg.width, jpeg.height, jpeg.conversion,
        )  # fmt: skip


def _remove(target: str) -> None:
    """Remove the JPEG of a previous run, which the image no longer has."""
    with suppress(FileNotFoundError):
        os.unlink(target)


def _write(target: str, data: bytes) -> None:
    """Write a JPEG completely or not at all, into an existing folder.

    A cluster that considers a worker lost gives its batch to another: two may write the same image.
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


def keeps_state(previous: Converted, target: str, state: str | None) -> bool:
    """Return whether the JPEG of a previous run is in the state that it was left in, without reading it.

    Parameters
    ----------
    previous
        The result of that run. If it has no JPEG, there must be none.
    target
        The path of the JPEG.
    state
        The digest of the state; None if it is not known.
    """
    if previous.jpeg_sha256 is None:
        return previous.exclusion is not None and not os.path.lexists(target)
    status = _status_of(previous, target)
    return status is not None and state == state_digest(file_state(status))


def _is_unchanged(task: ImageTask, target: str) -> bool:
    """Return whether the JPEG of a previous run has its bytes."""
    if keeps_state(task.previous, target, task.jpeg_state):
        return True
    if task.previous.jpeg_sha256 is None or _status_of(task.previous, target) is None:
        return False
    return sha256_of(Path(target)) == task.previous.jpeg_sha256


def _status_of(previous: Converted, target: str) -> os.stat_result | None:
    """Return the status of a JPEG of the previous size; a link would break when the build is moved."""
    try:
        status = status_of(target)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) and status.st_size == previous.jpeg_bytes else None


def state_digest(state: str) -> str:
    """Return a short digest of the state of a file."""
    return hashlib.sha256(state.encode()).hexdigest()[:16]
