"""Read the images of a build, compute their descriptors, and find those that cannot be used."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.auditing.descriptors import ImageDescriptors, read_descriptors
from cxrbuild.auditing.store import DescriptorStore
from cxrbuild.errors import is_of_memory
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 64


@dataclass(frozen=True)
class ImageProblem:
    """An image that cannot be audited, and why."""

    image_id: str
    problem: str


def read_images(
    rows: pd.DataFrame,
    folder: Path,
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
    known = (store.find(digests) >= 0).tolist()
    images = list(zip(rows["image_id"], rows["jpeg_path"], digests, known, strict=True))
    batches = (
        tuple(_Image(image_id, folder / path, *rest) for image_id, path, *rest in images[i : i + _BATCH])
        for i in range(0, len(images), _BATCH)
    )
    problems: dict[str, ImageProblem] = {}
    with progress("reading images", len(images), "image") as bar:
        for batch, read in run_batches(executor, _read_batch, batches, ahead=3 * workers):
            described = {}
            for image, found in zip(batch, read, strict=True):
                if isinstance(found, str):
                    problems[image.image_id] = ImageProblem(image.image_id, found)
                elif found is not None:
                    described[image.digest] = found
            store.add(list(described), list(described.values()))
            bar.update(len(batch))
    return [problems[image_id] for image_id, *_ in images if image_id in problems]


@dataclass(frozen=True)
class _Image:
    image_id: str
    path: Path
    digest: str
    is_known: bool


def _read_batch(images: tuple[_Image, ...]) -> list[ImageDescriptors | str | None]:
    return [_read(image) for image in images]


def _read(image: _Image) -> ImageDescriptors | str | None:
    """Return the descriptors of an image, ``None`` where they are known, or the problem."""
    try:
        data = image.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != image.digest:
            return "changed since the build"
        return None if image.is_known else read_descriptors(data)
    except FileNotFoundError:
        return "missing"
    except Exception as error:  # a damaged file can cause any error of a decoder
        if is_of_memory(error):
            raise
        return f"cannot be read: {str(error).rstrip('.') or type(error).__name__}"
