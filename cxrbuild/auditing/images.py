"""Read the images of a build, compute their descriptors, and find those that cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrbuild.auditing import stages
from cxrbuild.auditing.descriptors import (
    THUMBNAIL_SIDE,
    ImageDescriptors,
    compute_descriptors,
    read_descriptors,
)
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.convert import read_image
from cxrbuild.errors import count_of, is_of_memory
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

BATCH = 64
"""The images of a batch."""


@dataclass(frozen=True)
class ImageProblem:
    """An image that cannot be audited, and why."""

    image_id: str
    problem: str


@dataclass(frozen=True)
class SourceImage:
    """An image to describe: its id, the SHA-256 that it should have, and its bytes or its file."""

    image_id: str
    digest: str
    content: bytes | Path


def read_images(
    rows: pd.DataFrame,
    folder: Path,
    store: DescriptorStore,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[ImageProblem]:
    """Read the images of a build, as `describe_images` does.

    Parameters
    ----------
    rows
        The manifest.
    folder
        The build's folder.
    store
        The store.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens a progress bar.
    """
    digests = rows["jpeg_sha256"].tolist()
    store.remove_others(digests)
    images = (
        SourceImage(image_id, digest, folder / path)
        for image_id, digest, path in zip(rows["image_id"], digests, rows["jpeg_path"], strict=True)
    )
    return describe_images(images, digests, store, executor, workers=workers, progress=progress)


def describe_images(
    images: Iterable[SourceImage],
    digests: Sequence[str],
    store: DescriptorStore,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[ImageProblem]:
    """Read images, add their descriptors to the store, and return the problems of those that cannot be used.

    The bytes of every image are compared with its digest. Descriptors that the store has are not computed
    again.

    Parameters
    ----------
    images
        The images; some at a time are in memory.
    digests
        Their digests, in the same order.
    store
        The store.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens a progress bar.
    """
    known = {digest for digest, record in zip(digests, store.find(digests), strict=True) if record >= 0}
    problems: dict[int, ImageProblem] = {}
    if known:
        count = sum(digest in known for digest in digests)
        progress.note(
            f"Described already: {count:,} of {count_of(len(digests), 'image')}; their bytes are checked."
        )
    with progress(stages.READING, len(digests), "image") as bar:
        for batch, read in run_batches(executor, _read_batch, _batches(images, known), ahead=3 * workers):
            described = {}
            for job, found in zip(batch, read, strict=True):
                if isinstance(found, str):
                    problems[job.number] = ImageProblem(job.image.image_id, found)
                elif found is not None:
                    described[job.image.digest] = found
            store.add(list(described), list(described.values()))
            bar.update(len(batch))
    return [problems[number] for number in sorted(problems)]


@dataclass(frozen=True)
class _Job:
    image: SourceImage
    number: int
    is_known: bool


def _batches(images: Iterable[SourceImage], known: set[str]) -> Iterator[tuple[_Job, ...]]:
    jobs = (_Job(image, number, image.digest in known) for number, image in enumerate(images))
    while batch := tuple(islice(jobs, BATCH)):
        yield batch


def _read_batch(jobs: tuple[_Job, ...]) -> list[ImageDescriptors | str | None]:
    return [_read(job.image, is_known=job.is_known) for job in jobs]


def _read(image: SourceImage, *, is_known: bool) -> ImageDescriptors | str | None:
    """Return the descriptors of an image, ``None`` where they are known, or the problem."""
    try:
        data = image.content if isinstance(image.content, bytes) else image.content.read_bytes()
        if hashlib.sha256(data).hexdigest() != image.digest:
            return "changed since the build"
        return None if is_known else read_descriptors(data)
    except FileNotFoundError:
        return "missing"
    except Exception as error:  # a damaged file can cause any error of a decoder
        if is_of_memory(error):
            raise
        return f"cannot be read: {str(error).rstrip('.') or type(error).__name__}"


def describe_files(paths: tuple[Path, ...]) -> list[tuple[str, ImageDescriptors] | None]:
    """Return the SHA-256 of each file and its descriptors, ``None`` if it cannot be read as an image."""
    return [_describe_file(path) for path in paths]


def _describe_file(path: Path) -> tuple[str, ImageDescriptors] | None:
    try:
        data = path.read_bytes()
        image = read_image(data, min_side=2 * THUMBNAIL_SIDE)
        # Nothing here looks at how the file was encoded.
        descriptors = compute_descriptors(image, np.zeros(8, np.float32))
        return hashlib.sha256(data).hexdigest(), descriptors
    except Exception as error:  # a damaged file can cause any error of a decoder
        if is_of_memory(error):
            raise
        return None
