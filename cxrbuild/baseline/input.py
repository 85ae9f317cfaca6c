"""The films as the network takes them: decoded once, resized once, held as bytes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.image_table import Films, find_films
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

_NAMED_FAULTS = 50


@dataclass(frozen=True)
class Images:
    """A dataset's images, one row each, in the order of ``table``.

    Parameters
    ----------
    table
        As in ``Films``.
    labels
        Class numbers, shape (n,).
    wide
        Grey values for training, shape (n, augmentation side, augmentation side), uint8.
    whole
        Grey values for testing, shape (n, network side, network side), uint8.
    """

    table: pd.DataFrame
    labels: NDArray[np.int32]
    wide: NDArray[np.uint8]
    whole: NDArray[np.uint8]

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the numbers of the rows of a part."""
        return np.flatnonzero(self.table["split"].to_numpy() == part)

    def keep(self, kept: NDArray[np.bool_]) -> Images:
        """Return the images of the rows that are to be kept."""
        return Images(
            self.table[kept].reset_index(drop=True), self.labels[kept], self.wide[kept], self.whole[kept]
        )

    @property
    def parts(self) -> list[str]:
        """The parts that hold images: train, validation where there is one, test."""
        held = set(self.table["split"])
        return [part for part in ("train", "validation", "test") if part in held]

    def fingerprint(self) -> str:
        """Return a SHA-256 of all that training and testing see."""
        digest = hashlib.sha256()
        for column in ("image_id", "group", "label", "split"):
            digest.update("\0".join(self.table[column]).encode() + b"\1")
        digest.update(self.wide.tobytes())
        digest.update(self.whole.tobytes())
        return digest.hexdigest()


def read_images(folder: Path, classes: list[str], wide: int, whole: int, progress: Progress) -> Images:
    """Decode each film of a dataset once, and resize it once for training and once for testing.

    Films are grey: colour, where a JPEG has it, is reduced to luma. They are resized to a square whatever
    their aspect, as in the published code, and as TensorFlow does it there by default: a new pixel is the
    bilinear mean of the four around its centre, not of all that it covers. That matters: both are measured
    in docs/reproduction.md.

    Parameters
    ----------
    folder
        A build, a release or a TensorFlow Datasets folder, as ``find_films`` takes.
    classes
        The classes in the order of their numbers.
    wide, whole
        The sides for training and for testing, in pixels.
    progress
        Told of each film.

    Raises
    ------
    CxrbuildError
        The dataset lacks a part or a class; or films are missing, damaged or not the ones that the manifest
        names: every one is named, with what is wrong with it.
    """
    films = find_films(folder, classes)
    count = len(films.table)
    images = Images(
        table=films.table,
        labels=np.array([classes.index(label) for label in films.table["label"]], np.int32),
        wide=np.empty((count, wide, wide), np.uint8),
        whole=np.empty((count, whole, whole), np.uint8),
    )

    def read(row: int) -> str | None:
        return _read_into(films, row, images)

    # Pillow and hashlib let go of the interpreter lock, so threads are enough.
    with progress("reading images", count, "image") as bar, ThreadPoolExecutor() as pool:
        faults = []
        for row, fault in enumerate(pool.map(read, range(count))):
            if fault:
                faults.append(f"{films.name(row)} ({fault})")
            bar.update()
    if faults:
        some = "1 image" if len(faults) == 1 else f"{len(faults)} images"
        raise CxrbuildError(
            f"{some} cannot be read",
            where=folder,
            found=name_some(faults, _NAMED_FAULTS),
            todo="Remove what is damaged and run `cxrbuild curate` again: it makes what is not there",
        )
    return images


def _read_into(films: Films, row: int, images: Images) -> str | None:
    """Fill in a film's pixels; return what is wrong with it."""
    wide, whole = images.wide.shape[1], images.whole.shape[1]
    try:
        jpeg = films.read(row)
        expected = films.table["sha256"].iat[row]
        if isinstance(expected, str) and hashlib.sha256(jpeg).hexdigest() != expected:
            return "other bytes than its SHA-256 in the manifest"
        grey = read_image(jpeg)
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return error.strerror or str(error)
    except NotConvertible as error:
        return f"{error.reason}: {error.found}"
    for side, target in ((wide, images.wide), (whole, images.whole)):
        target[row] = np.asarray(_sampled(grey, side))
    return None


def _sampled(grey: Image, side: int) -> Image:
    """Resize as ``tf.image.resize`` does without antialiasing."""
    from PIL import Image as Images

    scale = (grey.width / side, 0, 0, 0, grey.height / side, 0)
    return grey.transform((side, side), Images.Transform.AFFINE, scale, Images.Resampling.BILINEAR)
