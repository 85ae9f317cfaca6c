"""Read the images of a build, and find those that are missing, changed or cannot be read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.artifact.audit import ImageFinding
from cxrbuild.auditing.context import Context, record
from cxrbuild.auditing.descriptors import ImageDescriptors, read_descriptors
from cxrbuild.checks import Measurement
from cxrbuild.errors import count_of, is_of_memory
from cxrbuild.executors import run_batches
from cxrbuild.progress import Progress

_BATCH = 64


@dataclass(frozen=True)
class ImageProblem:
    """An image that cannot be audited, and why."""

    image_id: str
    problem: str


def read_images(
    paths: Sequence[Path],
    digests: Sequence[str],
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[ImageDescriptors | str]:
    """Read images and compute their descriptors; of an image that cannot be used, return the problem.

    Parameters
    ----------
    paths
        The images.
    digests
        The SHA-256 of each.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens a progress bar.
    """
    images = list(zip(paths, digests, strict=True))
    batches = (tuple(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH))
    found: dict[Path, ImageDescriptors | str] = {}
    with progress("reading images", len(paths), "image") as bar:
        for batch, read in run_batches(executor, _read_batch, batches, ahead=3 * workers):
            found.update(zip((path for path, _ in batch), read, strict=True))
            bar.update(len(batch))
    return [found[path] for path in paths]


def _read_batch(images: tuple[tuple[Path, str], ...]) -> list[ImageDescriptors | str]:
    return [_read(path, digest) for path, digest in images]


def _read(path: Path, digest: str) -> ImageDescriptors | str:
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return "changed since the build"
        return read_descriptors(data)
    except FileNotFoundError:
        return "missing"
    except Exception as error:  # a damaged file can cause any error of a decoder
        if is_of_memory(error):
            raise
        return f"cannot be read: {str(error).rstrip('.') or type(error).__name__}"


def check_image_integrity(context: Context) -> Measurement:
    """Find images of the manifest that are missing, changed since the build or cannot be read."""
    findings = [
        record(
            ImageFinding(message=f"{one.image_id}: {one.problem}", image_id=one.image_id, problem=one.problem)
        )
        for one in sorted(context.problems, key=lambda one: one.image_id)
    ]
    message = (
        f"{count_of(len(findings), 'image')} missing, changed or unreadable"
        if findings
        else "all images available"
    )
    return Measurement(len(findings), message, findings)
