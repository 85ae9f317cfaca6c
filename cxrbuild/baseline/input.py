"""The images as the network reads them: each decoded once, and resized once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.image_table import ImageTable, find_images
from cxrbuild.baseline.pixels import IN_MEMORY, Pixels, allocate_pixels
from cxrbuild.baseline.sampling import draw_sample
from cxrbuild.catalog.baseline import Sample
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.progress import Progress
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

READING = "reading images"

_LISTED_PROBLEMS = 50
_BATCH = 1024


@dataclass(frozen=True)
class Images:
    """The images of a dataset, one row each, in the order of ``table``.

    Attributes
    ----------
    table
        The rows of an ``ImageTable``.
    labels
        Class numbers, shape (n,).
    for_training
        Grey values, with the augmentation's side.
    for_testing
        Grey values, with the network's side.
    """

    table: pd.DataFrame
    labels: NDArray[np.int32]
    for_training: Pixels
    for_testing: Pixels

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of a split."""
        return np.flatnonzero(self.table["split"].to_numpy() == split)

    def select(self, mask: NDArray[np.bool_]) -> Images:
        """Return the images whose mask is true."""
        return Images(
            self.table[mask].reset_index(drop=True),
            self.labels[mask],
            self.for_training.select(mask),
            self.for_testing.select(mask),
        )

    def with_splits(self, splits: pd.Series) -> Images:
        """Return some images, with other splits.

        Parameters
        ----------
        splits
            The split of each image that is kept, by its row in ``table``.
        """
        mask = np.zeros(len(self.table), bool)
        mask[splits.index] = True
        chosen = self.select(mask)
        table = chosen.table.assign(split=splits.sort_index().to_numpy())
        return Images(table, chosen.labels, chosen.for_training, chosen.for_testing)

    @property
    def splits(self) -> list[str]:
        """The splits that have images: train, validation if there is one, test."""
        present = set(self.table["split"])
        return [split for split in SPLITS if split in present]

    def fingerprint(self) -> str:
        """Return a SHA-256 of everything that training and testing read."""
        digest = hashlib.sha256()
        for column in ("image_id", "group", "label", "split"):
            digest.update("\0".join(self.table[column]).encode() + b"\1")
        for pixels in (self.for_training, self.for_testing):
            for batch in pixels.batches(_BATCH):
                digest.update(batch.tobytes())
        return digest.hexdigest()


def find_sampled(folder: Path, classes: list[str], sample: Sample | None) -> ImageTable:
    """Find the images of a dataset that will be read.

    Parameters
    ----------
    folder, classes
        As for ``find_images``.
    sample
        The images to read, if they are a sample.

    Raises
    ------
    CxrbuildError
        The conditions of ``find_images``, or the dataset has too few images for the sample.
    """
    found = find_images(folder, classes)
    return found if sample is None else found.select(draw_sample(found.rows, sample, folder))


def read_images(
    folder: Path,
    classes: list[str],
    training_side: int,
    testing_side: int,
    progress: Progress,
    *,
    scratch: Path,
    sample: Sample | None = None,
    in_memory: int = IN_MEMORY,
) -> Images:
    """Decode each image of a dataset once, and resize it once for training and once for testing.

    Images are grey: a JPEG with colour is reduced to luma. They are resized to a square whatever their aspect
    ratio, as in the published code, and by the default method of TensorFlow, which that code uses: a new
    pixel is the bilinear mean of the four pixels around its centre, not of all pixels that it covers. The
    method matters: docs/reproduction.md has measurements of both.

    Parameters
    ----------
    folder
        A build, a release or a TensorFlow Datasets folder, as for ``find_images``.
    classes
        The classes of the dataset, in the order of their numbers.
    training_side, testing_side
        Sides in pixels.
    progress
        Advanced for each image.
    scratch
        A folder for the temporary file of many pixels.
    sample
        The images to read, if they are a sample; only its classes have numbers.
    in_memory
        The number of bytes of pixels above which they are in that file.

    Raises
    ------
    CxrbuildError
        The dataset has no images of a split or class; or images are missing, damaged or different from the
        manifest: each is named with its problem. Or the temporary file does not fit on the disk.
    """
    found = find_sampled(folder, classes, sample)
    if sample is not None:
        classes = [name for name in classes if name in sample.count]
    count = len(found.rows)
    for_training, for_testing = allocate_pixels(count, (training_side, testing_side), scratch, in_memory)

    def read(row: int) -> str | None:
        return read_pixels(found, row, for_training.held[row], for_testing.held[row])

    # Pillow and hashlib release the interpreter lock, so threads suffice.
    with progress(READING, count, "image") as bar, ThreadPoolExecutor() as pool:
        problems = []
        for row, problem in enumerate(pool.map(read, range(count))):
            if problem:
                problems.append(f"{found.name(row)} ({problem})")
            bar.update()
    require_readable(folder, problems)
    labels = np.array([classes.index(label) for label in found.rows["label"]], np.int32)
    return Images(found.rows, labels, for_training, for_testing)


def require_readable(folder: Path, problems: Sequence[str]) -> None:
    """Check that every image could be read.

    Parameters
    ----------
    folder
        The dataset.
    problems
        The images that could not, with the reason.

    Raises
    ------
    CxrbuildError
        There are such images.
    """
    if problems:
        raise CxrbuildError(
            f"{count_of(len(problems), 'image')} cannot be read",
            where=folder,
            found=name_some(problems, _LISTED_PROBLEMS),
            todo="Remove the damaged images and run `cxrbuild curate` again: it makes the missing ones",
        )


def read_pixels(found: ImageTable, row: int, *targets: NDArray[np.uint8]) -> str | None:
    """Fill in the pixels of an image, resized to each target's side; return what is wrong with it.

    Parameters
    ----------
    found
        The images.
    row
        The number of the image's row.
    targets
        Arrays of shape (side, side) to fill.
    """
    try:
        jpeg = found.read(row)
        expected = found.rows["sha256"].iat[row]
        if isinstance(expected, str) and hashlib.sha256(jpeg).hexdigest() != expected:
            return "its SHA-256 differs from the manifest's"
        grey = read_image(jpeg)
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return error.strerror or str(error)
    except NotConvertible as error:
        return f"{error.reason}: {error.found}"
    for target in targets:
        target[:] = np.asarray(_resize(grey, len(target)))
    return None


def _resize(grey: Image, side: int) -> Image:
    """Resize as ``tf.image.resize`` does without antialiasing."""
    from PIL import Image as Images

    scale = (grey.width / side, 0, 0, 0, grey.height / side, 0)
    return grey.transform((side, side), Images.Transform.AFFINE, scale, Images.Resampling.BILINEAR)
